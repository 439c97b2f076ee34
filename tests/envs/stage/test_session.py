"""Samples in the session layer: what a layer on disk would say, and gone with the next sample."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.errors import StageError
from envs.stage.identified import OVERRIDABLE, Value
from envs.stage.layers import write_overrides, write_rig
from envs.stage.reader import read_stage
from envs.stage.scene import Joint
from envs.stage.session import StageSession
from tests.envs.stage.written import BOTH, FIXED, joint, rigid, world


def values(joint: Joint) -> dict[str, float]:
    """All that can be overridden but a servo's law; a drive that is not there has no gain."""
    found = {}
    for field in OVERRIDABLE:
        group, _, part = field.partition(".")
        if group != "servo":
            held = getattr(joint, group)
            found[field] = held if not part else 0.0 if held is None else getattr(held, part)
    return found


def test_a_sample_says_what_a_layer_on_disk_would(
    tmp_path: Path, robot: Callable[[str], Path]
) -> None:
    rng = np.random.default_rng(1)
    drawn = {
        f"panda_joint{i}": {
            field: float(rng.uniform(0.01, 5))
            for field in OVERRIDABLE
            if not field.startswith("servo.")
        }
        for i in (1, 4, 7)
    }
    drawn["panda_finger_joint1"] = {"drive.stiffness": 300.0, "drive.damping": 20.0}
    nominal = write_rig(tmp_path / "rig.usda", scene=None, robot=robot("panda"))
    layer = write_overrides(
        tmp_path / "layer.usda",
        stage=nominal,
        joints={n: {f: Value(v) for f, v in fields.items()} for n, fields in drawn.items()},
    )
    calibrated = write_rig(
        tmp_path / "calibrated.usda", scene=None, robot=robot("panda"), sublayers=[layer]
    )
    expected = {j.name: values(j) for j in read_stage(calibrated).robot.joints}
    session = StageSession(nominal)
    found = {j.name: values(j) for j in session.sample(drawn).robot.joints}
    assert found == expected
    for name, fields in drawn.items():
        for field, value in fields.items():
            assert found[name][field] == pytest.approx(value, rel=1e-14)

    # The next sample starts from the nominal values, and nothing has reached the disk.
    before = {j.name: values(j) for j in read_stage(nominal).robot.joints}
    assert {j.name: values(j) for j in session.sample({}).robot.joints} == before
    one = session.sample({"panda_joint1": {"armature": 0.5}}).robot
    assert {j.name: values(j) for j in one.joints if j.name != "panda_joint1"} == {
        name: v for name, v in before.items() if name != "panda_joint1"
    }
    assert one.joint("panda_joint1").friction == read_stage(nominal).robot.joints[0].friction


def test_a_degree_of_a_chain_has_its_own_drive(tmp_path: Path) -> None:
    file = tmp_path / "ball.usda"
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH, "Spherical")
    header = '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n)\n'
    file.write_text(header + world(parts).replace("}", "\n}\n"))
    session = StageSession(file)
    joints = session.sample({"joint:rotY": {"drive.stiffness": 2.5}}).robot.joints
    assert [values(j)["drive.stiffness"] for j in joints] == [0.0, 2.5, 0.0]
    with pytest.raises(StageError, match="all degrees of freedom"):
        session.sample({"joint:rotY": {"armature": 2.5}})


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"panda_jiont1": {"armature": 1.0}}, "Did you mean 'panda_joint1'"),
        ({"panda_joint1": {"mass": 1.0}}, "field 'mass' is not in what can be sampled"),
        ({"panda_joint1": {"armature": -1.0}}, "0 or more, not -1"),
        ({"panda_joint1": {"delay_s": float("nan")}}, "not nan"),
        ({"panda_joint8": {"armature": 1.0}}, "is fixed"),
    ],
)
def test_a_sample_that_makes_no_sense_changes_nothing(
    robot: Callable[[str], Path], sample: dict[str, dict[str, float]], message: str
) -> None:
    session = StageSession(robot("panda"))
    session.sample({"panda_joint1": {"armature": 0.5}})
    with pytest.raises(StageError, match=message):
        session.sample(sample)
    assert session.sample({}).robot.joint("panda_joint1").armature == 0.0
