"""Mass properties of a body, read and written: authored ones, else from density and colliders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import QhullError

from envs.errors import StageError
from envs.frames import from_quaternion, to_quaternion
from envs.stage.attributes import FARTHEST, authored, is_exact, read_exact, write_exact
from envs.stage.diagnostics import Diagnostics
from envs.stage.scene import MASSLESS, Inertial, Shape
from envs.stage.tree import inertial_parameters, to_inertial
from envs.stage.units import Units

_DEFAULT_DENSITY = 1000.0  # kg/m³, UsdPhysics' own
_ROUND = 1e-5  # float32 moments and axes of a thin plate
_SIX = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # the order of newton:inertia


def read_inertial(
    prim: Any,
    scale: Float[np.ndarray, "3"],
    units: Units,
    colliders: Sequence[tuple[Any, Shape]],
    notes: Diagnostics,
) -> tuple[Inertial, str]:
    """Return the mass, centre of mass and inertia of a body, and where the mass comes from.

    A mass that is 0 or not authored means that the colliders tell it, unless its exact companion
    says 0 (see `attributes`). An inertia of `newton:inertia` (Ixx, Iyy, Izz, Ixy, Ixz, Iyz) comes
    before principal moments and axes; without either, the colliders tell it for the body's mass.

    Args:
        prim: The body's prim.
        scale: Scale of its local space.
        units: The stage's.
        colliders: Prims and shapes that it carries.
        notes: Gets what the stage does not say, and what no body can have.

    Returns:
        The values, and "authored", "density" or "none" (see `scene.Body.mass_source`).

    Raises:
        StageError: A value is negative or not finite, or there is a mass but nothing tells inertia.
    """
    path = prim.GetPath()
    mass = _mass(prim, units)
    center = _vector(prim, "physics:centerOfMass")
    com = None if center is None else center * scale * units.length_m
    tensor = _tensor(prim, units)
    massless = mass == 0 and is_exact(prim, "physics:mass")
    source = "authored" if mass > 0 or massless else "density" if colliders else "none"
    if mass > 0 or massless:
        if tensor is not None and (com is not None or not colliders):
            if com is None:
                notes.add("defaulted", prim, "no centre of mass: it is the body's origin")
            inertial = Inertial(mass, np.zeros(3) if com is None else com, tensor)
            note_unphysical(prim, inertial, notes)
            return inertial, source
        if massless:
            return MASSLESS, source
    if not colliders:
        if mass > 0:
            raise StageError(f"{path}: has a mass but neither an inertia nor colliders to tell it")
        notes.add("defaulted", prim, "neither mass nor colliders: it is massless")
        return MASSLESS, source

    density = _number(prim, "physics:density") * units.mass_kg / units.length_m**3
    pi = np.sum([_volume_parameters(p, s, density, units) for p, s in colliders], axis=0)
    if not pi[0] > 0:
        raise StageError(f"{path}: its colliders have no volume that could tell its mass")
    if mass > 0:
        pi = pi * (mass / pi[0])
    from_colliders = to_inertial(pi)
    told = {"mass": mass > 0, "centre of mass": com is not None, "inertia": tensor is not None}
    missing = ", ".join(what for what, given in told.items() if not given)
    notes.add("defaulted", prim, f"not authored, told by its colliders: {missing}")
    inertial = Inertial(
        from_colliders.mass_kg,
        from_colliders.com_m if com is None else com,
        from_colliders.inertia_kgm2 if tensor is None else tensor,
    )
    note_unphysical(prim, inertial, notes)
    return inertial, source


def note_unphysical(prim: Any, inertial: Inertial, notes: Diagnostics) -> None:
    """Note mass properties that no rigid body has; they are kept as they are.

    Raises:
        StageError: They are not even finite.
    """
    values = np.array([inertial.mass_kg, *inertial.com_m, *inertial.inertia_kgm2.ravel()])
    if not (np.abs(values) <= FARTHEST).all():
        raise StageError(f"{prim.GetPath()}: mass, centre of mass and inertia must be finite")
    if inertial.mass_kg == 0:
        if inertial.inertia_kgm2.any():
            notes.add("suspect", prim, "an inertia without a mass; kept as authored")
        return
    low, middle, high = np.linalg.eigvalsh(inertial.inertia_kgm2)
    if low < -_ROUND * high:
        notes.add(
            "suspect", prim, f"a negative moment of inertia, {low:.3g} kg·m²; kept as authored"
        )
    elif high > (low + middle) * (1 + _ROUND):
        notes.add(
            "suspect",
            prim,
            f"principal moments {low:.3g}, {middle:.3g}, {high:.3g} kg·m² violate the triangle "
            "inequality; kept as authored",
        )


def write_inertial(
    prim: Any, inertial: Inertial, scale: Float[np.ndarray, "3"], units: Units
) -> None:
    """Author mass, centre of mass, the full tensor, and its principal moments and axes.

    Args:
        prim: The body's prim, with MassAPI.
        inertial: The values.
        scale: Scale of the prim's local space.
        units: The stage's.
    """
    from pxr import Gf, Sdf, Vt

    write_exact(prim, "physics:mass", inertial.mass_kg / units.mass_kg, always=True)
    com = inertial.com_m / (scale * units.length_m)
    write_exact(prim, "physics:centerOfMass", com, always=True)
    tensor = inertial.inertia_kgm2 / units.inertia_kgm2
    six = Vt.DoubleArray(six_numbers(tensor))
    prim.CreateAttribute("newton:inertia", Sdf.ValueTypeNames.DoubleArray, custom=False).Set(six)
    moments, axes = principal_axes(tensor)
    prim.GetAttribute("physics:diagonalInertia").Set(Gf.Vec3f(*map(float, moments)))
    wxyz = Gf.Quatf(*map(float, to_quaternion(axes)))
    prim.GetAttribute("physics:principalAxes").Set(wxyz)


def six_numbers(tensor: Float[np.ndarray, "3 3"]) -> list[float]:
    """Return a symmetric tensor in the order of newton:inertia."""
    return [float(tensor[i, j]) for i, j in _SIX]


def principal_axes(
    inertia: Float[np.ndarray, "3 3"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]:
    """Return principal moments and a rotation to them; a diagonal tensor keeps its axes."""
    if not (inertia - np.diag(np.diag(inertia))).any():
        return np.diag(inertia), np.eye(3)
    moments, axes = np.linalg.eigh(inertia)
    if np.linalg.det(axes) < 0:
        axes[:, 0] *= -1
    return moments, axes


def _mass(prim: Any, units: Units) -> float:
    value = _number(prim, "physics:mass")
    if not np.isfinite(value) or value < 0:
        raise StageError(f"{prim.GetPath()}: physics:mass must be 0 or more, not {value}")
    return value * units.mass_kg


def _number(prim: Any, name: str) -> float:
    value = read_exact(prim, name)
    return 0.0 if value is None else float(value)


def _vector(prim: Any, name: str) -> Float[np.ndarray, "3"] | None:
    value = read_exact(prim, name, (3,))
    # UsdPhysics' default is −inf, which means "not given".
    return None if value is None or not np.isfinite(value).all() else value


def _tensor(prim: Any, units: Units) -> Float[np.ndarray, "3 3"] | None:
    six = authored(prim, "newton:inertia")
    if six is not None and len(six):
        values = np.array(six, float)
        if values.shape != (6,) or not np.isfinite(values).all():
            raise StageError(f"{prim.GetPath()}: newton:inertia needs 6 finite numbers, not {six}")
        full = np.empty((3, 3))
        for (i, j), value in zip(_SIX, values * units.inertia_kgm2, strict=True):
            full[i, j] = full[j, i] = value
        return full
    diagonal = _vector(prim, "physics:diagonalInertia")
    if diagonal is None or not diagonal.any():  # zero is UsdPhysics' "not given"
        return None
    axes = read_exact(prim, "physics:principalAxes", (4,))
    if axes is not None and not np.isfinite(axes).all():
        raise StageError(f"{prim.GetPath()}: physics:principalAxes must be finite, not {axes}")
    R = np.eye(3) if axes is None or not axes.any() else from_quaternion(axes)
    tensor: Float[np.ndarray, "3 3"] = R @ np.diag(diagonal * units.inertia_kgm2) @ R.T
    return tensor


def _volume_parameters(
    prim: Any, shape: Shape, body_density: float, units: Units
) -> Float[np.ndarray, "10"]:
    """Return the inertial parameters of one collider about the body's origin."""
    volume, central = _unit_density(shape)
    mass = _mass(prim, units)
    density = _number(prim, "physics:density") * units.mass_kg / units.length_m**3
    density = density or _material_density(prim, units) or body_density or _DEFAULT_DENSITY
    factor = mass / volume if mass > 0 else density
    inertial = Inertial(volume * factor, central.com_m, central.inertia_kgm2 * factor)
    return inertial_parameters(inertial, shape.X_BS)


