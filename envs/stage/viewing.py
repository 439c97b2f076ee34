"""Lights, cameras and gravity of a stage."""

from math import atan
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.stage.attributes import number, numbers, read_exact
from envs.stage.diagnostics import Diagnostics
from envs.stage.scene import Light, LightKind, StageCamera
from envs.stage.traversal import Transforms
from envs.stage.units import Units

_LIGHTS = {
    "DistantLight": "distant",
    "SphereLight": "sphere",
    "RectLight": "rect",
    "DomeLight": "dome",
}
STANDARD_GRAVITY = 9.81
"""m/s²; what UsdPhysics calls earth gravity, for a stage that does not give its own."""


def read_light(prim: Any, transforms: Transforms, notes: Diagnostics) -> Light | None:
    """Return a light, its exposure folded into the intensity; None where its type is not known."""
    kind = _LIGHTS.get(str(prim.GetTypeName()))
    if kind is None:
        notes.add(
            "refused",
            prim,
            f"lights of type {prim.GetTypeName()} are not supported, this one is left out; "
            f"supported are: {', '.join(_LIGHTS)}",
        )
        return None
    color = numbers(prim, "inputs:color", (3,))
    intensity, exposure = number(prim, "inputs:intensity"), number(prim, "inputs:exposure")
    if not np.isfinite([*color, intensity, exposure]).all():
        raise StageError(f"{prim.GetPath()}: colour, intensity and exposure must be finite")
    return Light(
        prim=str(prim.GetPath()),
        kind=cast(LightKind, kind),
        X_WL=transforms.frame(prim)[0],
        intensity=intensity * 2.0**exposure,
        color=(float(color[0]), float(color[1]), float(color[2])),
    )


def read_camera(prim: Any, name: str, transforms: Transforms) -> StageCamera:
    """Return a camera in optical axes (x right, y down, z forward).

    Raises:
        StageError: Its focal length or aperture is not positive.
    """
    focal, aperture = number(prim, "focalLength"), number(prim, "horizontalAperture")
    if not (0 < focal < np.inf and 0 < aperture < np.inf):
        raise StageError(f"{prim.GetPath()}: focalLength and horizontalAperture must be positive")
    near, far = (float(v) * transforms.units.length_m for v in numbers(prim, "clippingRange", (2,)))
    return StageCamera(
        name=name,
        prim=str(prim.GetPath()),
        # USD looks along −z with y up.
        X_WC=transforms.frame(prim)[0] @ np.diag([1.0, -1.0, -1.0, 1.0]),
        fov_x_rad=2 * atan(aperture / (2 * focal)),
        near_m=near,
        far_m=far,
    )


def read_gravity(scenes: list[Any], units: Units, notes: Diagnostics) -> Float[np.ndarray, "3"]:
    """Return gravity of the first PhysicsScene in the Z-up world, m/s²; 9.81 down without one."""
    down = np.array([0.0, 0.0, -1.0])
    if not scenes:
        notes.add("defaulted", "/", f"no PhysicsScene: gravity is {STANDARD_GRAVITY} m/s² down")
        return down * STANDARD_GRAVITY
    for other in scenes[1:]:
        notes.add("refused", other, f"only the first PhysicsScene is read: {scenes[0].GetPath()}")
    direction = read_exact(scenes[0], "physics:gravityDirection", (3,))
    magnitude = read_exact(scenes[0], "physics:gravityMagnitude")
    d = np.zeros(3) if direction is None else direction
    # The default magnitude, −inf, means earth's.
    if not np.isfinite(d).all() or magnitude in (np.inf,) or np.isnan(magnitude or 0.0):
        raise StageError(f"{scenes[0].GetPath()}: gravity must be finite")
    length = float(np.linalg.norm(d))
    d = units.R_WS @ (d / length) if length > 0 else down
    if magnitude is None or magnitude < 0:
        notes.add(
            "defaulted", scenes[0], f"no gravityMagnitude: gravity is {STANDARD_GRAVITY} m/s²"
        )
        return d * STANDARD_GRAVITY
    return d * float(magnitude) * units.length_m
