"""Drive gains, delay, friction and rotor inertia by CMA-ES over PyBullet rollouts.

Within a second a joint answers almost only to its own drive, friction and rotor. So each joint has
a CMA-ES of its own over six parameters (Hansen, The CMA Evolution Strategy: A Tutorial,
arXiv:1604.00772), and the k-th candidates of all joints are tried on one robot, each joint judged
by its own residuals: n searches in 6 dimensions cost the rollouts of one, where a single search in
6n dimensions would take thousands more. What the joints do to each other is noise to the rankings,
and fades as all searches contract.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import cma
import numpy as np
from jaxtyping import Bool, Float

from calibration.coordinates import Coordinates, start_coordinates
from calibration.polish import DAMPING, DIFFERENCE, ROUNDS, costs, polish
from calibration.result import CalibrationResult, Parameter
from calibration.segments import FITTED, Segments, cut_segments
from calibration.uncertainty import sandwich
from calibration.workers import Evaluate, evaluation
from envs.errors import CalibrationError
from envs.stage.scene import JointKind, Scene
from envs.telemetry.trajectory import Trajectory

NAMES = {
    "coulomb": "friction.coulomb",
    "viscous": "friction.viscous",
    "armature": "armature",
    "stiffness": "drive.stiffness",
    "damping": "drive.damping",
    "delay_s": "delay_s",
}
"""Field of `ActuatorParameters` → field of a joint."""
UNITS: dict[JointKind, tuple[str, ...]] = {
    "revolute": ("N.m", "N.m.s/rad", "kg.m2", "N.m/rad", "N.m.s/rad", "s"),
    "prismatic": ("N", "N.s/m", "kg", "N/m", "N.s/m", "s"),
}
"""Of `FITTED`."""
CONVERGED = 1e-3
"""A joint's search is over when its candidates differ by less than this, in its coordinates."""
PRIOR = 3.0
"""Standard deviation, in those coordinates, of what is known before: next to nothing. It bounds the
standard deviation of a parameter that the data do not tell."""


