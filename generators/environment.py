"""Light from all around: an equirectangular picture of radiance, and what a surface gets of it.

The picture's frame D has z up. Its columns go around from +180 degrees of longitude at the left
edge to −180 at the right, so that its middle is +x and the viewer inside sees it as it is painted;
its rows go from straight up to straight down. UsdLux's domes are brought to this frame when a stage
is read (`Light.X_WL`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32

from envs.errors import StageError
from envs.stage.looks import Light
from generators.image_file import read_image
from generators.srgb import to_linear

Radiance = Float32[np.ndarray, "rows columns 3"]


MAX_ROWS = 512
"""Of a dome's picture: a third of a degree each; larger images are made smaller."""


@dataclass(frozen=True)
class Dome:
    """A picture of all that is around.

    Attributes:
        radiance: Such that a level white surface gives back 1, in the mean of its colours.
        R_WD: The picture's axes in the world.
        coefficients: See `irradiance_harmonics`.
    """

    radiance: Radiance
    R_WD: Float[np.ndarray, "3 3"]
    coefficients: Float[np.ndarray, "9 3"]

    @staticmethod
    def levelled(radiance: Radiance, R_WD: Float[np.ndarray, "3 3"]) -> "Dome":
        """Return the dome of a picture of any brightness.

        Raises:
            StageError: It gives a level surface no light.
        """
        coefficients = irradiance_harmonics(radiance)
        # What a white surface gives back is its irradiance over π.
        level = irradiance(coefficients, R_WD.T @ np.array([0.0, 0.0, 1.0])).mean() / np.pi
        if not level > 0:
            raise StageError("a dome's image gives no light from above")
        return Dome(radiance / np.float32(level), R_WD, coefficients / level)


FACTORS = np.sqrt(np.array([1, 3, 3, 3, 15, 15, 5 / 4, 15, 15 / 4]) / (4 * np.pi))
"""Of 1, y, z, x, xy, yz, 3z² − 1, xz and x² − y² in the harmonics."""


def load(path: Path) -> Radiance:
    """Return an equirectangular image file as linear radiance.

    Files of 8 bits are sRGB; Radiance's .hdr and floating-point TIFF are linear.

    Raises:
        StageError: It is no image that can be read.
    """
    image = read_image(path)
    if image.dtype not in (np.uint8, np.float32) or image.ndim != 3:
        raise StageError(
            f"{path}: no colour image that can be read as a dome; allowed: .hdr, .png, .jpg, "
            "floating-point .tif"
        )
    rgb = np.ascontiguousarray(image[..., 2::-1])
    radiance = to_linear(rgb) if rgb.dtype == np.uint8 else rgb
    if not np.isfinite(radiance).all() or radiance.min() < 0:
        raise StageError(f"{path}: radiance must be finite and not negative")
    height, width = radiance.shape[:2]
    if height > MAX_ROWS:
        size = (round(width * MAX_ROWS / height), MAX_ROWS)
        radiance = cv2.resize(radiance, size, interpolation=cv2.INTER_AREA)
    return np.asarray(radiance, np.float32)


def stage_dome(lights: Sequence[Light]) -> Dome | None:
    """Return the first dome light's image; None where no dome has one.

    Raises:
        StageError: The image cannot be read, or is black.
    """
    for light in lights:
        if light.kind == "dome" and light.texture is not None:
            radiance = load(light.texture) * np.array(light.color, np.float32)
            return Dome.levelled(radiance, light.X_WL[:3, :3])
    return None


def directions(rows: int, columns: int) -> Float[np.ndarray, "rows columns 3"]:
    """Return the unit vectors to the middles of a picture's pixels."""
    longitude = np.pi - (np.arange(columns) + 0.5) * (2 * np.pi / columns)
    latitude = np.pi / 2 - (np.arange(rows) + 0.5) * (np.pi / rows)
    level, up = np.cos(latitude)[:, None], np.sin(latitude)[:, None]
    return np.stack(
        [level * np.cos(longitude), level * np.sin(longitude), np.broadcast_to(up, level.shape)
         * np.ones(columns)], axis=-1,
    )  # fmt: skip


def solid_angles(rows: int, columns: int) -> Float[np.ndarray, "rows 1"]:
    """Return the solid angle of a pixel of each row, sr; all together they are 4π."""
    edges = np.sin(np.pi / 2 - np.arange(rows + 1) * (np.pi / rows))
    across = 2 * np.pi / columns
    angles: Float[np.ndarray, "rows 1"] = (across * (edges[:-1] - edges[1:]))[:, None]
    return angles


def lookup(radiance: Radiance, d_D: Float[np.ndarray, "*n 3"]) -> Float32[np.ndarray, "*n 3"]:
    """Return the radiance that comes from directions (of any length), between pixels linearly."""
    rows, columns, _ = radiance.shape
    d = np.asarray(d_D, float).reshape(-1, 3)
    longitude = np.arctan2(d[:, 1], d[:, 0])
    latitude = np.arctan2(d[:, 2], np.hypot(d[:, 0], d[:, 1]))
    u = (np.pi - longitude) * (columns / (2 * np.pi)) - 0.5
    v = np.clip((np.pi / 2 - latitude) * (rows / np.pi) - 0.5, 0, rows - 1)
    left, top = np.floor(u).astype(int), np.minimum(v.astype(int), max(rows - 2, 0))
    right, bottom = (left + 1) % columns, np.minimum(top + 1, rows - 1)
    du, dv = (u - left)[:, None], (v - top)[:, None]
    left %= columns
    above = radiance[top, left] * (1 - du) + radiance[top, right] * du
    below = radiance[bottom, left] * (1 - du) + radiance[bottom, right] * du
    mixed = (above * (1 - dv) + below * dv).astype(np.float32)
    seen: Float32[np.ndarray, "*n 3"] = mixed.reshape(np.shape(d_D))
    return seen


def irradiance_harmonics(radiance: Radiance) -> Float[np.ndarray, "9 3"]:
    """Return the coefficients from which `irradiance` works out what a surface gets.

    R. Ramamoorthi and P. Hanrahan, An efficient representation for irradiance environment maps,
    SIGGRAPH 2001: the radiance is projected on spherical harmonics up to order 2, and each order is
    multiplied with the cosine's coefficient, π, 2π/3 and π/4 (equation 8).
    """
    rows, columns, _ = radiance.shape
    weight = harmonics(directions(rows, columns)) * solid_angles(rows, columns)[..., None]
    L = np.einsum("rcn,rck->nk", weight, radiance.astype(float))
    cosine = np.array([np.pi] + 3 * [2 * np.pi / 3] + 5 * [np.pi / 4])
    coefficients: Float[np.ndarray, "9 3"] = cosine[:, None] * L
    return coefficients


def irradiance(
    coefficients: Float[np.ndarray, "9 3"], n_D: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 3"]:
    """Return the irradiance of a surface with unit normals n; within about 1 % of the brightest.

    Divided by π it is what a white, dull surface gives off. Ramamoorthi and Hanrahan bound the
    error of order 2 by 9 % at a point for any light, and measure 1 % on average.
    """
    E: Float[np.ndarray, "*n 3"] = np.maximum(harmonics(n_D) @ coefficients, 0.0)
    return E


def harmonics(d: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 9"]:
    """Return the real spherical harmonics up to order 2 of unit vectors (equation 3)."""
    x, y, z = d[..., 0], d[..., 1], d[..., 2]
    terms = [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    values: Float[np.ndarray, "*n 9"] = FACTORS * np.stack(terms, axis=-1)
    return values
