"""Optical flow between two pictures of one scene: exact, from depth and the motion of bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from envs.frames import Pose, inverse
from generators.camera import Camera
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
    seen = here.part_id >= 0
    still = _still(here.camera, there.camera, X)[here.part_id]
    uv = np.where((still & seen)[..., None], 0.0, np.full((*seen.shape, 2), np.nan))
    # Of what stays where it is, under a camera that does too, the nearest point stays the nearest.
    occluded = seen & still & (there.part_id != here.part_id)
    v, u = np.nonzero(seen & ~still)
    part = here.part_id[v, u]
    p_W, n_W = _points(here, v, u), here.normal_W[v, u].astype(float)
    for k in np.unique(part).tolist():
        own = part == k
        p_W[own] = p_W[own] @ X[k, :3, :3].T + X[k, :3, 3]
        n_W[own] = n_W[own] @ X[k, :3, :3].T
    to, depth = there.camera.project(p_W)
    to[~(depth > there.camera.near_m)] = np.nan
    facing = ((p_W - there.camera.X_WC[:3, 3]) * n_W).sum(axis=-1) < 0
    uv[v, u] = to - np.stack([u, v], axis=-1)
    occluded[v, u] = ~(facing & _on_surface(there, part, p_W, to, depth))
    return Flow(uv.astype(np.float32), occluded)


def _points(
    frame: Frame, v: Int[np.ndarray, "n"], u: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "n 3"]:
    """Return the points in the world that are seen at some pixels."""
    slopes, X_WC = frame.camera.slopes()[v, u], frame.camera.X_WC
    p_C = np.concatenate([slopes, np.ones((len(u), 1))], axis=1) * frame.depth_m[v, u, None]
    points: Float[np.ndarray, "n 3"] = p_C @ X_WC[:3, :3].T + X_WC[:3, 3]
    return points


def _still(
    here: Camera, there: Camera, X: Float[np.ndarray, "parts 4 4"]
) -> Bool[np.ndarray, "parts"]:
    """Return which parts move neither in the world nor in the picture."""
    same_view = here.lens == there.lens and np.array_equal(here.X_WC, there.X_WC)
    same_view &= (here.width, here.height) == (there.width, there.height)
    same_view &= here.shift_px == there.shift_px
    still: Bool[np.ndarray, parts] = same_view & (np.eye(4) == X).all(axis=(1, 2))
    return still


def _motions(
    parts: Sequence[Part], poses_here: Mapping[str, Pose], poses_there: Mapping[str, Pose]
) -> Float[np.ndarray, "parts 4 4"]:
    """Return how each part moves in the world; NaN where it is gone, and for −1, the last."""
    X = np.full((len(parts) + 1, 4, 4), np.nan)
    for k, part in enumerate(parts):
        name = part.body.name
        if name in poses_here and name in poses_there:
            same = np.array_equal(poses_here[name], poses_there[name])
            X[k] = np.eye(4) if same else poses_there[name] @ inverse(poses_here[name])
    return X


def _on_surface(
    there: Frame,
    part: Int32[np.ndarray, "n"],
    p_W: Float[np.ndarray, "n 3"],
    to: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, "n"],
) -> Bool[np.ndarray, "n"]:
    """Return which points lie on what the other picture shows at one of the four pixels around."""
    assert there.normal_W is not None, "flow needs a renderer that knows normals"
    height, width = there.part_id.shape
    inside = np.flatnonzero(((to >= -0.5) & (to < [width - 0.5, height - 0.5])).all(axis=-1))
    corner = np.floor(to[inside]).astype(int)
    point, part = p_W[inside], part[inside]
    gap = GAP_PX * depth[inside] / min(there.camera.fx, there.camera.fy)
    found = np.zeros(len(point), bool)
    for du in (0, 1):
        for dv in (0, 1):
            u = np.clip(corner[:, 0] + du, 0, width - 1)
            v = np.clip(corner[:, 1] + dv, 0, height - 1)
            same = np.flatnonzero(there.part_id[v, u] == part)
            v, u = v[same], u[same]
            off = ((point[same] - _points(there, v, u)) * there.normal_W[v, u]).sum(axis=-1)
            found[same] |= np.abs(off) <= gap[same]
    result = np.zeros(len(to), bool)
    result[inside] = found
    return result
