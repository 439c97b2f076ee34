"""Layers that Kinetwin writes: the rig of a run, what was identified, where things stood.

A rig is a root layer: `subLayers = [calibration …, scene]` with the robot mounted at /World/robot.
Overrides are `over`s on the robot's prims: the asset itself stays untouched, and muting the layer
gives the nominal robot back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from jaxtyping import Float

from envs.errors import StageError, unknown
from envs.frames import Pose, from_quaternion, to_quaternion
from envs.stage.attributes import CUSTOM_DATA, JOINT_FIELDS, read_exact, write_exact
from envs.stage.contact import write_friction
from envs.stage.guard import asset_root, check_layers
from envs.stage.joints import SIGNED
from envs.stage.mass import six_numbers, write_inertial
from envs.stage.opening import new_stage, open_stage
from envs.stage.reader import read_stage
from envs.stage.scene import Inertial, Joint
from envs.stage.traversal import Transforms
from envs.stage.units import Units, read_units

ROBOT = "/World/robot"
"""Where the robot is mounted in every composed stage."""

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


def write_rig(
    path: Path, *, scene: Path | None, robot: Path, sublayers: Sequence[Path] = ()
) -> Path:
    """Write the root layer of a run and check that it composes.

    Args:
        path: The .usda to write.
        scene: The stage around the robot; its own robot, if any, is replaced. None for a robot
            alone with gravity.
        robot: The robot's interface layer.
        sublayers: Override layers, strongest first.

    Returns:
        The path.

    Raises:
        StageError: A layer is missing, reads outside its asset root or is too large, or they do
            not compose.
    """
    from pxr import Sdf, UsdPhysics

    below = [*sublayers, *([] if scene is None else [scene])]
    for layer in (*below, robot):
        if not layer.is_file():
            raise StageError(f"layer not found: {layer}")
    for layer in sublayers:  # may come from a stranger; the others are the catalog's
        check_layers(layer, asset_root(layer))
    folder = path.resolve().parent

    def asset(layer: Path) -> str:
        relative = Path(relpath(layer.resolve(), folder)).as_posix()
        return relative if relative.startswith("../") else f"./{relative}"

    with _whole(path) as temporary:
        stage = new_stage(temporary, "World")
        stage.DefinePrim("/World", "Xform")
        if scene is None:
            UsdPhysics.Scene.Define(stage, "/World/physics")
        mounted = stage.DefinePrim(ROBOT, "Xform")
        # Explicit, so that it takes the place of the scene's own robot instead of joining it.
        mounted.GetReferences().SetReferences([Sdf.Reference(asset(robot))])
        mounted.GetPayloads().SetPayloads([])
        # Last: the scene's own robot, which may never have been built, is not even looked for.
        stage.GetRootLayer().subLayerPaths = [asset(layer) for layer in below]
        stage.GetRootLayer().Save()
        open_stage(temporary)
    return path


def write_overrides(
    path: Path,
    *,
    stage: Path,
    joints: Mapping[str, Mapping[str, Value]],
    bodies: Mapping[str, Mapping[str, InertialValue]] | None = None,
    frames: Mapping[str, FrameValue] | None = None,
    friction: Mapping[str, Value] | None = None,
    metadata: Mapping[str, str | float | int] | None = None,
) -> Path:
    """Write identified values as a layer of `over`s that goes above `stage`.

    Each value goes to the attribute that is read first for its field, in that attribute's unit. The
    attribute's customData["twin"] carries standard_deviation (in the attribute's unit), method
    and n.

    Args:
        path: The .usda to write.
        stage: The stage that holds the robot; values are checked against it.
        joints: Joint name → field (one of OVERRIDABLE) → value.
        bodies: Body name → {"inertial": value}.
        frames: Joint name → how its frame in the parent moves.
        friction: Body name → friction of all its colliders, at rest and in sliding. It goes to a
            physics material of the body's own, so that others which share its old one keep it.
        metadata: Goes to the layer's customLayerData["twin"]: hashes, versions, date.

    Returns:
        The path.

    Raises:
        StageError: A target is not in the stage or lies under an instance, where USD would drop the
            override in silence; or a value is not finite or of the wrong sign.
    """
    from pxr import Sdf, Usd

    scene, usd = read_stage(stage), open_stage(stage)
    robot, units = scene.robot, read_units(usd, str(stage))
    layer = Sdf.Layer.CreateAnonymous(".usda")
    usd.GetSessionLayer().subLayerPaths.append(layer.identifier)
    usd.SetEditTarget(Usd.EditTarget(layer))
    for name, fields in joints.items():
        joint = robot.joint(name)
        prim = _target(usd, joint.prim)
        for field, value in fields.items():
            _write_field(prim, joint, field, value, units)
    transforms = Transforms(units)
    named = {body.name: body for body in (*robot.bodies, *scene.objects, *scene.static)}
    for name, frame in (frames or {}).items():
        joint = robot.joint(name)
        _write_frame(_target(usd, joint.prim), joint, named[joint.child].prim, frame, transforms)
    for name, quantities in (bodies or {}).items():
        if name not in named:
            raise StageError(unknown("body", name, named, where="the stage"))
        prim = _target(usd, named[name].prim)
        for key, inertial in quantities.items():
            if key != "inertial":
                raise StageError(unknown("quantity", key, ["inertial"], where="a body"))
            _write_body(prim, name, inertial, transforms)
    for name, value in (friction or {}).items():
        if name not in named:
            raise StageError(unknown("body", name, named, where="the stage"))
        below = [b for b, body in named.items() if body.prim.startswith(f"{named[name].prim}/")]
        if below:
            raise StageError(f"the friction of '{name}' would be that of {', '.join(below)} too")
        attribute = write_friction(_target(usd, named[name].prim), named[name], value.value)
        _annotate(attribute, value.std, value.method, value.n)

    layer.customLayerData = {CUSTOM_DATA: dict(metadata or {})}
    _export(layer, usd, path)
    return path


def write_scenario(
    path: Path,
    *,
    stage: Path,
    poses: Mapping[str, Pose],
    metadata: Mapping[str, str | float | int] | None = None,
) -> Path:
    """Write where bodies stand as a layer of `over`s that goes above `stage`.

    It is one moment of a run: `subLayers = [scenario, calibration, scene]` opens in any USD tool
    as the twin saw it, and is read back with the same poses.

    Args:
        path: The .usda to write.
        stage: The stage that holds the bodies.
        poses: Body name → X_WB, in SI and Z-up, as a world gives them; bodies that are not named
            stay where the stage puts them.
        metadata: Goes to the layer's customLayerData["twin"]: seed, index, time.

    Returns:
        The path.

    Raises:
        StageError: A body is not in the stage or lies under an instance, or a pose is no rigid one.
    """
    from pxr import Gf, Sdf, Usd, UsdGeom

    scene, usd = read_stage(stage), open_stage(stage)
    units = read_units(usd, str(stage))
    bodies = [b for robot in scene.articulations for b in robot.bodies if b.mass_source != "none"]
    prims = {b.name: b.prim for b in (*bodies, *scene.objects, *scene.static)}
    # Nothing but the world has this name; the insides of chains have no prim of their own.
    wanted = {name: X for name, X in poses.items() if name in prims}
    known = {b.name for robot in scene.articulations for b in robot.bodies}
    for name in poses.keys() - wanted.keys() - known:
        raise StageError(unknown("body", name, prims, where="the stage"))
    layer = Sdf.Layer.CreateAnonymous(".usda")
    usd.GetSessionLayer().subLayerPaths.append(layer.identifier)
    usd.SetEditTarget(Usd.EditTarget(layer))
    # From the top down: where a prim stands depends on those above it.
    for name in sorted(wanted, key=lambda n: prims[n].count("/")):
        X_WB = np.asarray(wanted[name], float)
        R = X_WB[:3, :3]
        if not np.isfinite(X_WB).all() or np.abs(R.T @ R - np.eye(3)).max() > 1e-9:
            raise StageError(f"the pose of body '{name}' must be a finite rigid transform")
        prim, transforms = _target(usd, prims[name]), Transforms(units)
        scale = transforms.frame(prim)[1] * units.length_m
        M_WB = X_WB @ np.diag([*scale, 1.0])
        M_PB = np.linalg.inv(transforms.matrix(prim.GetParent())) @ M_WB
        xform = UsdGeom.Xformable(prim)
        xform.ClearXformOpOrder()
        operation = xform.AddTransformOp(UsdGeom.XformOp.PrecisionDouble, "scenario")
        operation.Set(Gf.Matrix4d(*M_PB.T.ravel().tolist()))
        xform.SetXformOpOrder([operation])
    layer.customLayerData = {CUSTOM_DATA: dict(metadata or {})}
    _export(layer, usd, path)
    return path


def _export(layer: Any, usd: Any, path: Path) -> None:
    """Write a layer with the units of the stage that it goes above."""
    from pxr import UsdGeom, UsdPhysics

    pseudo = layer.pseudoRoot
    pseudo.SetInfo("upAxis", UsdGeom.GetStageUpAxis(usd))
    pseudo.SetInfo("metersPerUnit", UsdGeom.GetStageMetersPerUnit(usd))
    pseudo.SetInfo("kilogramsPerUnit", UsdPhysics.GetStageKilogramsPerUnit(usd))
    with _whole(path) as temporary:
        layer.Export(str(temporary))


def _target(usd: Any, path: str) -> Any:
    prim = usd.GetPrimAtPath(path)
    if prim.IsInstanceProxy():
        raise StageError(f"{path} lies under an instance: USD would drop an override there")
    return prim


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


def _write_field(prim: Any, joint: Joint, field: str, value: Value, units: Units) -> None:
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


def _write_frame(
    prim: Any, joint: Joint, child: str, value: FrameValue, transforms: Transforms
) -> None:
    """Move a joint's frame on the side that does not hold the child."""
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


def _write_body(prim: Any, name: str, value: InertialValue, transforms: Transforms) -> None:
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


def _annotate(attribute: Any, std: Any, method: str, n: int | None) -> None:
    data = {"standard_deviation": std, "method": method or None, "n": n}
    known = {key: value for key, value in data.items() if value is not None}
    if known:
        attribute.SetCustomDataByKey(CUSTOM_DATA, known)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to, which takes its place once all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid4().hex}.usda")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
