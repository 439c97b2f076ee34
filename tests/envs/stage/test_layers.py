"""Rigs and override layers: what is written is what is read again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pxr import Sdf, Usd

from assets.catalog import SCENES
from envs.errors import StageError
from envs.stage.identified import InertialValue, Value
from envs.stage.layers import ROBOT, write_overrides, write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Inertial, Joint

FIELDS = (
    "armature",
    "friction.coulomb",
    "friction.viscous",
    "friction.stribeck",
    "friction.stribeck_velocity",
    "friction.asymmetry",
    "friction.load",
    "drive.stiffness",
    "drive.damping",
    "delay_s",
    "torque_offset",
    "spring",
    "torque_lag_s",
    "drive_gain",
)


@pytest.fixture(scope="module")
def panda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return robot_asset("panda_arm", robots=tmp_path_factory.mktemp("robots"))


@pytest.fixture(scope="module")
def bare(panda: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rig(tmp_path_factory.mktemp("rig") / "rig.usda", scene=None, robot=panda)


def field_of(joint: Joint, field: str) -> float:
    value: object = joint
    for part in field.split("."):
        value = getattr(value, part)
    assert isinstance(value, float)
    return value


positive = st.floats(1e-9, 1e6, allow_subnormal=False)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(positive, min_size=len(FIELDS), max_size=len(FIELDS)),
    numbers=st.lists(positive, min_size=10, max_size=10),
)
def test_what_is_written_is_read_again(
    bare: Path, tmp_path: Path, values: list[float], numbers: list[float]
) -> None:
    mass, com = numbers[0], np.array(numbers[1:4]) * [1, -1, 1]
    tensor = np.diag(numbers[4:7]) + 0.1 * min(numbers[4:7]) * (np.ones((3, 3)) - np.eye(3))
    wanted = dict(zip(FIELDS, values, strict=True))
    count = len(list(tmp_path.iterdir()))
    layer = write_overrides(
        tmp_path / f"overrides_{count}.usda",
        stage=bare,
        joints={"panda_joint3": {field: Value(value) for field, value in wanted.items()}},
        bodies={"panda_link5": {"inertial": InertialValue(Inertial(mass, com, tensor))}},
    )
    rig = write_rig(
        tmp_path / f"rig_{count}.usda",
        scene=None,
        robot=bare.parent / str(_robot_of(bare)),
        sublayers=[layer],
    )
    nominal, robot = read_stage(bare).robot, read_stage(rig).robot
    joint = robot.joint("panda_joint3")
    for field, value in wanted.items():
        assert field_of(joint, field) == pytest.approx(value, rel=1e-12)
        assert joint.sources[field] in ("newton", "physics", "twin")
    found = next(b for b in robot.bodies if b.name == "panda_link5").inertial
    assert found.mass_kg == pytest.approx(mass, rel=1e-12)
    np.testing.assert_allclose(found.com_m, com, rtol=1e-12)
    np.testing.assert_allclose(found.inertia_kgm2, tensor, rtol=1e-12)
    # Everything else is as it was.
    for before, after in zip(nominal.joints, robot.joints, strict=True):
        if before.name != "panda_joint3":
            assert (before.drive, before.friction, before.lower) == (
                after.drive,
                after.friction,
                after.lower,
            )


def _robot_of(rig: Path) -> str:
    layer = Sdf.Layer.FindOrOpen(str(rig))
    references = layer.GetPrimAtPath(ROBOT).referenceList.explicitItems
    return str(references[0].assetPath)


def test_a_value_that_float32_holds_hides_a_weaker_layer_s_exact_one(
    bare: Path, panda: Path, tmp_path: Path
) -> None:
    """0.1 and float32(0.1) round alike: the stronger one must not read as the weaker one's."""
    rounded = float(np.float32(0.1))
    layers = [
        write_overrides(
            tmp_path / f"{name}.usda",
            stage=bare,
            joints={"panda_joint1": {"armature": Value(value)}},
        )
        for name, value in (("strong", rounded), ("weak", 0.1))
    ]
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=panda, sublayers=layers)
    assert read_stage(rig).robot.joint("panda_joint1").armature == rounded


