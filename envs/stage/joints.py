"""Joint prims to joints: frames on both sides, and values by the schema that speaks first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from envs.errors import StageError
from envs.frames import Pose, from_quaternion, pose
from envs.stage.attributes import JOINT_FIELDS, authored, read_exact
from envs.stage.scene import Drive, Friction, JointKind
from envs.stage.traversal import JOINTS, BodyPrim, Transforms, applied
from envs.stage.units import Units

_AXES = {"X": np.array([1.0, 0, 0]), "Y": np.array([0, 1.0, 0]), "Z": np.array([0, 0, 1.0])}


@dataclass(frozen=True)
class JointEnd:
    """One side of a joint: the body it holds ("" for the world) and the joint frame in it."""

    body: str
    X_EJ: Pose


@dataclass(frozen=True)
class JointPrim:
    """A joint prim as it stands, before it is known which side is the parent.

    Attributes:
        framed: Whether a joint frame is authored at all.
        values: The fields of `scene.Joint` that it tells.
    """

    prim: Any
    kind: JointKind
    ends: tuple[JointEnd, JointEnd]
    axis: Any
    framed: bool
    values: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Path of the prim."""
        return str(self.prim.GetPath())


def read_joint(
    prim: Any, bodies: Mapping[str, BodyPrim], transforms: Transforms
) -> JointPrim | None:
    """Return a joint, or None where it is switched off.

    Raises:
        StageError: The joint's type is not supported, or it holds something that is not there.
    """
    type_name = str(prim.GetTypeName())
    if authored(prim, "physics:jointEnabled") is False:
        return None
    if type_name not in JOINTS:
        raise StageError(
            f"{prim.GetPath()}: joints of type {type_name} are not supported; "
            f"allowed are: {', '.join(JOINTS)}"
        )
    kind = cast(JointKind, JOINTS[type_name])
    first, second = (_end(prim, side, bodies, transforms) for side in (0, 1))
    if first.body == second.body:
        raise StageError(
            f"{prim.GetPath()}: both sides of the joint hold '{first.body or 'nothing'}'"
        )
    framed = any(
        authored(prim, f"physics:local{part}{side}") is not None
        for part in ("Pos", "Rot")
        for side in (0, 1)
    )
    axis = _AXES[str(prim.GetAttribute("physics:axis").Get())] if kind != "fixed" else _AXES["X"]
    values = {} if kind == "fixed" else read_values(prim, kind, transforms.units)
    return JointPrim(prim, kind, (first, second), axis, framed, values)


def _end(
    prim: Any, side: Literal[0, 1], bodies: Mapping[str, BodyPrim], transforms: Transforms
) -> JointEnd:
    position = read_exact(prim, f"physics:localPos{side}")
    rotation = read_exact(prim, f"physics:localRot{side}")
    p = np.zeros(3) if position is None else position
    R = np.eye(3) if rotation is None or not rotation.any() else from_quaternion(rotation)
    targets = prim.GetRelationship(f"physics:body{side}").GetTargets()
    units = transforms.units
    if not targets:
        return JointEnd("", units.world_pose(R, p))
    held = prim.GetStage().GetPrimAtPath(targets[0])
    if len(targets) > 1 or not held:
        named = ", ".join(str(t) for t in targets)
        raise StageError(f"{prim.GetPath()}: physics:body{side} must name one prim, not {named}")
    # A prim that is no body moves with the nearest body above it, else it stands in the world.
    above = held
    while above and str(above.GetPath()) not in bodies:
        above = above.GetParent()
    if above == held:
        body = bodies[str(held.GetPath())]
        return JointEnd(str(held.GetPath()), pose(R, p * body.scale * units.length_m))
    X_WH, scale = transforms.frame(held)
    X_WJ = X_WH @ pose(R, p * scale * units.length_m)
    if not above:
        return JointEnd("", X_WJ)
    owner = bodies[str(above.GetPath())]
    return JointEnd(str(above.GetPath()), np.linalg.inv(owner.X_WB) @ X_WJ)


