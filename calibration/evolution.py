"""Drive gains, delay, friction and rotor inertia by CMA-ES over rollouts.

Within a second a joint answers almost only to its own drive, friction and rotor. So each joint has
a CMA-ES of its own over six parameters (Hansen, The CMA Evolution Strategy: A Tutorial,
arXiv:1604.00772), and the k-th candidates of all joints are tried on one robot, each joint judged
by its own residuals: n searches in 6 dimensions cost the rollouts of one, where a single search in
6n dimensions would take thousands more. What the joints do to each other is noise to the rankings,
and fades as all searches contract.

The rollouts are the fast twin's, or PyBullet's own. What the evolution finds is polished by least
squares over whole runs; see `shooting`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import cma
import numpy as np
from jaxtyping import Float

from calibration.checkpoint import Checkpoint, fingerprint
from calibration.conclusions import conclude, joint_costs
from calibration.coordinates import Coordinates, start_coordinates
from calibration.result import CalibrationResult
from calibration.rollout.twin import FastTwin
from calibration.runs import cut_runs, twin_residuals
from calibration.segments import FITTED, Segments, cut_segments
from calibration.shooting import finish, on_twin
from calibration.unknowns import Unknowns
from calibration.workers import evaluation
from envs.errors import CalibrationError
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.encoders import from_readings

Engine = Literal["twin", "bullet"]
"""Whose rollouts candidates are tried on: the fast twin's, or PyBullet's."""
CONVERGED = 1e-3
"""A joint's search is over when its candidates differ by less than this, in its coordinates."""
DIFFERENCE = 0.05
"""Step of the slopes that the evolution starts from, in the coordinates."""

Evaluate = Callable[
    [Float[np.ndarray, "candidate joint 6"]],
    Float[np.ndarray, "candidate segment bin joint signal"],
]
"""Whitened residuals of candidates, given by their coordinates."""


