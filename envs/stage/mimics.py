"""Joints that follow another one: NewtonMimicAPI and PhysxMimicJointAPI."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.errors import StageError
from envs.stage.attributes import applied, authored, read_exact
from envs.stage.diagnostics import Diagnostics
from envs.stage.joints import Dof, JointPrim
from envs.stage.units import Units

Key = tuple[str, str]
"""A degree of freedom: path of its prim, and its `Dof.name`."""


@dataclass(frozen=True)
class _Mimic:
    """q = offset + multiplier·q_leader, in the stage's units.

    Attributes:
        follower: The degree of freedom that follows, where the prim has several.
        leader: Path of the leading joint.
        leader_dof: Which degree of freedom leads, where that prim has several.
    """

    follower: str
    leader: str
    leader_dof: str
    multiplier: float
    offset: float


def read_mimics(
    joints: Mapping[str, JointPrim], units: Units, notes: Diagnostics
) -> dict[Key, tuple[Key, float, float]]:
    """Return what follows what: (leader, multiplier, offset), in SI.

    Args:
        joints: Path → joint.
        units: The stage's.
        notes: Gets what cannot be read.

    Raises:
        StageError: A leading joint is not there, or joints follow each other in a circle.
    """
    mimics: dict[Key, tuple[Key, float, float]] = {}
    for path, joint in joints.items():
        for mimic in _authored(joint.prim) if joint.dofs else ():
            if mimic.leader not in joints or not joints[mimic.leader].dofs:
                raise StageError(
                    f"{path}: follows {mimic.leader}, which is no movable joint of the stage"
                )
            if not np.isfinite([mimic.multiplier, mimic.offset]).all():
                raise StageError(f"{path}: follows {mimic.leader} by numbers that are not finite")
            own = _chosen(joint, mimic.follower)
            leader = _chosen(joints[mimic.leader], mimic.leader_dof)
            if own is None or leader is None:
                notes.add(
                    "refused",
                    path,
                    f"follows {mimic.leader}, but which degree of freedom is not clear; left out",
                )
                continue
            unit = units.joint_factor("position", angular=own.kind == "revolute")
            ratio = unit / units.joint_factor("position", angular=leader.kind == "revolute")
            mimics[path, own.name] = (
                (mimic.leader, leader.name),
                mimic.multiplier * ratio,
                mimic.offset * unit,
            )
    for start in mimics:
        at, seen = start, {start}
        while at in mimics:
            at = mimics[at][0]
            if at in seen:
                raise StageError(f"{start[0]}: joints follow each other in a circle")
            seen.add(at)
    return mimics


def _chosen(joint: JointPrim, name: str) -> Dof | None:
    if len(joint.dofs) == 1:
        return joint.dofs[0]
    return next((dof for dof in joint.dofs if dof.name == name), None)


def _authored(prim: Any) -> list[_Mimic]:
    newton = _newton(prim)
    return [newton] if newton is not None else _physx(prim)


def _newton(prim: Any) -> _Mimic | None:
    """Read NewtonMimicAPI: q = coef0 + coef1·q_leader."""
    targets = prim.GetRelationship("newton:mimicJoint").GetTargets()
    if not targets or authored(prim, "newton:mimicEnabled") is False:
        return None
    offset, multiplier = (read_exact(prim, f"newton:mimicCoef{i}") for i in (0, 1))
    return _Mimic(
        "",
        str(targets[0]),
        "",
        1.0 if multiplier is None else float(multiplier),
        0.0 if offset is None else float(offset),
    )


def _physx(prim: Any) -> list[_Mimic]:
    """Read PhysxMimicJointAPI: q = −gearing·q_leader − offset."""
    mimics = []
    for schema in applied(prim):
        if not schema.startswith("PhysxMimicJointAPI:"):
            continue
        instance = schema.split(":", 1)[1]
        prefix = f"physxMimicJoint:{instance}:"
        targets = prim.GetRelationship(f"{prefix}referenceJoint").GetTargets()
        if targets:
            gearing, offset = (read_exact(prim, prefix + key) for key in ("gearing", "offset"))
            multiplier = -1.0 if gearing is None else -float(gearing)  # the schema's default is 1
            axis = str(authored(prim, prefix + "referenceJointAxis") or "")
            leader = str(targets[0])
            shift = 0.0 if offset is None else -float(offset)
            mimics.append(_Mimic(instance, leader, axis, multiplier, shift))
    return mimics
