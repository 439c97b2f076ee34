"""The physics layer of an imported robot: bodies, colliders, joints and drives."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.frames import axis_angle, to_quaternion
from envs.stage.attributes import JOINT_FIELDS, write_exact
from envs.stage.mass import write_inertial
from envs.stage.opening import new_stage
from envs.stage.scene import MASSLESS
from envs.stage.units import SI
from envs.stage.urdf_layers import Paths, define
from envs.stage.urdf_source import SourceJoint, SourceRobot


def write_physics(
    folder: Path,
    robot: SourceRobot,
    paths: Paths,
    drives: Mapping[str, tuple[float, float]],
    *,
    fixed_base: bool,
) -> None:
    """Write bodies, colliders and joints over the geometry."""
    from pxr import UsdPhysics

    stage = new_stage(folder / "physics.usda", paths.name)
    stage.GetRootLayer().subLayerPaths = ["./materials.usda", "./geometry.usdc"]
    root = stage.OverridePrim(paths.root)
    UsdPhysics.ArticulationRootAPI.Apply(root)
    for link in robot.links:
        prim = stage.OverridePrim(paths.links[link.name])
        UsdPhysics.RigidBodyAPI.Apply(prim)
        UsdPhysics.MassAPI.Apply(prim)
        prim.AddAppliedSchema("NewtonMassAPI")
        write_inertial(prim, link.inertial or MASSLESS, np.ones(3), SI)
        for i, shape in enumerate(link.colliders):
            collider = stage.OverridePrim(f"{prim.GetPath()}/colliders/shape_{i}")
            UsdPhysics.CollisionAPI.Apply(collider)
            if shape.kind == "mesh":
                api = UsdPhysics.MeshCollisionAPI.Apply(collider)
                api.CreateApproximationAttr(UsdPhysics.Tokens.convexHull)
    stage.DefinePrim(f"{paths.root}/joints", "Scope")
    if fixed_base:
        # To the asset's root, not to the world, so that the robot can be mounted anywhere.
        base = UsdPhysics.FixedJoint.Define(stage, f"{paths.root}/base_joint")
        base.CreateBody0Rel().SetTargets([paths.root])
        base.CreateBody1Rel().SetTargets([paths.links[robot.root]])
    for joint in robot.joints:
        _write_joint(stage, joint, robot, paths, drives.get(joint.name))
    stage.GetRootLayer().Save()


def _write_joint(
    stage: Any,
    joint: SourceJoint,
    robot: SourceRobot,
    paths: Paths,
    drive: tuple[float, float] | None,
) -> None:
    from pxr import UsdPhysics

    angular = joint.kind == "revolute"
    schema = {
        "revolute": "PhysicsRevoluteJoint",
        "prismatic": "PhysicsPrismaticJoint",
        "fixed": "PhysicsFixedJoint",
    }[joint.kind]
    prim = define(stage, paths.joints[joint.name], schema, joint.name)
    usd = UsdPhysics.Joint(prim)
    usd.CreateBody0Rel().SetTargets([paths.links[joint.parent]])
    usd.CreateBody1Rel().SetTargets([paths.links[joint.child]])
    token, R_CJ = joint_axis(joint.axis)
    write_exact(prim, "physics:localPos0", joint.X_PC[:3, 3])
    write_exact(prim, "physics:localRot0", to_quaternion(joint.X_PC[:3, :3] @ R_CJ))
    write_exact(prim, "physics:localPos1", np.zeros(3))
    write_exact(prim, "physics:localRot1", to_quaternion(R_CJ))
    if joint.kind == "fixed":
        return
    prim.GetAttribute("physics:axis").Set(token)
    dof = "angular" if angular else "linear"
    values = {
        "lower": joint.lower,
        "upper": joint.upper,
        "velocity_limit": joint.velocity,
        "friction.coulomb": joint.friction,
        "friction.viscous": joint.damping,
        "effort_limit": joint.effort,
        "drive.stiffness": None if drive is None else drive[0],
        "drive.damping": None if drive is None else drive[1],
    }
    prim.AddAppliedSchema("NewtonJointAPI")
    if joint.effort is not None or drive is not None:
        UsdPhysics.DriveAPI.Apply(prim, dof).CreateTypeAttr("force")
    for field, value in values.items():
        if value is None or not isfinite(value):
            continue
        candidate = JOINT_FIELDS[field][0]
        factor = SI.joint_factor(candidate.quantity, angular=angular)
        write_exact(prim, candidate.attribute.format(dof=dof), value / factor)
    if joint.mimic is not None:
        _write_mimic(prim, joint, robot, paths)


def _write_mimic(prim: Any, joint: SourceJoint, robot: SourceRobot, paths: Paths) -> None:
    """Author NewtonMimicAPI: q = coef0 + coef1·q_leader, in degrees where the joint turns."""
    assert joint.mimic is not None
    leader, multiplier, offset = joint.mimic
    own = SI.joint_factor("position", angular=joint.kind == "revolute")
    other = next(j for j in robot.joints if j.name == leader)
    ratio = SI.joint_factor("position", angular=other.kind == "revolute") / own
    prim.AddAppliedSchema("NewtonMimicAPI")
    prim.CreateRelationship("newton:mimicJoint", custom=False).SetTargets([paths.joints[leader]])
    write_exact(prim, "newton:mimicCoef0", offset / own)
    write_exact(prim, "newton:mimicCoef1", multiplier * ratio)


def joint_axis(axis: Float[np.ndarray, "3"]) -> tuple[str, Float[np.ndarray, "3 3"]]:
    """Return the USD axis of a joint, and the joint frame in the child that makes it so."""
    for i, token in enumerate("XYZ"):
        unit = np.eye(3)[i]
        if np.array_equal(axis, unit):
            return token, np.eye(3)
        if np.array_equal(axis, -unit):
            # Half a turn about the next axis.
            return token, np.diag(2 * np.eye(3)[(i + 1) % 3] - 1)
    normal = np.cross([1.0, 0.0, 0.0], axis)
    sine = np.linalg.norm(normal)
    return "X", axis_angle(normal / sine, np.asarray(np.arctan2(sine, axis[0])))