def test_a_hand_edit_of_the_schema_s_attribute_wins_over_an_old_exact_value(
    bare: Path, panda: Path, tmp_path: Path
) -> None:
    layer = write_overrides(
        tmp_path / "calibration.usda",
        stage=bare,
        joints={"panda_joint1": {"friction.coulomb": Value(0.3)}},
    )
    layer.write_text(layer.read_text().replace("newton:friction = 0.3", "newton:friction = 0.7"))
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=panda, sublayers=[layer])
    coulomb = read_stage(rig).robot.joint("panda_joint1").friction.coulomb
    assert coulomb == pytest.approx(0.7, rel=1e-7)


def test_each_value_says_how_sure_it_is_and_where_it_came_from(bare: Path, tmp_path: Path) -> None:
    inertial = Inertial(2.0, np.array([0.1, 0.2, 0.3]), np.diag([0.1, 0.2, 0.25]))
    layer = write_overrides(
        tmp_path / "calibration.usda",
        stage=bare,
        joints={
            "panda_joint2": {
                "armature": Value(0.2, std=0.01, method="torque fit", n=900),
                "friction.viscous": Value(3.0, std=0.5, method="rollout"),
                "delay_s": Value(0.012),
            }
        },
        bodies={"panda_link2": {"inertial": InertialValue(inertial, inertial, "torque fit", 900)}},
        metadata={"data": "ab12", "version": "0.1.0", "date": "2020-01-02", "samples": 900},
    )
    stage = Usd.Stage.Open(str(layer))
    joint = stage.GetPrimAtPath(f"{ROBOT}/joints/panda_joint2")
    data = joint.GetAttribute("newton:armature").GetCustomDataByKey("twin")
    assert data == {"standard_deviation": 0.01, "method": "torque fit", "n": 900}
    viscous = joint.GetAttribute("newton:damping")
    # The deviation is in the attribute's unit, N·m·s/deg.
    data = viscous.GetCustomDataByKey("twin")
    assert data["standard_deviation"] == pytest.approx(0.5 * np.pi / 180)
    assert viscous.Get() == pytest.approx(3.0 * np.pi / 180)
    assert joint.GetAttribute("twin:commandDelay").GetCustomDataByKey("twin") is None
    link = stage.GetPrimAtPath(f"{ROBOT}/links/panda_link2")
    data = link.GetAttribute("newton:inertia").GetCustomDataByKey("twin")
    assert list(data["standard_deviation"]) == [0.1, 0.2, 0.25, 0, 0, 0]
    metadata = stage.GetRootLayer().customLayerData["twin"]
    assert metadata == {"data": "ab12", "version": "0.1.0", "date": "2020-01-02", "samples": 900}


def test_a_layer_written_again_is_read_anew(bare: Path, panda: Path, tmp_path: Path) -> None:
    """USD keeps layers that it has read; a second calibration in one process must not see them."""
    for value in (1.0, 2.0):
        layer = write_overrides(
            tmp_path / "calibration.usda",
            stage=bare,
            joints={"panda_joint1": {"armature": Value(value)}},
        )
        rig = write_rig(tmp_path / "rig.usda", scene=None, robot=panda, sublayers=[layer])
        assert read_stage(rig).robot.joint("panda_joint1").armature == value
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calibration.usda", "rig.usda"]


def test_muting_the_layer_gives_the_nominal_robot_back(
    bare: Path, panda: Path, tmp_path: Path
) -> None:
    layer = write_overrides(
        tmp_path / "calibration.usda",
        stage=bare,
        joints={"panda_joint1": {"drive.stiffness": Value(123.0)}},
    )
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=panda, sublayers=[layer])
    stage = Usd.Stage.Open(str(rig))
    attribute = stage.GetAttributeAtPath(
        f"{ROBOT}/joints/panda_joint1.drive:angular:physics:stiffness"
    )
    assert attribute.Get() == pytest.approx(123 * np.pi / 180)
    stage.MuteLayer(str(layer))
    assert attribute.Get() == pytest.approx(4500 * np.pi / 180)


