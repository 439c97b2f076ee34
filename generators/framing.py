"""Where a camera must stand so that everything is in its picture."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from generators.camera import Camera, border, look_at

CENTRING_STEPS = 6
"""The middle of a picture depends on the distance, and the distance on the middle."""

SMALLEST_REACH = 0.05
"""Of the window, on each side of the optical axis, however far off the middle that lies."""

XY = Float[np.ndarray, "2"]


def window(camera: Camera) -> tuple[XY, XY]:
    """Return the lowest and highest x/z and y/z of the largest upright window in the picture."""
    edge = camera.slopes_at(border(camera.width, camera.height))
    ends = np.cumsum([camera.width + 1, camera.width + 1, camera.height + 1])
    top, bottom, left, right = np.split(edge, ends)
    low = np.array([left[:, 0].max(), top[:, 1].max()])
    high = np.array([right[:, 0].min(), bottom[:, 1].min()])
    return low, high


def framed(
    camera: Camera,
    points: Float[np.ndarray, "n 3"],
    back: Float[np.ndarray, "3"],
    *,
    roll_rad: float,
    fill: float,
    off_middle: XY,
) -> tuple[Camera, Float[np.ndarray, "3"]]:
    """Return the camera, moved to where it has all points in its picture, and their middle.

    Args:
        camera: Its lens; where it stands means nothing.
        points: What is to be seen, m.
        back: Unit vector from what is seen to the camera.
        roll_rad: Turn about its axis.
        fill: How much of the window's width or height the points take up.
        off_middle: How much of what they leave free they are moved by, −1..1, along x and y.
    """
    low, high = window(camera)
    centre, half = (low + high) / 2, (high - low) / 2
    furthest = np.maximum(centre + fill * half, SMALLEST_REACH * half)
    nearest = np.minimum(centre - fill * half, -SMALLEST_REACH * half)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    X = look_at(middle + back, middle, roll_rad=roll_rad)
    distance = 0.0
    for _ in range(CENTRING_STEPS):
        in_view = (points - middle) @ X[:3, :3]
        # Far enough back that nearest ≤ x / (z + distance) ≤ furthest, for each point and axis.
        aside = np.maximum(in_view[:, :2] / furthest, in_view[:, :2] / nearest)
        distance = (aside - in_view[:, 2:]).max()
        slope = in_view[:, :2] / (in_view[:, 2:] + distance)
        wrong = (slope.min(axis=0) + slope.max(axis=0)) / 2 - centre
        middle = middle + X[:3, :2] @ (distance * wrong)
    shift = off_middle * (1 - fill) * half * distance
    eye = middle + X[:3, :2] @ shift + distance * back
    X_WC = look_at(eye, eye - back, roll_rad=roll_rad)
    return replace(camera, X_WC=X_WC), middle + X[:3, :2] @ (distance * centre)
