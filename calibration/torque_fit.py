"""The cost of a torque fit, its bounds, and the loop that finds noise, outliers and parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from calibration.newton import Local, minimize
from calibration.regression import STRIBECK_RANGE, JointRows, Moments, Regression
from calibration.torque_model import FIELDS, TorqueModel
from calibration.torque_prior import Prior

Loss = Literal["huber", "squares"]
"""How residuals count: by their square, or from OUTLIER deviations on by their size."""
OUTLIER = 3.0
"""Deviations from which on Huber's loss takes a residual for an outlier. Where none is, the fit is
as good as least squares': 99 % efficient with normal noise (Huber, Robust estimation of a location
parameter, 1964)."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""
LEAST_NOISE = 1e-9
"""N·m or N: what noise cannot be below, so that data without any can be fitted."""
SETTLED = 1e-7
"""Of the cost, which is about the number of independent samples: a fit is over where a step gains
less. That is far below one standard deviation of anything; a Stribeck velocity that hardly matters
may wander on for long."""
MOST_LAG_S = 0.1
"""By how much a torque sensor's reading is late at most, s."""
ROUNDS = 4
"""Noise, outliers and parameters are estimated in turn; they settle in so many rounds."""


def limits(
    model: TorqueModel, prior: Prior, left_out: Sequence[frozenset[str]]
) -> tuple[Float[np.ndarray, "params"], Float[np.ndarray, "params"]]:
    """Return the least and the largest value of each parameter.

    Args:
        model: Of the torque.
        prior: Holds what a field that is left out is held at, if that is not 0.
        left_out: The fields that each joint does not have.
    """
    names = [name for name, *_ in FIELDS]
    lower = np.zeros((len(FIELDS), len(left_out)))
    upper = np.full_like(lower, np.inf)
    for free in ("torque_offset", "friction.asymmetry"):
        lower[names.index(free)] = -np.inf
    lower[-1], upper[-1] = np.log(STRIBECK_RANGE)
    upper[names.index("torque_lag_s")] = MOST_LAG_S
    means = prior.mean[: lower.size].reshape(lower.shape)
    for j, fields in enumerate(left_out):
        for f in map(names.index, fields):
            held = means[f, j] if f == len(names) - 1 else 0.0
            lower[f, j] = upper[f, j] = held
    inertial = np.full(10 * len(model.groups), np.inf)
    gains = np.empty(0) if model.gains is None else np.where(model.gains.known, 0.0, np.inf)
    return (
        np.concatenate([-inertial, lower.ravel(), -gains]),
        np.concatenate([inertial, upper.ravel(), gains]),
    )


@dataclass(frozen=True)
class Problem:
    """Squared whitened residuals, and the prior's squared distance; see `newton.Problem`.

    Attributes:
        joints: Only what enters each is used.
        moments: Of each joint's rows.
        noise: Of each joint, N·m or N.
        information: Independent samples per row.
    """

    model: TorqueModel
    prior: Prior
    joints: tuple[JointRows, ...]
    moments: Sequence[Moments]
    noise: Float[np.ndarray, "joint"]
    information: float

    @cached_property
    def _enter(self) -> list[Int[np.ndarray, "entering"]]:
        return [self.model.enters(joint) for joint in range(len(self.joints))]

    def squares(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "joint"]:
        """Return the sum of each joint's squared residuals, N²·m² or N²."""
        return squares(self.model, self.joints, self.moments, p)

    def cost(self, p: Float[np.ndarray, "params"]) -> float:
        """See `newton.Problem`."""
        own = self.squares(p) @ (self.information / self.noise**2)
        return self.prior.cost(p) + float(own)

    def expand(self, p: Float[np.ndarray, "params"]) -> Local:
        """See `newton.Problem`; the Hessian leaves out the curvature of the Stribeck velocity."""
        D, c = self.model.derivative(p), self.model.coefficients(p)
        weight = self.information / self.noise**2
        gradient, hessian = self.prior.gradient(p), self.prior.hessian.copy()
        for rows, moments, enters, w in zip(
            self.joints, self.moments, self._enter, weight, strict=True
        ):
            own = D[rows.index[:, None], enters]
            M = w * moments[:-1]
            gradient[enters] += own.T @ (M @ np.append(c[rows.index], -1.0))
            hessian[enters[:, None], enters] += own.T @ M[:, :-1] @ own
        return Local(gradient, hessian)

    def move(
        self, p: Float[np.ndarray, "params"], step: Float[np.ndarray, "params"]
    ) -> Float[np.ndarray, "params"]:
        """See `newton.Problem`."""
        return self.model.move(p, step)


