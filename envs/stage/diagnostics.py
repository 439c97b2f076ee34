"""What a reader could not take as it stands: collected on the way, told with the scene."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from envs.stage.attributes import JOINT_FIELDS, authored
from envs.stage.scene import Diagnostic, DiagnosticKind

# What the readers understand of the families of schemas that speak of physics.
_FAMILY = re.compile(r"(Physics|Physx|Newton|Mjc)[A-Z]")
_READ_SCHEMAS = frozenset(
    {
        "PhysicsArticulationRootAPI",
        "PhysicsCollisionAPI",
        "PhysicsDriveAPI",
        "PhysicsLimitAPI",
        "PhysicsMassAPI",
        "PhysicsMaterialAPI",
        "PhysicsMeshCollisionAPI",
        "PhysicsRigidBodyAPI",
        "PhysxJointAPI",
        "PhysxMimicJointAPI",
        "NewtonJointAPI",
        "NewtonMassAPI",
        "NewtonMimicAPI",
        "MjcJointAPI",
    }
)
_NAMESPACE = re.compile(r"(physics|physx\w*|newton|mjc|urdf|drive|limit|state):")
# Joint values come from JOINT_FIELDS; the rest is what the readers of bodies, colliders, masses,
# materials, mimics and gravity ask for.
_READ_ATTRIBUTES = re.compile(
    "|".join(
        [
            *(
                re.escape(candidate.attribute).replace(r"\{dof\}", r"\w+")
                for candidates in JOINT_FIELDS.values()
                for candidate in candidates
            ),
            r"physics:(axis|local(Pos|Rot)[01]|jointEnabled|excludeFromArticulation)",
            r"physics:(rigidBody|kinematic|collision)Enabled|physics:approximation",
            r"physics:(mass|density|centerOfMass|diagonalInertia|principalAxes)|newton:inertia",
            r"physics:(staticFriction|dynamicFriction|restitution)",
            r"physics:gravity(Direction|Magnitude)",
            r"newton:mimic(Enabled|Coef[01])",
            r"physxMimicJoint:\w+:(gearing|offset|referenceJointAxis)",
            r"drive:\w+:physics:type|physics:coneAngle[01]Limit",
        ]
    )
)
_REASONS = {
    "physxJoint:jointFriction": "a unitless coefficient of PhysX, no torque",
    "physics:breakForce": "joints do not break",
    "physics:breakTorque": "joints do not break",
    "physics:targetPosition": "commands come from a recording or a caller",
    "physics:targetVelocity": "commands come from a recording or a caller",
    ":physics:position": "joints rest where the poses of their bodies put them",
    "elocity": "a world starts at rest",
}
_NEVER = 1e38
"""Schemas say "never" by the largest float32."""


class Diagnostics:
    """Collects diagnostics; equal ones are kept once."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[Diagnostic, None] = {}

    def add(self, kind: DiagnosticKind, prim: Any, message: str) -> None:
        """Note one.

        Args:
            kind: See `Diagnostic`.
            prim: A `Usd.Prim`, or the path of one.
            message: What was found, and what was made of it.
        """
        path = prim if isinstance(prim, str) else str(prim.GetPath())
        self._found[Diagnostic(kind, path, message)] = None

    def collected(self) -> tuple[Diagnostic, ...]:
        """Return all, in the order in which they were found."""
        return tuple(self._found)


def note_unread(prim: Any, schemas: Sequence[str], notes: Diagnostics) -> None:
    """Note schemas and attributes about physics which nothing here reads."""
    for schema in schemas:
        name = schema.split(":", 1)[0]
        if _FAMILY.match(name) and name not in _READ_SCHEMAS:
            notes.add("refused", prim, f"schema {schema} is not read")
    unread: dict[str, list[str]] = {}
    for name in _unread_attributes(prim):
        reason = next((why for end, why in _REASONS.items() if name.endswith(end)), "")
        unread.setdefault(reason, []).append(name)
    for reason, names in unread.items():
        what = f"not read: {', '.join(sorted(names))}"
        notes.add("refused", prim, f"{what} ({reason})" if reason else what)
    animated = [a.GetName() for a in prim.GetAuthoredAttributes() if a.ValueMightBeTimeVarying()]
    if animated:
        what = ", ".join(sorted(animated))
        notes.add("approximated", prim, f"animated: {what}; the first sample is read")


def _unread_attributes(prim: Any) -> Iterator[str]:
    """Yield what is said about physics, other than the schema's default, and read by nothing."""
    definition = prim.GetPrimDefinition()
    for attribute in prim.GetAuthoredAttributes():
        name = attribute.GetName()
        if _NAMESPACE.match(name) is None or _READ_ATTRIBUTES.fullmatch(name) is not None:
            continue
        value = authored(prim, name)
        if value is None or value == definition.GetAttributeFallbackValue(name):
            continue
        if isinstance(value, float) and abs(value) >= _NEVER:
            continue
        yield name


def is_physics_type(type_name: str) -> bool:
    """Whether a prim's type is one of the families that speak of physics."""
    return _FAMILY.match(type_name) is not None


def note_dropped_overrides(stage: Any, notes: Diagnostics) -> None:
    """Note opinions that USD drops without a word.

    These are an `over` on a prim that nothing defines (a mistyped path), and opinions beneath an
    instance, where only the shared prototype speaks.
    """
    from pxr import Usd

    root = stage.GetPseudoRoot()
    iterator = iter(Usd.PrimRange(root, Usd.PrimAllPrimsPredicate))
    for prim in iterator:
        if prim.IsPseudoRoot():
            continue
        if prim.IsActive() and not prim.HasDefiningSpecifier():
            notes.add("refused", prim, "an override of a prim that nothing defines is left out")
            iterator.PruneChildren()
        elif prim.IsInstance():
            for path in sorted(_beneath(prim)):
                notes.add("refused", path, "an override beneath an instance is left out")


def _beneath(instance: Any) -> Iterator[str]:
    """Yield the paths of an instance's children on which a layer has an opinion that is dropped."""
    pending = [instance.GetPrimIndex().rootNode]
    while pending:
        node = pending.pop()
        pending.extend(node.children)
        # The other nodes are shared by all instances: their opinions make the prototype.
        if node.parent is not None and not node.IsDueToAncestor():
            continue
        for layer in node.layerStack.layers:
            spec = layer.GetPrimAtPath(node.path)
            for child in spec.nameChildren if spec is not None else ():
                yield str(instance.GetPath().AppendChild(child.name))
