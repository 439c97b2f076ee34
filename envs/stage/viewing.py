"""Lights, cameras and gravity of a stage."""

from math import radians
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import Pose
from envs.stage.attributes import authored, number, numbers, read_exact
from envs.stage.diagnostics import Diagnostics
from envs.stage.looks import Light, LightKind, StageCamera
from envs.stage.surfaces import Surfaces
from envs.stage.traversal import Transforms
from envs.stage.units import Units

_LIGHTS = {
    "DistantLight": "distant",
    "SphereLight": "sphere",
    "RectLight": "rect",
    "DomeLight": "dome",
    "DomeLight_1": "dome",
}
_NEUTRAL = {
    "inputs:diffuse": 1.0,
    "inputs:specular": 1.0,
    "inputs:shaping:cone:angle": 90.0,
    "inputs:shaping:focus": 0.0,
    "inputs:shaping:ies:file": None,
    "inputs:shadow:enable": True,
}
"""What is not read of a light, and the value that means nothing."""

_DOME_FROM_LATLONG = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""Columns: a dome's x, y, z in the frame of OpenEXR's lat-long images (up y, middle z, left x)."""

STANDARD_GRAVITY = 9.81
"""m/s²; what UsdPhysics calls earth gravity, for a stage that does not give its own."""


def read_light(
    prim: Any, transforms: Transforms, surfaces: Surfaces, notes: Diagnostics
) -> Light | None:
    """Return a light, exposure and temperature folded in; None where its type is not known."""
    from pxr import UsdLux

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
    if not np.isfinite([*color, intensity, exposure]).all() or intensity < 0:
        raise StageError(
            f"{prim.GetPath()}: colour, intensity and exposure must be finite, and the intensity "
            f"not negative, found {color.tolist()}, {intensity} and {exposure}"
        )
    if prim.GetAttribute("inputs:enableColorTemperature").Get():
        kelvin = number(prim, "inputs:colorTemperature")
        color = color * np.array(UsdLux.BlackbodyTemperatureAsRgb(kelvin))
    for name, neutral in _NEUTRAL.items():
        value = authored(prim, name)
        if value is not None and value != neutral:
            notes.add("refused", prim, f"{name} is not read: it is taken as {neutral}")
    X_WL, scale = transforms.frame(prim)
    x, y, _ = scale * transforms.units.length_m
    return Light(
        prim=str(prim.GetPath()),
        kind=cast(LightKind, kind),
        X_WL=_dome_frame(prim, X_WL, transforms.units) if kind == "dome" else X_WL,
        intensity=intensity * 2.0**exposure,
        color=(float(color[0]), float(color[1]), float(color[2])),
        normalize=prim.GetAttribute("inputs:normalize").Get() is True,
        angle_rad=radians(_size(prim, "inputs:angle")) if kind == "distant" else 0.0,
        radius_m=_radius(prim) * float(x) if kind == "sphere" else 0.0,
        size_m=(_size(prim, "inputs:width") * float(x), _size(prim, "inputs:height") * float(y))
        if kind == "rect"
        else (0.0, 0.0),
        texture=_texture(prim, surfaces, notes) if kind in ("dome", "rect") else None,
    )


def _radius(prim: Any) -> float:
    return 0.0 if prim.GetAttribute("treatAsPoint").Get() else _size(prim, "inputs:radius")


def _size(prim: Any, name: str) -> float:
    """Return an extent, which must not be negative."""
    value = number(prim, name)
    if value < 0:
        raise StageError(f"{prim.GetPath()}: {name} must not be negative, found {value}")
    return value


def _texture(prim: Any, surfaces: Surfaces, notes: Diagnostics) -> Path | None:
    """Return a light's image, if it is one that is understood."""
    layout = authored(prim, "inputs:texture:format")
    if layout not in (None, "automatic", "latlong"):
        notes.add("refused", prim, f"an image laid out as {layout} is left out; supported: latlong")
        return None
    return surfaces.image(prim, authored(prim, "inputs:texture:file"))


def _dome_frame(prim: Any, X_WL: Pose, units: Units) -> Pose:
    """Return the frame of a dome whose z is the top of its image and whose x is the middle.

    UsdLux, DomeLight: the top is +y; DomeLight_1 may say that it is the stage's up or +z, and then
    the dome is turned about x.
    """
    pole = prim.GetAttribute("poleAxis").Get() or "Y"
    z_up = np.array_equal(units.R_WS, np.eye(3))
    turn = np.eye(3)
    if pole == "Z" or (pole == "scene" and z_up):
        turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    X = X_WL.copy()
    X[:3, :3] = X_WL[:3, :3] @ turn @ _DOME_FROM_LATLONG
    return X


def read_camera(prim: Any, name: str, transforms: Transforms, notes: Diagnostics) -> StageCamera:
    """Return a camera in optical axes (x right, y down, z forward).

    Raises:
        StageError: Its focal length or an aperture is not positive.
    """
    focal = number(prim, "focalLength")
    apertures = number(prim, "horizontalAperture"), number(prim, "verticalAperture")
    if not (focal > 0 and min(apertures) > 0):
        raise StageError(f"{prim.GetPath()}: focalLength and apertures must be positive")
    offsets = number(prim, "horizontalApertureOffset"), number(prim, "verticalApertureOffset")
    length_m, per_second = transforms.units.length_m, prim.GetStage().GetTimeCodesPerSecond()
    near, far = (float(v) * length_m for v in numbers(prim, "clippingRange", (2,)))
    f_stop, focus = number(prim, "fStop"), number(prim, "focusDistance")
    if f_stop < 0 or focus < 0:
        raise StageError(f"{prim.GetPath()}: fStop and focusDistance must not be negative")
    if f_stop > 0 and focus <= 0:
        notes.add("suspect", prim, "fStop without focusDistance: everything is sharp")
    open_s, close_s = (number(prim, f"shutter:{end}") / per_second for end in ("open", "close"))
    # UsdGeomCamera measures film and focal length in tenths of the stage's unit.
    film_m = length_m / 10
    return StageCamera(
        name=name,
        prim=str(prim.GetPath()),
        # USD looks along −z with y up.
        X_WC=transforms.frame(prim)[0] @ np.diag([1.0, -1.0, -1.0, 1.0]),
        focal_m=focal * film_m,
        aperture_m=(apertures[0] * film_m, apertures[1] * film_m),
        near_m=near,
        far_m=far,
        aperture_offset_m=(offsets[0] * film_m, offsets[1] * film_m),
        f_stop=f_stop if focus > 0 else 0.0,
        focus_m=focus * length_m,
        shutter_s=(open_s, close_s),
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
