"""Least squares over rollouts: Levenberg–Marquardt with every trial of a round rolled out at once.

Slopes are finite differences, all in one batch; the steps of several dampings are tried together
and the best is kept (Moré, The Levenberg–Marquardt algorithm: implementation and theory, 1978, for
the damping by the diagonal). A rollout is smooth and repeats to the last bit, so that a difference
over a small part of a coordinate's unit is good to many figures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from envs.errors import CalibrationError

DIFFERENCE = 1e-4
"""Step of the differences, in units of the coordinates, where rollouts are smooth."""
SETTLED = 1e-3
"""The search is over when a round gains less than this part of the cost, …"""
SMALL = 1e-3
"""… or when no coordinate moved by more than this part of what is left open of it."""
TRIALS = np.array([0.1, 1.0, 10.0])
"""Dampings tried in a round, relative to the one that was best in the last."""
OUTLIER = 4.0
"""Residuals beyond this many levels count with their absolute value (Huber, Robust estimation of a
location parameter, 1964): what a sensor logs once in a while does not bend the fit."""

Residuals = Callable[[Float[np.ndarray, "trial params"]], Float[np.ndarray, "trial rows"]]

Weigh = Callable[[Float[np.ndarray, "rows"]], Float[np.ndarray, "rows"]]


@dataclass(frozen=True)
class Fit:
    """The end of a search.

    Attributes:
        z: Coordinates.
        raw: Residuals there, whitened.
        residual: These, weighed.
        jacobian: Of these, where the last round began.
        start_cost: Mean square of the whitened residuals at the start.
        rounds: That were taken.
        trials: Points that were rolled out.
    """

    z: Float[np.ndarray, "params"]
    raw: Float[np.ndarray, "rows"]
    residual: Float[np.ndarray, "rows"]
    jacobian: Float[np.ndarray, "rows params"]
    start_cost: float
    rounds: int
    trials: int


def least_squares(
    residuals: Residuals,
    z: Float[np.ndarray, "params"],
    bounds: tuple[Float[np.ndarray, "params"], Float[np.ndarray, "params"]],
    prior: Float[np.ndarray, "params params"],
    *,
    rounds: int,
    weigh: Weigh | None = None,
    report: Callable[[int], None] = lambda done: None,
    difference: float = DIFFERENCE,
) -> Fit:
    """Go down to the bottom of the valley.

    Args:
        residuals: Of any number of trials at once, whitened; not finite where a trial diverges.
        z: Where to start.
        bounds: Lowest and highest coordinates.
        prior: Precision of what was known before, about the start.
        rounds: At most.
        weigh: Gives the weights of residuals, anew in each round; `outlier_weights` if not given.
        report: Called with the rounds done.
        difference: Step of the differences, in units of the coordinates.

    Raises:
        CalibrationError: The start itself diverges.
    """
    low, high = bounds
    weigh = weigh or outlier_weights
    about, damping = z, 1e-3
    raw = residuals(z[None])[0]
    if not np.isfinite(raw).all():
        raise CalibrationError(
            "the robot flies apart where the fit starts; the stage's drives or inertias are far "
            "from the recorded robot's"
        )
    start_cost, trials = float((raw**2).mean()), 1
    for done in range(1, rounds + 1):
        weight = weigh(raw)
        residual = weight * raw
        jacobian = weight[:, None] * _slopes(residuals, z, raw, high, difference)
        H = jacobian.T @ jacobian + prior
        g = jacobian.T @ residual + prior @ (z - about)
        free = ~_held(z, g, low, high)
        moved = np.array([_step(H, g, free, damping * part) for part in TRIALS])
        tried = np.clip(z + moved, low, high)
        after = residuals(tried)
        trials += len(z) + len(tried)
        report(done)
        cost = _total(residual, z - about, prior)
        costs = [_total(weight * r, t - about, prior) for r, t in zip(after, tried, strict=True)]
        best = int(np.argmin(costs))
        if costs[best] >= cost:
            if damping > 1e3 or cost - costs[best] > -1e-9 * cost:
                break
            damping *= 100
            continue
        open_ = 1 / np.sqrt(np.diag(H))
        step = np.abs(tried[best] - z) / open_
        gain = (cost - costs[best]) / cost
        z, raw, damping = tried[best], after[best], max(damping * TRIALS[best], 1e-9)
        if gain < SETTLED or step.max() < SMALL:
            break
    return Fit(z, raw, weight * raw, jacobian, start_cost, done, trials)


def outlier_weights(residual: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """Return what makes a square of each residual that a far one enters with its size alone."""
    level = max(1.0, 1.4826 * float(np.median(np.abs(residual))))
    excess = np.maximum(np.abs(residual) / (OUTLIER * level), 1.0)
    return np.asarray(1 / np.sqrt(excess))


def _slopes(
    residuals: Residuals,
    z: Float[np.ndarray, "params"],
    raw: Float[np.ndarray, "rows"],
    high: Float[np.ndarray, "params"],
    difference: float,
) -> Float[np.ndarray, "rows params"]:
    # At an upper bound the difference is taken downwards.
    step = np.where(z + difference > high, -difference, difference)
    return np.asarray(((residuals(z + np.diag(step)) - raw) / step[:, None]).T)


def _held(
    z: Float[np.ndarray, "params"],
    g: Float[np.ndarray, "params"],
    low: Float[np.ndarray, "params"],
    high: Float[np.ndarray, "params"],
) -> Bool[np.ndarray, "params"]:
    """Return which coordinates a bound holds back; the others do not count on their moving."""
    return np.asarray(((z <= low) & (g > 0)) | ((z >= high) & (g < 0)))


def _step(
    H: Float[np.ndarray, "params params"],
    g: Float[np.ndarray, "params"],
    free: Bool[np.ndarray, "params"],
    damping: float,
) -> Float[np.ndarray, "params"]:
    step = np.zeros(len(g))
    own = H[np.ix_(free, free)]
    step[free] = -np.linalg.solve(own + damping * np.diag(np.diag(own)), g[free])
    return step


def _total(
    residual: Float[np.ndarray, "rows"],
    off: Float[np.ndarray, "params"],
    prior: Float[np.ndarray, "params params"],
) -> float:
    total = float(residual @ residual + off @ prior @ off)
    return total if np.isfinite(total) else np.inf
