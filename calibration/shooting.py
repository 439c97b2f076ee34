"""Friction, rotors, drives and a payload by least squares over rollouts of the fast twin.

First over short segments, each from its measured state (multiple shooting: within a second a start
far from the robot leads nowhere wrong), then over whole runs (single shooting: all that the motion
tells counts). Both by Levenberg–Marquardt with finite differences; see `levenberg`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from calibration.conclusions import Ending, conclude
from calibration.coordinates import start_coordinates
from calibration.levenberg import DIFFERENCE, Residuals, least_squares, outlier_weights
from calibration.result import CalibrationResult
from calibration.rollout.twin import FastTwin
from calibration.runs import cut_runs, twin_residuals
from calibration.segments import FITTED, Segments, cut_segments
from calibration.unknowns import Robots, Unknowns, groups_of, held_by
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.encoders import from_readings

SEGMENTS = 4
"""Short ones, for the first rounds."""
SHORT_ROUNDS, LONG_ROUNDS = 6, 4
PRIOR = 3.0
"""Standard deviation, in the coordinates, of what is known before: next to nothing. It bounds the
standard deviation of a parameter that the data do not tell."""

Roll = Callable[[Robots], Float[np.ndarray, "trial segment bin joint signal"]]
"""Whitened residuals of robots that follow the commands; 0 where there is nothing to compare."""


def fit_lm(
    scene: Scene,
    trajectory: Trajectory,
    *,
    free: Sequence[str] = FITTED,
    shared: Sequence[str] = (),
    inertias: Sequence[str] = (),
    payload: str | None = None,
    workers: int = 1,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    All that is not free stays as the stage has it. Standard deviations hold if that is right; a
    friction law that is not is found out, and widens them; see `conclusions`.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order. All of it trains.
        free: The fields of `ActuatorParameters` to search, of each joint.
        shared: Those among them of which all joints share one: a factor of stiffness or damping, a
            shift of delay.
        inertias: Bodies whose inertias are searched, each with all that is rigidly joined to it.
        payload: The body that holds something of unknown mass and place, taken as a point.
        workers: Threads; the result does not depend on them.
        provenance: Where the data come from; it goes into the result's.
        progress: Called with (rounds done, rounds in all).

    Raises:
        RecordingError: There are no commands, or the grid is too coarse.
        CalibrationError: The data are too short, or the start cannot be simulated.
        StageError: A joint has no drive.
    """
    report = progress or (lambda done, total: None)
    total = SHORT_ROUNDS + LONG_ROUNDS
    trajectory = from_readings(scene.robot, trajectory)
    short = cut_segments(scene, trajectory, train_end_s=np.inf, count=SEGMENTS)
    whole = cut_runs(scene, trajectory)
    tree = reduce_tree(scene.robot, trajectory.joints, scene.gravity_mps2)
    twin = FastTwin(tree, dt_s=short.dt_s, threads=workers)
    unknowns = Unknowns(
        robot=scene.robot,
        tree=tree,
        actuators=short.actuators,
        coordinates=start_coordinates(scene, trajectory, short),
        free=tuple(free),
        shared=tuple(shared),
        groups=groups_of(tree, scene.robot, inertias),
        payload=None if payload is None else held_by(tree, payload),
    )
    report(0, total)
    rough = least_squares(
        flat(on_twin(short, twin), unknowns),
        unknowns.start(),
        unknowns.bounds(),
        prior(unknowns),
        rounds=SHORT_ROUNDS,
        report=lambda done: report(done, total),
    )
    ending = finish(
        whole,
        on_twin(whole, twin),
        unknowns,
        rough.z,
        report=lambda done: report(SHORT_ROUNDS + done, total),
    )
    report(total, total)
    simulated_s = rough.trials * short.seconds + ending.trials * whole.seconds
    recorded_s = float(trajectory.t_s[-1] - trajectory.t_s[0])
    return conclude(
        ending,
        method="lm",
        provenance={
            **(provenance or {}),
            "runs_s": [float(trajectory.t_s[k]) for k in whole.start],
        },
        metrics={
            "rollouts": simulated_s / recorded_s,
            "trials": [rough.trials, ending.trials],
            "rounds": [rough.rounds, ending.fit.rounds],
            "cost_start": rough.start_cost,
        },
    )


def finish(
    whole: Segments,
    roll: Roll,
    unknowns: Unknowns,
    z: Float[np.ndarray, "params"],
    *,
    report: Callable[[int], None],
    rounds: int = LONG_ROUNDS,
    difference: float = DIFFERENCE,
) -> Ending:
    """Go to the bottom of the valley over whole runs, and try other friction laws there.

    Args:
        whole: The runs.
        roll: Rolls robots out over them.
        unknowns: What is searched.
        z: Where to start.
        report: Called with the rounds done.
        rounds: At most.
        difference: Step of the slopes; see `levenberg`.
    """

    def weigh(raw: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
        return level_weights(whole, raw)

    fit = least_squares(
        flat(roll, unknowns),
        z,
        unknowns.bounds(),
        prior(unknowns),
        rounds=rounds,
        weigh=weigh,
        report=report,
        difference=difference,
    )
    others, amounts = unknowns.other_laws(fit.z)
    moved = roll(others).reshape(len(amounts), -1)
    return Ending(
        unknowns=unknowns,
        data=whole,
        fit=fit,
        weight=weigh(fit.raw),
        prior=prior(unknowns),
        other=((moved - fit.raw) / amounts[:, None]).T,
        trials=fit.trials + len(amounts),
    )


def prior(unknowns: Unknowns) -> Float[np.ndarray, "params params"]:
    """Return the precision of what is known before a fit."""
    return np.eye(unknowns.size) / PRIOR**2


def on_twin(data: Segments, twin: FastTwin) -> Roll:
    """Return a function that rolls robots out on the fast twin."""
    return lambda robots: twin_residuals(data, twin, robots.drives, robots.pi)


def flat(roll: Roll, unknowns: Unknowns) -> Residuals:
    """Return a function that rolls coordinates out."""

    def residuals(z: Float[np.ndarray, "trial params"]) -> Float[np.ndarray, "trial rows"]:
        return roll(unknowns.robots(z)).reshape(len(z), -1)

    return residuals


def level_weights(data: Segments, raw: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """Return weights that make the residuals of each joint and signal of unit size, less outliers.

    What a signal holds above a cutoff tells its noise roughly before a fit; after it, the residuals
    themselves do.
    """
    r = np.where(np.isnan(data.measured), np.nan, raw.reshape(data.measured.shape))
    level = 1.4826 * np.nanmedian(np.abs(r), axis=(0, 1))
    of_row = np.broadcast_to(np.maximum(level, 1e-9), r.shape).ravel()
    return np.asarray(outlier_weights(raw / of_row) / of_row)
