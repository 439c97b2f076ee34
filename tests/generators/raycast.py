"""A second opinion on what a camera sees: rays against triangles, one by one, in float64."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int

from envs.frames import Pose
from envs.world.primitives import to_mesh
from generators.camera import Camera
from generators.renderer import Part


@dataclass(frozen=True)
class Hits:
    """Per pixel the owner of the nearest triangle, −1 for none, and its depth along the axis, m."""

    owner: Int[np.ndarray, "h w"]
    depth_m: Float[np.ndarray, "h w"]


def cast(
    camera: Camera,
    triangles_W: Float[np.ndarray, "f 3 3"],
    owner: Int[np.ndarray, "f"],
    *,
    shift_px: tuple[float, float] = (0.0, 0.0),
) -> Hits:
    """Möller and Trumbore, Fast, minimum storage ray/triangle intersection, 1997.

    The directions of a pinhole camera are worked out here, from its definition, so that nothing of
    what is tested is used; those of a lens with distortion are the camera's.
    """
    u, v = np.meshgrid(
        np.arange(camera.width) + shift_px[0], np.arange(camera.height) + shift_px[1]
    )
    slopes = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy], axis=-1)
    if camera.distortion.present:
        assert shift_px == (0.0, 0.0)
        slopes = camera.slopes()
    ahead = np.concatenate([slopes, np.ones((*u.shape, 1))], axis=-1)
    d = (ahead @ camera.X_WC[:3, :3].T).reshape(-1, 3)
    a = triangles_W[:, 0]
    e1, e2 = triangles_W[:, 1] - a, triangles_W[:, 2] - a
    s = camera.X_WC[:3, 3] - a
    q = np.cross(s, e1)
    t_numerator = np.einsum("fi,fi->f", e2, q)
    best, nearest = np.full(len(d), -1), np.full(len(d), np.inf)
    for start in range(0, len(d), 512):
        rays = d[start : start + 512]
        p = np.cross(rays[:, None], e2[None])
        det = np.einsum("rfi,fi->rf", p, e1)
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.einsum("rfi,fi->rf", p, s) / det
            second = rays @ q.T / det
            depth = t_numerator / det
        hit = (first >= 0) & (second >= 0) & (first + second <= 1) & (depth > camera.near_m)
        depth = np.where(hit & np.isfinite(depth), depth, np.inf)
        chosen = depth.argmin(axis=1)
        found = np.take_along_axis(depth, chosen[:, None], axis=1)[:, 0]
        nearest[start : start + 512] = found
        best[start : start + 512] = np.where(np.isfinite(found), owner[chosen], -1)
    return Hits(best.reshape(u.shape), nearest.reshape(u.shape))


@dataclass(frozen=True)
class Judged:
    """What Embree sees: part, −1 for none; depth, m; unit normal on the camera's side."""

    part: Int[np.ndarray, "h w"]
    depth_m: Float[np.ndarray, "h w"]
    normal_W: Float[np.ndarray, "h w 3"]


def embree(
    parts: Sequence[Part],
    poses: Mapping[str, Pose],
    camera: Camera,
    *,
    directions_W: Float[np.ndarray, "h w 3"] | None = None,
) -> Judged:
    """Ask Intel's ray caster; depth and normal follow in float64 from the triangle it names.

    Args:
        parts: Whose visuals are hit.
        poses: Of their bodies; what is not named is not there.
        camera: Where the rays start.
        directions_W: Rays along which depth grows by one; None: the camera's own.
    """
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    corners, owners = [], []
    for number, part in enumerate(parts):
        for shape in part.body.visuals if part.body.name in poses else ():
            mesh, X = to_mesh(shape), poses[part.body.name] @ shape.X_BS
            corners.append((mesh.vertices @ X[:3, :3].T + X[:3, 3])[mesh.triangles])
            owners.append(np.full(len(mesh.triangles), number))
    triangles, owner = np.concatenate(corners), np.concatenate(owners)
    count = np.arange(3 * len(triangles)).reshape(-1, 3)
    solid = trimesh.Trimesh(triangles.reshape(-1, 3), count, process=False)
    d = (camera.rays() if directions_W is None else directions_W).reshape(-1, 3)
    eye = np.broadcast_to(camera.X_WC[:3, 3], d.shape)
    hit = RayMeshIntersector(solid, scale_to_box=False).intersects_first(eye, d)
    a, b, c = np.moveaxis(triangles[hit], 1, 0)
    normal = np.cross(b - a, c - a)
    along = np.einsum("ij,ij->i", d, normal)
    depth = np.where(hit >= 0, np.einsum("ij,ij->i", a - eye, normal) / along, np.inf)
    normal *= -np.sign(along)[:, None] / np.linalg.norm(normal, axis=1, keepdims=True)
    size = (camera.height, camera.width)
    return Judged(
        np.where(hit >= 0, owner[hit], -1).reshape(size),
        depth.reshape(size),
        normal.reshape(*size, 3),
    )


def away_from_edges(owner: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose eight neighbours show the same owner."""
    padded = np.pad(owner, 1, mode="edge")
    same = np.ones(owner.shape, bool)
    for dy in range(3):
        for dx in range(3):
            same &= padded[dy : dy + owner.shape[0], dx : dx + owner.shape[1]] == owner
    return same
