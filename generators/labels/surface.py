"""Labels that have a value per pixel, worked out from what the renderer saw there."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int32

from envs.frames import Pose, inverse
from generators.renderer import Frame, Instance, Part


def points_W(frame: Frame) -> Float[np.ndarray, "h w 3"]:
    """Return the points that are seen, in the world, m; NaN where nothing is."""
    depth = np.where(np.isfinite(frame.depth_m), frame.depth_m, np.nan).astype(float)
    points: Float[np.ndarray, "h w 3"] = (
        frame.camera.rays() * depth[..., None] + frame.camera.X_WC[:3, 3]
    )
    return points


def distance_m(frame: Frame) -> Float32[np.ndarray, "h w"]:
    """Return how far from the camera's centre what is seen lies, m; inf where nothing is."""
    per_depth = np.linalg.norm(frame.camera.rays(), axis=-1)
    distance: Float32[np.ndarray, "h w"] = (frame.depth_m * per_depth).astype(np.float32)
    return distance


def normal_C(frame: Frame) -> Float32[np.ndarray, "h w 3"]:
    """Return the normals in the camera's frame; zero where nothing is seen."""
    assert frame.normal_W is not None, "this renderer knows no normals"
    R_WC = frame.camera.X_WC[:3, :3].astype(np.float32)
    normal: Float32[np.ndarray, "h w 3"] = frame.normal_W @ R_WC
    return normal


def object_coordinates(
    frame: Frame, parts: Sequence[Part], poses: Mapping[str, Pose]
) -> Float32[np.ndarray, "h w 3"]:
    """Return where on its body each pixel's point lies, m; NaN where nothing is seen.

    Args:
        frame: The picture.
        parts: What its part ids count.
        poses: Body name → X_WB in the picture.
    """
    X_BW = np.full((len(parts) + 1, 4, 4), np.nan)  # the last is for −1
    for k, part in enumerate(parts):
        if part.body.name in poses:
            X_BW[k] = inverse(poses[part.body.name])
    return _moved(X_BW, frame.part_id, points_W(frame)).astype(np.float32)


def _moved(
    X: Float[np.ndarray, "parts 4 4"],
    part_id: Int32[np.ndarray, "h w"],
    points: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "h w 3"]:
    """Return points, each moved by the transform of its part; −1 finds the last transform."""
    result = np.full(points.shape, np.nan)
    for k in np.unique(part_id).tolist():
        at = part_id == k
        result[at] = points[at] @ X[k, :3, :3].T + X[k, :3, 3]
    return result


def semantic_ids(instances: Sequence[Instance]) -> dict[str, int]:
    """Return class → semantic id, from 1: of what is annotated first, then of the surroundings."""
    order = sorted(instances, key=lambda instance: instance.static)
    return {label: k for k, label in enumerate(dict.fromkeys(i.label for i in order), start=1)}


def semantic_id(frame: Frame, instances: Sequence[Instance]) -> Int32[np.ndarray, "h w"]:
    """Return the class of what is seen at each pixel; 0 where nothing is."""
    ids = semantic_ids(instances)
    table = np.zeros(max(i.id for i in instances) + 1, np.int32)
    for instance in instances:
        table[instance.id] = ids[instance.label]
    found: Int32[np.ndarray, "h w"] = table[frame.instance_id]
    return found
