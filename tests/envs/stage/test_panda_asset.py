"""The Panda, from the installed URDF to a Scene, against Pinocchio's own URDF reader."""

from pathlib import Path

import numpy as np
import pinocchio as pin
import pybullet_data
import pytest

from envs.frames import inverse
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Scene
from envs.stage.tree import joint_motion, reduce_tree

URDF = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"
ARM = tuple(f"panda_joint{i}" for i in range(1, 8))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_stage(robot_asset("panda", robots=tmp_path_factory.mktemp("robots")))


@pytest.fixture(scope="module")
def model() -> pin.Model:
    return pin.buildModelFromUrdf(str(URDF))


def link_poses(robot: Articulation, q: dict[str, float]) -> dict[str, np.ndarray]:
    poses = {robot.bodies[0].name: robot.bodies[0].X_WB}
    for joint in robot.joints:
        motion = joint_motion(joint, q.get(joint.name, 0.0))
        poses[joint.child] = poses[joint.parent] @ joint.X_PJ @ motion @ inverse(joint.X_CJ)
    return poses


def test_joints_and_links_come_in_the_urdf_s_order(scene: Scene) -> None:
    names = [j.name for j in scene.robot.joints]
    assert names[:9] == [*ARM, "panda_joint8", "panda_hand_joint"]
    assert names[9:11] == ["panda_finger_joint1", "panda_finger_joint2"]
    assert [b.name for b in scene.robot.bodies][:3] == ["panda_link0", "panda_link1", "panda_link2"]
    assert scene.robot.fixed_base
    assert {b.label for b in scene.robot.bodies} == {"robot"}


def test_link_poses_are_pinocchio_s(scene: Scene, model: pin.Model) -> None:
    rng, data = np.random.default_rng(1), model.createData()
    names = [n for n in model.names if n != "universe"]
    for _ in range(50):
        q = {n: float(rng.uniform(-3, 3)) for n in names}
        pin.framesForwardKinematics(model, data, np.array([q[n] for n in names]))
        ours = link_poses(scene.robot, q)
        for body in scene.robot.bodies:
            expected = data.oMf[model.getFrameId(body.name, pin.FrameType.BODY)].homogeneous
            np.testing.assert_allclose(ours[body.name], expected, atol=1e-9)


def test_masses_centres_and_inertias_are_the_urdf_s(scene: Scene) -> None:
    """With every fixed joint made movable, Pinocchio keeps each link's inertia apart."""
    text = URDF.read_text().replace('type="fixed"', 'type="continuous"')
    text = text.replace('<axis xyz="0 0 0"/>', '<axis xyz="0 0 1"/>')
    model = pin.buildModelFromXML(text, pin.JointModelFreeFlyer())
    for body in scene.robot.bodies:
        frame = model.frames[model.getFrameId(body.name, pin.FrameType.BODY)]
        expected = model.inertias[frame.parentJoint]
        assert body.inertial.mass_kg == pytest.approx(expected.mass, abs=1e-12)
        np.testing.assert_allclose(body.inertial.com_m, expected.lever, atol=1e-12)
        np.testing.assert_allclose(body.inertial.inertia_kgm2, expected.inertia, atol=1e-12)


def test_a_massless_link_keeps_the_inertia_that_the_urdf_gives_it(scene: Scene) -> None:
    flange = next(b for b in scene.robot.bodies if b.name == "panda_link8")
    assert flange.inertial.mass_kg == 0.0
    np.testing.assert_allclose(flange.inertial.inertia_kgm2, 0.1 * np.eye(3), atol=1e-15)


def test_limits_are_pinocchio_s(scene: Scene, model: pin.Model) -> None:
    for name in (*ARM, "panda_finger_joint1", "panda_finger_joint2"):
        joint, i = scene.robot.joint(name), model.idx_vs[model.getJointId(name)]
        assert joint.lower == pytest.approx(model.lowerPositionLimit[i], abs=1e-12)
        assert joint.upper == pytest.approx(model.upperPositionLimit[i], abs=1e-12)
        assert joint.velocity_limit == pytest.approx(model.velocityLimit[i], rel=1e-12)
        assert joint.effort_limit == pytest.approx(model.effortLimit[i], rel=1e-12)
    assert scene.robot.joint("panda_finger_joint2").mimic == ("panda_finger_joint1", 1.0, 0.0)


def test_the_catalogue_s_drives_arrive_and_say_who_spoke(scene: Scene) -> None:
    joint = scene.robot.joint("panda_joint4")
    assert joint.drive is not None
    assert joint.drive.stiffness == pytest.approx(3500.0, rel=1e-14)
    assert joint.drive.damping == pytest.approx(350.0, rel=1e-14)
    assert joint.drive.max_force == pytest.approx(87.0)
    assert joint.sources["drive.stiffness"] == "physics"
    assert joint.sources["velocity_limit"] == "newton"
    assert joint.sources["armature"] == "default"
    assert scene.robot.joint("panda_finger_joint1").drive is None


