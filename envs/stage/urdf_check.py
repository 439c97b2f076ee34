"""Does an imported robot say what its URDF says? Compared link by link and joint by joint."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import StageError
from envs.frames import inverse
from envs.stage.scene import MASSLESS, Body, Joint, Scene, Shape
from envs.stage.urdf_source import SourceJoint, SourceLink, SourceRobot

# Values come back from float64 attributes: only unit factors and quaternions round.
_RELATIVE = 1e-12
_ABSOLUTE = 1e-14


def compare(robot: SourceRobot, scene: Scene, drives: Mapping[str, tuple[float, float]]) -> None:
    """Refuse an asset that differs from its source.

    Args:
        robot: The source.
        scene: What was read back from the asset.
        drives: Stiffness and damping that were asked for.

    Raises:
        StageError: Naming all differences.
    """
    found = scene.robot
    bodies = {b.name: b for b in found.bodies}
    joints = {j.name: j for j in found.joints}
    differences = [
        *_names("link", [link.name for link in robot.links], list(bodies)),
        *_names("joint", [j.name for j in robot.joints], list(joints)),
    ]
    if not differences:
        differences += [d for link in robot.links for d in _link(link, bodies[link.name])]
        differences += [
            d for j in robot.joints for d in _joint(j, joints[j.name], drives.get(j.name))
        ]
    if differences:
        raise StageError(
            f"the import of '{robot.name}' differs from its URDF: {'; '.join(differences)}"
        )


def _names(kind: str, wanted: list[str], found: list[str]) -> list[str]:
    if sorted(wanted) == sorted(found):
        return []
    return [f"{kind}s are {', '.join(found)}, not {', '.join(wanted)}"]


def _differ(what: str, wanted: Any, found: Any) -> list[str]:
    wanted, found = np.asarray(wanted, float), np.asarray(found, float)
    if wanted.shape == found.shape and np.allclose(found, wanted, rtol=_RELATIVE, atol=_ABSOLUTE):
        return []
    return [f"{what} is {found.tolist()}, not {wanted.tolist()}"]


def _link(link: SourceLink, body: Body) -> list[str]:
    name, inertial = f"link '{link.name}'", link.inertial or MASSLESS
    differences = [
        *_differ(f"mass of {name}", inertial.mass_kg, body.inertial.mass_kg),
        *_differ(f"centre of mass of {name}", inertial.com_m, body.inertial.com_m),
        *_differ(f"inertia of {name}", inertial.inertia_kgm2, body.inertial.inertia_kgm2),
        *_differ(f"number of colliders of {name}", len(link.colliders), len(body.colliders)),
        # A mesh with several materials is read as several shapes below one prim.
        *_differ(f"number of visuals of {name}", len(link.visuals), len(_prims(body.visuals))),
    ]
    if not differences:
        for source, shape in zip(link.colliders, body.colliders, strict=True):
            if source.kind == shape.kind != "mesh":
                differences += _differ(f"collider of {name}", source.size, shape.size)
                differences += _differ(f"collider pose of {name}", source.X_LS, shape.X_BS)
    return differences


def _prims(shapes: tuple[Shape, ...]) -> set[str]:
    return {s.prim.split("/visuals/", 1)[1].split("/")[0] for s in shapes}


def _joint(source: SourceJoint, joint: Joint, asked: tuple[float, float] | None) -> list[str]:
    name = f"joint '{source.name}'"
    if (source.kind, source.parent, source.child) != (joint.kind, joint.parent, joint.child):
        return [f"{name} is {joint.kind} from {joint.parent} to {joint.child}"]
    X_PC = joint.X_PJ @ inverse(joint.X_CJ)
    differences = _differ(f"origin of {name}", source.X_PC, X_PC)
    if source.kind == "fixed":
        return differences
    axis = joint.X_CJ[:3, :3] @ joint.axis
    mimic = source.mimic[1:] if source.mimic is not None else ()
    stiffness, damping = asked or (0.0, 0.0)
    drive = joint.drive
    pairs = {
        "axis": (source.axis, axis),
        "lower limit": (source.lower, joint.lower),
        "upper limit": (source.upper, joint.upper),
        "velocity limit": (_or(source.velocity, np.inf), joint.velocity_limit),
        "effort limit": (_or(source.effort, np.inf), joint.effort_limit),
        "damping": (_or(source.damping, 0.0), joint.friction.viscous),
        "friction": (_or(source.friction, 0.0), joint.friction.coulomb),
        "mimic": (mimic, joint.mimic[1:] if joint.mimic is not None else ()),
        "drive": ((stiffness, damping), (drive.stiffness, drive.damping) if drive else (0.0, 0.0)),
    }
    for what, (wanted, found) in pairs.items():
        differences += _differ(f"{what} of {name}", wanted, found)
    leader = source.mimic[0] if source.mimic is not None else None
    if (joint.mimic[0] if joint.mimic is not None else None) != leader:
        differences.append(f"{name} follows another joint than '{leader}'")
    return differences


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
