"""One pass over a stage: which prims matter, and what they inherit from the prims above them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import Pose, inverse
from envs.stage.attributes import FARTHEST, FIRST, applied, authored
from envs.stage.diagnostics import Diagnostics, is_physics_type, note_unread
from envs.stage.units import Units

GPRIMS = ("Mesh", "Cube", "Sphere", "Cylinder", "Capsule", "Cone", "Plane")
_SHEAR = 1e-5  # float32 transforms compose to columns that are orthogonal to about 1e-6


@dataclass(frozen=True)
class BodyPrim:
    """A rigid body's prim.

    Attributes:
        scale: Scale of its local space, to which local positions are subject; no unit.
    """

    prim: Any
    X_WB: Pose
    scale: Float[np.ndarray, "3"]
    kinematic: bool
    label: str | None


@dataclass(frozen=True)
class ShapePrim:
    """A piece of geometry; `owner` is the path of the body that carries it, "" for none."""

    prim: Any
    owner: str
    collides: bool
    visible: bool
    label: str | None


@dataclass
class Prims:
    """What a stage holds, in authored order."""

    bodies: dict[str, BodyPrim] = field(default_factory=dict)
    shapes: list[ShapePrim] = field(default_factory=list)
    joints: list[Any] = field(default_factory=list)
    roots: list[Any] = field(default_factory=list)
    lights: list[Any] = field(default_factory=list)
    cameras: list[Any] = field(default_factory=list)
    scenes: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class _Inherited:
    owner: str = ""
    collides: bool = False
    visible: bool = True
    purpose: str = "default"
    label: str | None = None


class Transforms:
    """World transforms of prims, in metres and Z-up."""

    def __init__(self, units: Units) -> None:
        """Remember the units; transforms are computed when they are asked for."""
        from pxr import UsdGeom

        self.units = units
        self._cache = UsdGeom.XformCache(FIRST)

    def matrix(self, prim: Any) -> Float[np.ndarray, "4 4"]:
        """Return the prim's local-to-world matrix, scale and shear included."""
        from pxr import Tf

        try:
            M = np.array(self._cache.GetLocalToWorldTransform(prim), float).T
        except Tf.ErrorException as error:
            raise StageError(f"{prim.GetPath()}: its transform cannot be read") from error
        if not np.isfinite(M).all() or np.abs(M).max() > FARTHEST:
            raise StageError(
                f"{prim.GetPath()}: the transform is degenerate: its numbers must be finite and at "
                f"most {FARTHEST:g}"
            )
        W = np.eye(4)
        W[:3, :3] = self.units.R_WS @ M[:3, :3] * self.units.length_m
        W[:3, 3] = self.units.R_WS @ M[:3, 3] * self.units.length_m
        return W

    def frame(self, prim: Any) -> tuple[Pose, Float[np.ndarray, "3"]]:
        """Return the prim's rigid frame in the world, and the scale of its local space.

        Raises:
            StageError: The transform is sheared or degenerate.
        """
        M = self.matrix(prim)
        norms = np.linalg.norm(M[:3, :3], axis=0)
        if norms.min() <= 1 / FARTHEST:
            raise StageError(f"{prim.GetPath()}: the transform is degenerate")
        R = M[:3, :3] / norms
        if np.abs(R.T @ R - np.eye(3)).max() > _SHEAR:
            raise StageError(f"{prim.GetPath()}: a body's frame must not be sheared")
        if np.linalg.det(R) < 0:  # mirrored: the sign goes to the scale
            R, norms = R * [-1.0, 1.0, 1.0], norms * [-1.0, 1.0, 1.0]
        X = np.eye(4)
        X[:3, :3], X[:3, 3] = R, M[:3, 3]
        return X, norms / self.units.length_m

    def relative(self, X_WB: Pose, prim: Any) -> Float[np.ndarray, "4 4"]:
        """Return the matrix from the prim's local space to the rigid frame B."""
        relative: Float[np.ndarray, "4 4"] = inverse(X_WB) @ self.matrix(prim)
        return relative


def survey(stage: Any, transforms: Transforms, notes: Diagnostics) -> Prims:
    """Return the prims that matter to physics and rendering, instance proxies included."""
    from pxr import Usd

    prims = Prims()
    above: dict[Any, _Inherited] = {}
    for prim in stage.Traverse(Usd.TraverseInstanceProxies()):
        path = prim.GetPath()
        parent = above.get(path.GetParentPath(), _Inherited())
        type_name, schemas = str(prim.GetTypeName()), applied(prim)
        owner, body = parent.owner, "PhysicsRigidBodyAPI" in schemas
        label = _label(prim) or parent.label
        if body and authored(prim, "physics:rigidBodyEnabled") is not False:
            X_WB, scale = transforms.frame(prim)
            kinematic = authored(prim, "physics:kinematicEnabled") is True
            owner = str(path)
            prims.bodies[owner] = BodyPrim(prim, X_WB, scale, kinematic, label)
        collides = "PhysicsCollisionAPI" in schemas or (parent.collides and owner == parent.owner)
        if collides and authored(prim, "physics:collisionEnabled") is False:
            collides = False
        here = _Inherited(
            owner=owner,
            collides=collides,
            visible=parent.visible and authored(prim, "visibility") != "invisible",
            purpose=authored(prim, "purpose") or parent.purpose,
            label=label,
        )
        above[path] = here
        if "PhysicsArticulationRootAPI" in schemas:
            prims.roots.append(prim)
        if type_name in GPRIMS:
            visible = here.visible and here.purpose != "guide"
            if collides or visible:
                prims.shapes.append(ShapePrim(prim, owner, collides, visible, label))
        else:
            _sort(prim, type_name, collides, prims, notes)
        _note(prim, type_name, schemas, notes)
    return prims


def _note(prim: Any, type_name: str, schemas: Sequence[str], notes: Diagnostics) -> None:
    """Note what no reader looks at."""
    note_unread(prim, schemas, notes)
    if type_name == "SkelRoot":
        notes.add("approximated", prim, "what its skeleton moves is read as it was bound")
    if type_name == "Mesh":
        scheme = prim.GetAttribute("subdivisionScheme").Get()
        if scheme != "none" and authored(prim, "subdivisionScheme") is not None:
            notes.add("approximated", prim, f"a {scheme} surface is read as its control mesh")


def _sort(prim: Any, type_name: str, collides: bool, prims: Prims, notes: Diagnostics) -> None:
    from pxr import UsdGeom, UsdLux, UsdPhysics

    if "Joint" in type_name and (is_physics_type(type_name) or prim.IsA(UsdPhysics.Joint)):
        prims.joints.append(prim)
    elif type_name == "Camera":
        # Orthographic cameras are an editor's views of the stage, not part of the world.
        if prim.GetAttribute("projection").Get() == UsdGeom.Tokens.perspective:
            prims.cameras.append(prim)
        else:
            notes.add("refused", prim, "an orthographic camera is left out")
    elif type_name == "PhysicsScene":
        prims.scenes.append(prim)
    elif prim.HasAPI(UsdLux.LightAPI):
        prims.lights.append(prim)
    elif prim.IsA(UsdGeom.Gprim):
        what = "collides" if collides else "is seen"
        notes.add(
            "refused",
            prim,
            f"a {type_name} that {what} is left out; supported are: {', '.join(GPRIMS)}",
        )
    elif type_name == "PointInstancer" or is_physics_type(type_name):
        notes.add("refused", prim, f"prims of type {type_name} are not read")


def _label(prim: Any) -> str | None:
    labels = authored(prim, "semantics:labels:class")
    return str(labels[0]) if labels else None
