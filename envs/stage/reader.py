"""A USD stage to a `Scene`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from envs.errors import StageError
from envs.stage.assembly import Parts, assemble
from envs.stage.attributes import authored
from envs.stage.colliders import collider_shape
from envs.stage.diagnostics import Diagnostics, note_dropped_overrides
from envs.stage.geometry import visual_shapes
from envs.stage.guard import LIMITS, Limits
from envs.stage.joints import read_joint
from envs.stage.mass import read_inertial
from envs.stage.opening import open_stage
from envs.stage.scene import MASSLESS, Body, Scene, Shape
from envs.stage.surfaces import Surfaces
from envs.stage.traversal import Prims, ShapePrim, Transforms, survey
from envs.stage.units import read_units
from envs.stage.viewing import read_camera, read_gravity, read_light


def read_stage(
    path: Path,
    *,
    fixed_base: bool | None = None,
    root: Path | None = None,
    limits: Limits = LIMITS,
) -> Scene:
    """Return what a stage holds, in SI and Z-up.

    Args:
        path: Its root layer (.usda, .usdc, .usd, .usdz).
        fixed_base: Whether the bases of its articulations are fixed or float; None where the stage
            says it.
        root: The folder that it may read, for a stage from a stranger: `guard.asset_root(path)`.
            None for a stage that this program composed.
        limits: How large it may be.

    Raises:
        StageError: The stage cannot be opened, does not compose, does not say its units, reads
            outside its root, is too large, or holds values that are nonsense. What is merely left
            out, or read as something near, is told in the scene's diagnostics.
    """
    from pxr import UsdPhysics

    stage = open_stage(path, root=root, limits=limits)
    notes = Diagnostics()
    transforms = Transforms(read_units(stage, str(path)))
    if not UsdPhysics.StageHasAuthoredKilogramsPerUnit(stage):
        notes.add("defaulted", "/", "kilogramsPerUnit is not authored: masses are in kg")
    note_dropped_overrides(stage, notes)
    prims = survey(stage, transforms, notes)
    _check_faces(path, prims, limits)
    surfaces = Surfaces(root, notes)
    names = _names(prims)

    owned: dict[str, list[ShapePrim]] = {p: [] for p in prims.bodies}
    for shape in prims.shapes:
        owned.setdefault(shape.owner, []).append(shape)
    bodies = {
        p: _body(p, owned[p], prims, names[p], transforms, surfaces, notes) for p in prims.bodies
    }
    joints = [read_joint(prim, prims.bodies, transforms, notes) for prim in prims.joints]
    kinematic = {p for p, body in prims.bodies.items() if body.kinematic}
    kept = [j for j in joints if j is not None]
    parts = Parts(bodies, kinematic, kept, prims.roots, names, fixed_base)
    articulations, free = assemble(parts, transforms.units, notes)
    still = tuple(b for b in free if b.prim in kinematic)
    lights = [read_light(prim, transforms, surfaces, notes) for prim in prims.lights]
    return Scene(
        articulations=tuple(articulations),
        objects=tuple(b for b in free if b.prim not in kinematic),
        static=(*_static(prims, names, transforms, surfaces, notes), *still),
        lights=tuple(light for light in lights if light is not None),
        cameras=tuple(
            read_camera(c, names[str(c.GetPath())], transforms, notes) for c in prims.cameras
        ),
        gravity_mps2=read_gravity(prims.scenes, transforms.units, notes),
        files=_files(stage, surfaces),
        diagnostics=notes.collected(),
    )


def _check_faces(path: Path, prims: Prims, limits: Limits) -> None:
    """Count the polygons before any of them is made a triangle."""
    faces = 0
    for shape in prims.shapes:
        counts = authored(shape.prim, "faceVertexCounts")
        faces += len(counts) if hasattr(counts, "__len__") else 0
        if faces > limits.faces:
            raise StageError(f"{path} is too large: more than {limits.faces} faces of meshes")


def _body(
    path: str,
    shapes: Sequence[ShapePrim],
    prims: Prims,
    name: str,
    transforms: Transforms,
    surfaces: Surfaces,
    notes: Diagnostics,
) -> Body:
    prim = prims.bodies[path]
    colliding = [s.prim for s in shapes if s.collides]
    colliders = [
        collider_shape(p, transforms.relative(prim.X_WB, p), notes, moves=not prim.kinematic)
        for p in colliding
    ]
    visuals = _visuals(shapes, prim.X_WB, transforms, surfaces)
    pairs = list(zip(colliding, colliders, strict=True))
    inertial, source = read_inertial(prim.prim, prim.scale, transforms.units, pairs, notes)
    label = prim.label or _default_label(path, prims)
    return Body(name, path, prim.X_WB, inertial, visuals, tuple(colliders), label, source)


def _visuals(
    shapes: Iterable[ShapePrim], X_WB: Any, transforms: Transforms, surfaces: Surfaces
) -> tuple[Shape, ...]:
    return tuple(
        shape
        for s in shapes
        if s.visible
        for shape in visual_shapes(s.prim, transforms.relative(X_WB, s.prim), surfaces)
    )


def _default_label(path: str, prims: Prims) -> str:
    """Return "robot" below an articulation root, "object" elsewhere."""
    under = any(path.startswith(f"{root.GetPath()}/") for root in prims.roots)
    return "robot" if under else "object"


def _static(
    prims: Prims,
    names: dict[str, str],
    transforms: Transforms,
    surfaces: Surfaces,
    notes: Diagnostics,
) -> list[Body]:
    """Return geometry without a body, one `Body` for each prim."""
    bodies = []
    for shape in prims.shapes:
        if shape.owner:
            continue
        path = str(shape.prim.GetPath())
        X_WB = transforms.frame(shape.prim)[0]
        A = transforms.relative(X_WB, shape.prim)
        bodies.append(
            Body(
                name=names[path],
                prim=path,
                X_WB=X_WB,
                inertial=MASSLESS,
                visuals=visual_shapes(shape.prim, A, surfaces) if shape.visible else (),
                colliders=(collider_shape(shape.prim, A, notes, moves=False),)
                if shape.collides
                else (),
                label=shape.label or "object",
                mass_source="static",
            )
        )
    return bodies


def _names(prims: Prims) -> dict[str, str]:
    """Return a name for each body, static prim, joint and camera; unique among its kind.

    A prim is called by its displayName, else by its own name; where two would be called the same,
    each is called by as much of its path as tells them apart.
    """
    static = [s.prim for s in prims.shapes if not s.owner]
    kinds = ([b.prim for b in prims.bodies.values()] + static, prims.joints, prims.cameras)
    names: dict[str, str] = {}
    for members in kinds:
        short = {str(p.GetPath()): p.GetDisplayName() or p.GetName() for p in members}
        taken = list(short.values())
        for path, name in short.items():
            names[path] = name if taken.count(name) == 1 else _tail(path, list(short))
    return names


def _tail(path: str, others: list[str]) -> str:
    parts = path.strip("/").split("/")
    for length in range(2, len(parts)):
        tail = "/".join(parts[-length:])
        if sum(other.endswith("/" + tail) for other in others) == 1:
            return tail
    return "/".join(parts)


def _files(stage: Any, surfaces: Surfaces) -> tuple[Path, ...]:
    layers = {Path(layer.realPath) for layer in stage.GetUsedLayers() if layer.realPath}
    return tuple(sorted(layers | surfaces.images))
