"""A robot as the flat list of links that a physics engine is built from."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

from envs.errors import StageError
from envs.frames import Pose, pose
from envs.stage.scene import MASSLESS, Articulation, Inertial, Shape
from envs.stage.tree import Tree, to_inertial


@dataclass(frozen=True)
class Link:
    """One link, in a list where parents come first and branches are whole (depth first).

    Attributes:
        parent: Index in the list; −1 for the base.
        X_PL: Pose in the parent (in the world for a child of the base), at q = 0.
        inertial: In the frame of the link.
        joint: Column of the tree's joint that moves it; −1 where it is fixed to its parent.
        axis: Unit axis of that joint, in the link.
        prismatic: Whether that joint slides.
        shape: A collider, which has a link of its own: a multibody's link holds one inline mesh.
        body: The body of the scene whose collider that is.
    """

    parent: int
    X_PL: Pose
    inertial: Inertial = MASSLESS
    joint: int = -1
    axis: Float[np.ndarray, "3"] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    prismatic: bool = False
    shape: Shape | None = None
    body: str = ""


def robot_links(tree: Tree, robot: Articulation, *, copies: int, colliders: bool) -> list[Link]:
    """Return the links of identical robots which share nothing but their fixed base.

    Each joint of the tree moves one link, in the frame of the tree's link. Each collider adds a
    massless link fixed to it, which changes nothing in the dynamics.

    Raises:
        StageError: A joint carries no mass, so that nothing says how it moves.
    """
    shapes = {body.name: body.colliders if colliders else () for body in robot.bodies}
    children: dict[int, list[int]] = {i: [] for i in range(-1, len(tree.joints))}
    for joint, parent in enumerate(tree.parent):
        children[int(parent)].append(joint)
    links: list[Link] = []

    def add_colliders(parent: int, group: Mapping[str, Pose]) -> None:
        links.extend(
            Link(parent, X_LB, shape=shape, body=name)
            for name, X_LB in group.items()
            for shape in shapes[name]
        )

    def add(joint: int, parent: int) -> float:
        inertial, index = to_inertial(tree.pi[joint]), len(links)
        links.append(
            Link(
                parent,
                tree.X_PJ[joint],
                inertial,
                joint,
                axis=tree.axis[joint],
                prismatic=bool(tree.prismatic[joint]),
            )
        )
        add_colliders(index, tree.groups[joint])
        mass_kg = inertial.mass_kg + sum(add(child, index) for child in children[joint])
        if mass_kg <= 0:
            raise StageError(f"joint '{tree.joints[joint]}' carries no mass; it needs some to move")
        return mass_kg

    for _ in range(copies):
        for root in children[-1]:
            add(root, -1)
    add_colliders(-1, tree.base)
    return links


def principal_axes(name: str, inertial: Inertial) -> tuple[Pose, Float[np.ndarray, "3"]]:
    """Return the frame of the principal axes at the centre of mass, and the moments (kg·m²).

    Raises:
        StageError: A moment is negative, which no body has.
    """
    moments, R_LI = np.linalg.eigh(inertial.inertia_kgm2)
    # Rounding may leave a thin rod with −1e-20.
    if moments[0] < -1e-12 * max(1.0, moments[2]):
        raise StageError(f"{name}: moments of inertia must not be negative; found {moments}")
    if np.linalg.det(R_LI) < 0:
        R_LI = R_LI * [1.0, 1.0, -1.0]
    return pose(R_LI, inertial.com_m), np.maximum(moments, 0.0)


def touches(shape: Shape | None) -> tuple[dict[str, float], ...]:
    """Return what the engine is to know of a collider's material, one property each.

    The engine multiplies the coefficients of two bodies that touch. It is given the square roots,
    so that two equal materials have their own coefficient, and two others their geometric mean. Of
    friction it has one coefficient: it gets the one that acts in sliding.
    """
    if shape is None or shape.contact is None:
        return ()
    contact = shape.contact
    return (
        {"lateralFriction": float(np.sqrt(contact.dynamic_friction))},
        {"restitution": float(np.sqrt(contact.restitution))},
    )


def placed_vertices(shape: Shape, *, hull: bool, most: int) -> Float[np.ndarray, "v 3"]:
    """Return the vertices of a mesh collider in the frame of its body, m.

    Args:
        shape: A mesh.
        hull: Keep the corners of the convex hull only.
        most: What the engine takes.

    Raises:
        StageError: There are more vertices than that.
    """
    assert shape.mesh is not None, "only a mesh has vertices"
    vertices = shape.mesh.vertices
    if hull:
        # What is flat has no hull for qhull; the engine takes it as it is.
        with suppress(QhullError):
            vertices = vertices[ConvexHull(vertices).vertices]
    if len(vertices) > most:
        raise StageError(f"{shape.prim}: a collider may have {most} vertices, not {len(vertices)}")
    placed: Float[np.ndarray, "v 3"] = vertices @ shape.X_BS[:3, :3].T + shape.X_BS[:3, 3]
    return placed