def fit_cmaes(
    scene: Scene,
    trajectory: Trajectory,
    *,
    seed: int,
    workers: int,
    engine: Engine = "twin",
    generations: int = 30,
    candidates: int = 12,
    segments: int = 8,
    checkpoint: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    Coulomb and viscous friction, rotor inertia, gains and delay of each recorded joint are fitted;
    all else stays as the stage has it.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order. All of it trains.
        seed: Of the candidates. Together with the other arguments, `workers` and `checkpoint`
            excepted, it determines the result to the last bit.
        workers: Threads on the fast twin, processes with PyBullet.
        engine: Whose rollouts.
        generations: At most; fewer where all searches have contracted before.
        candidates: Of each generation.
        segments: Seconds of data that each candidate is tried on.
        checkpoint: Where the generations are kept; what is there already is taken up.
        provenance: Where the data come from; it goes into the result's.
        progress: Called with (generations done, generations in all).

    Raises:
        RecordingError: There are no commands.
        CalibrationError: The data are too short, no candidate can be simulated, or the checkpoint
            is of another search.
        StageError: A joint has no drive.
    """
    trajectory = from_readings(scene.robot, trajectory)
    data = cut_segments(scene, trajectory, train_end_s=np.inf, count=segments)
    whole = cut_runs(scene, trajectory)
    coordinates = start_coordinates(scene, trajectory, data)
    tree = reduce_tree(scene.robot, data.joints, scene.gravity_mps2)
    twin = FastTwin(tree, dt_s=data.dt_s, threads=workers)
    unknowns = Unknowns(scene.robot, tree, data.actuators, coordinates)
    kept = Checkpoint(
        checkpoint,
        fingerprint(
            (
                data.command,
                data.start,
                data.q,
                data.qd,
                data.measured,
                data.noise,
                tree.pi,
                coordinates.start,
                coordinates.scale,
            ),
            engine,
            seed,
            candidates,
            version("cma"),
            version("numpy"),
        ),
    )
    report = progress or (lambda done, total: None)
    report(0, generations)
    with _evaluation(data, unknowns, twin, engine, candidates, workers) as evaluate:
        spread, at_start = _spread(coordinates, evaluate)
        evolved, used = _evolve(
            coordinates,
            evaluate,
            spread,
            kept,
            seed=seed,
            generations=generations,
            candidates=candidates,
            report=lambda done: report(done, generations),
        )
    z = evolved.ravel()
    ending = finish(whole, twin, unknowns, z, report=lambda done: None)
    report(generations, generations)
    before = on_twin(whole, twin, unknowns)(z[None])[0]
    names = [name for name, _, _ in unknowns.reported()]
    tried = 1 + 2 * len(FITTED) + used * candidates
    simulated_s = tried * data.seconds + (ending.trials + 1) * whole.seconds
    recorded_s = float(trajectory.t_s[-1] - trajectory.t_s[0])
    return conclude(
        ending,
        method="cmaes",
        provenance={
            **(provenance or {}),
            "seed": seed,
            "engine": engine,
            "segments_s": [float(trajectory.t_s[k]) for k in data.start],
            "generations": used,
            "candidates": candidates,
        },
        metrics={
            "rollouts": simulated_s / recorded_s,
            "trials": [tried, ending.trials],
            "cost_start": at_start.tolist(),
            "cost_evolution": joint_costs(whole, before).tolist(),
            "evolution": dict(zip(names, unknowns.values(z).tolist(), strict=True)),
        },
    )


@contextmanager
def _evaluation(
    data: Segments,
    unknowns: Unknowns,
    twin: FastTwin,
    engine: Engine,
    candidates: int,
    workers: int,
) -> Iterator[Evaluate]:
    """Give a function that rolls candidates out."""
    if engine == "twin":
        yield lambda z: twin_residuals(data, twin, *unknowns.robots(z.reshape(len(z), -1)))
        return
    with evaluation(data, candidates=candidates, workers=workers) as evaluate:
        yield lambda z: evaluate(unknowns.coordinates.values(z))


def costs(
    residuals: Float[np.ndarray, "candidate segment bin joint signal"],
) -> Float[np.ndarray, "candidate joint"]:
    """Return the mean square of the whitened residuals; 1 is a fit down to the noise."""
    return np.asarray((residuals**2).mean(axis=(1, 2, 4)))


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
    residuals = evaluate(np.concatenate([np.zeros((1, n, count)), up, down]))
    rows = np.moveaxis(residuals, 3, 1).reshape(1 + 2 * count, n, -1)
    slope = (rows[1 : 1 + count] - rows[1 + count :]) / (up - down).sum(axis=2)[..., None]
    misfit = (rows[0] ** 2).sum(axis=1) / count
    information = np.einsum("fjr,gjr->jfg", slope, slope) / misfit[:, None, None] + np.eye(count)
    return np.linalg.cholesky(np.linalg.inv(information)), costs(residuals[:1])[0]


def _evolve(
    coordinates: Coordinates,
    evaluate: Evaluate,
    spread: Float[np.ndarray, "joint 6 6"],
    kept: Checkpoint,
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
        kept: The generations that are behind us, and those that come.
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
        if generation <= len(kept.told):
            cost = kept.told[generation - 1]
        else:
            cost = costs(evaluate(z))
            if not np.isfinite(cost).all():
                raise CalibrationError(
                    f"generation {generation} of the evolution holds a robot that flies apart; "
                    "the stage's drives or inertias are far from the recorded robot's"
                )
            # What was cut back to a bound is worse than what lies on it.
            cost *= 1.0 + ((wanted - z) ** 2).sum(axis=2)
            kept.add(cost)
        for search, points, own in zip(searches, asked, cost.T, strict=True):
            search.tell(points, own.tolist())
        report(generation)
        if np.ptp(z, axis=0).max() < CONVERGED:
            break
    centre = np.array([search.result.xfavorite for search in searches])
    return np.clip(np.einsum("jfg,jg->jf", spread, centre), low, high), generation
