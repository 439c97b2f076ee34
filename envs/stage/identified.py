"""What was identified, written to the attributes of a stage's prims that are read first for it.

Each attribute's customData["twin"] carries standard_deviation (in the attribute's unit), method
and n, as far as they are known.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.errors import StageError, unknown
from envs.frames import Pose, from_quaternion, to_quaternion
from envs.stage.attributes import CUSTOM_DATA, JOINT_FIELDS, read_exact, write_exact
from envs.stage.contact import write_friction
from envs.stage.joints import SIGNED
from envs.stage.mass import six_numbers, write_inertial
from envs.stage.scene import Body, Inertial, Joint
from envs.stage.traversal import Transforms
from envs.stage.units import Units

OVERRIDABLE = (
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
    "encoder_offset",
    "servo.torque_constant",
    "servo.resistance",
    "servo.saturation",
    "servo.motor_load",
    "servo.external_load",
    "servo.breakaway_load",
)
"""Fields of `scene.Joint` that a calibration may write."""


@dataclass(frozen=True)
class Value:
    """An identified joint value, in SI.

    Attributes:
        std: Its standard deviation, where it is known.
        method: How it was found.
        n: Number of samples that it rests on.
    """

    value: float
    std: float | None = None
    method: str = ""
    n: int | None = None


@dataclass(frozen=True)
class InertialValue:
    """Identified mass properties of a body; `std` holds the standard deviation of each number."""

    value: Inertial
    std: Inertial | None = None
    method: str = ""
    n: int | None = None


@dataclass(frozen=True)
class FrameValue:
    """An identified motion of a joint's frame in its parent.

    Attributes:
        X_JJ: Pose of the frame as it is, seen from where the stage has it.
        std_m: Standard deviation of its position, along the axes of the stage's frame, m.
        std_rad: Of its rotation about them, rad.
        method: How it was found.
        n: Number of poses that it rests on.
    """

    X_JJ: Pose
    std_m: Float[np.ndarray, "3"] | None = None
    std_rad: Float[np.ndarray, "3"] | None = None
    method: str = ""
    n: int | None = None


def joint_attribute(joint: Joint, field: str, units: Units) -> tuple[str, float]:
    """Return the attribute to which a field of a joint is written, and its factor to SI.

    Raises:
        StageError: The joint is fixed, or the attribute holds for others than this joint.
    """
    if joint.kind == "fixed":
        raise StageError(f"joint '{joint.name}' is fixed: it has nothing to override")
    if field.startswith("servo.") and joint.servo is None:
        raise StageError(f"joint '{joint.name}' is no servo in the stage: {field} cannot be set")
    candidate = JOINT_FIELDS[field][0]
    if joint.dof not in ("angular", "linear") and "{dof}" not in candidate.attribute:
        raise StageError(
            f"{field} of joint '{joint.name}' cannot be overridden: {candidate.attribute} holds "
            f"for all degrees of freedom of {joint.prim}"
        )
    factor = units.joint_factor(candidate.quantity, angular=joint.kind == "revolute")
    return candidate.attribute.format(dof=joint.dof), factor


def write_field(prim: Any, joint: Joint, field: str, value: Value, units: Units) -> None:
    """Write one of OVERRIDABLE to a joint's prim.

    Raises:
        StageError: There is no such field, it cannot be overridden, or the value is not finite or
            of the wrong sign.
    """
    if field not in OVERRIDABLE:
        raise StageError(unknown("field", field, OVERRIDABLE, where="what can be overridden"))
    number, where = float(value.value), f"{field} of joint '{joint.name}'"
    if not np.isfinite(number) or (number < 0 and field not in SIGNED):
        raise StageError(f"{where} must be a finite number of 0 or more, not {number}")
    from pxr import UsdPhysics

    name, factor = joint_attribute(joint, field, units)
    if field.startswith("drive."):
        UsdPhysics.DriveAPI.Apply(prim, joint.dof)
    attribute = write_exact(prim, name, number / factor, always=True)
    std = None if value.std is None else float(value.std) / factor
    _annotate(attribute, std, value.method, value.n)


def write_frame(
    prim: Any, joint: Joint, child: str, value: FrameValue, transforms: Transforms
) -> None:
    """Move a joint's frame on the side that does not hold the child.

    Args:
        prim: The joint's.
        joint: As the stage has it.
        child: Path of the body that moves with it.
        value: How the frame moves.
        transforms: Of the stage.

    Raises:
        StageError: The motion is not finite, or the prim has several degrees of freedom.
    """
    if joint.dof not in ("angular", "linear") or not np.isfinite(value.X_JJ).all():
        raise StageError(
            f"the frame of joint '{joint.name}' cannot be moved: it must be finite, and the joint "
            f"the only degree of freedom of {joint.prim}"
        )
    from pxr import Vt

    held = [prim.GetRelationship(f"physics:body{side}").GetTargets() for side in (0, 1)]
    side = 1 if held[0] and held[0][0].HasPrefix(child) else 0
    position, rotation = (f"physics:local{part}{side}" for part in ("Pos", "Rot"))
    p, wxyz = read_exact(prim, position, (3,)), read_exact(prim, rotation, (4,))
    R = np.eye(3) if wxyz is None or not wxyz.any() else from_quaternion(wxyz)
    scale = np.full(3, transforms.units.length_m)
    if held[side]:
        scale *= transforms.frame(prim.GetStage().GetPrimAtPath(held[side][0]))[1]
    moved = (np.zeros(3) if p is None else p) + R @ value.X_JJ[:3, 3] / scale
    turned = to_quaternion(R @ value.X_JJ[:3, :3])
    for name, what, std in ((position, moved, value.std_m), (rotation, turned, value.std_rad)):
        deviation = None if std is None else Vt.DoubleArray([float(x) for x in std])
        _annotate(write_exact(prim, name, what, always=True), deviation, value.method, value.n)


def write_body(prim: Any, name: str, value: InertialValue, transforms: Transforms) -> None:
    """Write a body's mass properties to its prim.

    Raises:
        StageError: They are not finite, or the mass is negative.
    """
    from pxr import UsdPhysics, Vt

    inertial, std, units = value.value, value.std, transforms.units
    numbers = [inertial.mass_kg, *inertial.com_m, *inertial.inertia_kgm2.ravel()]
    if not np.isfinite(numbers).all() or inertial.mass_kg < 0:
        raise StageError(f"the inertial of body '{name}' must be finite, with a mass of 0 or more")
    scale = transforms.frame(prim)[1]
    UsdPhysics.MassAPI.Apply(prim)
    write_inertial(prim, inertial, scale, units)
    deviations: dict[str, Any] = {"physics:mass": None, "physics:centerOfMass": None}
    deviations["newton:inertia"] = None
    if std is not None:
        deviations["physics:mass"] = std.mass_kg / units.mass_kg
        com = std.com_m / np.abs(scale * units.length_m)
        deviations["physics:centerOfMass"] = Vt.DoubleArray([float(c) for c in com])
        deviations["newton:inertia"] = Vt.DoubleArray(
            six_numbers(std.inertia_kgm2 / units.inertia_kgm2)
        )
    for attribute, deviation in deviations.items():
        _annotate(prim.GetAttribute(attribute), deviation, value.method, value.n)


def write_contact(prim: Any, body: Body, value: Value) -> None:
    """Give a body's colliders a friction of their own; see `contact.write_friction`."""
    _annotate(write_friction(prim, body, value.value), value.std, value.method, value.n)


def _annotate(attribute: Any, std: Any, method: str, n: int | None) -> None:
    data = {"standard_deviation": std, "method": method or None, "n": n}
    known = {key: value for key, value in data.items() if value is not None}
    if known:
        attribute.SetCustomDataByKey(CUSTOM_DATA, known)
