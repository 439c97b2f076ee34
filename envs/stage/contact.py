"""Physics materials: read from a collider, and written for a whole body."""

from typing import Any

import numpy as np

from envs.errors import StageError
from envs.stage.attributes import applied, number, read_exact, write_exact
from envs.stage.scene import Body, Contact

MATERIALS = "twin_contacts"
"""Scope, below the root prim, of the materials that calibrations make."""


def read_contact(prim: Any) -> Contact | None:
    """Return the physics material bound to a collider; UsdPhysics' defaults are 0."""
    from pxr import UsdShade

    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial("physics")
    if not material or "PhysicsMaterialAPI" not in applied(material.GetPrim()):
        return None
    values = []
    for name in ("staticFriction", "dynamicFriction", "restitution"):
        rounded = number(material.GetPrim(), f"physics:{name}")
        exact = read_exact(material.GetPrim(), f"physics:{name}")
        values.append(rounded if exact is None else float(exact))
    if min(values) < 0 or not np.isfinite(values).all():
        raise StageError(
            f"{material.GetPath()}: friction and restitution must be 0 or more, found {values}"
        )
    return Contact(*values)


def write_friction(prim: Any, body: Body, friction: float) -> Any:
    """Give all colliders of a body a material of its own, and return the attribute of its friction.

    At rest and in sliding it is the same, since PyBullet has one coefficient; restitution stays as
    the body's first collider has it. The binding speaks for all that is below the body's prim.

    Args:
        prim: The body's.
        body: As the stage has it.
        friction: The coefficient.

    Raises:
        StageError: The friction is not a finite number of 0 or more.
    """
    from pxr import UsdPhysics, UsdShade

    if not (np.isfinite(friction) and friction >= 0):
        raise StageError(
            f"the friction of body '{body.name}' must be a finite number of 0 or more, "
            f"not {friction}"
        )
    usd, root = prim.GetStage(), prim.GetPath().GetPrefixes()[0]
    scope = root.AppendChild(MATERIALS)
    usd.DefinePrim(scope, "Scope")
    material = UsdShade.Material.Define(usd, scope.AppendChild(body.name))
    UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    contacts = [shape.contact for shape in body.colliders if shape.contact is not None]
    restitution = contacts[0].restitution if contacts else 0.0
    write_exact(material.GetPrim(), "physics:restitution", restitution, always=True)
    write_exact(material.GetPrim(), "physics:staticFriction", friction, always=True)
    attribute = write_exact(material.GetPrim(), "physics:dynamicFriction", friction, always=True)
    UsdShade.MaterialBindingAPI.Apply(prim).Bind(
        material, UsdShade.Tokens.strongerThanDescendants, "physics"
    )
    return attribute
