"""Joint prims to joints: frames on both sides, and values by the schema that speaks first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import Pose, from_quaternion, pose
from envs.stage.attributes import FARTHEST, JOINT_FIELDS, authored, choice, read_exact
from envs.stage.diagnostics import Diagnostics
from envs.stage.scene import FREEDOMS, Drive, Freedom, Friction, JointKind, Servo
from envs.stage.traversal import BodyPrim, Transforms
from envs.stage.units import Units

SIGNED = ("torque_offset", "encoder_offset", "friction.asymmetry")
"""Fields of a joint, beside its limits, that may be negative."""
AXES = {"X": np.array([1.0, 0, 0]), "Y": np.array([0, 1.0, 0]), "Z": np.array([0, 0, 1.0])}
_FINITE = frozenset(JOINT_FIELDS) - {"lower", "upper", "velocity_limit", "effort_limit"}
SUPPORTED = (
    "PhysicsRevoluteJoint",
    "PhysicsPrismaticJoint",
    "PhysicsFixedJoint",
    "PhysicsSphericalJoint",
    "PhysicsJoint",
)


@dataclass(frozen=True)
class JointEnd:
    """One side of a joint: the body it holds ("" for the world) and the joint frame in it."""

    body: str
    X_EJ: Pose


@dataclass(frozen=True)
class Dof:
    """One degree of freedom of a joint prim.

    Attributes:
        freedom: Its direction in the joint frame.
        name: What USD calls it, see `scene.Joint.dof`.
        values: The fields of `scene.Joint` that the prim tells of it.
    """

    freedom: Freedom
    name: str
    values: Mapping[str, Any]

    @property
    def kind(self) -> JointKind:
        """Whether it turns or slides."""
        return "revolute" if self.freedom.startswith("rot") else "prismatic"

    @property
    def axis(self) -> Float[np.ndarray, "3"]:
        """Its unit axis in the joint frame."""
        return AXES[self.freedom[-1]]


@dataclass(frozen=True)
class JointPrim:
    """A joint prim as it stands, before it is known which side is the parent.

    Attributes:
        dofs: In the order in which they move; none for a fixed joint.
        framed: Whether a joint frame is authored at all.
        excluded: Whether the stage keeps it out of the tree (`excludeFromArticulation`).
    """

    prim: Any
    ends: tuple[JointEnd, JointEnd]
    dofs: tuple[Dof, ...]
    framed: bool
    excluded: bool

    @property
    def path(self) -> str:
        """Path of the prim."""
        return str(self.prim.GetPath())


def read_joint(
    prim: Any, bodies: Mapping[str, BodyPrim], transforms: Transforms, notes: Diagnostics
) -> JointPrim | None:
    """Return a joint, or None where it is switched off or of a type that is not supported.

    Raises:
        StageError: The joint holds something that is not there, or a value is nonsense.
    """
    type_name = str(prim.GetTypeName())
    if authored(prim, "physics:jointEnabled") is False:
        return None
    if type_name not in SUPPORTED:
        notes.add(
            "refused",
            prim,
            f"joints of type {type_name} are not supported, this one is left out; "
            f"supported are: {', '.join(SUPPORTED)}",
        )
        return None
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
    excluded = authored(prim, "physics:excludeFromArticulation") is True
    dofs = _dofs(prim, type_name, transforms.units, notes)
    return JointPrim(prim, (first, second), dofs, framed, excluded)


def _dofs(prim: Any, type_name: str, units: Units, notes: Diagnostics) -> tuple[Dof, ...]:
    if type_name == "PhysicsFixedJoint":
        return ()
    if type_name in ("PhysicsRevoluteJoint", "PhysicsPrismaticJoint"):
        axis, turns = choice(prim, "physics:axis", AXES), "Rev" in type_name
        freedom: Freedom = f"{'rot' if turns else 'trans'}{axis}"  # type: ignore[assignment]
        name = "angular" if turns else "linear"
        return (Dof(freedom, name, read_values(prim, name, units, notes)),)
    free: list[Freedom] = []
    for freedom in FREEDOMS:
        low, high = (read_exact(prim, f"limit:{freedom}:physics:{end}") for end in ("low", "high"))
        # UsdPhysics: a lower limit above the upper one locks a direction; equal ones leave no room.
        locked = low is not None and high is not None and bool(low >= high)
        if type_name == "PhysicsSphericalJoint":
            locked = freedom.startswith("trans")
        if not locked:
            free.append(freedom)
    if type_name == "PhysicsSphericalJoint":
        for end in (0, 1):
            cone = read_exact(prim, f"physics:coneAngle{end}Limit")
            if cone is not None and cone >= 0:
                notes.add("refused", prim, f"physics:coneAngle{end}Limit {cone:g} is not read")
    if sum(freedom.startswith("rot") for freedom in free) > 1:
        turns_about = ", ".join(f[-1] for f in free if f.startswith("rot"))
        notes.add(
            "approximated",
            prim,
            f"its turns are coordinates about the axes {turns_about}, one after the other",
        )
    return tuple(Dof(f, f, read_values(prim, f, units, notes)) for f in free)


def _end(
    prim: Any, side: Literal[0, 1], bodies: Mapping[str, BodyPrim], transforms: Transforms
) -> JointEnd:
    position = read_exact(prim, f"physics:localPos{side}", (3,))
    rotation = read_exact(prim, f"physics:localRot{side}", (4,))
    # A NaN is not at most anything.
    if not all(v is None or (np.abs(v) <= FARTHEST).all() for v in (position, rotation)):
        raise StageError(f"{prim.GetPath()}: the joint frame in body {side} is not finite")
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


def read_values(prim: Any, dof: str, units: Units, notes: Diagnostics) -> dict[str, Any]:
    """Return limits, drive, friction and the rest of one degree of freedom, with their sources.

    Raises:
        StageError: A limit or a value is nonsense.
    """
    angular = dof == "angular" or dof.startswith("rot")
    found: dict[str, float] = {}
    sources: dict[str, str] = {}
    for field, candidates in JOINT_FIELDS.items():
        for candidate in candidates:
            value = read_exact(prim, candidate.attribute.format(dof=dof))
            if value is None or np.isnan(value):
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
        if field not in ("lower", "upper", *SIGNED) and number < 0:
            raise StageError(f"{prim.GetPath()}: {field} must not be negative, found {number:g}")
        if field in _FINITE and not np.isfinite(number):
            raise StageError(f"{prim.GetPath()}: {field} must be finite, found {number:g}")
    effort = found.get("effort_limit", np.inf)
    stiffness, damping = found.get("drive.stiffness", 0.0), found.get("drive.damping", 0.0)
    driven = stiffness > 0 or damping > 0
    if driven and authored(prim, f"drive:{dof}:physics:type") == "acceleration":
        notes.add(
            "approximated",
            prim,
            f"the drive '{dof}' is one of acceleration; its stiffness and damping are read as "
            "those of a force",
        )
    default = Friction()
    motor = {key[6:]: value for key, value in found.items() if key.startswith("servo.")}
    if motor and not {"torque_constant", "resistance"} <= set(motor):
        raise StageError(
            f"{prim.GetPath()}: a servo needs twin:torqueConstant and twin:windingResistance"
        )
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
            asymmetry=found.get("friction.asymmetry", default.asymmetry),
            load=found.get("friction.load", default.load),
        ),
        "drive": Drive(stiffness, damping, effort) if driven else None,
        "delay_s": found.get("delay_s", 0.0),
        "torque_offset": found.get("torque_offset", 0.0),
        "spring": found.get("spring", 0.0),
        "torque_lag_s": found.get("torque_lag_s", 0.0),
        "drive_gain": found.get("drive_gain", 0.0),
        "encoder_offset": found.get("encoder_offset", 0.0),
        "servo": Servo(**motor) if motor else None,
        "sources": {field: sources.get(field, "default") for field in JOINT_FIELDS},
    }
