"""Tables that the kernels look values up in."""

import numpy as np
from jaxtyping import Float, UInt8

LIGHT_RANGE = 4.0
"""Linear light beyond which all is white."""

STEPS = 16383
"""From the first entry of a table of sRGB bytes to its last."""


def developed(light: Float[np.ndarray, "steps"]) -> UInt8[np.ndarray, "steps"]:
    """Return the sRGB bytes of light; above 0.6 it is compressed, so that it never burns out."""
    soft = np.where(light > 0.6, 0.6 + 0.4 * (1 - np.exp((0.6 - light) / 0.4)), light)
    return srgb_bytes(soft)


def srgb_bytes(linear: Float[np.ndarray, "steps"]) -> UInt8[np.ndarray, "steps"]:
    """Return the sRGB bytes of linear values from 0 to 1 (IEC 61966-2-1)."""
    x = np.clip(linear, 0.0, 1.0)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    table: UInt8[np.ndarray, " steps"] = np.rint(255 * srgb).astype(np.uint8)
    return table


def disc(count: int, *, turn_rad: float = 0.0) -> Float[np.ndarray, "count 2"]:
    """Return points that cover the unit disc evenly (Vogel, Math. Biosciences 44, 1979)."""
    k = np.arange(count)
    radius, angle = np.sqrt((k + 0.5) / count), k * np.pi * (3 - np.sqrt(5)) + turn_rad
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
