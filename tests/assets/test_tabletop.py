"""The tabletop scene: a table at z = 0, objects at rest on it, and a camera that sees them all."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from assets.catalog import SCENES
from envs.frames import inverse
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Body, Scene, Shape


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("run")
    robot = robot_asset("panda", robots=folder / "robots")
    return read_stage(write_rig(folder / "rig.usda", scene=SCENES["tabletop"], robot=robot))


def solid(shape: Shape) -> trimesh.Trimesh:
    """The shape as triangles in its body's frame."""
    if shape.mesh is not None:
        mesh = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.triangles)
    else:
        mesh = {
            "box": lambda s: trimesh.creation.box(s),
            "sphere": lambda s: trimesh.creation.icosphere(4, s[0]),
            "cylinder": lambda s: trimesh.creation.cylinder(s[0], s[1], sections=128),
            "capsule": lambda s: trimesh.creation.capsule(s[1], s[0], count=[128, 128]),
        }[shape.kind](shape.size)
    mesh.apply_transform(shape.X_BS)
    return mesh


def in_world(body: Body) -> np.ndarray:
    points = np.vstack([solid(s).vertices for s in body.colliders])
    moved: np.ndarray = points @ body.X_WB[:3, :3].T + body.X_WB[:3, 3]
    return moved


def test_the_table_s_top_is_the_ground_plane_of_the_robot(scene: Scene) -> None:
    top = next(b for b in scene.static if b.name == "top")
    points = in_world(top)
    assert points[:, 2].max() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(np.ptp(points, axis=0)[:2], (1.2, 1.6))
    floor = next(b for b in scene.static if b.name == "floor")
    assert in_world(floor)[:, 2].max() == pytest.approx(-0.75)
    for leg in (b for b in scene.static if b.name.startswith("leg")):
        heights = in_world(leg)[:, 2]
        assert (heights.min(), heights.max()) == pytest.approx((-0.75, -0.04))
    np.testing.assert_array_equal(scene.robot.bodies[0].X_WB, np.eye(4))


def test_objects_rest_on_the_table_apart_from_each_other(scene: Scene) -> None:
    assert len(scene.objects) == 7
    assert len({b.label for b in scene.objects}) == 6
    spans = []
    for body in scene.objects:
        points = in_world(body)
        assert points[:, 2].min() == pytest.approx(0.0, abs=2e-6)
        assert 0.04 <= np.ptp(points, axis=0).max() <= 0.12
        assert np.linalg.norm(points[:, :2], axis=1).max() < 0.8  # within the robot's reach
        assert np.abs(points[:, 1]).max() < 0.8
        spans.append(points[:, :2])
    for i, a in enumerate(spans):
        for b in spans[:i]:
            between = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))
            assert between > 0.5 * (np.ptp(a, axis=0).max() + np.ptp(b, axis=0).max())


def test_masses_and_inertias_are_those_of_solid_bodies(scene: Scene) -> None:
    """Against trimesh's volume integrals, at the density that the mass gives."""
    for body in scene.objects:
        mesh = solid(body.colliders[0])
        mesh.density = body.inertial.mass_kg / mesh.volume
        assert 100 < mesh.density < 1100
        np.testing.assert_allclose(body.inertial.com_m, mesh.center_mass, atol=1e-5)
        # Facets of round bodies: 128 sides.
        np.testing.assert_allclose(
            np.diag(body.inertial.inertia_kgm2), np.diag(mesh.moment_inertia), rtol=5e-3
        )


def test_every_object_has_a_colour_of_its_own(scene: Scene) -> None:
    materials = [s.material for b in scene.objects for s in b.visuals]
    assert all(m is not None for m in materials)
    assert len({m.base_color for m in materials if m is not None}) == 7


def test_the_camera_frames_robot_and_objects(scene: Scene) -> None:
    (camera,) = scene.cameras
    assert (camera.name, camera.prim) == ("camera", "/World/camera")
    np.testing.assert_allclose(camera.X_WC[:3, :3] @ camera.X_WC[:3, :3].T, np.eye(3), atol=1e-8)
    # The robot stretched up, and to either side; all objects.
    reach = [[0, 0, 0], [0, 0, 1.2], [0.8, 0, 0.5], [0.4, 0.7, 0.6], [0.4, -0.7, 0.6]]
    points: np.ndarray = np.vstack([np.array(reach), *(in_world(b) for b in scene.objects)])
    X_CW = inverse(camera.X_WC)
    x, y, z = (points @ X_CW[:3, :3].T + X_CW[:3, 3]).T
    assert z.min() > 0.5
    half = np.tan(camera.fov_x_rad / 2)
    assert np.abs(x / z).max() < half
    assert np.abs(y / z).max() < half * 3 / 4


def test_lights(scene: Scene) -> None:
    assert sorted(light.kind for light in scene.lights) == ["distant", "dome", "sphere"]
    key = next(light for light in scene.lights if light.kind == "distant")
    assert key.X_WL[2, 2] > 0.5  # shines down: its frame's −z


def test_the_scene_opens_on_its_own_once_the_panda_is_built() -> None:
    robot_asset("panda")
    assert read_stage(Path(SCENES["tabletop"])).robot.prim == "/World/robot"