def _material_density(prim: Any, units: Units) -> float:
    from pxr import UsdShade

    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial("physics")
    if not material:
        return 0.0
    return _number(material.GetPrim(), "physics:density") * units.mass_kg / units.length_m**3


def _unit_density(shape: Shape) -> tuple[float, Inertial]:
    """Return the volume (m³) of a shape, and its inertial at 1 kg/m³ in the shape's frame."""
    import trimesh

    if shape.kind == "mesh":
        assert shape.mesh is not None
        # With vertices that normals tell apart made one, a closed mesh is seen to be closed.
        solid = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.triangles)
        if shape.approximation == "convexHull" or not solid.is_volume:
            try:
                solid = solid.convex_hull
            except QhullError as error:
                raise StageError(
                    f"{shape.prim}: a collider without a volume tells no mass; author mass, centre "
                    "of mass and inertia of its body"
                ) from error
        properties = solid.mass_properties
        return float(properties.mass), Inertial(
            float(properties.mass), np.array(properties.center_mass), np.array(properties.inertia)
        )
    if shape.kind == "box":
        x, y, z = shape.size
        volume = x * y * z
        moments = volume / 12 * np.array([y * y + z * z, x * x + z * z, x * x + y * y])
    elif shape.kind == "sphere":
        (r,) = shape.size
        volume = 4 / 3 * np.pi * r**3
        moments = volume * 2 / 5 * r * r * np.ones(3)
    elif shape.kind == "cylinder":
        r, h = shape.size
        volume = np.pi * r * r * h
        moments = volume * np.array([(3 * r * r + h * h) / 12] * 2 + [r * r / 2])
    else:
        r, h = shape.size
        tube, ball = np.pi * r * r * h, 4 / 3 * np.pi * r**3
        volume = tube + ball
        # Each half ball's centroid lies 3r/8 beyond its end of the tube.
        across = tube * (3 * r * r + h * h) / 12 + ball * (
            2 / 5 * r * r + h * h / 4 + 3 / 8 * h * r
        )
        moments = np.array([across, across, tube * r * r / 2 + ball * 2 / 5 * r * r])
    return float(volume), Inertial(float(volume), np.zeros(3), np.diag(moments))