def read_values(prim: Any, kind: JointKind, units: Units) -> dict[str, Any]:
    """Return limits, drive, friction and the rest of a movable joint, with their sources."""
    angular = kind == "revolute"
    dof = "angular" if angular else "linear"
    found: dict[str, float] = {}
    sources: dict[str, str] = {}
    for field, candidates in JOINT_FIELDS.items():
        for candidate in candidates:
            value = read_exact(prim, candidate.attribute.format(dof=dof))
            if value is None or (value.ndim == 0 and np.isnan(value)):
                continue
            factor = units.joint_factor(candidate.quantity, angular=angular)
            found[field], sources[field] = float(value) * factor, candidate.schema
            break
    lower, upper = found.get("lower", -np.inf), found.get("upper", np.inf)
    if lower > upper:
        raise StageError(
            f"{prim.GetPath()}: the lower limit {lower:g} lies above the upper one {upper:g}"
        )
    for field, number in found.items():
        if field not in ("lower", "upper", "torque_offset") and number < 0:
            raise StageError(f"{prim.GetPath()}: {field} must not be negative, found {number:g}")
    effort = found.get("effort_limit", np.inf)
    stiffness, damping = found.get("drive.stiffness", 0.0), found.get("drive.damping", 0.0)
    default = Friction()
    return {
        "lower": lower,
        "upper": upper,
        "velocity_limit": found.get("velocity_limit", np.inf),
        "effort_limit": effort,
        "armature": found.get("armature", 0.0),
        "friction": Friction(
            coulomb=found.get("friction.coulomb", default.coulomb),
            viscous=found.get("friction.viscous", default.viscous),
            stribeck=found.get("friction.stribeck", default.stribeck),
            stribeck_velocity=found.get("friction.stribeck_velocity", default.stribeck_velocity),
        ),
        "drive": Drive(stiffness, damping, effort) if stiffness > 0 or damping > 0 else None,
        "delay_s": found.get("delay_s", 0.0),
        "torque_offset": found.get("torque_offset", 0.0),
        "sources": {field: sources.get(field, "default") for field in JOINT_FIELDS},
    }


def read_mimic(
    joint: JointPrim, kinds: Mapping[str, JointKind], units: Units
) -> tuple[str, float, float] | None:
    """Return (path of the leading joint, multiplier, offset) in SI, or None.

    Args:
        joint: The joint that follows.
        kinds: Path → kind of the movable joints.
        units: The stage's.

    Raises:
        StageError: The leading joint is not there.
    """
    prim = joint.prim
    mimic = _newton_mimic(prim) or _physx_mimic(prim)
    if mimic is None:
        return None
    leader, multiplier, offset, angular_offset = mimic
    if leader not in kinds:
        raise StageError(f"{joint.path}: follows {leader}, which is no movable joint of the stage")
    own = units.joint_factor("position", angular=joint.kind == "revolute")
    ratio = own / units.joint_factor("position", angular=kinds[leader] == "revolute")
    return leader, multiplier * ratio, offset * (own if angular_offset else 1.0)


def _newton_mimic(prim: Any) -> tuple[str, float, float, bool] | None:
    """Read NewtonMimicAPI: q = coef0 + coef1·q_leader, in the stage's units."""
    targets = prim.GetRelationship("newton:mimicJoint").GetTargets()
    if not targets or authored(prim, "newton:mimicEnabled") is False:
        return None
    offset, multiplier = (read_exact(prim, f"newton:mimicCoef{i}") for i in (0, 1))
    return (
        str(targets[0]),
        1.0 if multiplier is None else float(multiplier),
        0.0 if offset is None else float(offset),
        True,
    )


def _physx_mimic(prim: Any) -> tuple[str, float, float, bool] | None:
    """Read PhysxMimicJointAPI: q = −gearing·q_leader − offset, in the stage's units."""
    for schema in applied(prim):
        if not schema.startswith("PhysxMimicJointAPI:"):
            continue
        prefix = f"physxMimicJoint:{schema.split(':', 1)[1]}:"
        targets = prim.GetRelationship(f"{prefix}referenceJoint").GetTargets()
        if targets:
            gearing, offset = (authored(prim, prefix + key) for key in ("gearing", "offset"))
            gearing = 1.0 if gearing is None else gearing  # the schema's default
            return str(targets[0]), -float(gearing), -float(offset or 0.0), True
    return None
