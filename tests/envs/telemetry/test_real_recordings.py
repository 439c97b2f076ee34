"""Three more real recordings: what their SOURCE.md says of them is what we find."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pinocchio as pin
import pybullet_data
import pytest

from envs.telemetry.alignment import align
from envs.telemetry.filtering import motion
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.trajectory import Trajectory
from tests.envs.telemetry.tiny import PANDA, shipped


def lag_frames(trajectory: Trajectory, most: int) -> np.ndarray:
    """Return, per joint, by how many samples the position trails its command (least squares)."""
    q, command = trajectory.q, trajectory.q_command
    assert command is not None
    errors = [
        np.square(q[most:] - command[most - k : len(q) - k]).mean(axis=0) for k in range(most)
    ]
    return np.asarray(np.argmin(errors, axis=0))


def test_panda_unisa_is_read_from_a_bag_without_metadata() -> None:
    recording = read(shipped("panda_unisa"))
    (states,) = recording.streams
    assert len(states.t_ns) == 727
    assert states.joints == PANDA
    assert (states.t_ns[-1] - states.t_ns[0]) * 1e-9 == pytest.approx(24.20, abs=0.005)
    steps_ms = np.diff(states.t_ns) * 1e-6
    assert steps_ms.mean() == pytest.approx(33.33, abs=0.01)
    assert steps_ms.std() < 0.9
    findings = {(f.kind, f.channel): f.count for f in check(recording)}
    assert findings["repeated", "position"] == 14
    assert ("missing_signal", "command_position") in findings
    trajectory = align(recording, PANDA, rate_hz=30.0)
    assert trajectory.measured.all()
    assert trajectory.tau is not None


def test_panda_unisas_torques_are_what_standard_tools_left_of_them() -> None:
    """The URDF with its hand, whose masses are placeholders, happens to hold joint 4's weight."""
    moved = motion(align(read(shipped("panda_unisa")), PANDA, rate_hz=30.0), cutoff_hz=5.0)
    urdf = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"
    model = pin.buildModelFromUrdf(str(urdf))
    data = model.createData()
    modelled = np.array(
        [
            pin.rnea(
                model, data, *(np.append(x[i], [0.0, 0.0]) for x in (moved.q, moved.qd, moved.qdd))
            )
            for i in np.flatnonzero(moved.use)
        ]
    )[:, :7]
    rest = modelled - moved.tau[moved.use]
    assert abs(rest[:, 3].mean()) < 0.1
    # What standard tools left of joint 2: 1.26 N·m.
    assert np.sqrt(np.square(rest[:, 1]).mean()) == pytest.approx(1.26, abs=0.05)


def test_xl330_reads_its_load_as_signed_and_its_gains_as_metadata() -> None:
    source = shipped("xl330_pendulum")
    recording = read(source)
    assert recording.metadata["kp"] == "100"
    assert recording.metadata["trajectory"] == "sin_sin"
    (servo,) = recording.streams
    load = servo.signals["load"]
    # Of full duty, either sign; the register read as unsigned would give up to 65.5.
    assert -1 <= load.min() < 0 < load.max() <= 1
    voltage = servo.signals["voltage"]
    assert 6.1 <= voltage.min() < voltage.max() <= 8.8
    assert 180 < 1e9 / np.median(np.diff(servo.t_ns)) < 195
    quantum = 2 * np.pi / 4096
    ticks = servo.signals["position"] / quantum
    np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-6)
    drop = read(replace(source, path=source.path.parent / "2026-01-15_10h28m17.json"))
    assert drop.metadata["trajectory"] == "lift_and_drop"
    assert align(recording, ["pendulum"], rate_hz=200.0).q_command is not None
    findings = {f.kind: f for f in check(drop)}
    assert " V, median " in findings["voltage_swing"].detail
    assert "wrapped_register" not in findings


def test_xl330_a_register_that_is_not_declared_is_told_with_its_width() -> None:
    source = shipped("xl330_pendulum")
    (stream,) = source.streams
    load = replace(stream.signals["load"], register_bits=0)
    bare = replace(source, streams=(replace(stream, signals={**stream.signals, "load": load}),))
    (finding,) = [f for f in check(read(bare)) if f.kind == "wrapped_register"]
    assert finding.channel == "load/pendulum"
    assert "register_bits: 16" in finding.detail
    negative = read(source).streams[0].signals["load"] < 0
    assert finding.count == negative.sum()


@pytest.mark.parametrize("episode", [0, 1, 2])
def test_g1_names_26_channels_whose_state_trails_the_action_by_4_to_5_frames(
    episode: int,
) -> None:
    source = replace(shipped("g1_lerobot"), episode=episode)
    recording = read(source)
    (frames,) = recording.streams
    assert len(frames.joints) == 26
    assert frames.joints[0] == "kLeftShoulderPitch"
    assert frames.joints[-1] == "kRightHandThumbRotation"
    trajectory = align(recording, frames.joints, rate_hz=30.0)
    assert trajectory.q_command is not None
    # Only the arms, and of those the joints that move enough to tell a lag.
    lags = lag_frames(trajectory, 12)[:14][np.ptp(trajectory.q_command[:, :14], axis=0) > 0.3]
    assert len(lags) >= 3
    assert 4 <= np.median(lags) <= 5, lags
    assert recording.metadata["fps"] == "30"
