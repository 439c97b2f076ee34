"""Mesh files of a URDF: triangles through trimesh, the looks of an OBJ from its MTL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from jaxtyping import Float, Int

from envs.errors import StageError
from envs.stage.urdf_guard import confined


@dataclass(frozen=True)
class Look:
    """How a surface looks: linear RGB, which multiplies the texture where there is one."""

    base_color: tuple[float, float, float]
    texture: Path | None = None


@dataclass(frozen=True)
class SourceMesh:
    """A mesh file, scaled.

    Attributes:
        parts: Each look (None where the file has none) with the indices of its triangles.
    """

    vertices: Float[np.ndarray, "v 3"]
    triangles: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"]
    uvs: Float[np.ndarray, "v 2"] | None
    parts: tuple[tuple[Look | None, Int[np.ndarray, "_"]], ...]


def load_mesh(
    file: Path, scale: tuple[float, float, float], *, looks: Mapping[str, Look]
) -> SourceMesh:
    """Return the triangles of a mesh file, with vertices merged where nothing tells them apart.

    Args:
        file: The mesh.
        scale: Factor along each axis; a mirrored mesh keeps its outside.
        looks: Name of a material in the file → look.

    Raises:
        StageError: The file cannot be read, or holds no triangle.
    """
    import trimesh

    try:
        if file.suffix.lower() == ".obj":  # whose side files were checked
            scene = trimesh.load_scene(file, process=False)
        else:
            with file.open("rb") as stream:
                kind = file.suffix.lower().lstrip(".")
                # Without its name nothing beside it can be read.
                scene = trimesh.load_scene(stream, file_type=kind, process=False)
    except Exception as error:  # trimesh's loaders raise whatever their parsers raise
        raise StageError(f"mesh {file} cannot be read: {error}") from error
    columns, faces, owners, offset = [], [], [], 0
    for name, geometry in scene.geometry.items():
        if not isinstance(geometry, trimesh.Trimesh) or len(geometry.faces) == 0:
            continue
        material = getattr(geometry.visual, "material", None)
        look = looks.get(getattr(material, "name", None) or name)
        uv = getattr(geometry.visual, "uv", None)
        uv = np.full((len(geometry.vertices), 2), np.nan) if uv is None else np.asarray(uv)
        columns.append(np.hstack([geometry.vertices, geometry.vertex_normals, uv]))
        faces.append(np.asarray(geometry.faces) + offset)
        owners.append((look, len(geometry.faces)))
        offset += len(geometry.vertices)
    if not faces:
        raise StageError(f"mesh {file} holds no triangle")

    # USD stores float32: rounding first lets vertices meet that differ by less.
    rows = np.vstack(columns).astype(np.float32)
    keys = np.ascontiguousarray(np.nan_to_num(rows, nan=-1e30) + np.float32(0.0))
    _, first, index = np.unique(
        keys.view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel(),
        return_index=True,
        return_inverse=True,
    )
    rows = rows[first].astype(float)
    triangles = index.reshape(-1)[np.vstack(faces)]
    factor = np.array(scale)
    if factor.prod() < 0:
        triangles = triangles[:, ::-1]
    normals = rows[:, 3:6] / factor
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    uvs = rows[:, 6:8]
    return SourceMesh(
        vertices=rows[:, :3] * factor,
        triangles=triangles,
        normals=np.divide(normals, length, out=np.zeros_like(normals), where=length > 0),
        uvs=None if np.isnan(uvs).all() else np.nan_to_num(uvs),
        parts=_parts(owners),
    )


def _parts(
    owners: list[tuple[Look | None, int]],
) -> tuple[tuple[Look | None, Int[np.ndarray, "_"]], ...]:
    """Join the triangles of equal looks: CAD exports repeat one colour under many names."""
    runs: dict[Look | None, list[Int[np.ndarray, n]]] = {}
    start = 0
    for look, count in owners:
        runs.setdefault(look, []).append(np.arange(start, start + count))
        start += count
    return tuple((look, np.concatenate(indices)) for look, indices in runs.items())


def side_files(mesh: Path) -> list[Path]:
    """Return the other files that a visual mesh needs: its MTL files and their textures."""
    if mesh.suffix.lower() != ".obj":
        return []
    textures = {look.texture for look in read_looks(mesh).values() if look.texture is not None}
    return [*_libraries(mesh), *sorted(textures)]


def check_side_files(mesh: Path, roots: Sequence[Path]) -> None:
    """Refuse a visual mesh that reads outside the roots of its URDF.

    Raises:
        StageError: One of its MTL files or textures lies outside.
    """
    for file in _libraries(mesh) if mesh.suffix.lower() == ".obj" else ():
        confined(file, file.name, roots, str(mesh))
    for file in side_files(mesh):
        confined(file, file.name, roots, str(mesh))


def _libraries(obj: Path) -> list[Path]:
    """Return the MTL files of an OBJ file that exist."""
    with obj.open(errors="replace") as lines:
        named = [line.split(maxsplit=1)[1].strip() for line in lines if line[:7] == "mtllib "]
    return [obj.parent / name for name in named if (obj.parent / name).is_file()]


def read_looks(obj: Path) -> dict[str, Look]:
    """Return the materials of an OBJ file: name → look; empty for other files and without an MTL.

    The base colour is Kd, which is linear and multiplies the texture of map_Kd.

    Raises:
        StageError: A texture is named that is not there.
    """
    looks: dict[str, Look] = {}
    for file in _libraries(obj) if obj.suffix.lower() == ".obj" else ():
        name = ""
        for line in file.read_text(errors="replace").splitlines():
            key, _, rest = line.strip().partition(" ")
            look = looks.get(name, Look((0.5, 0.5, 0.5)))
            if key == "newmtl":
                name = rest.strip()
                looks[name] = Look((0.5, 0.5, 0.5))
            elif key == "Kd":
                r, g, b = (float(v) for v in rest.split()[:3])
                looks[name] = Look((r, g, b), look.texture)
            elif key == "map_Kd":
                looks[name] = Look(look.base_color, _texture(rest, file))
    return looks


def _texture(entry: str, mtl: Path) -> Path:
    """Return the image of a map_Kd entry; a path on its author's disk falls back to its name."""
    named = mtl.parent / entry.strip()
    beside = mtl.parent / PureWindowsPath(entry.strip()).name
    for file in (named, beside):
        if file.is_file():
            return file
    raise StageError(
        f"{mtl} names the texture '{entry.strip()}', which is neither there nor beside it"
    )
