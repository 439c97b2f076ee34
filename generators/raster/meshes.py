"""A triangle mesh made ready for the kernels: welded corners, and clusters that can be skipped.

A cluster is a run of at most `CLUSTER` triangles that lie near each other and face alike. Where all
of them are turned away and belong to a closed surface, none can be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from envs.stage.scene import Mesh

CLUSTER = 64
"""Triangles of a cluster, at most."""

_AXIS_BITS = 6


@dataclass(frozen=True)
class PackedMesh:
    """A mesh as the kernels read it, in the frame of its shape.

    Attributes:
        points: Corners, each place once, m.
        triangles: Indices of `points`, ascending, so that an edge which two triangles share is one
            and the same; −1 − the first index where that turned the triangle round.
        corners: The corners of each triangle, m; to be read without an index.
        normals: The normals at its corners.
        uvs: The texture coordinates at its corners.
        per_metre: How far they move on each triangle, per metre.
        starts: First triangle of each cluster, and one entry more for the end.
        spheres: Middle and radius of each cluster, m.
        cones: Axis of each cluster's normals, and the sine of the widest angle from it; 2 where
            the cluster must be drawn from both sides.
        radius_m: Of a sphere about `middle` that holds the mesh.
    """

    points: Float32[np.ndarray, "p 3"]
    triangles: Int32[np.ndarray, "f 3"]
    corners: Float32[np.ndarray, "f 3 3"]
    normals: Float32[np.ndarray, "f 3 3"]
    uvs: Float32[np.ndarray, "f 3 2"]
    per_metre: Float32[np.ndarray, "f"]
    starts: Int32[np.ndarray, "c_1"]
    spheres: Float32[np.ndarray, "c 4"]
    cones: Float32[np.ndarray, "c 4"]
    middle: Float32[np.ndarray, "3"]
    radius_m: float


def pack(mesh: Mesh) -> PackedMesh:
    """Return a mesh ready for the kernels; triangles without area are left out.

    Args:
        mesh: With normals and texture coordinates, see `envs.world.primitives.drawable`.
    """
    assert mesh.normals is not None and mesh.uvs is not None
    vertices = mesh.vertices.astype(np.float32)
    points, place = welded(vertices)
    across = _across(points, place[mesh.triangles])
    area = np.linalg.norm(across, axis=1)
    kept = np.flatnonzero(area > 0)
    triangles = place[mesh.triangles[kept]].astype(np.int32)
    facing = across[kept] / area[kept, None]
    closed = closed_triangles(triangles, points)
    order, starts = _clusters(points, triangles, facing, closed)
    original = mesh.triangles[kept][order]
    triangles, facing, closed = triangles[order], facing[order], closed[order]
    points, triangles = _in_order_of_use(points, triangles)
    corners = points[triangles]
    spheres, cones = _bounds(corners, facing, closed, starts)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    middle = (low + high) / 2
    radius = np.linalg.norm(corners - middle, axis=-1).max()
    uvs = mesh.uvs[original].astype(np.float32)
    return PackedMesh(
        points=points,
        triangles=_ascending(triangles),
        corners=corners,
        normals=mesh.normals[original].astype(np.float32),
        uvs=uvs,
        per_metre=_per_metre(corners, uvs),
        starts=np.array(starts, np.int32),
        spheres=spheres,
        cones=cones,
        middle=middle,
        radius_m=float(radius) * (1 + 1e-5) + 1e-9,
    )


def closed_triangles(
    triangles: Int[np.ndarray, "f 3"], points: Float32[np.ndarray, "p 3"]
) -> Bool[np.ndarray, "f"]:
    """Return which triangles belong to a closed surface that is turned outside out.

    A connected piece is closed where each of its edges is run through as often one way as the
    other; it is outside out where its signed volume is positive. Seen from outside, the nearest of
    its triangles on a ray faces the eye.
    """
    count = len(points)
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    edges = np.minimum(start, end).astype(np.int64) * count + np.maximum(start, end)
    _, edge = np.unique(edges, return_inverse=True)
    balance = np.bincount(edge, weights=np.where(start < end, 1.0, -1.0))
    piece = pieces(triangles, count)[triangles[:, 0]]
    open_edges = np.bincount(piece, weights=np.abs(balance[edge]).reshape(-1, 3).sum(axis=1))
    a, b, c = points[triangles].astype(float).transpose(1, 0, 2)
    volume = np.bincount(piece, weights=np.einsum("ij,ij->i", a, np.cross(b, c)))
    closed: Bool[np.ndarray, " f"] = ((open_edges == 0) & (volume > 0))[piece]
    return closed


def pieces(triangles: Int[np.ndarray, "f 3"], count: int) -> Int[np.ndarray, "p"]:
    """Return which connected piece of a surface each of its `count` points belongs to."""
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count))
    piece: Int[np.ndarray, " p"] = connected_components(graph, directed=False)[1]
    return piece


def welded(
    vertices: Float32[np.ndarray, "v 3"],
) -> tuple[Float32[np.ndarray, "p 3"], Int[np.ndarray, "v"]]:
    """Return each place once, and the place of each vertex."""
    vertices = vertices + np.float32(0)  # −0 and 0 are one place
    order = np.lexsort(vertices.T)
    ordered = vertices[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    place = np.empty(len(vertices), np.int64)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place


def _in_order_of_use(
    points: Float32[np.ndarray, "p 3"], triangles: Int32[np.ndarray, "f 3"]
) -> tuple[Float32[np.ndarray, "q 3"], Int32[np.ndarray, "f 3"]]:
    """Return points as the triangles come to them, so that a cluster's lie near in memory."""
    used, first = np.unique(triangles, return_index=True)
    rank = np.empty(len(points), np.int32)
    rank[used[np.argsort(first)]] = np.arange(len(used))
    return points[used[np.argsort(first)]], rank[triangles]


