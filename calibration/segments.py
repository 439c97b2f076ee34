"""Short stretches of a recording, played on the twin from their measured start.

A rollout over a whole recording is costly and says little more; a second is enough for a joint to
show its drive, its friction and its rotor. The candidates of a calibration run side by side: one
world holds a robot for each candidate and stretch.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from envs.errors import CalibrationError, RecordingError
from envs.stage.scene import Scene
from envs.telemetry.filtering import lowpass, reach_s
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters, delayed_commands, simulate
from envs.world.bullet import BulletWorld
from envs.world.replay import START_CUTOFF_HZ, smooth_state, stage_columns

LENGTH_S = 1.0
SKIPPED_S = 0.2
"""Left out at the start of a segment: the error of its initial state fades with the drive's slowest
pole, stiffness / damping, which is 10 per second for a drive that is tuned as usual."""
BIN_S = 0.02
"""Residuals are averaged over bins of this length. A command that is held for 1, 2, 4, 5, 10 or
20 ms makes a ripple of the torque that no sensor logs; it vanishes from the average."""
NOISE_CUTOFF_HZ = 10.0
"""What a signal holds above this is taken for noise."""
SLOPE_CUTOFF_HZ = 5.0
"""Below this the slope of a position can be told from its noise."""
FITTED = ("coulomb", "viscous", "armature", "stiffness", "damping", "delay_s")
"""What rollouts are asked for, of each joint: fields of `ActuatorParameters`."""


@dataclass(frozen=True)
class Segments:
    """The data that rollouts are compared with, and what they need to run.

    Attributes:
        scene: The robot, without shapes; its inertias are held.
        joints: In the stage's order.
        actuators: What the stage says of them; all but `FITTED` is held.
        dt_s: Step of simulation and data, s.
        command: Commanded positions of the whole recording.
        start: First sample of each segment.
        skipped: Samples after that which are not compared.
        q: Smoothed position at the start of each segment, rad or m.
        qd: Smoothed velocity there.
        signals: "q", "qd", "tau": those that were measured.
        measured: Their averages over bins; NaN where there is nothing to compare.
        noise: Standard deviation of such an average; of a velocity, no less than what it differs
            by from the slope of the position.
    """

    scene: Scene
    joints: tuple[str, ...]
    actuators: ActuatorParameters
    dt_s: float
    command: Float[np.ndarray, "time joint"]
    start: Int[np.ndarray, "segment"]
    skipped: int
    q: Float[np.ndarray, "segment joint"]
    qd: Float[np.ndarray, "segment joint"]
    signals: tuple[str, ...]
    measured: Float[np.ndarray, "segment bin joint signal"]
    noise: Float[np.ndarray, "joint signal"]

    @property
    def bin(self) -> int:
        """Samples in a bin."""
        return round(BIN_S / self.dt_s)

    @property
    def seconds(self) -> float:
        """Simulated time of one robot on all segments, s."""
        return len(self.start) * self.steps * self.dt_s

    @property
    def steps(self) -> int:
        """Steps of a segment."""
        steps: int = self.skipped + self.measured.shape[1] * self.bin
        return steps


def cut_segments(
    scene: Scene, trajectory: Trajectory, *, train_end_s: float, count: int
) -> Segments:
    """Spread segments evenly over the first part of a recording, clear of its gaps.

    Args:
        scene: With the robot and a drive for each recorded joint; other joints are welded at 0.
        trajectory: Measured, with commands; its joints in the stage's order.
        train_end_s: No sample from here on is looked at.
        count: How many; fewer where gaps leave less room.

    Raises:
        RecordingError: There are no commands, or the samples are too far apart.
        CalibrationError: There is not room for two segments.
        StageError: A joint has no drive.
    """
    command, dt_s = commands_of(trajectory), trajectory.dt_s
    train = trajectory.span(-np.inf, train_end_s)
    width, skipped = round(BIN_S / dt_s), round(SKIPPED_S / dt_s)
    bins = round((LENGTH_S - SKIPPED_S) / BIN_S)
    start = _starts(train, skipped + bins * width, count)
    each = np.full(len(start), bins)
    return starting_at(start, each, scene=scene, command=command, data=train, skipped=skipped)


def starting_at(
    start: Int[np.ndarray, "segment"],
    bins: Int[np.ndarray, "segment"],
    *,
    scene: Scene,
    command: Float[np.ndarray, "time joint"],
    data: Trajectory,
    skipped: int,
) -> Segments:
    """Return segments with the state that each starts from, what was measured, and its noise.

    Args:
        start: First sample of each.
        bins: Bins of each that are compared where nothing in them was bridged; all segments are
            rolled out for as long as the longest.
        scene: With the robot and a drive for each joint.
        command: Of the whole recording.
        data: The part of it that states, averages and noise are taken from.
        skipped: See `Segments`.

    Raises:
        RecordingError: The joints are not in the stage's order.
        StageError: One is not in the stage, or has no drive.
    """
    joints, width = stage_columns(scene, data), round(BIN_S / data.dt_s)
    signals, values = signals_of(data)
    measured = np.full((len(start), bins.max(), *values.shape[1:]), np.nan)
    for k, (first, own) in enumerate(zip(start + skipped, bins, strict=True)):
        part = slice(first, first + own * width)
        means = values[part].reshape(own, width, *values.shape[1:]).mean(axis=1)
        whole = data.measured[part].reshape(own, width).all(axis=1)
        measured[k, :own][whole] = means[whole]
    q, qd = smooth_state(data, START_CUTOFF_HZ)
    return Segments(
        scene=bare(scene),
        joints=joints,
        actuators=ActuatorParameters.from_joints(scene.robot, joints),
        dt_s=data.dt_s,
        command=command,
        start=start,
        skipped=skipped,
        q=q[start],
        qd=qd[start],
        signals=signals,
        measured=measured,
        noise=measured_noise(data, values, signals, width),
    )


def rollout_residuals(
    segments: Segments,
    world: BulletWorld,
    which: Int[np.ndarray, "part"],
    drives: ActuatorParameters,
) -> Float[np.ndarray, "candidate part bin joint signal"]:
    """Return simulated minus measured over noise, of each candidate on some of the segments.

    It is 0 where there is nothing to compare.

    Args:
        segments: All of them.
        world: With a robot for each candidate and segment.
        which: The segments to run.
        drives: Of each candidate.
    """
    candidates, parts = len(drives.stiffness), len(which)
    parameters = drives.of(np.repeat(np.arange(candidates), parts))
    copy = np.tile(which, candidates)
    commands = delayed_commands(
        segments.command,
        segments.start[copy],
        segments.steps,
        parameters.delay_s,
        segments.dt_s,
    )
    rollout = simulate(world, parameters, commands, segments.q[copy], segments.qd[copy])
    simulated = np.stack([getattr(rollout, name) for name in segments.signals], axis=-1)
    compared = simulated[segments.skipped : -1]
    means = compared.reshape(-1, segments.bin, *compared.shape[1:]).mean(axis=1)
    by_copy = np.moveaxis(means, 0, 1).reshape(candidates, parts, *segments.measured.shape[1:])
    measured = segments.measured[which]
    off = (by_copy - measured) / segments.noise
    return np.asarray(np.where(np.isnan(measured), 0.0, off))


def commands_of(trajectory: Trajectory) -> Float[np.ndarray, "time joint"]:
    """Return the commands that rollouts need.

    Raises:
        RecordingError: There are none, or the samples are too far apart to integrate over.
    """
    if trajectory.q_command is None:
        raise RecordingError(
            "rollouts need recorded commands (command_position or command_velocity); "
            "this recording has none"
        )
    if trajectory.dt_s > BIN_S / 4:
        raise RecordingError(
            f"rollouts need a grid of {BIN_S / 4:g} s or finer, not {trajectory.dt_s:g} s; "
            "raise the rate"
        )
    return trajectory.q_command


def signals_of(
    trajectory: Trajectory,
) -> tuple[tuple[str, ...], Float[np.ndarray, "time joint signal"]]:
    """Return the names of the signals that were measured, of "q", "qd", "tau", and their values."""
    signals = tuple(name for name in ("q", "qd", "tau") if getattr(trajectory, name) is not None)
    return signals, np.stack([getattr(trajectory, name) for name in signals], axis=-1)


def _starts(train: Trajectory, steps: int, count: int) -> Int[np.ndarray, "segment"]:
    """Return first samples, evenly spread, with nothing bridged in the segment and around it."""
    # Smoothing carries a bridged gap, and the ends, into the state that a segment starts from.
    reach = int(np.ceil(reach_s(START_CUTOFF_HZ) / train.dt_s))
    bridged = np.concatenate([[0], np.cumsum(~train.measured)])
    first = np.arange(reach, len(train.t_s) - steps - reach)
    free = first[bridged[first + steps + 1] == bridged[first - reach]]
    if len(free) == 0:
        raise CalibrationError(
            f"no {LENGTH_S:g} s without a gap before {train.t_s[-1]:.3f} s to roll out over"
        )
    wanted = np.linspace(free[0], free[-1], count)
    nearest = free[np.abs(free - wanted[:, None]).argmin(axis=1)]
    start = [int(nearest[0])]
    for sample in nearest[1:]:
        if sample >= start[-1] + steps:
            start.append(int(sample))
    if len(start) < 2:
        raise CalibrationError(
            f"rollouts need room for two segments of {LENGTH_S:g} s without gaps before "
            f"{train.t_s[-1]:.3f} s; there is room for one"
        )
    return np.array(start)


def measured_noise(
    train: Trajectory,
    values: Float[np.ndarray, "time joint signal"],
    signals: tuple[str, ...],
    width: int,
) -> Float[np.ndarray, "joint signal"]:
    """Return the standard deviation of a bin's average, from what lies above the cutoff."""
    measured, dt_s = train.measured, train.dt_s
    flat = values.reshape(len(values), -1)
    low = lowpass(flat, dt_s, NOISE_CUTOFF_HZ)
    bins = len(flat) // width
    means = (flat - low)[: bins * width].reshape(bins, width, -1).mean(axis=1)
    whole = measured[: bins * width].reshape(bins, width).all(axis=1)
    # The median resists the few bins with a jerk; 1.4826 makes it a normal distribution's standard
    # deviation. White noise has its share of the band below the cutoff as well.
    band_hz = 0.5 / BIN_S
    spread = 1.4826 * np.median(np.abs(means[whole]), axis=0)
    spread *= np.sqrt(band_hz / (band_hz - NOISE_CUTOFF_HZ))
    # A signal without noise (simulated, or rounded) still meets an integrator's error.
    floor = 1e-4 * flat[measured].std(axis=0)
    noise: Float[np.ndarray, "joint signal"] = np.maximum(spread, floor).reshape(values.shape[1:])
    if "qd" in signals:
        # Some robots log a velocity that is late, or sampled in step with a ripple.
        k = signals.index("qd")
        smooth = lowpass(values, dt_s, SLOPE_CUTOFF_HZ)
        mismatch = smooth[..., k] - np.gradient(smooth[..., signals.index("q")], dt_s, axis=0)
        noise[:, k] = np.maximum(
            noise[:, k], 1.4826 * np.median(np.abs(mismatch[measured]), axis=0)
        )
    return noise


def bare(scene: Scene) -> Scene:
    """Return the robot alone, without what a rollout does not look at."""
    robot = scene.robot
    bodies = tuple(replace(body, visuals=(), colliders=()) for body in robot.bodies)
    return replace(
        scene,
        articulations=(replace(robot, bodies=bodies),),
        objects=(),
        static=(),
        lights=(),
        cameras=(),
        files=(),
    )
