"""Optical flow between two pictures of one scene: exact, from depth and the motion of bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from envs.frames import Pose, inverse
from generators.labels.surface import moved, points_W
from generators.renderer import Frame, Part

GAP_PX = 0.25
"""How far off the surface seen in the other picture a point may lie and still be on it, in sizes of
its pixel there: a curved surface leaves its tangent by less, and what stands before it by more."""


@dataclass(frozen=True)
class Flow:
    """Where the points that one picture shows are in another.

    Attributes:
        uv: Pixels to add to a pixel's own coordinates; NaN where there is no such place.
        occluded: The point is there outside of the picture, or hidden; False where uv is NaN
            because nothing is seen.
    """

    uv: Float32[np.ndarray, "h w 2"]
    occluded: Bool[np.ndarray, "h w"]


def flow(
    here: Frame,
    there: Frame,
    parts: Sequence[Part],
    poses_here: Mapping[str, Pose],
    poses_there: Mapping[str, Pose],
) -> Flow:
    """Return the flow from one picture to another.

    Args:
        here: The picture whose pixels it is about.
        there: The other one, by the same or another camera.
        parts: What their part ids count.
        poses_here: Body name → X_WB in the first.
        poses_there: The same in the other.
    """
    assert here.normal_W is not None, "flow needs a renderer that knows normals"
    X = _motions(parts, poses_here, poses_there)
    turn = X.copy()
    turn[:, :3, 3] = 0.0
    p_W = moved(X, here.part_id, points_W(here))
    n_W = moved(turn, here.part_id, here.normal_W.astype(float))
    to, depth = there.camera.project(p_W)
    to[~(depth > there.camera.near_m)] = np.nan
    own = np.stack(np.meshgrid(np.arange(to.shape[1]), np.arange(to.shape[0])), axis=-1)
    seen = here.part_id >= 0
    facing = ((p_W - there.camera.X_WC[:3, 3]) * n_W).sum(axis=-1) < 0
    occluded = seen & ~(facing & _on_surface(there, here, p_W, to, depth))
    return Flow((to - own).astype(np.float32), occluded)


def _motions(
    parts: Sequence[Part], poses_here: Mapping[str, Pose], poses_there: Mapping[str, Pose]
) -> Float[np.ndarray, "parts 4 4"]:
    """Return how each part moves in the world; NaN where it is gone, and for −1, the last."""
    X = np.full((len(parts) + 1, 4, 4), np.nan)
    for k, part in enumerate(parts):
        name = part.body.name
        if name in poses_here and name in poses_there:
            X[k] = poses_there[name] @ inverse(poses_here[name])
    return X


def _on_surface(
    there: Frame,
    here: Frame,
    p_W: Float[np.ndarray, "h w 3"],
    to: Float[np.ndarray, "h w 2"],
    depth: Float[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """Return which points lie on what the other picture shows at one of the four pixels around."""
    assert there.normal_W is not None, "flow needs a renderer that knows normals"
    surface = points_W(there)
    height, width = there.part_id.shape
    inside = ((to >= -0.5) & (to < [width - 0.5, height - 0.5])).all(axis=-1)
    row, column = np.nonzero(inside)
    corner = np.floor(to[inside]).astype(int)
    point, part = p_W[inside], here.part_id[inside]
    gap = GAP_PX * depth[inside] / min(there.camera.fx, there.camera.fy)
    found = np.zeros(len(point), bool)
    for du in (0, 1):
        for dv in (0, 1):
            u = np.clip(corner[:, 0] + du, 0, width - 1)
            v = np.clip(corner[:, 1] + dv, 0, height - 1)
            off = ((point - surface[v, u]) * there.normal_W[v, u]).sum(axis=-1)
            found |= (there.part_id[v, u] == part) & (np.abs(off) <= gap)
    result = np.zeros(inside.shape, bool)
    result[row, column] = found
    return result
