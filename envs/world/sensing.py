"""What the joints' torque sensors read during a motion."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from envs.stage.scene import Joint
from envs.stage.tree import Tree
from envs.world.dynamics import TreeDynamics
from envs.world.friction import STICTION_VELOCITY, friction_torque, joint_friction


def sensor_torque(
    tree: Tree,
    joints: Sequence[Joint],
    q: Float[np.ndarray, "time joint"],
    qd: Float[np.ndarray, "time joint"],
    qdd: Float[np.ndarray, "time joint"],
    dt_s: float,
) -> Float[np.ndarray, "time joint"]:
    """Return the torque of bodies, rotors, friction, spring and offset, by the sensors' lag late.

    Args:
        tree: Inertias.
        joints: Armature, friction, spring, offset and lag, in the tree's order.
        q: Position, rad or m.
        qd: Velocity, rad/s or m/s.
        qdd: Acceleration, rad/s² or m/s².
        dt_s: Step between instants, s.

    Returns:
        N·m or N; the first reading holds before the first instant.
    """
    bodies = TreeDynamics(tree).inverse_dynamics(q, qd, qdd)
    return reading(bodies, joints, q, qd, qdd, dt_s)


def reading(
    bodies: Float[np.ndarray, "time joint"],
    joints: Sequence[Joint],
    q: Float[np.ndarray, "time joint"],
    qd: Float[np.ndarray, "time joint"],
    qdd: Float[np.ndarray, "time joint"],
    dt_s: float,
) -> Float[np.ndarray, "time joint"]:
    """Return what sensors read where the bodies take a given torque; see `sensor_torque`."""
    friction = joint_friction(j.friction for j in joints)
    tau: Float[np.ndarray, "time joint"] = (
        bodies
        + np.array([j.armature for j in joints]) * qdd
        + friction_torque(friction, qd)
        + np.array([j.friction.asymmetry for j in joints]) * np.abs(qd)
        + np.array([j.friction.load for j in joints])
        * np.abs(bodies)
        * np.tanh(qd / STICTION_VELOCITY)
        + np.array([j.torque_offset for j in joints])
        + np.array([j.spring for j in joints]) * q
    )
    at = np.arange(len(tau), dtype=float)
    late = [
        np.interp(at - j.torque_lag_s / dt_s, at, x) for j, x in zip(joints, tau.T, strict=True)
    ]
    return np.stack(late, axis=1)