def squares(
    model: TorqueModel,
    joints: Sequence[JointRows],
    moments: Sequence[Moments],
    p: Float[np.ndarray, "params"],
) -> Float[np.ndarray, "joint"]:
    """Return the sum of each joint's squared residuals, N²·m² or N²."""
    c = model.coefficients(p)
    whole = [np.append(c[rows.index], -1.0) for rows in joints]
    # Rounding may take a sum that is all but 0 below it.
    return np.array([max(x @ M @ x, 0.0) for x, M in zip(whole, moments, strict=True)])


@dataclass(frozen=True)
class TorqueFit:
    """The end of a fit.

    Attributes:
        noise: Standard deviation of each joint's residuals that are no outliers, N·m or N.
        weights: Of the rows of each joint: 1, or less where a residual is an outlier.
    """

    p: Float[np.ndarray, "params"]
    noise: Float[np.ndarray, "joint"]
    weights: Float[np.ndarray, "joint rows"]


def start(regression: Regression, prior: Prior) -> TorqueFit:
    """Return where a fit starts from: the model's own numbers, no outlier known."""
    p = np.concatenate([prior.links().ravel(), prior.mean])
    noise = np.array([np.sqrt((rows.tau**2).mean()) for rows in regression.joints])
    return TorqueFit(p, np.maximum(noise, LEAST_NOISE), np.ones((len(noise), len(regression.t_s))))


def fit(
    model: TorqueModel,
    regression: Regression,
    prior: Prior,
    begin: TorqueFit,
    left_out: Sequence[frozenset[str]],
    loss: Loss,
    *,
    rounds: int = ROUNDS,
    tick: Callable[[], None] = lambda: None,
) -> TorqueFit:
    """Find parameters, noise and outliers by iteratively reweighted least squares.

    Args:
        model: Of the torque.
        regression: The data.
        prior: On the parameters.
        begin: Where to start.
        left_out: The fields that each joint does not have.
        loss: How residuals count.
        rounds: Of reweighting.
        tick: Called after each of them.
    """
    low, high = limits(model, prior, left_out)
    p, noise, weights = np.clip(begin.p, low, high), begin.noise, begin.weights
    for done in range(rounds):
        moments = [rows.moments(w) for rows, w in zip(regression.joints, weights, strict=True)]
        if done == 0:
            # Without a term that the start had, its noise would be far too small: the data would
            # press links against the edge of what is feasible, and the fit crawl along it.
            left = squares(model, regression.joints, moments, p) / len(regression.t_s)
            noise = np.maximum(noise, np.sqrt(left))
        problem = Problem(model, prior, regression.joints, moments, noise, regression.information)
        p = minimize(problem, p, low, high, gain=SETTLED)
        if loss == "huber":
            c = model.coefficients(p)
            weights = np.array([huber(rows.residual(c)) for rows in regression.joints])
        noise = np.sqrt(problem.squares(p) / len(regression.t_s))
        noise = np.maximum(noise, LEAST_NOISE)
        tick()
    return TorqueFit(p, noise, weights)


def huber(residual: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """Return the weights by which a weighted sum of squares is Huber's loss."""
    scale = max(NORMAL * float(np.median(np.abs(residual))), LEAST_NOISE)
    return np.asarray(1 / np.maximum(np.abs(residual) / (OUTLIER * scale), 1.0))
