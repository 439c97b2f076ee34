"""Segments of a recording that the twin itself made: where they lie, and what is left of them."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.segments import BIN_S, FITTED, Segments, cut_segments, rollout_residuals
from envs.errors import CalibrationError, RecordingError, StageError
from envs.telemetry.trajectory import Trajectory
from envs.world.bullet import BulletWorld
from tests.small_arm import arm, arm_joints, made_by_twin, scene, several

N = 2
NOISE = {"q": 2e-4, "qd": 2e-3, "tau": 0.05}


def recording() -> Trajectory:
    robot = arm(np.random.default_rng(4), N)
    return made_by_twin(scene(robot), arm_joints(N), 6.0, np.random.default_rng(0), NOISE)


def run(segments: Segments, values: np.ndarray) -> np.ndarray:
    which = np.arange(len(segments.start))
    copies = len(values) * len(which)
    with BulletWorld(
        segments.scene, joints=segments.joints, copies=copies, colliders=False
    ) as world:
        drives = several(segments.actuators, values / truth(segments))
        return rollout_residuals(segments, world, which, drives)


def truth(segments: Segments) -> np.ndarray:
    return np.stack([getattr(segments.actuators, name) for name in FITTED], axis=-1)


def test_at_the_truth_only_noise_is_left_and_each_parameter_matters() -> None:
    recorded = recording()
    segments = cut_segments(
        scene(arm(np.random.default_rng(4), N)), recorded, train_end_s=6.0, count=4
    )
    assert segments.signals == ("q", "qd", "tau")
    # White noise of 1 ms samples, averaged over a bin. What the motion itself holds above the
    # cutoff, at the jerks of friction, counts as noise too.
    excess = segments.noise / (np.array(list(NOISE.values())) / np.sqrt(BIN_S / 1e-3))
    assert excess.min() > 0.9 and excess.max() < 2.0

    true = truth(segments)
    changed = [true] + [true * np.where(np.arange(6) == k, 1.5, 1.0) for k in range(6)]
    residuals = run(segments, np.array(changed))
    assert residuals.shape == (7, 4, 40, N, 3)
    cost = (residuals**2).mean(axis=(1, 2, 4))
    assert np.all(cost[0] < 1.3)
    assert np.all(cost[1:] > 1.3 * cost[0])


def test_segments_keep_clear_of_gaps_and_of_the_held_out_part() -> None:
    recorded = recording()
    valid = np.ones(len(recorded.t_s), bool)
    valid[2000:2100] = valid[4300:4310] = False
    # What was bridged is wrong, and smoothing would carry it into a start nearby.
    q = np.where(valid[:, None], recorded.q, 5.0)
    gappy = replace(recorded, q=q, valid=valid)
    robot = scene(arm(np.random.default_rng(4), N))
    segments = cut_segments(robot, gappy, train_end_s=5.5, count=5)
    assert len(segments.start) >= 3
    for start in segments.start:
        inside = np.arange(start - 30, start + segments.steps)
        assert valid[inside].all() and recorded.t_s[inside[-1]] < 5.5
    assert np.all(np.diff(segments.start) >= segments.steps)
    np.testing.assert_allclose(segments.q, recorded.q[segments.start], atol=3e-3)
    assert np.abs(run(segments, truth(segments)[None])).max() < 8
    for body in segments.scene.robot.bodies:
        assert not body.visuals and not body.colliders


def test_signals_that_were_not_measured_are_not_compared() -> None:
    recorded = recording()
    robot = scene(arm(np.random.default_rng(4), N))
    segments = cut_segments(robot, replace(recorded, qd=None, tau=None), train_end_s=6.0, count=2)
    assert segments.signals == ("q",)
    assert run(segments, truth(segments)[None]).shape == (1, 2, 40, N, 1)


def test_a_velocity_that_contradicts_the_position_counts_less() -> None:
    recorded = recording()
    assert recorded.qd is not None
    late = np.roll(recorded.qd, 50, axis=0)
    robot = scene(arm(np.random.default_rng(4), N))
    honest = cut_segments(robot, recorded, train_end_s=6.0, count=2).noise[:, 1]
    doubtful = cut_segments(robot, replace(recorded, qd=late), train_end_s=6.0, count=2).noise[:, 1]
    assert np.all(doubtful > 10 * honest)


def test_data_that_cannot_be_used_are_refused() -> None:
    recorded = recording()
    robot = arm(np.random.default_rng(4), N)
    with pytest.raises(RecordingError, match="rollouts need recorded commands"):
        cut_segments(scene(robot), replace(recorded, q_command=None), train_end_s=6.0, count=4)
    with pytest.raises(CalibrationError, match="room for two segments"):
        cut_segments(scene(robot), recorded, train_end_s=2.0, count=4)
    broken = replace(recorded, valid=np.arange(len(recorded.t_s)) % 500 > 0)
    with pytest.raises(CalibrationError, match="no 1 s without a gap"):
        cut_segments(scene(robot), broken, train_end_s=6.0, count=4)
    coarse = Trajectory(
        t_s=recorded.t_s[::10],
        joints=recorded.joints,
        q=recorded.q[::10],
        q_command=None if recorded.q_command is None else recorded.q_command[::10],
    )
    with pytest.raises(RecordingError, match=r"0\.005 s or finer, not 0\.01"):
        cut_segments(scene(robot), coarse, train_end_s=6.0, count=4)
    passive = replace(robot, joints=tuple(replace(j, drive=None) for j in robot.joints))
    with pytest.raises(StageError, match="no drive"):
        cut_segments(scene(passive), recorded, train_end_s=6.0, count=4)
