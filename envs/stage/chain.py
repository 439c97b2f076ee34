"""Joints of several degrees of freedom as chains of one-degree joints with massless bodies between.

Coordinates: the child's joint frame is moved in the parent's by the slides along x, y, z and then
turned about x, y, z, each about the axis as the turns before it have left it. A rotation of all
three is an intrinsic X-Y-Z Euler rotation.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from envs.frames import Pose, axis_angle, inverse, pose
from envs.stage.joints import Dof, JointEnd, JointPrim
from envs.stage.scene import MASSLESS, Body, Joint


@dataclass(frozen=True)
class Edge:
    """A joint of the tree, seen from the base.

    Attributes:
        swapped: Whether the parent is USD's body 1.
    """

    joint: JointPrim
    parent: JointEnd
    child: JointEnd
    swapped: bool


def dof_name(name: str, joint: JointPrim, dof: Dof) -> str:
    """Return what one degree of freedom of a joint called `name` is called."""
    return name if len(joint.dofs) == 1 else f"{name}:{dof.name}"


def expand(
    edge: Edge,
    name: str,
    parent: Body,
    child: Body,
    mimics: Mapping[str, tuple[str, float, float]],
) -> tuple[list[Body], list[Joint]]:
    """Return the bodies and joints, in tree order, that one joint prim becomes.

    Args:
        edge: The joint in the tree.
        name: Name of the joint.
        parent: The body it hangs from.
        child: The body it moves.
        mimics: Name of a degree of freedom → (leader, multiplier, offset).
    """
    joint = edge.joint
    # USD moves body 1's frame in body 0's. Seen from the other side the same position is the
    # inverse motion: the chain backwards, each by q about the opposite axis.
    dofs: Sequence[Dof] = joint.dofs[::-1] if edge.swapped else joint.dofs
    if not dofs:
        fixed = Joint(
            name=name,
            prim=joint.path,
            kind="fixed",
            parent=parent.name,
            child=child.name,
            X_PJ=edge.parent.X_EJ,
            X_CJ=edge.child.X_EJ,
            axis=np.array([1.0, 0.0, 0.0]),
        )
        return [child], [fixed]
    rest = dict(
        zip([d.name for d in joint.dofs], rest_coordinates(edge, parent, child), strict=True)
    )
    bodies: list[Body] = []
    joints: list[Joint] = []
    X_WJ = parent.X_WB @ edge.parent.X_EJ
    for i, dof in enumerate(dofs):
        last = i == len(dofs) - 1
        axis = -dof.axis if edge.swapped else dof.axis
        full = dof_name(name, joint, dof)
        X_WJ = X_WJ @ _motion(dof, axis, rest[dof.name])
        body = (
            child if last else Body(full, joint.path, X_WJ, MASSLESS, (), (), child.label, "none")
        )
        joints.append(
            Joint(
                name=full,
                prim=joint.path,
                kind=dof.kind,
                parent=bodies[-1].name if bodies else parent.name,
                child=body.name,
                X_PJ=np.eye(4) if bodies else edge.parent.X_EJ,
                X_CJ=edge.child.X_EJ if last else np.eye(4),
                axis=axis,
                mimic=mimics.get(full),
                dof=dof.name,
                **dof.values,
            )
        )
        bodies.append(body)
    return bodies, joints


def rest_coordinates(edge: Edge, parent: Body, child: Body) -> list[float]:
    """Return the position of each degree of freedom (m or rad) at the authored poses, nearest."""
    X = _between(edge, parent, child)
    turns = "".join(d.freedom[-1] for d in edge.joint.dofs if d.kind == "revolute")
    order = turns + "".join(a for a in "XYZ" if a not in turns)
    with warnings.catch_warnings():
        # At a gimbal lock one of the many answers will do.
        warnings.simplefilter("ignore", UserWarning)
        angles = dict(zip(order, Rotation.from_matrix(X[:3, :3]).as_euler(order), strict=True))
    return [
        float(angles[d.freedom[-1]] if d.kind == "revolute" else d.axis @ X[:3, 3])
        for d in edge.joint.dofs
    ]


def rest_gap(edge: Edge, parent: Body, child: Body) -> tuple[float, float]:
    """Return how far the authored poses are from any position of the joint, in m and rad."""
    X = _between(edge, parent, child)
    moved = np.eye(4)
    for dof, q in zip(edge.joint.dofs, rest_coordinates(edge, parent, child), strict=True):
        moved = moved @ _motion(dof, dof.axis, q)
    off = inverse(moved) @ X
    turned = float(Rotation.from_matrix(off[:3, :3]).magnitude())
    return float(np.linalg.norm(X[:3, 3] - moved[:3, 3])), turned


def _between(edge: Edge, parent: Body, child: Body) -> Pose:
    """Return the pose of body 1's joint frame in body 0's, at the authored poses."""
    X = inverse(parent.X_WB @ edge.parent.X_EJ) @ child.X_WB @ edge.child.X_EJ
    return inverse(X) if edge.swapped else X


def _motion(dof: Dof, axis: np.ndarray, q: float) -> Pose:
    if dof.kind == "revolute":
        return pose(axis_angle(axis, np.asarray(q)), np.zeros(3))
    return pose(np.eye(3), axis * q)
