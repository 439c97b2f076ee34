"""Coarser meshes that throw the same shadows: corners that lie near each other become one.

Vertex clustering (Rossignac and Borrel, Multi-resolution 3D approximations for rendering complex
scenes, 1993). A corner stays one of the mesh, so smooth surfaces move by much less than a cell.
"""

import numpy as np

from envs.stage.scene import Mesh

CELL_M = 0.012
CELLS = 16
"""Along the longest side of a mesh, at least: small things keep their shape."""


def coarser(mesh: Mesh) -> Mesh:
    """Return a mesh with at most one corner in each cell of a grid."""
    low, extent = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0).max()
    cell = min(CELL_M, extent / CELLS)
    if not cell > 0:
        return mesh
    cells = np.floor((mesh.vertices - low) / cell).astype(np.int64)
    _, which = np.unique(cells @ [1, 1 << 20, 1 << 40], return_inverse=True)
    # Of the corners in a cell, the one nearest to their mean.
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
