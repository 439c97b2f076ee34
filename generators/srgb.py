"""sRGB bytes to linear light and back (IEC 61966-2-1)."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_LINEAR = np.array(
    [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.arange(256) / 255],
    np.float32,
)
# A byte begins where the curve is halfway between it and the one before.
_STARTS = np.array(
    [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (np.arange(255) + 0.5) / 255
    ],
    np.float32,
)
_STEPS = 1 << 16
_BYTES = np.searchsorted(_STARTS, np.arange(_STEPS) / (_STEPS - 1), side="right").astype(np.uint8)


def to_linear(srgb: UInt8[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """Return linear light, 0..1."""
    linear: Float32[np.ndarray, "*n"] = cv2.LUT(srgb, _LINEAR)
    return linear


def to_bytes(linear: Float32[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Return sRGB bytes of linear light; what lies outside 0..1 is clipped."""
    step = np.rint(np.clip(linear, 0.0, 1.0) * np.float32(_STEPS - 1)).astype(np.uint16)
    srgb: UInt8[np.ndarray, "*n"] = _BYTES[step]
    return srgb
