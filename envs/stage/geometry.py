"""Gprims to shapes: primitives stay primitives, meshes become triangles, scale is applied."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from envs.errors import StageError
from envs.frames import pose
from envs.stage.attributes import authored, choice, number
from envs.stage.looks import Material
from envs.stage.scene import Mesh, Shape, ShapeKind
from envs.stage.surfaces import Surfaces

# Columns that turn a shape along z into one along the given axis.
_FROM_Z = {
    "Z": np.eye(3),
    "X": np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]),
    "Y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}
_ROUND = 1e-5  # scales that differ by less than float32 transforms can tell are equal


def visual_shapes(
    prim: Any, A_BS: Float[np.ndarray, "4 4"], surfaces: Surfaces
) -> tuple[Shape, ...]:
    """Return a gprim as it is seen: one shape, or one for each GeomSubset with its material."""
    if prim.GetTypeName() == "Mesh":
        subsets = surfaces.subsets(prim)
        if subsets:
            return _mesh_parts(prim, A_BS, surfaces, subsets)
    return (gprim_shape(prim, A_BS, surfaces.material(prim)),)


def gprim_shape(prim: Any, A: Float[np.ndarray, "4 4"], material: Material | None = None) -> Shape:
    """Return a gprim whole; `A` maps its local space to its body, scale included."""
    kind, path = str(prim.GetTypeName()), str(prim.GetPath())
    if kind == "Mesh":
        mesh, _ = _triangles(prim, _coordinates(material))
        return _baked(path, mesh, A, material)
    if kind == "Plane":
        return _baked(path, _plane(prim), A, material)
    axis = _FROM_Z[choice(prim, "axis", _FROM_Z)] if kind not in ("Cube", "Sphere") else None
    B = A[:3, :3] if axis is None else A[:3, :3] @ axis
    norms = np.linalg.norm(B, axis=0)
    if norms.min() <= 0:
        raise StageError(f"{path}: the scale of a {kind} must not be zero")
    R = B / norms
    if np.abs(R.T @ R - np.eye(3)).max() > _ROUND:
        raise StageError(f"{path}: a sheared {kind} is not supported; make it a mesh")
    if np.linalg.det(R) < 0:  # all primitives are symmetric in x
        R = R * [-1.0, 1.0, 1.0]
    X_BS = pose(R, A[:3, 3])

    def round_radius(scales: Float[np.ndarray, "n"]) -> float:
        if np.ptp(scales) > _ROUND * scales.max():
            raise StageError(f"{path}: a {kind} with scale {norms} is not round; make it a mesh")
        return number(prim, "radius") * float(scales[0])

    if kind == "Cube":
        return Shape(
            path, "box", X_BS, tuple(float(number(prim, "size") * s) for s in norms), None, material
        )
    if kind == "Sphere":
        return Shape(path, "sphere", X_BS, (round_radius(norms),), None, material)
    if kind == "Cone":
        return _baked(
            path, _cone(number(prim, "radius"), number(prim, "height")), _turned(A, B), material
        )
    scales = norms if kind == "Capsule" else norms[:2]
    size = (round_radius(scales), number(prim, "height") * float(norms[2]))
    shape_kind: ShapeKind = "capsule" if kind == "Capsule" else "cylinder"
    return Shape(path, shape_kind, X_BS, size, None, material)


def _turned(A: Float[np.ndarray, "4 4"], B: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4 4"]:
    result = A.copy()
    result[:3, :3] = B
    return result


def _baked(path: str, mesh: Mesh, A: Float[np.ndarray, "4 4"], material: Material | None) -> Shape:
    """Return a mesh shape; what is no rigid motion in A goes into the vertices."""
    linear = A[:3, :3]
    off = np.abs(linear.T @ linear - np.eye(3)).max()
    if off < _ROUND and np.linalg.det(linear) > 0:
        U, _, Vt = np.linalg.svd(linear)
        # A float32 transform is a rotation only about: take the nearest one.
        R = U @ Vt if off > 1e-14 else linear
        return Shape(path, "mesh", pose(R, A[:3, 3]), (), mesh, material)
    det = np.linalg.det(linear)
    if det == 0:
        raise StageError(f"{path}: the scale of a mesh must not be zero")
    normals = None
    if mesh.normals is not None:
        normals = mesh.normals @ np.linalg.inv(linear)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    triangles = mesh.triangles if det > 0 else mesh.triangles[:, ::-1]
    baked = Mesh(mesh.vertices @ linear.T, triangles, normals, mesh.uvs)
    return Shape(path, "mesh", pose(np.eye(3), A[:3, 3]), (), baked, material)


def _coordinates(material: Material | None) -> str:
    """Return the name of the texture coordinates that a material's first texture uses."""
    textures = () if material is None else material.textures
    return textures[0].primvar if textures else "st"


