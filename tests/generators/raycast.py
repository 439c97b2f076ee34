"""A second opinion on what a camera sees: rays against triangles, one by one, in float64."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from generators.camera import Camera


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

    The directions are worked out here, from the definition of a pinhole camera, so that nothing of
    what is tested is used.
    """
    u, v = np.meshgrid(
        np.arange(camera.width) + shift_px[0], np.arange(camera.height) + shift_px[1]
    )
    ahead = np.stack(
        [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1
    )
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


def away_from_edges(owner: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose eight neighbours show the same owner."""
    padded = np.pad(owner, 1, mode="edge")
    same = np.ones(owner.shape, bool)
    for dy in range(3):
        for dx in range(3):
            same &= padded[dy : dy + owner.shape[0], dx : dx + owner.shape[1]] == owner
    return same