def fit_rollouts(
    scene: Scene,
    trajectory: Trajectory,
    *,
    train_end_s: float,
    seed: int,
    workers: int,
    generations: int = 30,
    candidates: int = 12,
    segments: int = 8,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    Coulomb and viscous friction, rotor inertia, gains and delay of each recorded joint are fitted;
    inertias, Stribeck's excess, torque limits and offsets stay as the stage has them. The
    standard deviations hold if all of that is right; a parameter counts as identified where its own
    is smaller than how far the start may be off. What the evolution finds is polished by a few
    rounds of least squares over all joints at once, with the Jacobian that the standard deviations
    need anyway.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order.
        train_end_s: No sample from here on is looked at.
        seed: Of the candidates. Together with the other arguments, `workers` excepted, it
            determines the result to the last bit.
        workers: Processes.
        generations: At most; fewer where all searches have contracted before.
        candidates: Of each generation.
        segments: Seconds of data that each candidate is tried on.
        provenance: Where the data come from; it goes into the result's.
        progress: Called with (candidates tried, candidates in all).

    Raises:
        RecordingError: There are no commands.
        CalibrationError: The data are too short, or no candidate can be simulated.
        StageError: A joint has no drive.
    """
    data = cut_segments(scene, trajectory, train_end_s=train_end_s, count=segments)
    coordinates = start_coordinates(scene, trajectory.span(-np.inf, train_end_s), data)
    n, count = coordinates.start.shape
    # Candidates: for the slopes at the start, in the evolution, in a round of the polish.
    first, last = 1 + 2 * count, 1 + 2 * n * count + len(DAMPING)
    total = first + generations * candidates + ROUNDS * last
    report = progress or (lambda done, total: None)
    prior = np.eye(n * count) / PRIOR**2
    with evaluation(data, candidates=candidates, workers=workers) as evaluate:
        report(0, total)
        spread, at_start = _spread(coordinates, evaluate)
        evolved, used = _evolve(
            coordinates,
            evaluate,
            spread,
            seed=seed,
            generations=generations,
            candidates=candidates,
            report=lambda done: report(first + done * candidates, total),
        )
        end = polish(
            coordinates,
            evaluate,
            evolved,
            prior,
            report=lambda done: report(total - (ROUNDS - done) * last, total),
        )
    report(total, total)

    blocks = np.broadcast_to(
        np.arange(len(data.start))[:, None, None, None], end.residual.shape
    ).ravel()
    # Where the twin misses by more than the noise, the data weigh less against the prior.
    level = max(1.0, float(np.sqrt((end.residual**2).mean())))
    covariance = sandwich(end.jacobian / level, end.residual.ravel() / level, blocks, prior)
    told = np.diag(covariance) < 1.0
    slope = coordinates.slope(end.z).ravel()
    return CalibrationResult(
        parameters=_parameters(scene, data, coordinates.values(end.z), covariance, slope, told),
        covariance=covariance * slope * slope[:, None],
        provenance={
            **(provenance or {}),
            "seed": seed,
            "train_end_s": train_end_s,
            "dt_s": data.dt_s,
            "integrator": "semi-implicit Euler",
            "segments_s": [float(trajectory.t_s[k]) for k in data.start],
            "samples": data.measured[..., 0, 0].size * data.bin,
            "generations": used,
            "candidates": candidates,
            "versions": {name: version(name) for name in ("cma", "numpy", "pybullet")},
        },
        metrics={
            "rollouts": (first + used * candidates + end.rounds * last) * len(data.start),
            "signals": list(data.signals),
            "cost_start": at_start.tolist(),
            "cost_evolution": end.evolved.tolist(),
            "cost": costs(end.residual[None])[0].tolist(),
        },
    )


def _spread(
    coordinates: Coordinates, evaluate: Evaluate
) -> tuple[Float[np.ndarray, "joint 6 6"], Float[np.ndarray, "joint"]]:
    """Return a square root of each joint's covariance to start with, and the cost of the start.

    The covariance is what the slopes at the start suggest: candidates spread as far as it takes to
    explain the misfit, and no further than one unit of a coordinate. The rest of the way CMA-ES
    adapts it.
    """
    n, count = coordinates.start.shape
    low, high = coordinates.bounds()
    # One parameter of all joints at once: each joint answers for itself.
    steps = DIFFERENCE * np.repeat(np.eye(count)[:, None], n, axis=1)
    up, down = np.minimum(steps, high), np.maximum(-steps, low)
    residuals = evaluate(coordinates.values(np.concatenate([np.zeros((1, n, count)), up, down])))
    rows = np.moveaxis(residuals, 3, 1).reshape(1 + 2 * count, n, -1)
    slope = (rows[1 : 1 + count] - rows[1 + count :]) / (up - down).sum(axis=2)[..., None]
    misfit = (rows[0] ** 2).sum(axis=1) / count
    information = np.einsum("fjr,gjr->jfg", slope, slope) / misfit[:, None, None] + np.eye(count)
    return np.linalg.cholesky(np.linalg.inv(information)), costs(residuals[:1])[0]


def _evolve(
    coordinates: Coordinates,
    evaluate: Evaluate,
    spread: Float[np.ndarray, "joint 6 6"],
    *,
    seed: int,
    generations: int,
    candidates: int,
    report: Callable[[int], None],
) -> tuple[Float[np.ndarray, "joint 6"], int]:
    """Return the centres of all searches, and the generations used.

    Args:
        coordinates: Where the searches start.
        evaluate: Rolls candidates out.
        spread: A square root of each search's covariance to start with.
        seed: Of the draws.
        generations: At most.
        candidates: Of each generation.
        report: Called with the generations done.
    """
    low, high = coordinates.bounds()
    searches = []
    for sequence in np.random.SeedSequence(seed).spawn(len(spread)):
        rng = np.random.default_rng(sequence)
        options = {
            "popsize": candidates,
            # Draws from our generator; NaN keeps pycma from seeding numpy's global one.
            "randn": lambda *shape, rng=rng: rng.standard_normal(shape),
            "seed": np.nan,
            "verbose": -9,
        }
        searches.append(cma.CMAEvolutionStrategy(np.zeros(len(FITTED)), 1.0, options))
    for generation in range(1, generations + 1):
        asked = [search.ask() for search in searches]
        wanted = np.einsum("jfg,jkg->kjf", spread, np.array(asked))
        z = np.clip(wanted, low, high)
        cost = costs(evaluate(coordinates.values(z)))
        if not np.isfinite(cost).all():
            raise CalibrationError(
                f"generation {generation} of the evolution holds a robot that flies apart; "
                "the stage's drives or inertias are far from the recorded robot's"
            )
        # What was cut back to a bound is worse than what lies on it.
        cost *= 1.0 + ((wanted - z) ** 2).sum(axis=2)
        for search, points, own in zip(searches, asked, cost.T, strict=True):
            search.tell(points, own.tolist())
        report(generation)
        if np.ptp(z, axis=0).max() < CONVERGED:
            break
    centre = np.array([search.result.xfavorite for search in searches])
    return np.clip(np.einsum("jfg,jg->jf", spread, centre), low, high), generation


def _parameters(
    scene: Scene,
    data: Segments,
    values: Float[np.ndarray, "joint 6"],
    covariance: Float[np.ndarray, "params params"],
    slope: Float[np.ndarray, "params"],
    told: Bool[np.ndarray, "params"],
) -> dict[str, Parameter]:
    std = (np.sqrt(np.diag(covariance)) * slope).reshape(values.shape)
    identifiable = np.reshape(told, values.shape)
    return {
        f"{joint}.{NAMES[name]}": Parameter(
            value=float(values[i, k]),
            std=float(std[i, k]),
            nominal=float(getattr(data.actuators, name)[i]),
            unit=UNITS[scene.robot.joint(joint).kind][k],
            method="cmaes",
            identifiable=bool(identifiable[i, k]),
        )
        for i, joint in enumerate(data.joints)
        for k, name in enumerate(FITTED)
    }
