"""What a mesh collides as, by physics:approximation, and the mass that it then tells."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from envs.stage.scene import Shape
from envs.world.primitives import to_mesh
from tests.envs.stage.written import read, world

NOTCHED = trimesh.boolean.difference(
    [trimesh.creation.box((2, 1, 1)), trimesh.creation.box((0.5, 2, 1), np.diag([1, 1, 1, 1.0]))]
)


def mesh(solid: trimesh.Trimesh, approximation: str, where: str = "") -> str:
    points = ", ".join(f"({x}, {y}, {z})" for x, y, z in solid.vertices)
    corners = ", ".join(str(i) for i in solid.faces.ravel())
    counts = ", ".join("3" for _ in solid.faces)
    said = f'uniform token physics:approximation = "{approximation}"' if approximation else ""
    return f"""def Xform "body" (prepend apiSchemas = ["PhysicsRigidBodyAPI"]) {{
        def Mesh "m" (prepend apiSchemas = ["PhysicsCollisionAPI", "PhysicsMeshCollisionAPI"]) {{
            point3f[] points = [{points}]
            int[] faceVertexCounts = [{counts}]
            int[] faceVertexIndices = [{corners}]
            {said}
            {where}
        }}
    }}"""


def collider(folder: Path, content: str) -> Shape:
    (shape,) = read(folder, world(content)).objects[0].colliders
    return shape


@pytest.mark.parametrize("wanted", ["none", "convexHull", "convexDecomposition"])
def test_a_mesh_keeps_what_the_stage_asks_for(tmp_path: Path, wanted: str) -> None:
    assert collider(tmp_path, mesh(NOTCHED, wanted)).approximation == wanted


def test_a_mesh_of_which_nothing_is_said_stays_as_it_is(tmp_path: Path) -> None:
    assert collider(tmp_path, mesh(NOTCHED, "")).approximation == "none"


def test_a_bounding_box_lies_about_a_turned_mesh(tmp_path: Path) -> None:
    turn = Rotation.from_rotvec([0.3, -0.7, 0.2]).as_matrix()
    solid = NOTCHED.copy()
    solid.apply_transform(np.block([[turn, np.array([[1], [2], [3]])], [np.zeros((1, 3)), 1]]))
    shape = collider(tmp_path, mesh(solid, "boundingCube"))
    assert shape.kind == "box"
    assert sorted(shape.size) == pytest.approx([1, 1, 2], abs=1e-5)
    box = to_mesh(shape)
    corners = box.vertices @ shape.X_BS[:3, :3].T + shape.X_BS[:3, 3]
    expected = trimesh.bounds.corners([[-1, -0.5, -0.5], [1, 0.5, 0.5]]) @ turn.T + [1, 2, 3]
    for corner in expected:
        assert np.linalg.norm(corners - corner, axis=1).min() < 1e-5


def test_a_bounding_ball_is_the_smallest(tmp_path: Path) -> None:
    shape = collider(
        tmp_path,
        mesh(
            NOTCHED,
            "boundingSphere",
            "double3 xformOp:translate = (5, 0, 0)\n"
            'uniform token[] xformOpOrder = ["xformOp:translate"]',
        ),
    )
    assert shape.kind == "sphere"
    assert shape.size[0] == pytest.approx(np.linalg.norm([1, 0.5, 0.5]), rel=1e-5)
    np.testing.assert_allclose(shape.X_BS[:3, 3], [5, 0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("wanted", "volume"), [("convexHull", 2.0), ("none", 1.5), ("boundingCube", 2.0)]
)
def test_mass_by_density_is_that_of_what_collides(
    tmp_path: Path, wanted: str, volume: float
) -> None:
    scene = read(tmp_path, world(mesh(NOTCHED, wanted)))
    assert scene.objects[0].inertial.mass_kg == pytest.approx(1000 * volume, rel=1e-5)
