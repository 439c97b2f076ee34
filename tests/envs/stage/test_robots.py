"""Seven robots of other people, imported from their URDFs, against Pinocchio's own reader."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pinocchio as pin
import pytest

from envs.frames import inverse
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.stage.tree import joint_motion
from tests.envs.stage.robots import ROBOTS, source

Imported = tuple[Path, Scene]


@pytest.fixture(scope="module", params=ROBOTS)
def imported(request: pytest.FixtureRequest, robot: Callable[[str], Path]) -> Imported:
    return source(request.param), read_stage(robot(request.param))


def all_movable(urdf: Path) -> pin.Model:
    """Pinocchio merges what a fixed joint holds; with none fixed, each link keeps its inertia."""
    tree = ElementTree.parse(urdf)
    for joint in tree.getroot().findall("joint"):
        joint.set("type", "continuous")
        for mimic in joint.findall("mimic"):
            joint.remove(mimic)
        axis = joint.find("axis")
        if axis is None or not np.fromstring(axis.get("xyz", ""), sep=" ").any():
            for old in joint.findall("axis"):
                joint.remove(old)
            ElementTree.SubElement(joint, "axis", xyz="0 0 1")
    text = ElementTree.tostring(tree.getroot(), encoding="unicode")
    return pin.buildModelFromXML(text, pin.JointModelFreeFlyer())


def test_mass_centre_and_inertia_of_each_link(imported: Imported) -> None:
    urdf, scene = imported
    model = all_movable(urdf)
    massless = {
        link.get("name")
        for link in ElementTree.parse(urdf).getroot().findall("link")
        if link.find("inertial") is None
    }
    assert len(scene.robot.bodies) == len(ElementTree.parse(urdf).getroot().findall("link"))
    for body in scene.robot.bodies:
        frame = model.frames[model.getFrameId(body.name, pin.FrameType.BODY)]
        expected = model.inertias[frame.parentJoint]
        assert body.inertial.mass_kg == pytest.approx(expected.mass, abs=1e-9)
        np.testing.assert_allclose(body.inertial.inertia_kgm2, expected.inertia, atol=1e-9)
        if body.inertial.mass_kg > 0:
            np.testing.assert_allclose(body.inertial.com_m, expected.lever, atol=1e-9)
        if body.name in massless:
            assert body.inertial.mass_kg == 0.0
            assert not body.inertial.inertia_kgm2.any()


def test_poses_of_all_links_at_random_configurations(imported: Imported) -> None:
    urdf, scene = imported
    model = pin.buildModelFromUrdf(str(urdf))
    data, rng = model.createData(), np.random.default_rng(3)
    movable = [j for j in scene.robot.joints if j.kind != "fixed"]
    assert {j.name for j in movable} == set(list(model.names)[1:])
    for _ in range(40):
        q = {j.name: float(rng.uniform(-3, 3)) for j in movable}
        theirs = pin.neutral(model)
        for name, value in q.items():
            joint = model.joints[model.getJointId(name)]
            # Pinocchio keeps an unlimited turn as cosine and sine.
            theirs[joint.idx_q : joint.idx_q + joint.nq] = (
                [value] if joint.nq == 1 else [np.cos(value), np.sin(value)]
            )
        pin.framesForwardKinematics(model, data, theirs)
        poses = {scene.robot.bodies[0].name: scene.robot.bodies[0].X_WB}
        for joint in scene.robot.joints:
            motion = joint_motion(joint, q.get(joint.name, 0.0))
            poses[joint.child] = poses[joint.parent] @ joint.X_PJ @ motion @ inverse(joint.X_CJ)
        for name, X_WB in poses.items():
            frame = data.oMf[model.getFrameId(name, pin.FrameType.BODY)]
            np.testing.assert_allclose(X_WB, frame.homogeneous, atol=1e-9)


def test_limits_of_all_joints(imported: Imported) -> None:
    urdf, scene = imported
    model = pin.buildModelFromUrdf(str(urdf))
    for joint in scene.robot.joints:
        if joint.kind == "fixed":
            continue
        theirs = model.joints[model.getJointId(joint.name)]
        velocity, effort = model.velocityLimit[theirs.idx_v], model.effortLimit[theirs.idx_v]
        # Pinocchio keeps the largest float for a limit that the URDF does not give.
        assert min(joint.velocity_limit, 1e300) == pytest.approx(min(velocity, 1e300), rel=1e-9)
        assert min(joint.effort_limit, 1e300) == pytest.approx(min(effort, 1e300), rel=1e-9)
        if theirs.nq == 1:
            bounds = model.lowerPositionLimit[theirs.idx_q], model.upperPositionLimit[theirs.idx_q]
            np.testing.assert_allclose((joint.lower, joint.upper), bounds, atol=1e-9)
        else:
            assert (joint.lower, joint.upper) == (-np.inf, np.inf)


def test_shapes_are_counted(imported: Imported) -> None:
    urdf, scene = imported
    links = {link.get("name"): link for link in ElementTree.parse(urdf).getroot().findall("link")}
    for body in scene.robot.bodies:
        assert len(body.colliders) == len(links[body.name].findall("collision"))
        seen = {shape.part_of or shape.prim for shape in body.visuals}
        assert len(seen) == len(links[body.name].findall("visual"))
