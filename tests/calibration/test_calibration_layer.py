"""A calibration as a USD layer: with it the stage says what was identified, and only that."""

from pathlib import Path

import numpy as np
import pytest
from pxr import Sdf

from assets.catalog import SCENES
from calibration.contacts import Touch
from calibration.coordinates import Coordinates
from calibration.layer import for_another, write_calibration
from calibration.result import INERTIAL, CalibrationResult, Parameter
from calibration.segments import FITTED
from calibration.unknowns import Unknowns, held_by
from envs.errors import StageError
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Contact, Inertial, Scene
from envs.stage.tree import reduce_tree
from envs.world.actuators import ActuatorParameters


@pytest.fixture(scope="module")
def robot() -> Path:
    return robot_asset("panda_arm")


@pytest.fixture
def stage(robot: Path, tmp_path: Path) -> Path:
    return write_rig(tmp_path / "nominal.usda", scene=None, robot=robot)


def a_result(joint: str = "panda_joint3") -> CalibrationResult:
    values = {
        f"{joint}.friction.coulomb": 0.31,
        f"{joint}.friction.stribeck_velocity": 0.07,
        f"{joint}.armature": 0.012,
        f"{joint}.torque_offset": -0.4,
        f"{joint}.delay_s": 0.011,
        f"{joint}.drive_gain": 9.4,
        f"{joint}.friction.asymmetry": -0.2,
    }
    inertial = {"panda_link4.inertial." + f: 0.1 for f in INERTIAL}
    parameters = {
        name: Parameter(value, 0.1 * abs(value), 0.0, "", "torch", n=77)
        for name, value in (values | inertial).items()
    }
    n = len(parameters)
    return CalibrationResult(
        parameters=parameters,
        covariance=np.eye(n),
        inertials={
            "panda_link4": Inertial(2.5, np.array([0.01, 0.02, 0.03]), np.diag([0.02, 0.03, 0.04])),
            "panda_link7": Inertial(0.3, np.array([0.0, 0.0, 0.05]), 0.001 * np.eye(3)),
        },
        provenance={"sha256": {"a.txt": "12"}, "train_s": [0.3, 14.0], "cutoff_hz": 10.0},
    )


def test_another_robot_of_the_make_gets_all_but_the_first_ones_own() -> None:
    result = a_result()
    shared = for_another(result)
    assert set(result.parameters) - set(shared.parameters) == {"panda_joint3.torque_offset"}
    assert shared.covariance.shape == (len(shared.parameters),) * 2
    assert shared.inertials == result.inertials


def test_the_calibrated_stage_says_what_was_identified(
    stage: Path, robot: Path, tmp_path: Path
) -> None:
    layer = write_calibration(tmp_path / "calibration.usda", stage, a_result())
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=robot, sublayers=[layer])
    before, after = read_stage(stage).robot, read_stage(rig).robot
    joint = after.joint("panda_joint3")
    assert joint.friction.coulomb == pytest.approx(0.31, rel=1e-12)
    assert joint.friction.stribeck_velocity == pytest.approx(0.07, rel=1e-12)
    assert joint.armature == pytest.approx(0.012, rel=1e-12)
    assert joint.torque_offset == pytest.approx(-0.4, rel=1e-12)
    assert joint.delay_s == pytest.approx(0.011, rel=1e-12)
    assert joint.drive_gain == pytest.approx(9.4, rel=1e-12)
    # A joint may be braked less forwards than backwards.
    assert joint.friction.asymmetry == pytest.approx(-0.2, rel=1e-12)
    assert joint.drive == before.joint("panda_joint3").drive
    masses = {b.name: b.inertial for b in after.bodies}
    for name, inertial in a_result().inertials.items():
        assert masses[name].mass_kg == pytest.approx(inertial.mass_kg, rel=1e-9)
        np.testing.assert_allclose(masses[name].com_m, inertial.com_m, atol=1e-9)
        np.testing.assert_allclose(masses[name].inertia_kgm2, inertial.inertia_kgm2, atol=1e-9)
    other = before.joint("panda_joint2")
    assert after.joint("panda_joint2").friction == other.friction


def test_deviations_and_provenance_are_in_the_layer(stage: Path, tmp_path: Path) -> None:
    path = write_calibration(tmp_path / "calibration.usda", stage, a_result())
    layer = Sdf.Layer.FindOrOpen(str(path))
    twin = layer.customLayerData["twin"]
    assert twin["sha256_a.txt"] == "12"
    assert twin["train_s"] == "[0.3, 14.0]"
    assert twin["cutoff_hz"] == 10.0
    text = path.read_text()
    assert text.count("standard_deviation") == 10  # seven of the joint; mass, centre and inertia
    assert "int n = 77" in text
    assert 'string method = "torch"' in text


