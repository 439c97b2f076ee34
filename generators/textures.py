"""Procedural surface images: noise, wood, stripes, checks, speckles; each repeats without a seam.

They are brightness patterns around light grey, to be multiplied with a colour.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from generators.distributions import stream

SIZE = 512
"""Pixels along an edge; an image covers `envs.world.primitives.TILE_M`."""

COUNT = 20
"""Images of one data set."""

Pattern = Float[np.ndarray, "size size"]


def paint(seed: int, number: int) -> UInt8[np.ndarray, "size size 3"]:
    """Return texture `number` of a data set: the kinds take turns, their looks are drawn."""
    rng = stream(seed, number, "texture")
    pattern = KINDS[number % len(KINDS)](rng)
    contrast = rng.uniform(0.12, 0.4)
    grey = 1.0 - contrast * np.clip(pattern, 0.0, 1.0)
    return np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=2)


def write_textures(folder: Path, seed: int) -> tuple[Path, ...]:
    """Write all textures of a data set and return their files."""
    paths = []
    for number in range(COUNT):
        path = folder / f"texture_{number:02d}.png"
        path.write_bytes(cv2.imencode(".png", paint(seed, number))[1].tobytes())
        paths.append(path)
    return tuple(paths)


def _cloud(rng: np.random.Generator, *, slope: float, stretch: float = 1.0) -> Pattern:
    """Return periodic noise with a power-law spectrum, from 0 to 1; `stretch` lengthens it in x."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE) * SIZE, np.fft.rfftfreq(SIZE) * SIZE, indexing="ij")
    radius = np.hypot(fy, fx * stretch)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * radius**-slope
    cloud = np.fft.irfft2(spectrum, (SIZE, SIZE))
    low, high = np.quantile(cloud, [0.005, 0.995])
    pattern: Pattern = np.clip((cloud - low) / (high - low), 0.0, 1.0)
    return pattern


def _noise(rng: np.random.Generator) -> Pattern:
    """Concrete, felt, stone: clouds from coarse to fine."""
    return _cloud(rng, slope=rng.uniform(1.0, 1.9))


def _wood(rng: np.random.Generator) -> Pattern:
    """Growth rings, bent by slow noise, with a fine grain along them."""
    _, y = np.meshgrid(np.arange(SIZE) / SIZE, np.arange(SIZE) / SIZE)
    rings = int(rng.integers(4, 10))
    bend = _cloud(rng, slope=2.2, stretch=rng.uniform(4.0, 9.0))
    phase = rings * y + rng.uniform(1.5, 4.0) * bend
    ring = (phase % 1.0) ** 1.6
    # A ring ends sharply: a little blur keeps it from flickering.
    ring = _blur(ring, 1.2)
    grain = _cloud(rng, slope=0.9, stretch=rng.uniform(12.0, 24.0))
    return 0.62 * ring + 0.38 * grain


def _stripes(rng: np.random.Generator) -> Pattern:
    """Stripes with soft edges, straight or at 45 degrees."""
    x, y = np.meshgrid(np.arange(SIZE) / SIZE, np.arange(SIZE) / SIZE)
    along = int(rng.integers(5, 14))
    across = int(rng.choice([0, along]))
    wave = np.sin(2 * np.pi * (along * x + across * y))
    return _soft_step(wave - rng.uniform(-0.5, 0.5), along + across)


def _checks(rng: np.random.Generator) -> Pattern:
    """A chequerboard, or tiles with thin joints."""
    x, y = np.meshgrid(np.arange(SIZE) / SIZE, np.arange(SIZE) / SIZE)
    count = int(rng.integers(2, 6))
    if rng.random() < 0.5:
        return _soft_step(np.sin(2 * np.pi * count * x) * np.sin(2 * np.pi * count * y), count)
    joint = np.maximum(np.cos(2 * np.pi * count * x), np.cos(2 * np.pi * count * y))
    return _soft_step(joint - np.cos(np.pi * 0.03 * count), count)


def _speckles(rng: np.random.Generator) -> Pattern:
    """Terrazzo: chips of many greys."""
    pattern = np.zeros((SIZE, SIZE))
    for _ in range(int(rng.integers(250, 700))):
        centre = rng.uniform(0, SIZE, 2)
        angle, shade = rng.uniform(0, 180), rng.uniform(0.2, 1.0)
        axes = rng.uniform(4, 18, 2)
        # Drawn nine times over, so that a chip cut by an edge goes on at the other one.
        for dx in (-SIZE, 0, SIZE):
            for dy in (-SIZE, 0, SIZE):
                box = ((float(centre[0] + dx), float(centre[1] + dy)), tuple(axes), float(angle))
                cv2.ellipse(pattern, box, float(shade), -1)
    return _blur(pattern, 0.7)


def _soft_step(wave: Pattern, waves: int) -> Pattern:
    """Return 0 where a wave is low, 1 where it is high, with an edge about two pixels wide."""
    slope = SIZE / (2 * np.pi * max(waves, 1))
    pattern: Pattern = np.clip(0.5 + wave * slope / 2, 0.0, 1.0)
    return pattern


def _blur(pattern: Pattern, sigma: float) -> Pattern:
    """Blur a pattern as if it went on beyond its edges; sigma in pixels."""
    margin = 8
    wide = cv2.GaussianBlur(np.pad(pattern, margin, mode="wrap"), (0, 0), sigma)
    blurred: Pattern = wide[margin:-margin, margin:-margin]
    return blurred


KINDS: tuple[Callable[[np.random.Generator], Pattern], ...] = (
    _noise,
    _wood,
    _stripes,
    _checks,
    _speckles,
)

COARSE = tuple(n for n in range(COUNT) if KINDS[n % len(KINDS)] in (_noise, _wood, _checks))
"""Numbers of the textures that are calm from afar, as a floor is seen."""