def _ascending(triangles: Int32[np.ndarray, "f 3"]) -> Int32[np.ndarray, "f 3"]:
    """Return triangles with ascending indices; those that this turns round are marked."""
    order = np.argsort(triangles, axis=1)
    ascending = np.take_along_axis(triangles, order, axis=1)
    # (0 1 2), (1 2 0) and (2 0 1) are rotations.
    turned = (order[:, 1] - order[:, 0]) % 3 != 1
    ascending[turned, 0] = -1 - ascending[turned, 0]
    return ascending


def _across(
    points: Float32[np.ndarray, "p 3"], triangles: Int[np.ndarray, "f 3"]
) -> Float32[np.ndarray, "f 3"]:
    """Return the cross products of two edges: twice the area along the normal."""
    a, b, c = points[triangles].astype(float).transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _clusters(
    points: Float32[np.ndarray, "p 3"],
    triangles: Int32[np.ndarray, "f 3"],
    facing: Float32[np.ndarray, "f 3"],
    closed: Bool[np.ndarray, "f"],
) -> tuple[Int[np.ndarray, "f"], Sequence[int]]:
    """Return an order of the triangles, and where in it each cluster begins."""
    middles = points[triangles].mean(axis=1)
    low, extent = middles.min(axis=0), np.ptp(middles, axis=0).max() or 1.0
    step = np.minimum((middles - low) / extent * 2**_AXIS_BITS, 2**_AXIS_BITS - 1).astype(np.int64)
    morton = np.zeros(len(triangles), np.int64)
    for bit in range(_AXIS_BITS):
        for axis in range(3):
            morton |= ((step[:, axis] >> bit) & 1) << (3 * bit + axis)
    # Which face of a cube the normal passes, and which quarter of it.
    axis = np.abs(facing).argmax(axis=1)
    side = (facing > 0) << np.arange(3)
    way = axis * 8 + side.sum(axis=1)
    order = np.lexsort((morton, way, closed))
    group = (way + 32 * closed)[order]
    breaks = np.flatnonzero(np.diff(group)) + 1
    starts: list[int] = []
    for begin, end in zip([0, *breaks], [*breaks, len(order)], strict=True):
        pieces = -(-(end - begin) // CLUSTER)
        starts += [begin + (end - begin) * k // pieces for k in range(pieces)]
    return order, [*starts, len(order)]


def _bounds(
    corners: Float32[np.ndarray, "f 3 3"],
    facing: Float32[np.ndarray, "f 3"],
    closed: Bool[np.ndarray, "f"],
    starts: Sequence[int],
) -> tuple[Float32[np.ndarray, "c 4"], Float32[np.ndarray, "c 4"]]:
    """Return the sphere and the cone of normals of each cluster."""
    first = np.array(starts[:-1])
    count = np.diff(starts)
    p = corners.astype(float)
    low = np.minimum.reduceat(p.min(axis=1), first)
    high = np.maximum.reduceat(p.max(axis=1), first)
    middle = (low + high) / 2
    off = np.linalg.norm(p - np.repeat(middle, count, axis=0)[:, None], axis=2).max(axis=1)
    radius = np.maximum.reduceat(off, first) * (1 + 1e-5) + 1e-7
    axis = np.add.reduceat(facing, first)
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.where(length > 0, axis / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
    along = np.einsum("ij,ij->i", facing, np.repeat(axis, count, axis=0))
    cosine = np.minimum.reduceat(along, first)
    # A wider cone would hide nothing that the cluster's own triangles do not.
    narrow = closed[first] & (cosine > 0.02)
    sine = np.where(narrow, np.sqrt(np.maximum(1 - cosine**2, 0.0)) + 1e-3, 2.0)
    spheres = np.column_stack([middle, radius]).astype(np.float32)
    return spheres, np.column_stack([axis, sine]).astype(np.float32)


def _per_metre(
    corners: Float32[np.ndarray, "f 3 3"], uvs: Float32[np.ndarray, "f 3 2"]
) -> Float32[np.ndarray, "f"]:
    """Return the square root of how much larger each triangle is in the image than in space."""
    p, q = (corners[:, k].astype(float) - corners[:, 0] for k in (1, 2))
    a, b = (uvs[:, k].astype(float) - uvs[:, 0] for k in (1, 2))
    area = np.linalg.norm(np.cross(p, q), axis=1)
    image = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    scale: Float32[np.ndarray, " f"] = np.sqrt(image / np.maximum(area, 1e-20)).astype(np.float32)
    return scale
