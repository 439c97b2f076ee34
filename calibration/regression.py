"""Torque as a linear map of coefficients, low-passed like its measurement, and compressed.

The model `τ = Y π + armature·q̈ + coulomb·tanh(q̇/v₀) + stribeck·e^(−(q̇/v_s)²)·tanh(q̇/v₀) + viscous·q̇
+ offset + spring·q` is linear in all but the Stribeck velocity; what a late sensor takes off it,
lag·τ̇, is linear to first order. Its columns go through the filter of the measured torque (parallel
filtering: Gautier, Dynamic identification of robots with power model, ICRA 1997), and a QR of each
joint's rows keeps all that a least-squares fit can see of them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.polynomial import chebyshev

from calibration.dynamics import regressor
from envs.errors import CalibrationError
from envs.stage.tree import Tree
from envs.telemetry.filtering import Motion, lowpass
from envs.world.friction import STICTION_VELOCITY

# Range of the Stribeck velocity, rad/s (or m/s). The column in between is interpolated over its
# logarithm by the polynomial through so many Chebyshev nodes, to 2e-3 of its height.
STRIBECK_RANGE = (0.02, 0.3)
STRIBECK_NODES = 10
# Rows kept per period of the cutoff frequency: a low-passed signal holds no more than two.
ROWS_PER_PERIOD = 10
# Columns without jumps are made at so many times that rate, all others at the motion's own.
SMOOTHNESS = 2


@dataclass(frozen=True)
class JointRows:
    """The rows of one joint's torque equation.

    Attributes:
        index: Which coefficients enter it.
        columns: Low-passed, at the rows in use.
        tau: Low-passed measured torque, N·m or N.
        triangle: R of the QR of (columns, tau).
    """

    index: Int[np.ndarray, "columns"]
    columns: Float[np.ndarray, "rows columns"]
    tau: Float[np.ndarray, "rows"]
    triangle: Float[np.ndarray, "square square"]


@dataclass(frozen=True)
class Regression:
    """All joints' rows, at the instants `t_s`.

    The coefficients are, one block after the other: π of all links (10 each), armature, coulomb,
    viscous, offset, spring, lag (one a joint), and the Stribeck columns (STRIBECK_NODES a
    joint).

    Attributes:
        information: Independent samples per row: a low-passed signal repeats itself.
    """

    t_s: Float[np.ndarray, "rows"]
    joints: tuple[JointRows, ...]
    information: float


def first_node(joints: int) -> int:
    """Return the index of the first Stribeck coefficient."""
    return 16 * joints


def stribeck_nodes() -> Float[np.ndarray, "node"]:
    """Return the Stribeck velocities at which columns are made, rad/s or m/s."""
    low, high = np.log(STRIBECK_RANGE)
    return np.asarray(
        np.exp((low + high) / 2 + (high - low) / 2 * chebyshev.chebpts1(STRIBECK_NODES))
    )


def stribeck_weights(
    log_velocity: Float[np.ndarray, "joint"], *, slope: bool = False
) -> Float[np.ndarray, "joint node"]:
    """Return each node's weight in the column of a Stribeck velocity.

    Args:
        log_velocity: Its logarithm.
        slope: Return the derivative with respect to the logarithm.
    """
    low, high = np.log(STRIBECK_RANGE)
    x = (log_velocity - (low + high) / 2) / ((high - low) / 2)
    at_nodes = chebyshev.chebvander(chebyshev.chebpts1(STRIBECK_NODES), STRIBECK_NODES - 1)
    # Column k holds the Chebyshev coefficients of the polynomial that is 1 at node k, 0 at others.
    cardinal = np.linalg.inv(at_nodes)
    if slope:
        cardinal = chebyshev.chebder(cardinal) / ((high - low) / 2)
    return np.asarray(chebyshev.chebval(x, cardinal).T)


def build_regression(
    tree: Tree,
    motion: Motion,
    rows: Bool[np.ndarray, "time"],
    cutoff_hz: float,
    *,
    tau_near: Float[np.ndarray, "time joint"] | None = None,
) -> Regression:
    """Make, low-pass, thin out and compress the torque equations of a motion.

    Args:
        tree: Its joints are those of the motion.
        motion: Low-passed at `cutoff_hz`.
        rows: Instants that may be used.
        cutoff_hz: Of the filter.
        tau_near: The low-passed torque that a first fit predicts, for the column of the lag, which
            is zero without. The measured torque in its place would explain its own noise.

    Raises:
        CalibrationError: Too few instants are left to fit with.
    """
    n = len(tree.joints)
    dt_s = float(motion.t_s[1] - motion.t_s[0])
    thin = max(1, int(1 / (SMOOTHNESS * ROWS_PER_PERIOD * cutoff_hz * dt_s)))
    stride = (
        SMOOTHNESS * thin if thin > 1 else max(1, int(1 / (ROWS_PER_PERIOD * cutoff_hz * dt_s)))
    )
    kept = np.flatnonzero(rows)
    kept = kept[kept % stride == 0]
    state = [np.ascontiguousarray(x[::thin]) for x in (motion.q, motion.qd, motion.qdd)]
    with torch.no_grad():
        Y = regressor(tree, *(torch.from_numpy(x) for x in state)).numpy()
    late = 0 * motion.qd if tau_near is None else -np.gradient(tau_near, dt_s, axis=0)
    sign = np.tanh(motion.qd / STICTION_VELOCITY)
    excess = np.exp(-((motion.qd[..., None] / stribeck_nodes()) ** 2)) * sign[..., None]

    joints = []
    for j in range(n):
        seen = np.flatnonzero(np.abs(Y[:, j]).max(axis=0) > 0)
        own = np.array([10 * n + k * n + j for k in range(6)])
        nodes = first_node(n) + j * STRIBECK_NODES + np.arange(STRIBECK_NODES)
        ones = np.ones_like(sign[:, j])
        smooth = lowpass(Y[:, j, seen], thin * dt_s, cutoff_hz)[kept // thin]
        plain = [motion.qdd[:, j], sign[:, j], motion.qd[:, j], ones, motion.q[:, j]]
        rough = lowpass(np.column_stack([*plain, excess[:, j]]), dt_s, cutoff_hz)[kept]
        # The lag's is low-passed already.
        columns = np.column_stack([smooth, rough[:, :5], late[kept, j], rough[:, 5:]])
        index = np.concatenate([seen, own, nodes])
        if len(kept) < 2 * columns.shape[1]:
            raise CalibrationError(
                f"{len(kept)} usable instants are too few for the {columns.shape[1]} coefficients "
                f"of {tree.joints[j]}; give a longer span or fewer gaps"
            )
        tau = motion.tau[kept, j]
        triangle = np.asarray(np.linalg.qr(np.column_stack([columns, tau]), mode="r"))
        joints.append(JointRows(index, columns, tau, triangle))
    return Regression(
        t_s=motion.t_s[kept],
        joints=tuple(joints),
        information=min(1.0, 2 * cutoff_hz * dt_s * stride),
    )
