"""Coarser meshes that throw the same shadows: corners that lie near each other become one.

Vertex clustering (Rossignac and Borrel, Multi-resolution 3D approximations for rendering complex
scenes, 1993). A corner stays one of the mesh, so smooth surfaces move by much less than a cell.
Where a thing is so thin that a cell holds more than one side of it, corners become one only where
the surface faces alike: a rod keeps its width, and a board its thickness.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from envs.stage.scene import Mesh
from generators.raster.meshes import pieces, welded

CELL_M = 0.012
CELLS = 16
"""Along the longest side of a mesh, at least: small things keep their shape."""

THIN = 0.75
"""Cosine of the angle to a cell's mean normal beyond which another side of a thing is in it."""


def coarser(mesh: Mesh) -> Mesh:
    """Return a mesh with at most one corner for each side of a thing in each cell of a grid."""
    low, extent = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0).max()
    cell = min(CELL_M, extent / CELLS)
    if not cell > 0:
        return mesh
    cells = np.floor((mesh.vertices - low) / cell).astype(np.int64)
    which = _numbered(cells @ [1, 1 << 20, 1 << 40])
    facing, piece = _surface(mesh)
    mean = _unit([np.bincount(which, facing[:, k]) for k in range(3)])
    along = np.einsum("ij,ij->i", facing, mean[which])
    least = np.ones(len(mean))
    np.minimum.at(least, which, along)
    # Of 27 ways to face, each axis forwards, across and backwards.
    way = np.rint(1.5 * facing).astype(np.int64) @ [1, 3, 9] + 13
    thin = least[which] < THIN
    which = _numbered(np.where(thin, len(mean) + 27 * (piece * len(mean) + which) + way, which))
    # Of the corners that become one, the one nearest to their mean.
    count = np.bincount(which)
    mean = np.stack([np.bincount(which, mesh.vertices[:, k]) for k in range(3)], 1)
    away = np.linalg.norm(mesh.vertices - (mean / count[:, None])[which], axis=1)
    order = np.lexsort((away, which))
    first = order[np.cumsum(count) - count]
    triangles = which[mesh.triangles]
    a, b, c = triangles.T
    triangles = np.unique(triangles[(a != b) & (b != c) & (c != a)], axis=0)
    if len(triangles) == 0:
        return mesh
    normals = None if mesh.normals is None else mesh.normals[first]
    uvs = None if mesh.uvs is None else mesh.uvs[first]
    return Mesh(mesh.vertices[first], triangles, normals, uvs)


def _numbered(keys: Int[np.ndarray, "v"]) -> Int[np.ndarray, "v"]:
    """Return the same numbers for the same keys, from 0 on."""
    return np.unique(keys, return_inverse=True)[1]


def _surface(mesh: Mesh) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "v"]]:
    """Return how the surface faces at each vertex, and of which connected piece it is.

    Both are the same for all vertices at one place.
    """
    points, place = welded(mesh.vertices.astype(np.float32))
    triangles = place[mesh.triangles]
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    across = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    corner, count = triangles.ravel(), len(points)
    facing = _unit([np.bincount(corner, across[:, k], count) for k in range(3)])
    return facing[place], pieces(triangles, count)[place]


def _unit(columns: Sequence[Float[np.ndarray, "n"]]) -> Float[np.ndarray, "n 3"]:
    """Return rows of length one; where there is no length they stay 0."""
    rows = np.stack(columns, axis=1)
    unit: Float[np.ndarray, "n 3"] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), 1e-300
    )
    return unit
