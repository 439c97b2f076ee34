"""Concave meshes as convex pieces, which an engine needs of what moves; worked out once per mesh.

V-HACD (Mamou, Volumetric Hierarchical Approximate Convex Decomposition, Game Engine Gems 3, 2016)
through trimesh. It takes seconds where CoACD takes minutes on a scanned part, and it comes with
small wheels for every platform; it would also cut up what is convex, so it is not asked then.

Pieces are kept by the hash of the mesh, as OBJ text: PyBullet reads that itself, with each object
of the file as one convex hull, so that a collider is one link however many pieces it has.
"""

from hashlib import sha256
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull, QhullError

from assets.catalog import CONVEX_PIECES
from envs.errors import StageError
from envs.files import write_whole
from envs.stage.scene import Mesh

MAX_PIECES = 16
VOXELS = 100_000
"""Of the grid on which V-HACD measures concavity: about 2 % of a part's length each."""

CONVEX_SHARE = 0.98
"""A closed mesh that fills so much of its hull counts as convex."""

_RECIPE = f"vhacd {MAX_PIECES} {VOXELS} 1"


def is_convex(mesh: Mesh) -> bool:
    """Whether a mesh fills its convex hull, or is flat; one with holes in it counts as concave."""
    try:
        hull = ConvexHull(mesh.vertices)
    except QhullError:
        return True
    vertices, triangles = _merged(mesh)
    corners = vertices[triangles] - vertices.mean(axis=0)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    closed = bool((count == 2).all())
    return closed and abs(volume) >= CONVEX_SHARE * hull.volume


def convex_pieces(mesh: Mesh, where: str, *, cache: Path = CONVEX_PIECES) -> Path:
    """Return an OBJ file with one object for each convex piece of a mesh, in the mesh's frame.

    Args:
        mesh: What is concave.
        where: Whose mesh it is, for the message.
        cache: Folder of the files, which can be deleted at any time.

    Raises:
        StageError: The mesh cannot be decomposed.
    """
    vertices, triangles = _merged(mesh)
    key = sha256(_RECIPE.encode())
    for array in (vertices.astype("<f8"), triangles.astype("<i8")):
        key.update(str(array.shape).encode())
        key.update(np.ascontiguousarray(array).tobytes())
    file = cache / f"{key.hexdigest()[:32]}.obj"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / ".lock"):
            # Another process may have worked it out while this one waited.
            if not file.is_file():
                write_whole(file, _obj(_decompose(vertices, triangles, where)))
    return file


def _decompose(
    vertices: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "f 3"], where: str
) -> list[tuple[Float[np.ndarray, "p 3"], Int[np.ndarray, "t 3"]]]:
    """Return corners and triangles of each piece."""
    import trimesh

    # In a box of size 1: V-HACD has absolute tolerances.
    low, size = vertices.min(axis=0), float(np.ptp(vertices, axis=0).max())
    unit = trimesh.Trimesh((vertices - low) / size, triangles, process=False)
    try:
        found = trimesh.decomposition.convex_decomposition(
            unit, maxConvexHulls=MAX_PIECES, resolution=VOXELS, asyncACD=False
        )
    except (RuntimeError, ValueError) as error:
        raise StageError(f"{where}: this collider cannot be made of convex pieces") from error
    if not found:
        raise StageError(f"{where}: this collider cannot be made of convex pieces")
    return [
        (low + size * np.asarray(piece["vertices"], float), np.asarray(piece["faces"], int))
        for piece in found
    ]


def _merged(mesh: Mesh) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Return a mesh with equal vertices made one: normals and textures tell them apart in files."""
    vertices, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return vertices, index.reshape(-1)[mesh.triangles]


def _obj(pieces: list[tuple[Float[np.ndarray, "p 3"], Int[np.ndarray, "t 3"]]]) -> str:
    lines, first = [], 1
    for k, (corners, triangles) in enumerate(pieces):
        lines.append(f"o piece_{k}")
        lines += [f"v {x!r} {y!r} {z!r}" for x, y, z in corners.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (triangles + first).tolist()]
        first += len(corners)
    return "\n".join(lines) + "\n"


def read_pieces(file: Path) -> list[Float[np.ndarray, "p 3"]]:
    """Return the corners of each piece in a file of `convex_pieces`."""
    pieces: list[list[list[float]]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        key, *rest = line.split()
        if key == "o":
            pieces.append([])
        elif key == "v":
            pieces[-1].append([float(v) for v in rest])
    return [np.array(piece) for piece in pieces]
