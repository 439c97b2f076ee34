"""Friction, rotors, gains, delay and a payload by least squares over rollouts of the fast twin.

First over short segments, each from its measured state (multiple shooting: within a second a start
far from the robot leads nowhere wrong), then over whole runs (single shooting: all that the motion
tells counts). Both by Levenberg–Marquardt with finite differences; see `levenberg`.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float

from calibration.conclusions import conclude, explained, parameters, unexplained
from calibration.coordinates import start_coordinates
from calibration.levenberg import Residuals, least_squares, outlier_weights
from calibration.result import CalibrationResult
from calibration.rollout.twin import FastTwin
from calibration.runs import cut_runs, twin_residuals
from calibration.segments import FITTED, Segments, cut_segments
from calibration.unknowns import Unknowns, held_by
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory

SEGMENTS = 4
"""Short ones, for the first rounds."""
SHORT_ROUNDS, LONG_ROUNDS = 5, 5
PRIOR = 3.0
"""Standard deviation, in the coordinates, of what is known before: next to nothing. It bounds the
standard deviation of a parameter that the data do not tell."""


def fit_lm(
    scene: Scene,
    trajectory: Trajectory,
    *,
    free: Sequence[str] = FITTED,
    shared: Sequence[str] = (),
    payload: str | None = None,
    workers: int = 1,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    All that is not free stays as the stage has it. Standard deviations hold if that is right; where
    it is not, blocks of time tell them from what is left of the residuals.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order. All of it trains.
        free: The fields of `ActuatorParameters` to search, of each joint.
        shared: Those among them of which all joints share one: a factor of gains, a shift of delay.
        payload: The body that holds something of unknown mass and place, taken as a point.
        workers: Threads.
        provenance: Where the data come from; it goes into the result's.
        progress: Called with (rounds done, rounds in all).

    Raises:
        RecordingError: There are no commands, or the grid is too coarse.
        CalibrationError: The data are too short, or the start cannot be simulated.
        StageError: A joint has no drive.
    """
    report = progress or (lambda done, total: None)
    total = SHORT_ROUNDS + LONG_ROUNDS
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
        payload=None if payload is None else held_by(tree, payload),
    )
    prior, bounds = np.eye(unknowns.size) / PRIOR**2, unknowns.bounds()
    report(0, total)
    rough = least_squares(
        _residuals(short, twin, unknowns),
        unknowns.start(),
        bounds,
        prior,
        rounds=SHORT_ROUNDS,
        report=lambda done: report(done, total),
    )
    fit = least_squares(
        _residuals(whole, twin, unknowns),
        rough.z,
        bounds,
        prior,
        rounds=LONG_ROUNDS,
        weigh=lambda raw: level_weights(whole, raw),
        report=lambda done: report(SHORT_ROUNDS + done, total),
    )
    report(total, total)

    told = conclude(unknowns, whole, fit, prior)
    compared = ~np.isnan(whole.measured)
    samples = int(compared[..., 0, 0].sum()) * whole.bin
    part = explained(whole, fit.raw.reshape(whole.measured.shape))
    told = unexplained(unknowns, told, part)
    found, covariance = parameters(unknowns, fit.z, told, "lm", samples)
    simulated = (
        rough.trials * short.start.size * short.steps + fit.trials * whole.start.size * whole.steps
    )
    return CalibrationResult(
        parameters=found,
        covariance=covariance,
        inertials=unknowns.inertials(fit.z),
        provenance={
            **(provenance or {}),
            "dt_s": whole.dt_s,
            "integrator": "semi-implicit Euler",
            "runs_s": [float(trajectory.t_s[k]) for k in whole.start],
            "samples": samples,
            "versions": {name: version(name) for name in ("numpy", "warp-lang")},
        },
        metrics={
            "rollouts": rough.trials * len(short.start) + fit.trials * len(whole.start),
            "rollouts_of_the_recording": simulated / len(trajectory.t_s),
            "rounds": [rough.rounds, fit.rounds],
            "signals": list(whole.signals),
            "cost_start": rough.start_cost,
            "cost": joint_costs(whole, fit.raw).tolist(),
            "explained": part.tolist(),
            "covariance": told.rule,
            "untold": list(told.words),
        },
    )


def level_weights(data: Segments, raw: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """Return weights that make the residuals of each joint and signal of unit size, less outliers.

    What a signal holds above a cutoff tells its noise roughly before a fit; after it, the residuals
    themselves do.
    """
    r = np.where(np.isnan(data.measured), np.nan, raw.reshape(data.measured.shape))
    level = 1.4826 * np.nanmedian(np.abs(r), axis=(0, 1))
    of_row = np.broadcast_to(np.maximum(level, 1e-9), r.shape).ravel()
    return np.asarray(outlier_weights(raw / of_row) / of_row)


def joint_costs(data: Segments, raw: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "joint"]:
    """Return the mean square of each joint's residuals, in noise levels; 1 is down to the noise."""
    square = np.where(np.isnan(data.measured), np.nan, raw.reshape(data.measured.shape)) ** 2
    return np.asarray(np.nanmean(square, axis=(0, 1, 3)))


def _residuals(data: Segments, twin: FastTwin, unknowns: Unknowns) -> Residuals:
    def residuals(z: Float[np.ndarray, "trial params"]) -> Float[np.ndarray, "trial rows"]:
        return twin_residuals(data, twin, *unknowns.robots(z)).reshape(len(z), -1)

    return residuals
