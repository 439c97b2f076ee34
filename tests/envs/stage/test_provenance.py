"""Who says what: the stack of layers behind one value of a rig."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.errors import StageError
from envs.stage.identified import Value
from envs.stage.layers import write_overrides, write_rig
from envs.stage.provenance import joint_opinions, speaking_layers
from envs.stage.reader import read_stage


def test_the_stack_of_a_calibrated_value(tmp_path: Path, robot: Callable[[str], Path]) -> None:
    asset = robot("kuka_iiwa")
    nominal = write_rig(tmp_path / "nominal.usda", scene=None, robot=asset)
    layers = [
        write_overrides(
            tmp_path / f"{name}.usda",
            stage=nominal,
            joints={"lbr_iiwa_joint_2": {"friction.viscous": value}},
            metadata={"who": name},
        )
        for name, value in {
            "hand": Value(9.0),
            "fitted": Value(0.25, std=0.01, method="torch", n=700),
        }.items()
    ]
    rig = write_rig(tmp_path / "rig.usda", scene=None, robot=asset, sublayers=layers[::-1])
    fitted, hand, source = joint_opinions(rig, "lbr_iiwa_joint_2", "friction.viscous")
    assert [o.layer.name for o in (fitted, hand, source)] == [
        "fitted.usda", "hand.usda", "physics.usda",
    ]  # fmt: skip
    assert (fitted.layer_about["who"], hand.layer_about["who"]) == ("fitted", "hand")
    assert (fitted.about["method"], fitted.about["n"]) == ("torch", 700)
    # Per degree in the attribute, per radian in SI.
    assert np.degrees(fitted.value) == pytest.approx(0.25, rel=1e-6)
    assert np.degrees(fitted.about["standard_deviation"]) == pytest.approx(0.01, rel=1e-12)
    assert hand.about == {}
    in_force = read_stage(rig).robot.joint("lbr_iiwa_joint_2").friction.viscous
    assert in_force == pytest.approx(np.degrees(fitted.value), rel=1e-6)
    told = speaking_layers(rig, read_stage(rig))
    assert told["lbr_iiwa_joint_2"]["friction.viscous"] == "fitted.usda"
    assert told["lbr_iiwa_joint_2"]["upper"] == "physics.usda"
    assert told["lbr_iiwa_joint_1"]["friction.viscous"] == "physics.usda"
    assert "armature" not in told["lbr_iiwa_joint_1"]
    # The URDF's own damping of 0.5 N·m·s/rad.
    assert np.degrees(source.value) == pytest.approx(0.5, rel=1e-6)


def test_schemas_come_in_the_order_in_which_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "stage.usda"
    file.write_text(
        """#usda 1.0
(
    metersPerUnit = 1
    upAxis = "Z"
)
def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 1
    float3 physics:diagonalInertia = (1, 1, 1)
}
def PhysicsRevoluteJoint "j"
{
    rel physics:body1 = </a>
    double mjc:armature = 3
    float physxJoint:armature = 2
}
"""
    )
    found = joint_opinions(file, "j", "armature")
    assert [(o.attribute, o.value) for o in found] == [
        ("physxJoint:armature", 2.0), ("mjc:armature", 3.0),
    ]  # fmt: skip
    assert read_stage(file).robot.joint("j").armature == 2.0
    assert joint_opinions(file, "j", "friction.coulomb") == ()
    with pytest.raises(StageError, match="field 'colour' is not in a joint"):
        joint_opinions(file, "j", "colour")
    with pytest.raises(StageError, match="joint 'k' is not in the stage"):
        joint_opinions(file, "k", "armature")
