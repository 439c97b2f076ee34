"""Whole runs of a recording, from gap to gap, and rollouts over them on the fast twin."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from calibration.rollout.twin import FastTwin, Stretches
from calibration.segments import BIN_S, Segments, commands_of, starting_at
from envs.errors import CalibrationError
from envs.stage.scene import Scene
from envs.telemetry.filtering import reach_s
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters
from envs.world.replay import START_CUTOFF_HZ

LONGEST_S = 10.0
"""Longer runs are cut: a robot that follows its commands forgets where it started long before."""
SHORTEST_S = 2.0
SKIPPED_S = 0.5
"""Left out at the start, while the error of the state that a run starts from fades."""


def cut_runs(scene: Scene, trajectory: Trajectory) -> Segments:
    """Return all of a recording that has no gaps, as few long segments.

    All are as long as the longest; what lies beyond the end of a shorter one is not compared.

    Args:
        scene: With the robot and a drive for each recorded joint; other joints are welded at 0.
        trajectory: Measured, with commands; its joints in the stage's order.

    Raises:
        RecordingError: There are no commands, or the samples are too far apart.
        CalibrationError: No run is long enough.
        StageError: A joint has no drive.
    """
    command, dt_s = commands_of(trajectory), trajectory.dt_s
    width, skipped = round(BIN_S / dt_s), round(SKIPPED_S / BIN_S) * round(BIN_S / dt_s)
    reach = int(np.ceil(reach_s(START_CUTOFF_HZ) / dt_s))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], trajectory.measured.astype(int), [0]])))
    spans = []
    for first, last in edges.reshape(-1, 2):
        first, last = first + reach, last - reach
        parts = max(1, int(np.ceil((last - first) * dt_s / LONGEST_S)))
        cuts = np.linspace(first, last, parts + 1).astype(int)
        spans += [(a, b) for a, b in pairwise(cuts) if (b - a) * dt_s >= SHORTEST_S]
    if not spans:
        raise CalibrationError(
            f"no run of {SHORTEST_S:g} s without a gap is left to roll out over in the "
            f"{trajectory.t_s[-1] - trajectory.t_s[0]:.3f} s that train"
        )
    start = np.array([a for a, _ in spans])
    bins = np.array([(b - a - skipped) // width for a, b in spans])
    return starting_at(start, bins, scene=scene, command=command, data=trajectory, skipped=skipped)


def one_run(scene: Scene, trajectory: Trajectory) -> Segments:
    """Return all of a recording as one segment from its first sample on.

    It is for rollouts that must not be cut, as where things are pushed about; in gaps, which the
    commands bridge, nothing is compared.

    Args:
        scene: With the robot and a drive for each recorded joint; other joints are welded at 0.
        trajectory: Measured, with commands; its joints in the stage's order.

    Raises:
        RecordingError: There are no commands, or the samples are too far apart.
        CalibrationError: It is too short.
        StageError: A joint has no drive.
    """
    command, dt_s = commands_of(trajectory), trajectory.dt_s
    width = round(BIN_S / dt_s)
    skipped = round(SKIPPED_S / BIN_S) * width
    bins = (len(trajectory.t_s) - 1 - skipped) // width
    if bins * BIN_S + SKIPPED_S < SHORTEST_S:
        there_s = trajectory.t_s[-1] - trajectory.t_s[0]
        raise CalibrationError(f"a rollout needs {SHORTEST_S:g} s; {there_s:.3f} s train")
    start, all_of_it = np.zeros(1, int), np.array([bins])
    return starting_at(
        start, all_of_it, scene=scene, command=command, data=trajectory, skipped=skipped
    )


def twin_residuals(
    segments: Segments,
    twin: FastTwin,
    parameters: ActuatorParameters,
    pi: Float[np.ndarray, "candidate link 10"],
) -> Float[np.ndarray, "candidate segment bin joint signal"]:
    """Return simulated minus measured over noise; 0 where a segment has nothing to compare.

    Args:
        segments: All of them are rolled out.
        twin: The same robot.
        parameters: Of each candidate.
        pi: Of each candidate.
    """
    stretches = Stretches(
        segments.command, segments.start, segments.steps, segments.q, segments.qd, segments.bin
    )
    rolled = twin.roll(parameters, stretches, pi=pi)
    means = np.stack([getattr(rolled, name) for name in segments.signals], axis=-1)
    off = means[:, :, segments.skipped // segments.bin :] - segments.measured
    missing = np.isnan(segments.measured)
    return np.asarray(np.where(missing, 0.0, off / segments.noise))
