"""The stage's own lamps: what they bring to a surface, and how bright they are let be.

UsdLux leaves it to the renderer how bright a light of intensity 1 looks, and stages use both watts
and taste. So the lamps of a stage keep their colours and how bright they are beside each other,
and are levelled together, as the image of a dome light is.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float

from envs.frames import inverse
from envs.stage.looks import Light
from generators.image_file import read_image
from generators.srgb import to_linear

KINDS = ("distant", "sphere", "rect")
"""As the kernels count them, from 0."""

MOST = 4
"""Lamps that light one picture, each with a shadow map of its own."""


def stage_lamps(lights: Sequence[Light]) -> tuple[Light, ...]:
    """Return the lamps that are no domes; the image of a rectangle becomes its mean colour.

    A rectangle without an area gives no light, also where it is normalised.

    Raises:
        StageError: An image cannot be read.
    """
    lamps = [light for light in lights if light.kind in KINDS and light.intensity > 0]
    return tuple(_plain(lamp) for lamp in lamps if lamp.kind != "rect" or min(lamp.size_m) > 0)


def facing_light(lamp: Light, p_W: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Return what a white, dull surface at a point gives back that faces a lamp: irradiance over π.

    A distant light and a sphere follow UsdLux's units; a sphere's irradiance is π·L·(r/d)², exact
    where all of it is above the horizon. For a rectangle see `vector_irradiance`.
    """
    color = np.array(lamp.color, float)
    if lamp.kind == "distant":
        return np.array(lamp.irradiance) / np.pi
    if lamp.kind == "sphere":
        away = float(np.linalg.norm(lamp.X_WL[:3, 3] - p_W))
        return intensity_m2(lamp) * color / max(away, lamp.radius_m, 1e-3) ** 2
    return np.array(lamp.radiance) * float(np.linalg.norm(vector_irradiance(lamp, p_W))) / np.pi


def intensity_m2(lamp: Light) -> float:
    """Return radius² times radiance of a sphere, without its colour: also of a point's, m²."""
    if lamp.normalize:
        return lamp.intensity / (4 * np.pi)
    return lamp.intensity * lamp.radius_m**2


def half_axes(lamp: Light) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return the vectors from the middle of a rectangle to the middles of two edges, m."""
    x, y = (lamp.X_WL[:3, k] / np.linalg.norm(lamp.X_WL[:3, k]) for k in (0, 1))
    return x * lamp.size_m[0] / 2, y * lamp.size_m[1] / 2


def vector_irradiance(lamp: Light, p_W: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Return the vector whose product with a normal is the irradiance from a rectangle, over L.

    Lambert's formula for polygons, ½·Σ θ·γ over its edges (J. Arvo, Analytic methods for simulated
    light transport, 1995, equation 2.10); exact for surfaces that see all of the rectangle, which
    shines to its own −z alone.
    """
    X_LW = inverse(lamp.X_WL)
    if (X_LW[:3, :3] @ p_W + X_LW[:3, 3])[2] >= 0:
        return np.zeros(3)
    x, y = half_axes(lamp)
    corners = np.array([x + y, -x + y, -x - y, x - y]) + lamp.X_WL[:3, 3] - p_W
    units = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    total = np.zeros(3)
    for a, b in zip(units, np.roll(units, -1, axis=0), strict=True):
        normal = np.cross(a, b)
        length = np.linalg.norm(normal)
        if length > 0:
            total += np.arctan2(length, a @ b) / 2 * normal / length
    return total


def levelled(
    lamps: Sequence[Light], p_W: Float[np.ndarray, "3"], level: float
) -> tuple[Light, ...]:
    """Return the lamps that light a point most, at most `MOST`, as bright together as is asked.

    Args:
        lamps: Of the stage.
        p_W: The point, m.
        level: What white surfaces there give back that face one lamp each, summed over the lamps.
    """
    light = [float(facing_light(lamp, p_W).mean()) for lamp in lamps]
    order = sorted(range(len(lamps)), key=lambda k: -light[k])[:MOST]
    total = sum(light[k] for k in order)
    if not total > 0:
        return ()
    gain = level / total
    return tuple(
        replace(lamps[k], intensity=lamps[k].intensity * gain) for k in order if light[k] > 0
    )


def _plain(lamp: Light) -> Light:
    if lamp.kind != "rect" or lamp.texture is None:
        return lamp
    image = read_image(lamp.texture, cv2.IMREAD_COLOR)
    r, g, b = np.array(lamp.color) * to_linear(image).reshape(-1, 3).mean(axis=0)[::-1]
    return replace(lamp, color=(float(r), float(g), float(b)), texture=None)