def _triangles(prim: Any, coordinates: str) -> tuple[Mesh, Int[np.ndarray, "_"]]:
    """Return a UsdGeomMesh as triangles, and the polygon each of them came from."""
    path = prim.GetPath()
    points = _array(prim, "points", (3,))
    counts, corners = (_array(prim, f"faceVertex{name}", ()) for name in ("Counts", "Indices"))
    if len(points) == 0 or len(counts) == 0:
        raise StageError(f"{path}: the mesh has no faces")
    corners, counts = corners.astype(int), counts.astype(int)
    if (
        counts.min() < 0
        or counts.sum() != len(corners)
        or corners.min(initial=0) < 0
        or corners.max(initial=0) >= len(points)
    ):
        raise StageError(f"{path}: the mesh's face indices do not match its {len(points)} points")
    if not np.isfinite(points).all():
        raise StageError(f"{path}: the mesh has points that are not finite")
    points = points.astype(float)

    # A fan for each polygon: corner 0 with corners k and k + 1.
    fans = np.maximum(counts - 2, 0)
    polygon = np.repeat(np.arange(len(counts)), fans)
    start = np.repeat(np.cumsum(counts) - counts, fans)
    k = np.arange(len(polygon)) - np.repeat(np.cumsum(fans) - fans, fans)
    corner = np.stack([start, start + k + 1, start + k + 2], axis=1)

    normals, normals_per_corner = _varying(prim, "normals", 3, len(points), len(corners))
    uvs, uvs_per_corner = _varying(prim, f"primvars:{coordinates}", 2, len(points), len(corners))
    if normals_per_corner or uvs_per_corner:
        normals = normals if normals is None or normals_per_corner else normals[corners]
        uvs = uvs if uvs is None or uvs_per_corner else uvs[corners]
        points, triangles = points[corners], corner
    else:
        triangles = corners[corner]
    if prim.GetAttribute("orientation").Get() == "leftHanded":
        triangles = triangles[:, ::-1]
    if normals is not None:
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    return Mesh(points, triangles, normals, uvs), polygon


def _array(prim: Any, name: str, row: tuple[int, ...]) -> Float[np.ndarray, "n ..."]:
    """Return an attribute that holds an array of numbers or of rows; empty where there is none."""
    value = authored(prim, name)
    array = np.zeros((0, *row)) if value is None else np.array(value)
    if array.dtype.kind not in "iuf" or array.shape[1:] != row or array.ndim != 1 + len(row):
        if array.size == 0 and array.ndim == 1:  # an empty USD array has no rows
            return np.zeros((0, *row))
        raise StageError(f"{prim.GetPath()}: {name} is no array of {row[0] if row else 1} numbers")
    return np.asarray(array, float)


def _varying(
    prim: Any, name: str, width: int, points: int, corners: int
) -> tuple[Float[np.ndarray, "n d"] | None, bool]:
    """Return values per point (False) or per face corner (True), or None where there are none."""
    values = authored(prim, name)
    if values is None and name == "normals":
        name, values = "primvars:normals", authored(prim, "primvars:normals")
    if values is None:
        return None, False
    values = np.array(values, float)
    if values.ndim != 2 or values.shape[1] != width:
        raise StageError(f"{prim.GetPath()}: {name} is no array of {width} numbers")
    indices = authored(prim, f"{name}:indices")
    if indices is not None:
        chosen = np.array(indices, int)
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(values)):
            raise StageError(f"{prim.GetPath()}: {name} has indices beyond its values")
        values = values[chosen]
    if len(values) == points and len(values) != corners:
        return values, False
    interpolation = prim.GetAttribute(name).GetMetadata("interpolation")
    if len(values) == corners and (interpolation == "faceVarying" or len(values) != points):
        return values, True
    if len(values) == points:
        return values, False
    return None, False  # constant or per face: no use to a renderer that smooths by vertex


def _mesh_parts(
    prim: Any,
    A: Float[np.ndarray, "4 4"],
    surfaces: Surfaces,
    subsets: list[tuple[str, Int[np.ndarray, "_"], Material | None]],
) -> tuple[Shape, ...]:
    rest = np.ones(len(authored(prim, "faceVertexCounts")), bool)
    parts = []
    for path, faces, material in subsets:
        if len(faces) and (faces.min() < 0 or faces.max() >= len(rest)):
            raise StageError(f"{path}: names faces that {prim.GetPath()} does not have")
        rest[faces] = False
        parts.append((path, faces, material or surfaces.material(prim)))
    if rest.any():
        parts.append((str(prim.GetPath()), np.flatnonzero(rest), surfaces.material(prim)))
    shapes = []
    meshes: dict[str, tuple[Mesh, Int[np.ndarray, _]]] = {}
    for path, faces, material in parts:
        coordinates = _coordinates(material)
        if coordinates not in meshes:
            meshes[coordinates] = _triangles(prim, coordinates)
        mesh, polygon = meshes[coordinates]
        chosen = np.zeros(len(rest), bool)
        chosen[faces] = True
        triangles = mesh.triangles[chosen[polygon]]
        if len(triangles) == 0:
            continue
        used, index = np.unique(triangles, return_inverse=True)
        part = Mesh(
            mesh.vertices[used],
            index.reshape(-1, 3),
            None if mesh.normals is None else mesh.normals[used],
            None if mesh.uvs is None else mesh.uvs[used],
        )
        shape = _baked(path, part, A, material)
        shapes.append(replace(shape, part_of=str(prim.GetPath())))
    return tuple(shapes)


def _cone(radius: float, height: float, sides: int = 64) -> Mesh:
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.full(sides, -height / 2)], axis=1
    )
    vertices = np.vstack([ring, [[0, 0, height / 2], [0, 0, -height / 2]]])
    i, j = np.arange(sides), (np.arange(sides) + 1) % sides
    side = np.stack([i, j, np.full(sides, sides)], axis=1)
    base = np.stack([j, i, np.full(sides, sides + 1)], axis=1)
    return Mesh(vertices, np.vstack([side, base]))


def _plane(prim: Any) -> Mesh:
    x, y = (number(prim, name) / 2 for name in ("width", "length"))
    corners = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]])
    turn = _FROM_Z[choice(prim, "axis", _FROM_Z)]
    return Mesh(corners @ turn.T, np.array([[0, 1, 2], [0, 2, 3]]))
