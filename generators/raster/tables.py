"""Tables that the kernels look values up in."""

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8, UInt32

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


SIDE = 32
"""Rows and columns of the table that `packed_split_sum` returns."""


def split_sum(
    roughness: Float[np.ndarray, "r"], cosine: Float[np.ndarray, "c"]
) -> Float[np.ndarray, "2 r c"]:
    """Return the a and b with which a surface under a white sky reflects a·F0 + b of it.

    The split sum of B. Karis, Real shading in Unreal Engine 4, SIGGRAPH 2013, for the microfacets
    of `reflection.under_lamp`; their slopes are taken evenly from their distribution.

    Args:
        roughness: Of surfaces, from 0.06 to 1.
        cosine: Of the angle between normal and view, above 0.
    """
    a = (roughness**2)[:, None, None, None]
    nv = cosine[:, None, None]
    # Most of the places lie where slopes are large, since light that grazes hangs on them.
    t = (np.arange(64)[:, None] + 0.5) / 64
    share, weight = 1 - (1 - t) ** 2, 2 * (1 - t)
    turn = np.pi * (np.arange(32) + 0.5) / 32
    nh = np.sqrt((1 - share) / (1 + (a**2 - 1) * share))
    vh = nv * nh + np.sqrt(1 - nv**2) * np.sqrt(1 - nh**2) * np.cos(turn)
    nl = 2 * vh * nh - nv
    there = (nl > 0) & (vh > 0)
    smith = 0.5 / np.maximum(2 * nl * nv * (1 - a) + (nl + nv) * a, 1e-9)
    given = np.where(there, 4 * smith * nl * vh / nh * weight, 0.0)
    fifth = np.clip(1 - vh, 0.0, 1.0) ** 5
    return np.stack([(given * (1 - fifth)).mean((2, 3)), (given * fifth).mean((2, 3))])


@cache
def packed_split_sum() -> UInt32[np.ndarray, "side side"]:
    """Return `split_sum` by roughness and root of the cosine: 65535·a, and b in the upper half."""
    steps = np.linspace(0.0, 1.0, SIDE)
    a, b = np.rint(
        65535 * np.clip(split_sum(np.maximum(steps, 0.02), np.maximum(steps, 0.03) ** 2), 0, 1)
    )
    table: UInt32[np.ndarray, "side side"] = (a + 65536 * b).astype(np.uint32)
    return table
