"""Reading and writing USD attributes without losing double precision, and which attribute is what.

UsdPhysics stores masses, joint frames and drives as float32. Where a value does not fit, it is
rounded into the schema's attribute, so that every USD tool reads it, and the float64 value goes
beside it as `twin:exact:<attribute>`. The companion speaks only while it rounds to the value in the
schema's attribute: if a stronger layer changes that one, the companion is out of date and ignored.
A companion of zero mass says that a body is massless, where USD's plain zero means "not given".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from sys import float_info
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.stage.units import Quantity

TWIN = "twin:"
"""Prefix of attributes that no schema has; their values are in SI."""
EXACT = "twin:exact:"
FARTHEST = 1e12
"""No stage measures, places or scales things by more: far beyond, products overflow."""
FIRST = -float_info.max
"""USD's time code of the earliest sample, at which what is animated is read: often there is no
default value beside the samples."""
CUSTOM_DATA = "twin"
"""Key of customData and customLayerData under which provenance is kept."""


@dataclass(frozen=True)
class Candidate:
    """One attribute that may hold a joint's value.

    Attributes:
        schema: Who speaks, for `Joint.sources`.
        attribute: Its name; `{dof}` stands for `scene.Joint.dof`.
        quantity: Its unit.
    """

    schema: str
    attribute: str
    quantity: Quantity


# The first candidate that is authored speaks; calibrated values are written to the first one.
# physxJoint:jointFriction is missing on purpose: it is a unitless coefficient, not a torque.
JOINT_FIELDS: Mapping[str, Sequence[Candidate]] = {
    "lower": (
        Candidate("physics", "physics:lowerLimit", "position"),
        Candidate("physics", "limit:{dof}:physics:low", "position"),
    ),
    "upper": (
        Candidate("physics", "physics:upperLimit", "position"),
        Candidate("physics", "limit:{dof}:physics:high", "position"),
    ),
    "velocity_limit": (
        Candidate("newton", "newton:velocityLimit", "velocity"),
        Candidate("physx", "physxJoint:maxJointVelocity", "velocity"),
        Candidate("urdf", "urdf:limit:velocity", "si"),
    ),
    "armature": (
        Candidate("newton", "newton:armature", "armature"),
        Candidate("physx", "physxJoint:armature", "armature"),
        Candidate("mjc", "mjc:armature", "armature"),
    ),
    "friction.coulomb": (
        Candidate("newton", "newton:friction", "effort"),
        Candidate("mjc", "mjc:frictionloss", "effort"),
        Candidate("urdf", "urdf:dynamics:friction", "si"),
    ),
    "friction.viscous": (
        Candidate("newton", "newton:damping", "damping"),
        Candidate("mjc", "mjc:damping", "damping_per_rad"),
        Candidate("urdf", "urdf:dynamics:damping", "si"),
    ),
    "friction.stribeck": (Candidate("twin", "twin:stribeckFriction", "si"),),
    "friction.stribeck_velocity": (Candidate("twin", "twin:stribeckVelocity", "si"),),
    "friction.asymmetry": (Candidate("twin", "twin:frictionAsymmetry", "si"),),
    "friction.load": (Candidate("twin", "twin:loadFriction", "si"),),
    "drive.stiffness": (Candidate("physics", "drive:{dof}:physics:stiffness", "stiffness"),),
    "drive.damping": (Candidate("physics", "drive:{dof}:physics:damping", "damping"),),
    "effort_limit": (
        Candidate("physics", "drive:{dof}:physics:maxForce", "effort"),
        Candidate("urdf", "urdf:limit:effort", "si"),
    ),
    "delay_s": (Candidate("twin", "twin:commandDelay", "si"),),
    "torque_offset": (Candidate("twin", "twin:torqueOffset", "si"),),
    "spring": (Candidate("twin", "twin:spring", "si"),),
    "torque_lag_s": (Candidate("twin", "twin:torqueLag", "si"),),
    "drive_gain": (Candidate("twin", "twin:driveGain", "si"),),
    "encoder_offset": (Candidate("twin", "twin:encoderOffset", "si"),),
    "servo.torque_constant": (Candidate("twin", "twin:torqueConstant", "si"),),
    "servo.resistance": (Candidate("twin", "twin:windingResistance", "si"),),
    "servo.saturation": (Candidate("twin", "twin:torqueSaturation", "si"),),
    "servo.motor_load": (Candidate("twin", "twin:motorLoadFriction", "si"),),
    "servo.external_load": (Candidate("twin", "twin:externalLoadFriction", "si"),),
    "servo.breakaway_load": (Candidate("twin", "twin:breakawayLoadFriction", "si"),),
}


def applied(prim: Any) -> Sequence[str]:
    """Return all applied API schemas, those unknown to this USD build included."""
    listed = prim.GetMetadata("apiSchemas")
    return () if listed is None else listed.GetAddedOrExplicitItems()


def authored(prim: Any, name: str) -> Any:
    """Return the value of an attribute, or None where nothing authored it."""
    attribute = prim.GetAttribute(name)
    return attribute.Get(FIRST) if attribute and attribute.HasAuthoredValue() else None


def to_array(value: Any) -> Float[np.ndarray, "..."]:
    """Return a Gf vector, matrix, quaternion (as wxyz) or number as float64."""
    if hasattr(value, "imaginary"):
        return np.array([value.real, *value.imaginary], float)
    return np.array(value, float)


def numbers(prim: Any, name: str, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return an attribute's value as float64, authored or the schema's default.

    Raises:
        StageError: There is none, or it is no number (or not as many numbers) as it should be.
    """
    attribute = prim.GetAttribute(name)
    value = attribute.Get(FIRST) if attribute else None
    try:
        array = to_array(value)
    except (TypeError, ValueError):
        array = None
    if value is None or array is None or array.shape != shape:
        what = f"{shape[0]} numbers" if shape else "a number"
        raise StageError(f"{prim.GetPath()}: {name} must be {what}, not {value}")
    return array


