"""A robot as the flat list of links that a physics engine is built from."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

from envs.errors import StageError
from envs.frames import Pose, inverse, pose
from envs.stage.scene import MASSLESS, Articulation, Freedom, Inertial, Shape
from envs.stage.tree import Tree, inertial_parameters, to_inertial

UNSAID_FRICTION = 0.25
"""Of a body without a physics material: `touches` would make PyBullet's own 0.5 of it."""
_LEVER_M = 0.1
"""Between points that stand for a hinge: a gap of 10 µm there is a turn of 0.1 mrad."""


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
    massless link fixed to it, which changes nothing in the dynamics. There may be other massless
    links on the base.

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

    if colliders and robot.fixed_base:
        # PyBullet takes what is fixed to link 0 of a fixed base as fixed itself, whatever the joint
        # of link 0 is: nothing that does not move would stop it. So link 0 is one without a use.
        links.append(Link(-1, np.eye(4)))
    for _ in range(copies):
        for root in children[-1]:
            add(root, -1)
    add_colliders(-1, tree.base)
    return links


def seen_from_base(tree: Tree, X_WB: Pose) -> Tree:
    """Return a tree with the poses that it has in the world given in the frame of its base."""
    X_BW, X_PJ = inverse(X_WB), tree.X_PJ.copy()
    roots = tree.parent < 0
    X_PJ[roots] = X_BW @ X_PJ[roots]
    return replace(tree, X_PJ=X_PJ, base={name: X_BW @ X for name, X in tree.base.items()})


def base_inertial(tree: Tree, robot: Articulation) -> Inertial:
    """Return the inertial of all that is fixed to a base which floats, in the base's frame.

    Args:
        tree: As `seen_from_base` returns it.
        robot: Whose tree that is.

    Raises:
        StageError: It has no mass, so that nothing says how it moves.
    """
    inertials = {body.name: body.inertial for body in robot.bodies}
    parameters = [inertial_parameters(inertials[name], X) for name, X in tree.base.items()]
    total = to_inertial(np.sum(parameters, axis=0))
    if total.mass_kg <= 0:
        raise StageError(f"{robot.prim}: a base that floats needs a mass, this one has none")
    return total


def closing_points(free: tuple[Freedom, ...]) -> Float[np.ndarray, "p 3"] | None:
    """Return points of a joint frame that a loop's two sides share, m; None for other freedoms.

    A ball joint shares its middle, a hinge two points of its axis, and what is welded three.
    """
    if set(free) == {"rotX", "rotY", "rotZ"}:
        return np.zeros((1, 3))
    if len(free) == 1 and free[0].startswith("rot"):
        return np.outer([-_LEVER_M, _LEVER_M], np.eye(3)["XYZ".index(free[0][-1])])
    return _LEVER_M * np.eye(3) if not free else None


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