def test_a_joint_that_the_stage_does_not_have_is_refused(stage: Path, tmp_path: Path) -> None:
    path = tmp_path / "calibration.usda"
    with pytest.raises(StageError, match="panda_jiont3"):
        write_calibration(path, stage, a_result("panda_jiont3"))
    assert not path.exists()


def test_a_payload_is_in_the_layer_and_the_replay_carries_it(robot: Path, tmp_path: Path) -> None:
    nominal = write_rig(tmp_path / "nominal.usda", scene=None, robot=robot)
    scene = read_stage(nominal)
    names = [j.name for j in scene.robot.joints if j.kind != "fixed"]
    tree = reduce_tree(scene.robot, names, scene.gravity_mps2)
    n = len(tree.joints)
    start = np.stack(
        [getattr(ActuatorParameters.from_joints(scene.robot, names), f) for f in FITTED], axis=-1
    )
    unknowns = Unknowns(
        robot=scene.robot,
        tree=tree,
        actuators=ActuatorParameters.from_joints(scene.robot, names),
        coordinates=Coordinates(start, np.ones((n, len(FITTED)))),
        payload=held_by(tree, "panda_link7"),
    )
    z = unknowns.start()
    z[-4:] = [1.2, 0.3, -0.2, 0.9]
    values = dict(zip([r[0] for r in unknowns.reported()], unknowns.values(z), strict=True))
    assert values["panda_link7.payload.mass"] == pytest.approx(1.2)
    assert values["panda_link7.payload.com_z"] == pytest.approx(0.09 / 1.2)
    result = CalibrationResult({}, np.zeros((0, 0)), inertials=unknowns.inertials(z))
    layer = write_calibration(tmp_path / "calibration.usda", nominal, result)
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=robot, sublayers=[layer])
    calibrated = reduce_tree(read_stage(rig).robot, names, scene.gravity_mps2)
    searched = unknowns.robots(z[None]).pi
    # What the search rolled out is what the stage says: mass, place, and the point's inertia.
    np.testing.assert_allclose(calibrated.pi, searched[0], rtol=1e-9, atol=1e-12)
    assert calibrated.pi[-1, 0] == pytest.approx(tree.pi[-1, 0] + 1.2)


def test_friction_and_mass_of_what_is_touched_are_in_the_layer(robot: Path, tmp_path: Path) -> None:
    nominal = write_rig(tmp_path / "nominal.usda", scene=SCENES["tabletop"], robot=robot)
    before = read_stage(nominal)
    touch = Touch(before, ("cube_red", "top", "panda_link7"), ("cube_red",))
    values = np.array([0.123456789, 0.7, 0.9, 0.2])
    result = CalibrationResult(
        parameters={
            name: Parameter(value, 0.1 * value, 0.0, unit, "cmaes", n=7)
            for name, value, unit in zip(touch.names(), values, touch.units(), strict=True)
        },
        covariance=np.zeros((4, 4)),
        inertials=touch.inertials(values),
    )
    layer = write_calibration(tmp_path / "calibration.usda", nominal, result)
    rig = write_rig(tmp_path / "rig.usda", scene=SCENES["tabletop"], robot=robot, sublayers=[layer])
    after, expected = read_stage(rig), touch.changed(values)

    def contacts(scene: Scene) -> dict[str, list[Contact | None]]:
        bodies = (*scene.robot.bodies, *scene.objects, *scene.static)
        return {body.name: [s.contact for s in body.colliders] for body in bodies}

    # To the last bit, and only of these bodies: others keep the material that they shared.
    assert contacts(after) == contacts(expected)
    changed = {name for name, own in contacts(after).items() if own != contacts(before)[name]}
    assert changed == {"cube_red", "top", "panda_link7"}
    cube = {body.name: body.inertial for body in after.objects}["cube_red"]
    assert cube.mass_kg == 0.2
    np.testing.assert_allclose(cube.inertia_kgm2, expected.objects[0].inertial.inertia_kgm2)
    opened = Sdf.Layer.FindOrOpen(str(layer))
    said = opened.GetAttributeAtPath("/World/twin_contacts/cube_red.physics:dynamicFriction")
    assert said.customData["twin"]["standard_deviation"] == pytest.approx(0.0123456789)
    mass = opened.GetAttributeAtPath("/World/objects/cube_red.physics:mass")
    assert mass.customData["twin"]["standard_deviation"] == pytest.approx(0.02)
