"""Meshes of primitive shapes: closed, outward, of the right size, with usable coordinates."""

import numpy as np
import pytest
import trimesh

from envs.stage.scene import Mesh, Shape, ShapeKind
from envs.world.primitives import TILE_M, drawable, to_mesh
from tests.generators.small_table import wedge

VOLUMES: list[tuple[ShapeKind, tuple[float, ...], float]] = [
    ("box", (0.1, 0.2, 0.3), 0.006),
    ("sphere", (0.2,), 4 / 3 * np.pi * 0.2**3),
    ("cylinder", (0.1, 0.4), np.pi * 0.1**2 * 0.4),
    ("capsule", (0.1, 0.4), np.pi * 0.1**2 * 0.4 + 4 / 3 * np.pi * 0.1**3),
]


@pytest.mark.parametrize(("kind", "size", "volume"), VOLUMES)
def test_mesh_is_closed_and_as_large_as_the_shape(
    kind: ShapeKind, size: tuple[float, ...], volume: float
) -> None:
    mesh = to_mesh(Shape("/s", kind, np.eye(4), size))
    closed = trimesh.Trimesh(mesh.vertices, mesh.triangles, merge_norm=True, merge_tex=True)
    assert closed.is_watertight
    # An inscribed 64-gon has 0.16 % less area than its circle; positive: faces look outward.
    assert closed.volume == pytest.approx(volume, rel=5e-3)
    length = size[1] if kind == "cylinder" else sum(size[1:]) + 2 * size[0]
    expected = size if kind == "box" else (2 * size[0], 2 * size[0], length)
    np.testing.assert_allclose(closed.extents, expected, rtol=1e-12)


@pytest.mark.parametrize(("kind", "size", "volume"), VOLUMES)
def test_normals_point_out_of_the_faces(
    kind: ShapeKind, size: tuple[float, ...], volume: float
) -> None:
    mesh = drawable(Shape("/s", kind, np.eye(4), size))
    assert mesh.normals is not None
    faces = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).face_normals
    for corner in range(3):
        cosine = np.einsum("ij,ij->i", mesh.normals[mesh.triangles[:, corner]], faces)
        # Half a facet of 64 around and of 32 from pole to pole: 4 degrees.
        assert cosine.min() > np.cos(np.radians(4.1))


def test_mesh_without_normals_keeps_sharp_edges_and_smooths_round_ones() -> None:
    roof = drawable(Shape("/r", "mesh", np.eye(4), (), wedge()))
    assert roof.normals is not None
    flat = trimesh.Trimesh(roof.vertices, roof.triangles, process=False).face_normals
    np.testing.assert_allclose(roof.normals[roof.triangles], flat[:, None].repeat(3, 1), atol=1e-6)

    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    bare = Mesh(np.array(ball.vertices), np.array(ball.faces))
    smooth = drawable(Shape("/b", "mesh", np.eye(4), (), bare))
    assert smooth.normals is not None
    assert len(smooth.vertices) == len(ball.vertices)
    radial = smooth.vertices / np.linalg.norm(smooth.vertices, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", smooth.normals, radial).min() > np.cos(np.radians(2.0))


def test_texture_coordinates_are_metres_on_the_surface() -> None:
    mesh = drawable(Shape("/s", "box", np.eye(4), (1.0, 2.0, 3.0)))
    assert mesh.uvs is not None
    for a, b, _ in mesh.triangles:
        edge = np.linalg.norm(mesh.vertices[b] - mesh.vertices[a])
        assert np.linalg.norm(mesh.uvs[b] - mesh.uvs[a]) == pytest.approx(edge / TILE_M)
