"""The moving part of an articulation: its recorded joints, everything else welded in place.

Dynamics need only this: a tree of n one-degree joints, each carrying one rigid group of bodies.
Joints that are fixed, or that the caller does not list, are welded at a given position, so that the
fingers of a gripper that was not recorded ride along as mass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from envs.errors import StageError, unknown
from envs.frames import Pose, axis_angle, inverse, pose
from envs.stage.scene import Articulation, Inertial, Joint


@dataclass(frozen=True)
class Tree:
    """n joints in parent-before-child order; link i is the rigid group that joint i moves.

    The frame of link i is the joint frame, on the child's side. All in SI.

    Attributes:
        joints: Joint names.
        parent: Index of the parent link; −1 for the base.
        prismatic: Whether the joint slides.
        X_PJ: Pose of the joint frame at q = 0 in the parent link's frame (in the world for a
            child of the base).
        axis: Unit axis in the joint frame.
        groups: Per link the bodies it carries: name → pose in the link frame.
        base: Bodies that do not move: name → pose in the world.
        pi: Inertial parameters of each link, see `inertial_parameters`.
        gravity: In the world frame, m/s².
    """

    joints: tuple[str, ...]
    parent: Int[np.ndarray, "n"]
    prismatic: Bool[np.ndarray, "n"]
    X_PJ: Float[np.ndarray, "n 4 4"]
    axis: Float[np.ndarray, "n 3"]
    groups: tuple[Mapping[str, Pose], ...]
    base: Mapping[str, Pose]
    pi: Float[np.ndarray, "n 10"]
    gravity: Float[np.ndarray, "3"]


def inertial_parameters(inertial: Inertial, X_LB: Pose) -> Float[np.ndarray, "10"]:
    """Return (m, m·c, Ixx, Ixy, Iyy, Ixz, Iyz, Izz) about the origin of frame L, in its axes.

    The order is Pinocchio's. The inertia is moved by the parallel-axis theorem.
    """
    R_LB = X_LB[:3, :3]
    c = X_LB[:3, 3] + R_LB @ inertial.com_m
    moment = R_LB @ inertial.inertia_kgm2 @ R_LB.T
    moment = moment + inertial.mass_kg * (c @ c * np.eye(3) - np.outer(c, c))
    i, j = [0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]
    return np.concatenate([[inertial.mass_kg], inertial.mass_kg * c, moment[i, j]])


def to_inertial(pi: Float[np.ndarray, "10"]) -> Inertial:
    """Return the mass, centre of mass and central inertia of parameters about the same frame."""
    m, moment = float(pi[0]), np.empty((3, 3))
    moment[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]] = pi[4:]
    moment[[1, 2, 2], [0, 0, 1]] = moment[[0, 0, 1], [1, 2, 2]]
    c = pi[1:4] / m if m > 0 else np.zeros(3)
    return Inertial(m, c, moment - m * (c @ c * np.eye(3) - np.outer(c, c)))


def joint_motion(joint: Joint, q: float) -> Pose:
    """Return the pose of the child's joint frame in the parent's at position q (rad or m)."""
    if joint.kind == "prismatic":
        return pose(np.eye(3), joint.axis * q)
    if joint.kind == "revolute":
        return pose(axis_angle(joint.axis, np.asarray(q)), np.zeros(3))
    return np.eye(4)


def reduce_tree(
    robot: Articulation,
    joints: Sequence[str],
    gravity: Float[np.ndarray, "3"],
    *,
    welded: Mapping[str, float] | None = None,
) -> Tree:
    """Weld all joints but the listed ones and return the tree that remains.

    Args:
        robot: A fixed-base articulation.
        joints: The joints that move, in any order; columns of q follow the *stage's* order, which
            the result's `joints` gives.
        gravity: Acceleration of gravity in the world, m/s².
        welded: Position of joints that are not listed, rad or m; 0 where not given.

    Raises:
        StageError: An unknown or fixed joint is listed, the base is free, one name is doubled, or a
            loop holds bodies together that the listed joints would move apart.
    """
    if not robot.fixed_base:
        raise StageError(f"{robot.prim}: dynamics need a fixed base")
    tree = weld(robot, joints, gravity, welded=welded)
    carrier = dict.fromkeys(tree.base, -1)
    carrier |= {name: i for i, group in enumerate(tree.groups) for name in group}
    for loop in robot.loops:
        if len({carrier[name] if name else -1 for name in (loop.parent, loop.child)}) > 1:
            raise StageError(
                f"{loop.prim}: closes a loop between '{loop.parent or 'the world'}' and "
                f"'{loop.child}', which the listed joints move apart; the dynamics of a tree do "
                "not hold there"
            )
    return tree


def weld(
    robot: Articulation,
    joints: Sequence[str],
    gravity: Float[np.ndarray, "3"],
    *,
    welded: Mapping[str, float] | None = None,
) -> Tree:
    """Do what `reduce_tree` does with its arguments, and leave base and loops to the caller.

    The tree stands where the stage puts the base, though that may float, and is open where a loop
    would close it.

    Raises:
        StageError: An unknown or fixed joint is listed, or one name is doubled.
    """
    movable = [j.name for j in robot.joints if j.kind != "fixed"]
    for name in joints:
        if name not in movable:
            raise StageError(unknown("joint", name, movable, where="the stage"))
    if len(set(joints)) != len(joints):
        raise StageError(f"a joint is listed twice: {', '.join(joints)}")
    welded = welded or {}
    order = [name for name in movable if name in set(joints)]

    # Each body is carried by a link (an index, −1 for the base) at a pose in that link's frame.
    carrier: dict[str, tuple[int, Pose]] = {robot.bodies[0].name: (-1, robot.bodies[0].X_WB)}
    parent, X_PJ, axis, prismatic = [], [], [], []
    for joint in robot.joints:
        link, X_LB = carrier[joint.parent]
        X_LJ = X_LB @ joint.X_PJ
        if joint.name in order:
            parent.append(link)
            X_PJ.append(X_LJ)
            axis.append(joint.axis)
            prismatic.append(joint.kind == "prismatic")
            carrier[joint.child] = (len(parent) - 1, inverse(joint.X_CJ))
        else:
            X_LJ = X_LJ @ joint_motion(joint, welded.get(joint.name, 0.0))
            carrier[joint.child] = (link, X_LJ @ inverse(joint.X_CJ))

    groups: list[dict[str, Pose]] = [{} for _ in order]
    base: dict[str, Pose] = {}
    pi = np.zeros((len(order), 10))
    for body in robot.bodies:
        link, X_LB = carrier[body.name]
        if link < 0:
            base[body.name] = X_LB
        else:
            groups[link][body.name] = X_LB
            pi[link] += inertial_parameters(body.inertial, X_LB)
    return Tree(
        joints=tuple(order),
        parent=np.array(parent, int),
        prismatic=np.array(prismatic, bool),
        X_PJ=np.array(X_PJ).reshape(-1, 4, 4),
        axis=np.array(axis).reshape(-1, 3),
        groups=tuple(groups),
        base=base,
        pi=pi,
        gravity=np.asarray(gravity, float),
    )
