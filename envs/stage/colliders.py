"""Gprims as they collide: their physics material, and what stands for a mesh."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import QhullError

from envs.errors import StageError
from envs.frames import pose
from envs.stage.attributes import authored
from envs.stage.contact import read_contact
from envs.stage.diagnostics import Diagnostics
from envs.stage.geometry import gprim_shape
from envs.stage.scene import Mesh, Shape

_AS_IT_STANDS = ("none", "meshSimplification", "sdf")


def collider_shape(
    prim: Any, A_BS: Float[np.ndarray, "4 4"], notes: Diagnostics, *, moves: bool
) -> Shape:
    """Return a gprim as a collider.

    Args:
        prim: The gprim.
        A_BS: Maps its local space to its body, scale included.
        notes: Gets where it collides otherwise than the stage says.
        moves: Whether its body moves: an engine then takes nothing concave.
    """
    shape = replace(gprim_shape(prim, A_BS), contact=read_contact(prim))
    kind = str(prim.GetTypeName())
    if kind in ("Cone", "Plane"):
        notes.add("approximated", prim, f"a {kind.lower()} is read as a mesh of flat faces")
        # A cone is convex, and a plane its own hull.
        return replace(shape, approximation="convexHull" if kind == "Cone" else "none")
    if shape.mesh is None:
        return shape
    wanted = str(authored(prim, "physics:approximation") or "none")
    if wanted == "convexHull":
        return replace(shape, approximation="convexHull")
    if wanted == "convexDecomposition":
        return replace(shape, approximation="convexDecomposition")
    if wanted in ("boundingCube", "boundingSphere"):
        return _bound(shape, shape.mesh, wanted)
    if wanted not in _AS_IT_STANDS:
        notes.add("refused", prim, f"physics:approximation '{wanted}' is not known: as 'none'")
    elif moves:
        notes.add(
            "approximated",
            prim,
            f"a body that moves collides by convex pieces where its mesh is concave, not by "
            f"'{wanted}'",
        )
    elif wanted != "none":
        notes.add("approximated", prim, f"collides as the mesh it is, not by '{wanted}'")
    return shape


def _bound(shape: Shape, mesh: Mesh, wanted: str) -> Shape:
    """Return the smallest box or ball around a mesh."""
    import trimesh

    points = mesh.vertices
    try:
        if wanted == "boundingSphere":
            center, radius = trimesh.nsphere.minimum_nsphere(points)
            X_BS = shape.X_BS @ pose(np.eye(3), np.asarray(center, float))
            return replace(shape, kind="sphere", size=(float(radius),), mesh=None, X_BS=X_BS)
        X_box, extents = trimesh.bounds.oriented_bounds(points, ordered=True)
    except QhullError as error:
        raise StageError(f"{shape.prim}: a mesh without a volume has no '{wanted}'") from error
    X_BS = shape.X_BS @ np.linalg.inv(X_box)
    size = (float(extents[0]), float(extents[1]), float(extents[2]))
    return replace(shape, kind="box", size=size, mesh=None, X_BS=X_BS)