def test_overrides_of_what_is_not_there_are_refused(bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.usda"
    value = Value(1.0)
    inertial = InertialValue(Inertial(1.0, np.zeros(3), np.eye(3)))
    heavy = InertialValue(Inertial(-1.0, np.zeros(3), np.eye(3)))
    for joints, bodies, message in (
        ({"panda_jiont1": {"armature": value}}, {}, "Did you mean 'panda_joint1'"),
        ({"panda_joint1": {"armture": value}}, {}, "Did you mean 'armature'"),
        ({"panda_joint8": {"armature": value}}, {}, "is fixed"),
        ({"panda_joint1": {"armature": Value(float("nan"))}}, {}, "finite"),
        ({"panda_joint1": {"armature": Value(-1.0)}}, {}, "0 or more"),
        ({}, {"panda_lnik1": {"inertial": inertial}}, "Did you mean 'panda_link1'"),
        ({}, {"panda_link1": {"mass": inertial}}, "quantity 'mass'"),
        ({}, {"panda_link1": {"inertial": heavy}}, "mass of 0 or more"),
    ):
        with pytest.raises(StageError, match=message):
            write_overrides(file, stage=bare, joints=joints, bodies=bodies)
    assert list(tmp_path.iterdir()) == []


def test_an_override_under_an_instance_is_refused(bare: Path, panda: Path, tmp_path: Path) -> None:
    stage = tmp_path / "instanced.usda"
    text = bare.read_text().replace(
        "references =", f"instanceable = true\n        references = @{panda}@ #"
    )
    stage.write_text(text)
    with pytest.raises(StageError, match="lies under an instance"):
        write_overrides(
            tmp_path / "calibration.usda",
            stage=stage,
            joints={"panda_joint1": {"armature": Value(1.0)}},
        )


def test_a_rig_replaces_the_scene_s_own_robot(panda: Path, tmp_path: Path) -> None:
    rig = write_rig(tmp_path / "runs" / "rig.usda", scene=SCENES["tabletop"], robot=panda)
    scene = read_stage(rig)
    assert scene.robot.prim == ROBOT
    assert "panda_hand" not in {b.name for b in scene.robot.bodies}
    assert len(scene.objects) == 7
    files = {f.name for f in scene.files}
    assert {"rig.usda", "tabletop.usda", "panda_arm.usda"} <= files
    assert "panda.usda" not in files


def test_a_scene_s_own_robot_need_not_be_there(
    panda: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is only built when somebody asks for it; USD would warn of it on the terminal."""
    text = SCENES["tabletop"].read_text()
    scene = tmp_path / "scene.usda"
    scene.write_text(text.replace("../robots/panda/panda.usda", "./never_built.usda"))
    assert text != scene.read_text()
    rig = write_rig(tmp_path / "rig.usda", scene=scene, robot=panda)
    assert read_stage(rig).robot.prim == ROBOT
    assert capfd.readouterr() == ("", "")


def test_a_rig_without_a_scene_has_gravity_and_nothing_else(bare: Path) -> None:
    scene = read_stage(bare)
    assert scene.robot.prim == ROBOT
    assert (scene.objects, scene.static, scene.lights, scene.cameras) == ((), (), (), ())
    np.testing.assert_array_equal(scene.gravity_mps2, (0, 0, -9.81))


def test_a_rig_of_missing_layers_is_refused_and_not_written(panda: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"layer not found: .*gone\.usda"):
        write_rig(
            tmp_path / "rig.usda", scene=None, robot=panda, sublayers=[tmp_path / "gone.usda"]
        )
    broken = tmp_path / "broken.usda"
    broken.write_text('#usda 1.0\ndef "World" (references = @./nowhere.usda@) {\n}\n')
    with pytest.raises(StageError, match=r"nowhere\.usda"):
        write_rig(tmp_path / "rig.usda", scene=broken, robot=panda)
    assert [p.name for p in tmp_path.iterdir()] == ["broken.usda"]


def test_a_rig_can_be_moved_with_what_it_names(panda: Path, tmp_path: Path) -> None:
    """Layers are named relative to the rig, so a project folder can be copied elsewhere."""
    text = write_rig(panda.parent / "rig.usda", scene=None, robot=panda).read_text()
    (panda.parent / "rig.usda").unlink()
    assert "references = @./panda_arm.usda@" in text
