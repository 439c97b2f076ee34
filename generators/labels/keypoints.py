"""The robot's joints in a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from envs.stage.tree import Tree
from envs.world.dynamics import forward_kinematics
from generators.labels.conventions import HIDDEN, OUTSIDE, VISIBLE
from generators.renderer import Frame, Part


@dataclass(frozen=True)
class Keypoints:
    """The robot's recorded joints in a picture, in the order of the tree.

    Attributes:
        names: Of the joints.
        uv: Pixel coordinates of the joint origins; NaN where the lens shows no such point.
        visibility: OUTSIDE, HIDDEN or VISIBLE.
    """

    names: tuple[str, ...]
    uv: Float[np.ndarray, "joint 2"]
    visibility: Int[np.ndarray, "joint"]


def keypoints(
    frame: Frame, parts: Sequence[Part], tree: Tree, q: Float[np.ndarray, "joint"]
) -> Keypoints:
    """Return where the joints of the robot are seen.

    A joint lies inside its housing, so it counts as visible where the surface that is seen at its
    pixel belongs to one of the two links it connects.

    Args:
        frame: The picture.
        parts: What its part ids count.
        tree: The robot; a joint's origin is that of its link.
        q: Joint positions in the tree's order, rad or m.
    """
    origins = forward_kinematics(tree, q)[:, :3, 3]
    uv, depth = frame.camera.project(origins)
    seen = _bodies_at(frame, parts, uv, depth)
    visibility = np.full(len(uv), OUTSIDE)
    for joint, body in enumerate(seen):
        if body is None:
            continue
        parent = int(tree.parent[joint])
        before = tree.base if parent < 0 else tree.groups[parent]
        joined = body in tree.groups[joint] or body in before
        visibility[joint] = VISIBLE if joined else HIDDEN
    return Keypoints(tree.joints, uv, visibility)


def skeleton(tree: Tree) -> tuple[tuple[int, int], ...]:
    """Return the joints that follow one another, as pairs of indices."""
    return tuple((int(p), i) for i, p in enumerate(tree.parent) if p >= 0)


def _bodies_at(
    frame: Frame,
    parts: Sequence[Part],
    uv: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, "n"],
) -> list[str | None]:
    """Return the names of the bodies that are seen at some pixels: "" for none, None outside."""
    height, width = frame.part_id.shape
    names: list[str | None] = []
    for (u, v), z in zip(uv, depth, strict=True):
        column, row = np.floor(u + 0.5), np.floor(v + 0.5)
        if not (z > frame.camera.near_m and 0 <= column < width and 0 <= row < height):
            names.append(None)
            continue
        part = int(frame.part_id[int(row), int(column)])
        names.append(parts[part].body.name if part >= 0 else "")
    return names
