"""What a real sensor makes of a picture: blur, shade, noise, colour cast, steps, JPEG.

Light passes in the order of a camera: lens (blur, vignetting), photons and read-out (noise, steps
of the converter), white balance, sRGB, JPEG. Noise is worked out in linear light. Labels do not
pass through here.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from envs.errors import ConfigError
from generators.distributions import Distribution
from generators.srgb import to_bytes, to_linear

CONVERTER_BITS = 12
"""Of the analogue-to-digital converter of a usual machine-vision sensor."""


@dataclass(frozen=True)
class SensorRanges:
    """One distribution per property of the sensor.

    Attributes:
        full_well_e: Electrons at white: the fewer, the noisier.
        read_noise_e: Standard deviation of the read-out, in electrons.
        blur_px: Standard deviation of the lens's point spread, in pixels.
        vignetting: Share of the light that is lost in the corner farthest from the axis.
        white_balance: How far the gains of red and blue are off, −0.1 is 10 % too little.
        jpeg_quality: 1..100; 0 writes no JPEG.
    """

    full_well_e: Distribution
    read_noise_e: Distribution
    blur_px: Distribution
    vignetting: Distribution
    white_balance: Distribution
    jpeg_quality: Distribution

    def draw(self, rng: np.random.Generator) -> "Sensor":
        """Return the sensor of one picture."""
        return Sensor(
            full_well_e=self.full_well_e.sample(rng),
            read_noise_e=self.read_noise_e.sample(rng),
            blur_px=self.blur_px.sample(rng),
            vignetting=self.vignetting.sample(rng),
            gains=(1 + self.white_balance.sample(rng), 1.0, 1 + self.white_balance.sample(rng)),
            jpeg_quality=round(self.jpeg_quality.sample(rng)),
        )


@dataclass(frozen=True)
class Sensor:
    """The sensor of one picture; see `SensorRanges`. `gains` are of red, green and blue."""

    full_well_e: float
    read_noise_e: float = 0.0
    blur_px: float = 0.0
    vignetting: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no sensor."""
        if not (
            1 <= self.full_well_e < np.inf
            and 0 <= self.read_noise_e < np.inf
            and 0 <= self.blur_px <= 100
            and 0 <= self.vignetting <= 1
            and 0 < min(self.gains) <= max(self.gains) < 10
            and 0 <= self.jpeg_quality <= 100
        ):
            raise ConfigError(
                "a sensor needs full_well_e ≥ 1, read_noise_e ≥ 0, blur_px in 0..100, vignetting "
                f"in 0..1, gains in 0..10 and jpeg_quality in 0..100; found {self}"
            )


def expose(
    rgb: UInt8[np.ndarray, "h w 3"],
    sensor: Sensor,
    rng: np.random.Generator,
    *,
    axis: tuple[float, float],
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture that the sensor gives.

    Args:
        rgb: What an ideal one would give, sRGB.
        sensor: Its properties.
        rng: Noise is drawn from it.
        axis: Pixel (column, row) on the optical axis, where vignetting begins.
    """
    light = to_linear(rgb)
    if sensor.blur_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), sensor.blur_px, borderType=cv2.BORDER_REPLICATE)
    if sensor.vignetting > 0:
        light = light * falloff(rgb.shape[:2], sensor.vignetting, axis)[..., None]
    light = _read_out(light, sensor, rng) * np.array(sensor.gains, np.float32)
    picture = to_bytes(light)
    return _jpeg(picture, sensor.jpeg_quality) if sensor.jpeg_quality else picture


def falloff(
    size: tuple[int, int], share: float, axis: tuple[float, float]
) -> Float32[np.ndarray, "h w"]:
    """Return the part of the light that arrives: 1 on the axis, 1 − share at the farthest corner.

    It falls with the square of the distance, as cos⁴ of the angle does at first.
    """
    height, width = size
    x, y = np.arange(width) - axis[0], np.arange(height) - axis[1]
    farthest = np.abs(x).max() ** 2 + np.abs(y).max() ** 2
    lost = share * (x[None, :] ** 2 + y[:, None] ** 2) / max(farthest, 1e-12)
    arrived: Float32[np.ndarray, "h w"] = (1 - lost).astype(np.float32)
    return arrived


def _read_out(
    light: Float32[np.ndarray, "h w 3"], sensor: Sensor, rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """Return the light that is measured: photons counted, read-out noise added, digitised.

    EMVA Standard 1288, release 4.0, section 2: the variance in electrons is signal + read².
    Photons are Poisson distributed; a normal distribution of the same variance stands for it, as
    where there are few, the read-out's noise is the larger.
    """
    electrons = light * np.float32(sensor.full_well_e)
    deviation = np.sqrt(electrons + np.float32(sensor.read_noise_e**2))
    noise = rng.standard_normal(light.shape, np.float32)
    top = np.float32((1 << CONVERTER_BITS) - 1)
    steps = np.rint((electrons + deviation * noise) * (top / np.float32(sensor.full_well_e)))
    measured: Float32[np.ndarray, "h w 3"] = np.clip(steps, 0, top) / top
    return measured


def _jpeg(picture: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture after it was a JPEG."""
    bgr = np.ascontiguousarray(picture[..., ::-1])
    whole, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert whole and again is not None, "OpenCV encodes any picture of bytes"
    decoded: UInt8[np.ndarray, "h w 3"] = np.ascontiguousarray(again[..., ::-1], np.uint8)
    return decoded
