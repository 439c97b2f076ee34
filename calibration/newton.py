"""Damped Newton steps for small dense problems with bounds."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from envs.errors import CalibrationError

STEPS = 100
GAIN = 1e-10
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-3, 1e-12, 1e12


@dataclass(frozen=True)
class Local:
    """A cost near one point, in the local coordinates of steps.

    Attributes:
        gradient: Half the cost's derivative.
        hessian: Half its second derivative, or a positive definite stand-in.
    """

    gradient: Float[np.ndarray, "params"]
    hessian: Float[np.ndarray, "params params"]


@runtime_checkable
class Problem(Protocol):
    """What is minimised. Parameters with a finite bound are their own local coordinate."""

    def cost(self, p: Float[np.ndarray, "params"]) -> float:
        """Return the cost; it may be infinite."""

    def expand(self, p: Float[np.ndarray, "params"]) -> Local:
        """Return the cost's derivatives."""

    def move(
        self, p: Float[np.ndarray, "params"], step: Float[np.ndarray, "params"]
    ) -> Float[np.ndarray, "params"]:
        """Return p moved along a local step, or along as much of it as is allowed."""


def minimize(
    problem: Problem,
    start: Float[np.ndarray, "params"],
    lower: Float[np.ndarray, "params"],
    upper: Float[np.ndarray, "params"],
    *,
    gain: float = GAIN,
) -> Float[np.ndarray, "params"]:
    """Minimise a smooth cost within bounds.

    Newton's step with Levenberg and Marquardt's damping, raised until the cost falls. A parameter
    at a bound is held there as long as the gradient points outwards, and steps are cut off at the
    bounds (after Bertsekas, Projected Newton methods for optimization problems with simple
    constraints, SIAM Journal on Control and Optimization 20, 1982).

    Args:
        problem: The cost, and how to step.
        start: Within the bounds.
        lower: −inf where there is none.
        upper: inf where there is none.
        gain: Stop where a step gains less than this share of the cost.

    Raises:
        CalibrationError: It does not settle.
    """
    p, best, damping = start, problem.cost(start), FIRST_DAMPING
    for _ in range(STEPS):
        local = problem.expand(p)
        held = ((p <= lower) & (local.gradient > 0)) | ((p >= upper) & (local.gradient < 0))
        free = np.flatnonzero(~held)
        hessian = local.hessian[np.ix_(free, free)]
        scale = np.diag(np.diag(hessian))
        while True:
            step = np.zeros_like(p)
            step[free] = -np.linalg.solve(hessian + damping * scale, local.gradient[free])
            candidate = np.asarray(np.clip(problem.move(p, step), lower, upper))
            value = problem.cost(candidate)
            if value <= best:
                break
            damping *= 10
            if damping > MOST_DAMPING:
                # No direction is left that gains anything in double precision.
                return p
        gained = best - value
        p, best = candidate, value
        if gained <= gain * best:
            return p
        damping = max(damping / 10, LEAST_DAMPING)
    raise CalibrationError(f"the fit did not settle within {STEPS} steps; the cost is {best:.6g}")
