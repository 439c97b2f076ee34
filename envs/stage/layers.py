"""Layers that Kinetwin writes: the rig of a run, what was identified, where things stood.

A rig is a root layer: `subLayers = [calibration …, scene]` with the robot mounted at /World/robot.
Overrides are `over`s on the robot's prims: the asset itself stays untouched, and muting the layer
gives the nominal robot back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from envs.errors import StageError, unknown
from envs.frames import Pose
from envs.stage.attributes import CUSTOM_DATA
from envs.stage.guard import asset_root, check_layers
from envs.stage.identified import (
    FrameValue,
    InertialValue,
    Value,
    write_body,
    write_contact,
    write_field,
    write_frame,
)
from envs.stage.opening import new_stage, open_stage
from envs.stage.reader import read_stage
from envs.stage.traversal import Transforms
from envs.stage.units import read_units

ROBOT = "/World/robot"
"""Where the robot is mounted in every composed stage."""


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

    Each value goes to the attribute that is read first for its field, in that attribute's unit,
    with what is known of how it was found (see `identified`).

    Args:
        path: The .usda to write.
        stage: The stage that holds the robot; values are checked against it.
        joints: Joint name → field (one of `identified.OVERRIDABLE`) → value.
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
            write_field(prim, joint, field, value, units)
    transforms = Transforms(units)
    named = {body.name: body for body in (*robot.bodies, *scene.objects, *scene.static)}
    for name, frame in (frames or {}).items():
        joint = robot.joint(name)
        write_frame(_target(usd, joint.prim), joint, named[joint.child].prim, frame, transforms)
    for name, quantities in (bodies or {}).items():
        if name not in named:
            raise StageError(unknown("body", name, named, where="the stage"))
        prim = _target(usd, named[name].prim)
        for key, inertial in quantities.items():
            if key != "inertial":
                raise StageError(unknown("quantity", key, ["inertial"], where="a body"))
            write_body(prim, name, inertial, transforms)
    for name, value in (friction or {}).items():
        if name not in named:
            raise StageError(unknown("body", name, named, where="the stage"))
        below = [b for b, body in named.items() if body.prim.startswith(f"{named[name].prim}/")]
        if below:
            raise StageError(f"the friction of '{name}' would be that of {', '.join(below)} too")
        write_contact(_target(usd, named[name].prim), named[name], value)

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
