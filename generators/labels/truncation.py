"""What the picture cuts off: the scene on a larger canvas around it, without distortion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from envs.frames import Pose
from generators.camera import Camera, border
from generators.labels.conventions import CANVAS
from generators.labels.solids import Solid
from generators.renderer import Frame

PITCH = 2
"""Pixels of the picture that one of the canvas covers, along each side."""


@dataclass(frozen=True)
class Canvas:
    """The same view, but wider.

    Attributes:
        frame: What is there.
        inside: Which of its pixels the picture shows.
    """

    frame: Frame
    inside: Bool[np.ndarray, "ch cw"]

    def truncation(self, instance_id: int) -> float:
        """Return which share of an instance's silhouette the picture does not show."""
        silhouette = self.frame.covers(instance_id)
        total = int(silhouette.sum())
        return int((silhouette & ~self.inside).sum()) / total if total else 0.0


def canvas_camera(camera: Camera) -> Camera:
    """Return a pinhole camera that sees `CANVAS` times as much as another, in each direction."""
    low, high = _extent(camera)
    reach = high - low
    low, high = low - reach * (CANVAS - 1) / 2, high + reach * (CANVAS - 1) / 2
    width, height = (-(-CANVAS * side // PITCH) for side in (camera.width, camera.height))
    fx, fy = np.array([width, height]) / (high - low)
    # The first pixel begins at `low`, half a pixel before its centre.
    return Camera(
        float(fx),
        float(fy),
        float(-low[0] * fx - 0.5),
        float(-low[1] * fy - 0.5),
        width,
        height,
        camera.X_WC,
        camera.near_m,
        camera.far_m,
    )


def on_canvas(frame: Frame, camera: Camera) -> Canvas:
    """Return a frame that `canvas_camera(camera)` took, with what `camera` shows of it."""
    wide = frame.camera
    if camera.distortion.present:
        return Canvas(frame, _within(camera, camera.seen_at(wide.slopes())))
    # A straight lens takes columns to columns and rows to rows.
    x = (np.arange(wide.width) - wide.cx) / wide.fx
    y = (np.arange(wide.height) - wide.cy) / wide.fy
    columns = camera.seen_at(np.stack([x, np.zeros_like(x)], axis=-1))
    rows = camera.seen_at(np.stack([np.zeros_like(y), y], axis=-1))
    return Canvas(frame, _across(camera, columns[:, 0]) & _down(camera, rows[:, 1])[:, None])


def reaches_beyond(
    camera: Camera, solids: Sequence[Solid | None], poses: Mapping[str, Pose]
) -> bool:
    """Return whether the picture might cut something off: whether a body's box leaves it."""
    for solid in solids:
        if solid is None or solid.body not in poses:
            continue
        X_WB = poses[solid.body]
        # Through a lens that distorts a straight edge may leave the picture between two corners.
        points = solid.along_edges if camera.distortion.present else solid.corners
        uv, depth = camera.project(points @ X_WB[:3, :3].T + X_WB[:3, 3])
        if not (_within(camera, uv) & (depth > camera.near_m)).all():
            return True
    return False


def _within(camera: Camera, uv: Float[np.ndarray, "*n 2"]) -> Bool[np.ndarray, "*n"]:
    """Return which pixel coordinates lie in the picture; those that are NaN do not."""
    within: Bool[np.ndarray, "*n"] = _across(camera, uv[..., 0]) & _down(camera, uv[..., 1])
    return within


def _across(camera: Camera, u: Float[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    within: Bool[np.ndarray, "*n"] = (u >= -0.5) & (u < camera.width - 0.5)
    return within


def _down(camera: Camera, v: Float[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    within: Bool[np.ndarray, "*n"] = (v >= -0.5) & (v < camera.height - 0.5)
    return within


def _extent(camera: Camera) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Return the lowest and highest x/z and y/z that a picture shows."""
    edge = border(camera.width, camera.height)
    ends = camera.unproject(edge, np.ones(len(edge))) - camera.X_WC[:3, 3]
    slopes = (ends @ camera.X_WC[:3, :3])[:, :2]
    return slopes.min(axis=0), slopes.max(axis=0)
