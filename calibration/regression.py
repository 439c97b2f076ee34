"""Torque as a linear map of coefficients, low-passed like its measurement.

The model `τ = Y π + armature·q̈ + coulomb·tanh(q̇/v₀) + stribeck·e^(−(q̇/v_s)²)·tanh(q̇/v₀) + viscous·q̇
+ asymmetry·|q̇| + offset + spring·q` is linear in all but the Stribeck velocity. What a late sensor
takes off it, lag·τ̇, and friction that grows with the load, load·|Y π|·tanh(q̇/v₀), are linear about
the torque of a first fit. All columns go through the filter of the measured torque (parallel
filtering: Gautier, Dynamic identification of robots with power model, ICRA 1997).
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.polynomial import chebyshev
from scipy.interpolate import CubicSpline

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
# Columns that are a joint's own, without Stribeck's, and the places of two among them.
OWN, LAG, LOAD = 8, 5, 7
# Columns without jumps are made at so many times that rate, all others at the motion's own.
SMOOTHNESS = 2

Moments = Float[np.ndarray, "square square"]


@dataclass(frozen=True)
class JointRows:
    """The rows of one joint's torque equation.

    Attributes:
        index: Which coefficients enter it.
        columns: Low-passed, at the rows in use.
        tau: Low-passed measured torque, N·m or N.
    """

    index: Int[np.ndarray, "columns"]
    columns: Float[np.ndarray, "rows columns"]
    tau: Float[np.ndarray, "rows"]

    def moments(self, weights: Float[np.ndarray, "rows"]) -> Moments:
        """Return the sums of products of (columns, tau), all that least squares can see of them."""
        full = np.column_stack([self.columns, self.tau])
        return np.asarray(full.T @ (weights[:, None] * full))

    def residual(
        self, coefficients: Float[np.ndarray, "coefficients"]
    ) -> Float[np.ndarray, "rows"]:
        """Return the torque that coefficients give, minus the measured one."""
        return np.asarray(self.columns @ coefficients[self.index] - self.tau)


@dataclass(frozen=True)
class Regression:
    """All joints' rows, at the instants `t_s`.

    The coefficients are, one block after the other: π of all links (10 each), armature, coulomb,
    viscous, offset, spring, lag, asymmetry, load (one a joint), and the Stribeck columns
    (STRIBECK_NODES a joint). Where currents were measured π comes once for each joint's equation,
    in units of its own (`by_joint`).

    Attributes:
        kept: Of the motion's samples.
        lags_s: By which each joint's columns are late, s.
        information: Independent samples per row: a low-passed signal repeats itself.
    """

    t_s: Float[np.ndarray, "rows"]
    kept: Int[np.ndarray, "rows"]
    lags_s: Float[np.ndarray, "joint"]
    joints: tuple[JointRows, ...]
    information: float

    def near(
        self,
        motion: Motion,
        cutoff_hz: float,
        tau: Float[np.ndarray, "time joint"],
        load: Float[np.ndarray, "time joint"],
    ) -> "Regression":
        """Return the regression with the columns that need a first fit: those of lag and load.

        Args:
            motion: That the regression was made of.
            cutoff_hz: Of the filter.
            tau: The low-passed torque that the first fit predicts, as late as the mean of its lag
                and that of the columns: by the mean value theorem τ(t − lag) is, to second order,
                τ(t) − lag·τ̇(t − lag/2). The measured torque in its place would explain its own
                noise.
            load: What its bodies take of that, not low-passed.
        """
        dt_s = float(motion.t_s[1] - motion.t_s[0])
        late = -np.gradient(tau, dt_s, axis=0)[self.kept]
        sign = np.tanh(motion.qd / STICTION_VELOCITY)
        loaded = lowpass(np.abs(load) * sign, dt_s, cutoff_hz)
        joints = []
        for j, (rows, lag_s) in enumerate(zip(self.joints, self.lags_s, strict=True)):
            columns = rows.columns.copy()
            own = columns.shape[1] - STRIBECK_NODES - OWN
            columns[:, own + LAG] = late[:, j]
            columns[:, own + LOAD] = shifted(loaded[:, j], self.kept, lag_s / dt_s)
            # What the lag of the columns makes of the torque is theirs, and not the lag's column's.
            tau = motion.tau[self.kept, j] + lag_s * late[:, j]
            joints.append(replace(rows, columns=columns, tau=tau))
        return replace(self, joints=tuple(joints))


def shifted(
    values: Float[np.ndarray, "time *columns"], at: Int[np.ndarray, "rows"], late: float
) -> Float[np.ndarray, "rows *columns"]:
    """Return a smooth signal so many samples before each of some instants (cubic spline)."""
    if late == 0:
        return np.asarray(values[at])
    spline = CubicSpline(np.arange(len(values)), values)
    return np.asarray(spline(np.maximum(at - late, 0.0)))


def bodies_end(joints: int, *, by_joint: bool = False) -> int:
    """Return the index of the first coefficient after those of the bodies."""
    return 10 * joints * (joints if by_joint else 1)


def first_node(joints: int, *, by_joint: bool = False) -> int:
    """Return the index of the first Stribeck coefficient."""
    return bodies_end(joints, by_joint=by_joint) + OWN * joints


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
    polynomials = _cardinal()
    if slope:
        polynomials = chebyshev.chebder(polynomials) / ((high - low) / 2)
    return np.asarray(chebyshev.chebvander(x, len(polynomials) - 1) @ polynomials)


@cache
def _cardinal() -> Float[np.ndarray, "degree node"]:
    """Return the Chebyshev coefficients of the polynomials that are 1 at one node, 0 at others."""
    nodes = chebyshev.chebpts1(STRIBECK_NODES)
    return np.asarray(np.linalg.inv(chebyshev.chebvander(nodes, STRIBECK_NODES - 1)))


def build_regression(
    tree: Tree,
    motion: Motion,
    rows: Bool[np.ndarray, "time"],
    cutoff_hz: float,
    *,
    lags_s: Float[np.ndarray, "joint"] | None = None,
    by_joint: bool = False,
) -> Regression:
    """Make, low-pass and thin out the torque equations of a motion.

    The columns of lag and load are zero; see `Regression.near`.

    Args:
        tree: Its joints are those of the motion.
        motion: Low-passed at `cutoff_hz`.
        rows: Instants that may be used.
        cutoff_hz: Of the filter.
        lags_s: By which the columns of each joint shall be late, s: a jump of friction cannot be
            made late by its slope.
        by_joint: The bodies have coefficients of their own in each joint's equation.

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
    sign = np.tanh(motion.qd / STICTION_VELOCITY)
    excess = np.exp(-((motion.qd[..., None] / stribeck_nodes()) ** 2)) * sign[..., None]

    lags_s = np.zeros(n) if lags_s is None else lags_s
    joints = []
    for j, late in enumerate(lags_s / dt_s):
        seen = np.flatnonzero(np.abs(Y[:, j]).max(axis=0) > 0)
        own = bodies_end(n, by_joint=by_joint) + n * np.arange(OWN) + j
        nodes = first_node(n, by_joint=by_joint) + j * STRIBECK_NODES + np.arange(STRIBECK_NODES)
        ones = np.ones_like(sign[:, j])
        smooth = lowpass(Y[:, j, seen], thin * dt_s, cutoff_hz)
        smooth = shifted(smooth, kept // thin, late / thin)
        plain = [motion.qdd[:, j], sign[:, j], motion.qd[:, j], ones, motion.q[:, j]]
        rough = np.column_stack([*plain, np.abs(motion.qd[:, j]), excess[:, j]])
        rough = shifted(lowpass(rough, dt_s, cutoff_hz), kept, late)
        later = np.zeros((len(kept), 1))
        columns = np.column_stack([smooth, rough[:, :5], later, rough[:, 5:6], later, rough[:, 6:]])
        bodies = seen + 10 * n * j * by_joint
        index = np.concatenate([bodies, own, nodes])
        if len(kept) < 2 * columns.shape[1]:
            raise CalibrationError(
                f"{len(kept)} usable instants are too few for the {columns.shape[1]} coefficients "
                f"of {tree.joints[j]}; give a longer span or fewer gaps"
            )
        joints.append(JointRows(index, columns, motion.tau[kept, j]))
    return Regression(
        t_s=motion.t_s[kept],
        kept=kept,
        lags_s=lags_s,
        joints=tuple(joints),
        information=min(1.0, 2 * cutoff_hz * dt_s * stride),
    )
