"""Where bodies are and how far they reach: 6D poses and 3D boxes, in the world and in a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

from envs.frames import Pose, inverse
from envs.stage.scene import Body
from envs.world.primitives import to_mesh
from generators.camera import Camera
from generators.renderer import Instance, Part

EDGES = tuple((k, k | bit) for bit in (1, 2, 4) for k in range(8) if not k & bit)
"""Pairs of corners that an edge of a box joins."""

STEPS = 16
"""Straight pieces that stand for an edge where a lens bends it."""

Corners = Float[np.ndarray, "8 3"]


@dataclass(frozen=True)
class Solid:
    """How far what is seen of a body reaches.

    Attributes:
        body: Its name.
        points: Corners of its convex hull, in its frame, m.
    """

    body: str
    points: Float[np.ndarray, "p 3"]

    @cached_property
    def corners(self) -> Corners:
        """Of the box around it, in its frame, m."""
        return box_corners(self.points.min(axis=0), self.points.max(axis=0))

    @cached_property
    def along_edges(self) -> Float[np.ndarray, "p 3"]:
        """Points on the edges of that box, its corners among them."""
        ends = self.corners[np.array(EDGES)]
        along = np.linspace(0.0, 1.0, STEPS + 1)[:, None, None]
        points: Float[np.ndarray, "p 3"] = (ends[:, 0] * (1 - along) + ends[:, 1] * along).reshape(
            -1, 3
        )
        return points


@dataclass(frozen=True)
class Box3:
    """A box around an instance, along the axes of its first body.

    Attributes:
        X_WB: Pose of that body.
        low: Lower ends along its axes, m.
        high: Upper ends, m.
    """

    X_WB: Pose
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]

    @property
    def corners_W(self) -> Corners:
        """In the world, m."""
        X = self.X_WB
        corners: Corners = box_corners(self.low, self.high) @ X[:3, :3].T + X[:3, 3]
        return corners

    def corners_uv(self, camera: Camera) -> Float[np.ndarray, "8 2"]:
        """Return where a picture shows the corners; NaN for one nearer than the near plane."""
        uv, depth = camera.project(self.corners_W)
        uv[depth < camera.near_m] = np.nan
        return uv

    def edges_uv(self, camera: Camera, *, steps: int = STEPS) -> list[Float[np.ndarray, "p 2"]]:
        """Return the edges as a picture shows them, cut at the near plane and bent by the lens.

        Args:
            camera: Of the picture.
            steps: Straight pieces that stand for an edge.
        """
        corners = self.corners_W
        depth = camera.project(corners)[1]
        edges = []
        for a, b in EDGES:
            ahead = depth[[a, b]] - camera.near_m
            if ahead.max() < 0:
                continue
            # Depth is linear along an edge: where it passes the near plane follows.
            ends = [0.0, 1.0]
            if ahead.min() < 0:
                ends[int(np.argmin(ahead))] = float(ahead[0] / (ahead[0] - ahead[1]))
            along = np.linspace(ends[0], ends[1], steps + 1)[:, None]
            edges.append(camera.project(corners[a] * (1 - along) + corners[b] * along)[0])
        return edges


def box_corners(low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> Corners:
    """Return the corners of a box; bit i of a corner's number says which end of axis i."""
    ends = (np.arange(8)[:, None] >> np.arange(3)) & 1
    corners: Corners = np.where(ends == 1, high, low)
    return corners


def solids_of(parts: Sequence[Part]) -> tuple[Solid | None, ...]:
    """Return the solid of each part; None for a body that shows nothing."""
    return tuple(_solid(part.body) for part in parts)


def instance_box(
    instance: Instance,
    parts: Sequence[Part],
    solids: Sequence[Solid | None],
    poses: Mapping[str, Pose],
) -> Box3 | None:
    """Return the 3D box of an instance; None for one that shows nothing or is not there."""
    bodies = [part.body.name for part in parts if part.instance == instance]
    if not bodies or bodies[0] not in poses:
        return None
    X_WB = poses[bodies[0]]
    points = [np.zeros((0, 3))]
    for solid in solids:
        if solid is not None and solid.body in bodies and solid.body in poses:
            X_BS = inverse(X_WB) @ poses[solid.body]
            points.append(solid.points @ X_BS[:3, :3].T + X_BS[:3, 3])
    every = np.concatenate(points)
    return Box3(X_WB, every.min(axis=0), every.max(axis=0)) if len(every) else None


def _solid(body: Body) -> Solid | None:
    if not body.visuals:
        return None
    points = np.concatenate(
        [to_mesh(s).vertices @ s.X_BS[:3, :3].T + s.X_BS[:3, 3] for s in body.visuals]
    )
    try:
        return Solid(body.name, points[ConvexHull(points).vertices])
    except QhullError:  # a flat body has no hull in space; all its points do as well
        return Solid(body.name, points)