def number(prim: Any, name: str) -> float:
    """Return an attribute's number, authored or the schema's default.

    Raises:
        StageError: There is none, or it is not finite or beyond `FARTHEST`.
    """
    value = float(numbers(prim, name, ()))
    if not abs(value) <= FARTHEST:
        raise StageError(f"{prim.GetPath()}: {name} must be finite, not {value}")
    return value


def choice(prim: Any, name: str, allowed: Collection[str]) -> str:
    """Return an attribute's token, authored or the schema's default.

    Raises:
        StageError: It is none of those allowed.
    """
    attribute = prim.GetAttribute(name)
    value = attribute.Get(FIRST) if attribute else None
    if value not in allowed:
        raise StageError(
            f"{prim.GetPath()}: {name} must be one of {', '.join(allowed)}, not {value}"
        )
    return str(value)


def read_exact(
    prim: Any, name: str, shape: tuple[int, ...] = ()
) -> Float[np.ndarray, "..."] | None:
    """Return an attribute's value in double precision, or None where nothing authored it.

    Raises:
        StageError: It is not of the given shape.
    """
    if authored(prim, name) is None:
        return None
    rounded = numbers(prim, name, shape)
    companion = authored(prim, EXACT + name)
    if companion is None:
        return rounded
    exact = numbers(prim, EXACT + name, shape)
    same = exact.shape == rounded.shape and np.array_equal(
        exact.astype(np.float32), rounded.astype(np.float32)
    )
    return exact if same else rounded


def is_exact(prim: Any, name: str) -> bool:
    """Whether an attribute has a companion which is still in force."""
    value, companion = authored(prim, name), authored(prim, EXACT + name)
    if value is None or companion is None:
        return False
    return np.array_equal(
        to_array(value).astype(np.float32), to_array(companion).astype(np.float32)
    )


def write_exact(prim: Any, name: str, value: Any, *, always: bool = False) -> Any:
    """Author a number, a 3-vector or a quaternion (wxyz) as float32, and exactly beside it.

    An attribute of our own holds doubles and needs no companion.

    Args:
        prim: The `Usd.Prim` that gets it, in the stage's edit target.
        name: Attribute name; its type follows from the shape of the value.
        value: A number, or 3 or 4 of them.
        always: Author the companion even where float32 holds the value, so that none of a weaker
            layer shines through.

    Returns:
        The schema's `Usd.Attribute`.
    """
    from pxr import Gf, Sdf

    exact = np.asarray(value, float)
    types = Sdf.ValueTypeNames
    if name.startswith(TWIN):
        attribute = prim.CreateAttribute(name, types.Double, custom=True)
        attribute.Set(float(exact))
        return attribute
    existing = prim.GetAttribute(name)
    if exact.ndim == 0:
        single, double, narrow, wide = types.Float, types.Double, float(exact), float(exact)
    elif exact.shape == (3,):
        single, double = types.Float3, types.Double3
        narrow, wide = Gf.Vec3f(*map(float, exact)), Gf.Vec3d(*map(float, exact))
    else:
        single, double = types.Quatf, types.Quatd
        narrow, wide = Gf.Quatf(*map(float, exact)), Gf.Quatd(*map(float, exact))
    attribute = existing if existing else prim.CreateAttribute(name, single, custom=False)
    attribute.Set(narrow)
    if always or not np.array_equal(exact.astype(np.float32).astype(float), exact):
        prim.CreateAttribute(EXACT + name, double, custom=True).Set(wide)
    return attribute
