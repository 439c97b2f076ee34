"""Shapes as triangle meshes, with the normals and texture coordinates that drawing them takes.

Where a shape has no texture coordinates of its own they are metres on the surface divided by
`TILE_M`, so that one image has the same scale on a table top as on a cube.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from envs.stage.scene import Mesh, Shape

TILE_M = 0.5
"""Edge of the square that one texture image covers, m."""

SEGMENTS = 64
"""Around a circle: the flat facets leave a 10 cm sphere by less than 0.13 mm."""

CREASE_RAD = np.radians(40.0)
"""Faces of a mesh without normals that meet at a larger angle keep a sharp edge between them."""


def drawable(shape: Shape) -> Mesh:
    """Return the triangles of a shape in its own frame, with normals and texture coordinates."""
    mesh = to_mesh(shape)
    if mesh.normals is None:
        mesh = _with_normals(mesh)
    assert mesh.normals is not None
    if mesh.uvs is not None:
        return mesh
    # Each vertex is projected along the axis that its normal is nearest to.
    axis = np.abs(mesh.normals).argmax(axis=1)
    across = np.array([[1, 2], [2, 0], [0, 1]])[axis]
    uvs = np.take_along_axis(mesh.vertices, across, axis=1) / TILE_M
    return replace(mesh, uvs=uvs)


def to_mesh(shape: Shape) -> Mesh:
    """Return the triangles of a shape in its own frame; a mesh comes back as it is."""
    if shape.mesh is not None:
        return shape.mesh
    if shape.kind == "box":
        return _box(np.array(shape.size))
    radius = shape.size[0]
    if shape.kind == "sphere":
        return _revolve(*_arc(radius, -np.pi / 2, np.pi / 2, SEGMENTS // 2, 0.0))
    half = shape.size[1] / 2
    if shape.kind == "capsule":
        low = _arc(radius, -np.pi / 2, 0.0, SEGMENTS // 4, -half)
        high = _arc(radius, 0.0, np.pi / 2, SEGMENTS // 4, half)
        return _revolve(np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1]]))
    # A cylinder: two caps and a side, each with normals of its own so that the rims stay sharp.
    r, h = radius, half
    profile = np.array([[0, -h], [r, -h], [r, -h], [r, h], [r, h], [0, h]])
    normals = np.array([[0, -1], [0, -1], [1, 0], [1, 0], [0, 1], [0, 1]], float)
    return _revolve(profile, normals)


def _with_normals(mesh: Mesh) -> Mesh:
    """Return a mesh with normals: smooth where faces meet at less than `CREASE_RAD`, else sharp."""
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    face = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    # Corners are sorted by vertex; each is paired with all corners at the same vertex.
    vertex = mesh.triangles.ravel()
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(mesh.vertices))
    start = np.cumsum(count) - count
    fan = count[vertex]
    corner = np.repeat(np.arange(len(vertex)), fan)
    step = np.arange(len(corner)) - np.repeat(np.cumsum(fan) - fan, fan)
    other = order[start[vertex[corner]] + step] // 3
    smooth = np.einsum("ij,ij->i", face[corner // 3], face[other]) > np.cos(CREASE_RAD)
    normals = np.zeros((len(vertex), 3))
    np.add.at(normals, corner[smooth], across[other[smooth]])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0, normals / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
    # Corners with the same vertex and normal become one again.
    key = np.column_stack([vertex, np.round(normals, 6) + 0.0])
    _, first, index = np.unique(key, axis=0, return_index=True, return_inverse=True)
    uvs = None if mesh.uvs is None else mesh.uvs[vertex[first]]
    return Mesh(mesh.vertices[vertex[first]], index.reshape(-1, 3), normals[first], uvs)


def _box(size: Float[np.ndarray, "3"]) -> Mesh:
    """Return six faces of four vertices each."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    vertices: list[Float[np.ndarray, "4 3"]] = []
    triangles: list[Int[np.ndarray, "2 3"]] = []
    normals, uvs = [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1, 1):
            face = np.zeros((4, 3))
            face[:, axis] = side / 2
            face[:, u], face[:, v] = corners[:, 0], side * corners[:, 1]
            triangles.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * len(triangles))
            vertices.append(face * size)
            normals.append(np.tile(side * np.eye(3)[axis], (4, 1)))
            uvs.append(vertices[-1][:, [u, v]] / TILE_M)
    return Mesh(*(np.concatenate(a) for a in (vertices, triangles, normals, uvs)))


def _arc(
    radius: float, start: float, end: float, steps: int, z: float
) -> tuple[Float[np.ndarray, "p 2"], Float[np.ndarray, "p 2"]]:
    """Return points (distance from the axis, height) on an arc about (0, z), and their normals."""
    angle = np.linspace(start, end, steps + 1)
    normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    normals[np.abs(normals) < 1e-12] = 0.0
    return radius * normals + [0.0, z], normals


def _revolve(profile: Float[np.ndarray, "p 2"], normals: Float[np.ndarray, "p 2"]) -> Mesh:
    """Turn a profile, given from the bottom up, about z; triangles without area are left out."""
    angle = np.linspace(0.0, 2 * np.pi, SEGMENTS + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring[-1] = ring[0]

    def turned(points: Float[np.ndarray, "p 2"]) -> Float[np.ndarray, "n 3"]:
        heights = np.broadcast_to(points[:, None, 1:], (len(points), len(ring), 1))
        return np.concatenate([points[:, None, :1] * ring, heights], axis=-1).reshape(-1, 3)

    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    around = angle * profile[:, 0].max()
    uvs = np.stack(np.meshgrid(around, along), axis=-1).reshape(-1, 2) / TILE_M

    i, k = np.meshgrid(np.arange(SEGMENTS), np.arange(len(profile) - 1))
    a = (k * (SEGMENTS + 1) + i).ravel()
    b, c, d = a + 1, a + SEGMENTS + 2, a + SEGMENTS + 1
    triangles = np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3)
    vertices = turned(profile)
    corners = vertices[triangles]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    return Mesh(vertices, triangles[area > 1e-14], turned(normals), uvs)