def test_the_reduced_tree_has_pinocchio_s_dynamics(scene: Scene, model: pin.Model) -> None:
    """Pinocchio's inverse dynamics of a model built from the Tree, against that of the URDF."""
    tree = reduce_tree(scene.robot, ARM, scene.gravity_mps2)
    assert tree.joints == ARM
    ours = pin.Model()
    ours.gravity.linear = tree.gravity
    for i, parent in enumerate(tree.parent):
        X = pin.SE3(tree.X_PJ[i][:3, :3], tree.X_PJ[i][:3, 3])
        joint = ours.addJoint(
            int(parent) + 1, pin.JointModelRevoluteUnaligned(tree.axis[i]), X, tree.joints[i]
        )
        ours.appendBodyToJoint(
            joint, pin.Inertia.FromDynamicParameters(tree.pi[i]), pin.SE3.Identity()
        )
    rng, data, reference = np.random.default_rng(2), ours.createData(), model.createData()
    for _ in range(20):
        q, qd, qdd = (np.zeros(9) for _ in range(3))
        for value, scale in ((q, 3.0), (qd, 2.0), (qdd, 5.0)):
            value[:7] = rng.uniform(-scale, scale, 7)
        expected = pin.rnea(model, reference, q, qd, qdd)[:7]
        found = pin.rnea(ours, data, q[:7], qd[:7], qdd[:7])
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_the_arm_alone_ends_at_the_flange(tmp_path: Path, scene: Scene) -> None:
    arm = read_stage(robot_asset("panda_arm", robots=tmp_path)).robot
    assert arm.bodies[-1].name == "panda_link8"
    assert [j.name for j in arm.joints] == [*ARM, "panda_joint8"]
    whole = {b.name: b for b in scene.robot.bodies}
    for body in arm.bodies:
        assert body.inertial.mass_kg == whole[body.name].inertial.mass_kg
        assert len(body.visuals) == len(whole[body.name].visuals)


def test_visuals_keep_triangles_colours_and_the_texture(scene: Scene) -> None:
    links = {b.name: b for b in scene.robot.bodies}
    total = 0
    for name in ("link1", "link2", "link3", "link4", "link5", "link6", "hand"):
        mesh = URDF.parent / "meshes" / "visual" / f"{name}.obj"
        faces = sum(line.startswith("f ") for line in mesh.open())
        link = links["panda_hand" if name == "hand" else f"panda_{name}"]
        found = sum(len(s.mesh.triangles) for s in link.visuals if s.mesh is not None)
        assert found == faces
        total += found
    assert total > 100_000

    materials = {s.material for s in links["panda_link6"].visuals}
    colors = {tuple(round(c, 3) for c in m.base_color) for m in materials if m is not None}
    # Kd of link6.mtl: red, green and blue marks, white, light and dark grey.
    for kd in ((1, 0, 0), (0, 1, 0), (0.039, 0.541, 0.78), (1, 1, 1), (0.902, 0.922, 0.929)):
        assert kd in colors
    textured = [m for m in materials if m is not None and m.base_color_texture is not None]
    assert textured
    for material in textured:
        assert material.base_color_texture is not None
        assert (
            material.base_color_texture.path.read_bytes()
            == (URDF.parent / "meshes" / "visual" / "colors.png").read_bytes()
        )
    for shape in links["panda_link6"].visuals:
        assert shape.mesh is not None
        assert shape.mesh.normals is not None
        if shape.material is not None and shape.material.base_color_texture is not None:
            assert shape.mesh.uvs is not None


def test_vertices_and_normals_of_a_visual_are_the_obj_s(scene: Scene) -> None:
    """Read the file again by hand: every corner's position, normal and texture coordinate."""
    obj = URDF.parent / "meshes" / "visual" / "link1.obj"
    table: dict[str, list[list[float]]] = {"v": [], "vn": [], "vt": []}
    corners = []
    for line in obj.open():
        key, *rest = line.split()
        if key in table:
            table[key].append([float(r) for r in rest])
        elif key == "f":
            corners += [[int(i) - 1 for i in corner.split("/")] for corner in rest]
    v, t, n = np.array(corners).T
    expected = np.hstack(
        [np.array(table["v"])[v], np.array(table["vn"])[n], np.array(table["vt"])[t]]
    )
    (shape,) = scene.robot.bodies[1].visuals
    mesh = shape.mesh
    assert mesh is not None
    assert mesh.normals is not None
    assert mesh.uvs is not None
    rows = np.hstack([mesh.vertices, mesh.normals, mesh.uvs])[mesh.triangles.ravel()]

    # The file's normals are rounded to 4 digits; ours are made unit again.
    np.testing.assert_allclose(rows[:, :3], expected[:, :3], atol=1e-7)
    np.testing.assert_allclose(rows[:, 3:6], expected[:, 3:6], atol=2e-4)
    np.testing.assert_allclose(rows[:, 6:], expected[:, 6:], atol=1e-6)
