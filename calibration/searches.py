"""CMA-ES side by side: one search for each joint, and one for what is touched.

Within a second a joint answers almost only to its own drive, friction and rotor. So each joint has
a CMA-ES of its own over six parameters (Hansen, The CMA Evolution Strategy: A Tutorial,
arXiv:1604.00772), and the k-th candidates of all joints are tried on one robot, each joint judged
by its own residuals: n searches in 6 dimensions cost the rollouts of one, where a single search in
6n dimensions would take thousands more. What the joints do to each other is noise to the rankings,
and fades as all searches contract. What the robot touches has a search of its own, which all joints
judge.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cma
import numpy as np
from jaxtyping import Float

from calibration.checkpoint import Checkpoint
from calibration.segments import FITTED
from calibration.unknowns import Unknowns
from envs.errors import CalibrationError

CONVERGED = 1e-3
"""A search is over when its candidates differ by less than this, in the coordinates."""
DIFFERENCE = 0.05
"""Step of the slopes that the evolution starts from, in the coordinates."""

Evaluate = Callable[
    [Float[np.ndarray, "candidate params"]],
    Float[np.ndarray, "candidate segment bin joint signal"],
]
"""Whitened residuals of candidates, given by their coordinates."""
Bounds = tuple[Float[np.ndarray, "params"], Float[np.ndarray, "params"]]


@dataclass(frozen=True)
class Search:
    """One of the searches.

    Attributes:
        coordinates: That it moves, of all there are.
        joints: Whose residuals judge it.
        probes: The rollouts that tell its slopes; one moves all joints' searches at once.
    """

    coordinates: slice
    joints: slice
    probes: slice

    @property
    def size(self) -> int:
        """Its dimensions."""
        return int(self.coordinates.stop - self.coordinates.start)


def searches_of(unknowns: Unknowns) -> list[Search]:
    """Return a search for each joint, then one for what is touched, if that is searched."""
    n, fields, touched = len(unknowns.tree.joints), len(FITTED), unknowns.touched
    found = [
        Search(slice(j * fields, (j + 1) * fields), slice(j, j + 1), slice(0, fields))
        for j in range(n)
    ]
    if touched.stop > touched.start:
        last = fields + touched.stop - touched.start
        found.append(Search(touched, slice(0, n), slice(fields, last)))
    return found


def costs(
    searches: Sequence[Search],
    residuals: Float[np.ndarray, "candidate segment bin joint signal"],
) -> Float[np.ndarray, "candidate search"]:
    """Return the mean square of the whitened residuals; 1 is a fit down to the noise.

    Of several joints it is the geometric mean: each has its part, however far off another is.
    """
    of_joint = (residuals**2).mean(axis=(1, 2, 4))
    found = [
        of_joint[:, s.joints][:, 0]
        if s.joints.stop - s.joints.start == 1
        else np.exp(np.log(np.maximum(of_joint[:, s.joints], 1e-300)).mean(axis=1))
        for s in searches
    ]
    return np.stack(found, axis=1)


def spread(
    searches: Sequence[Search], bounds: Bounds, evaluate: Evaluate
) -> tuple[list[Float[np.ndarray, "_ _"]], Float[np.ndarray, "search"], int]:
    """Return a root of each search's covariance to start with, the start's costs, and the trials.

    The covariance is what the slopes at the start suggest: candidates spread as far as it takes to
    explain the misfit, and no further than one unit of a coordinate. The rest of the way CMA-ES
    adapts it.
    """
    low, high = bounds
    # One parameter of all joints at once: each joint answers for itself.
    moves = np.zeros((max(s.probes.stop for s in searches), len(low)))
    for s in searches:
        moves[s.probes, s.coordinates] = DIFFERENCE * np.eye(s.size)
    up, down = np.minimum(moves, high), np.maximum(-moves, low)
    residuals = evaluate(np.concatenate([np.zeros((1, len(low))), up, down]))
    count = len(moves)
    roots = []
    for s in searches:
        own = residuals[:, :, :, s.joints]
        rows = np.moveaxis(own, 3, 1).reshape(len(residuals), -1)
        probed = np.arange(count)[s.probes]
        width = np.diagonal((up - down)[s.probes, s.coordinates])
        slope = (rows[1 + probed] - rows[1 + count + probed]) / width[:, None]
        misfit = (rows[0] ** 2).sum() / s.size
        information = slope @ slope.T / misfit + np.eye(s.size)
        roots.append(np.linalg.cholesky(np.linalg.inv(information)))
    return roots, costs(searches, residuals[:1])[0], len(residuals)


def evolve(
    searches: Sequence[Search],
    roots: Sequence[Float[np.ndarray, "_ _"]],
    bounds: Bounds,
    evaluate: Evaluate,
    kept: Checkpoint,
    *,
    seed: int,
    generations: int,
    candidates: int,
    report: Callable[[int], None],
) -> tuple[Float[np.ndarray, "params"], int]:
    """Return the centres of all searches, and the generations used.

    Args:
        searches: They start where all coordinates are 0.
        roots: A root of each search's covariance to start with.
        bounds: Of the coordinates.
        evaluate: Rolls candidates out.
        kept: The generations that are behind us, and those that come.
        seed: Of the draws.
        generations: At most.
        candidates: Of each generation.
        report: Called with the generations done.

    Raises:
        CalibrationError: A candidate's motion diverges.
    """
    low, high = bounds
    strategies = []
    for own, sequence in zip(
        searches, np.random.SeedSequence(seed).spawn(len(searches)), strict=True
    ):
        rng = np.random.default_rng(sequence)
        options = {
            "popsize": candidates,
            # Draws from our generator; NaN keeps pycma from seeding numpy's global one.
            "randn": lambda *shape, rng=rng: rng.standard_normal(shape),
            "seed": np.nan,
            "verbose": -9,
        }
        strategies.append(cma.CMAEvolutionStrategy(np.zeros(own.size), 1.0, options))

    def coordinates(of: Sequence[Float[np.ndarray, "point _"]]) -> Float[np.ndarray, "point _"]:
        """Return what points of all searches stand for."""
        z = np.zeros((len(of[0]), len(low)))
        for s, root, points in zip(searches, roots, of, strict=True):
            z[:, s.coordinates] = points @ root.T
        return z

    for generation in range(1, generations + 1):
        asked = [strategy.ask() for strategy in strategies]
        wanted = coordinates([np.array(points) for points in asked])
        z = np.clip(wanted, low, high)
        if generation <= len(kept.told):
            cost = kept.told[generation - 1]
        else:
            cost = costs(searches, evaluate(z))
            if not np.isfinite(cost).all():
                raise CalibrationError(
                    f"generation {generation} of the evolution holds a robot that flies apart; "
                    "the stage's drives or inertias are far from the recorded robot's"
                )
            # What was cut back to a bound is worse than what lies on it.
            beyond = (wanted - z) ** 2
            for k, s in enumerate(searches):
                cost[:, k] *= 1.0 + beyond[:, s.coordinates].sum(axis=1)
            kept.add(cost)
        for strategy, points, own_cost in zip(strategies, asked, cost.T, strict=True):
            strategy.tell(points, own_cost.tolist())
        report(generation)
        if np.ptp(z, axis=0).max() < CONVERGED:
            break
    centre = coordinates([strategy.result.xfavorite[None] for strategy in strategies])[0]
    return np.clip(centre, low, high), generation
