"""Least squares over rollouts: slopes by finite differences, and the last steps of a fit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from calibration.coordinates import Coordinates
from calibration.workers import Evaluate

DIFFERENCE = 0.05
"""Step of the finite differences, in the coordinates of the search."""
ROUNDS, SETTLED = 5, 1e-3
"""Of the polish, at most; it is over when a round gains less than this part of the cost."""
DAMPING = np.array([0.0, 1e-3, 1e-2, 1e-1, 1.0])


@dataclass(frozen=True)
class Polished:
    """The end of a fit.

    Attributes:
        z: Coordinates.
        residual: There, whitened.
        jacobian: Of the residuals, where the last round began.
        evolved: Cost of each joint before the polish.
        rounds: That were taken.
    """

    z: Float[np.ndarray, "joint 6"]
    residual: Float[np.ndarray, "segment bin joint signal"]
    jacobian: Float[np.ndarray, "rows params"]
    evolved: Float[np.ndarray, "joint"]
    rounds: int


def costs(
    residuals: Float[np.ndarray, "candidate segment bin joint signal"],
) -> Float[np.ndarray, "candidate joint"]:
    """Return the mean square of the whitened residuals; 1 is a fit down to the noise."""
    return np.asarray((residuals**2).mean(axis=(1, 2, 4)))


def linearise(
    coordinates: Coordinates, evaluate: Evaluate, z: Float[np.ndarray, "joint 6"]
) -> tuple[Float[np.ndarray, "segment bin joint signal"], Float[np.ndarray, "rows params"]]:
    """Return residuals and their Jacobian, by central differences, of all joints to all."""
    low, high = coordinates.bounds()
    steps = DIFFERENCE * np.eye(z.size).reshape(-1, *z.shape)
    # Next to a bound the difference is one-sided.
    up, down = np.minimum(z + steps, high), np.maximum(z - steps, low)
    residuals = evaluate(coordinates.values(np.concatenate([z[None], up, down])))
    plus, minus = np.split(residuals[1:].reshape(2 * z.size, -1), 2)
    width = (up - down).sum(axis=(1, 2))
    return residuals[0], ((plus - minus) / width[:, None]).T


def polish(
    coordinates: Coordinates,
    evaluate: Evaluate,
    z: Float[np.ndarray, "joint 6"],
    prior: Float[np.ndarray, "params params"],
    report: Callable[[int], None],
) -> Polished:
    """Go down to the bottom of the valley by Levenberg–Marquardt, all joints together.

    In each round steps of several lengths are tried at once, and the best is kept.
    """
    low, high = coordinates.bounds()
    evolved = None
    for done in range(1, ROUNDS + 1):
        residual, jacobian = linearise(coordinates, evaluate, z)
        if evolved is None:
            evolved = costs(residual[None])[0]
        H, g = jacobian.T @ jacobian + prior, jacobian.T @ residual.ravel()
        # What a bound holds back does not move, nor do the others count on it.
        held = (
            ((z <= low) & (g.reshape(z.shape) > 0)) | ((z >= high) & (g.reshape(z.shape) < 0))
        ).ravel()
        H[held], H[:, held], g[held] = 0.0, 0.0, 0.0
        H[held, held] = 1.0
        damped = H + DAMPING[:, None, None] * np.diag(np.diag(H))
        steps = np.linalg.solve(damped, np.broadcast_to(g, (len(damped), z.size))[..., None])
        moved = np.clip(z - steps.reshape(-1, *z.shape), low, high)
        after = evaluate(coordinates.values(moved))
        report(done)
        totals = np.nan_to_num((after**2).sum(axis=(1, 2, 3, 4)), nan=np.inf)
        before, best = (residual**2).sum(), int(totals.argmin())
        if totals[best] < before:
            z, residual = moved[best], after[best]
        if totals[best] > (1 - SETTLED) * before:
            break
    assert evolved is not None, "there is a round"
    return Polished(z, residual, jacobian, evolved, done)
