"""What a real sensor makes of a picture: blur, shade, noise, colour cast, steps, JPEG.

Light passes in the order of a camera: lens (blur, vignetting), photons and read-out (noise, steps
of the converter), white balance, sRGB, JPEG. Noise is worked out in linear light. Labels do not
pass through here.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from generators.optics import Sensor
from generators.srgb import to_bytes, to_linear

CONVERTER_BITS = 12
"""Of the analogue-to-digital converter of a usual machine-vision sensor."""


def sensed(
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
