"""The servo's rollout against what a DC motor, a pendulum and dry friction do on paper."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from calibration.rollout.servo import PARAMETERS
from calibration.servo_runs import (
    EVERY,
    STEP_S,
    Playback,
    ServoRun,
    replay_runs,
    servo_joint,
    servo_run,
)
from calibration.servo_runs import candidate as of_stage
from envs.errors import CalibrationError
from envs.stage.scene import Friction, Scene, Servo
from envs.telemetry.recording import Recording, Stream
from envs.telemetry.trajectory import Trajectory
from tests.calibration.servo_logs import (
    COUNT,
    FIRMWARE,
    TRUTH,
    pendulum,
    real_runs,
    written_run,
)

MGL, INERTIA = 0.49 * 9.81 * 0.1, 0.49 * 0.1**2 + 1.2e-4


def candidate(**values: float) -> np.ndarray:
    plain = {"torque_constant": 0.4, "resistance": 3.0, "stribeck_velocity": 1.0}
    return np.array([[{**plain, **values}.get(name, 0.0) for name in PARAMETERS]])


def play(folder: Path, run: object, **values: float) -> np.ndarray:
    found: np.ndarray = Playback(pendulum(folder), [run]).play(candidate(**values))[0, 0]  # type: ignore[list-item]
    return found


def test_switched_off_it_swings_as_a_pendulum(tmp_path: Path) -> None:
    run = written_run(np.full(2001, 1.0), kp=800, q0=0.9, on=False)
    solved = solve_ivp(
        lambda _, x: [x[1], -MGL / INERTIA * np.sin(x[0])],
        (0, 2),
        [0.9, 0.0],
        t_eval=np.arange(401) * EVERY * STEP_S,
        rtol=1e-10,
        atol=1e-12,
    )
    # The step is semi-implicit, of first order: 1 ms of a swing at 8 rad/s.
    assert np.abs(play(tmp_path, run) - solved.y[0]).max() < 5e-3


def test_at_rest_the_motor_holds_the_weight(tmp_path: Path) -> None:
    """Stall torque with saturation against gravity, at the encoder's zero being 0.05 rad off."""
    run = written_run(np.full(6001, 0.7), kp=200)
    q = play(tmp_path, run, saturation=0.3, viscous=0.05, encoder_offset=0.05)[-1]
    current = 200 * COUNT * (0.7 - q) * 7.4 / 3.0
    torque = 0.4 * current / (1 + 0.3 * current)
    assert torque == pytest.approx(MGL * np.sin(q + 0.05), rel=1e-6)
    assert 0.2 < q < 0.6


def test_a_sticking_joint_stays_to_the_last_bit_and_gives_way_beyond(tmp_path: Path) -> None:
    still = written_run(np.full(500, 0.3), kp=100)
    duty = 100 * COUNT * 0.3
    torque = 0.4 / 3.0 * 7.4 * duty
    assert not play(tmp_path, still, coulomb=1.001 * torque).any()
    assert play(tmp_path, still, coulomb=0.999 * torque)[-1] > 0
    # Shares of the motor's torque: it never moves itself if they reach 1.
    assert not play(tmp_path, still, motor_load=0.6, breakaway_load=0.401).any()
    assert play(tmp_path, still, motor_load=0.6, breakaway_load=0.399)[-1] > 0


def test_the_command_comes_late(tmp_path: Path) -> None:
    command = np.where(np.arange(400) < 100, 0.0, 1.0)
    q = play(tmp_path, written_run(command, kp=800), delay_s=0.050)
    assert not q[: 150 // EVERY].any()
    assert q[150 // EVERY + 2] > 0


def reference(run_command: np.ndarray, gain: float, volts: float, c: np.ndarray) -> np.ndarray:
    """Return the positions by the documented step, one number at a time."""
    k, R, sat, coulomb, viscous, a, b, brk, fade, armature, delay, offset = c.tolist()
    q = w = 0.0
    out, dt, J = [], STEP_S, INERTIA + armature
    for i in range(len(run_command)):
        out.append(q)
        goal = np.interp(i * dt - delay, np.arange(len(run_command)) * dt, run_command)
        duty = min(max(gain * (goal - q), -1.0), 1.0)
        factor = k / R / (1 + sat * abs(duty * volts - k * w) / R)
        load = -MGL * np.sin(q + offset)
        motor = factor * (duty * volts - k * w)
        F = coulomb + a * abs(motor) + b * abs(load)
        F += brk * abs(motor - load) * np.exp(-abs(w) / fade)
        held = J + dt * (factor * k + viscous)
        w = (J * w + dt * (factor * volts * duty + load)) / held
        w = 0.0 if abs(w) <= dt * F / held else w - np.sign(w) * dt * F / held
        q += dt * w
    return np.array(out)[::EVERY]


def test_the_kernel_does_what_is_written(tmp_path: Path) -> None:
    command = np.sin(np.arange(1500) * 0.006) * 1.5
    runs = [written_run(command, kp=300), written_run(command[:700], kp=80, supply_v=6.0)]
    playback = Playback(pendulum(tmp_path), runs)
    both = playback.play(np.stack([TRUTH, TRUTH * 1.1]))
    for i, c in enumerate((TRUTH, TRUTH * 1.1)):
        long, short = both[i]
        assert np.abs(long - reference(command, 300 * COUNT, 7.4, c)).max() < 1e-11
        expected = reference(command[:700], 80 * COUNT, 6.0, c)
        assert np.abs(short[:140] - expected).max() < 1e-11
        assert np.isnan(short[140:]).all()


def with_servo(scene: Scene, values: np.ndarray) -> Scene:
    """Return the scene with a candidate's values on its servo's joint."""
    of = dict(zip(PARAMETERS, values.tolist(), strict=True))
    friction = Friction(of["coulomb"], of["viscous"], stribeck_velocity=of["stribeck_velocity"])
    motor = Servo(*(of[name] for name in vars(Servo(1.0, 1.0))))
    joints = tuple(
        replace(
            joint,
            servo=motor,
            friction=friction,
            armature=of["armature"],
            delay_s=of["delay_s"],
            encoder_offset=of["encoder_offset"],
        )
        if joint.servo
        else joint
        for joint in scene.robot.joints
    )
    return replace(scene, articulations=(replace(scene.robot, joints=joints),))


def assert_pybullet_follows(scene: Scene, runs: list[ServoRun]) -> None:
    found = of_stage(servo_joint(scene, runs))
    np.testing.assert_array_equal(found, TRUTH)
    played, bullet = Playback(scene, runs).play(found[None])[0], replay_runs(scene, runs)
    assert np.nanmax(np.ptp(played, axis=1)) > 0.5
    np.testing.assert_allclose(bullet, played, rtol=0, atol=1e-12)


def test_pybullet_follows_the_kernel_on_a_short_a_long_and_a_limp_log(tmp_path: Path) -> None:
    """PyBullet has the whole body, the kernel one inertia and a sine of the angle."""
    command = np.sin(np.arange(1500) * 0.006) * 1.5
    runs = [
        written_run(command, kp=300),
        written_run(command[:700], kp=80, supply_v=6.0),
        written_run(command, kp=800, q0=0.9, on=False),
    ]
    assert_pybullet_follows(with_servo(pendulum(tmp_path), TRUTH), runs)


def test_pybullet_follows_the_kernel_on_the_twelve_real_logs(tmp_path: Path) -> None:
    assert_pybullet_follows(with_servo(pendulum(tmp_path), TRUTH), real_runs())


def test_what_a_log_must_say(tmp_path: Path) -> None:
    t_ns = (np.arange(3) * 10_000_000 + 5).astype(np.int64)
    on = np.array([[1.0], [1.0], [0.0]])
    stream = Stream("servo", t_ns, ("pendulum",), {"position": on * 0, "enabled": on})
    trajectory = Trajectory(
        np.arange(21) * STEP_S, ("pendulum",), np.zeros((21, 1)), q_command=np.zeros((21, 1))
    )
    recording = Recording("r", (stream,), {}, metadata={"kp": "100", "vin": "7.4"})
    run = servo_run("r", recording, trajectory, FIRMWARE)
    assert run.gain == pytest.approx(0.2877, rel=1e-3)
    assert run.enabled[:20].all()
    assert not run.enabled[20]
    bare = Recording("r", (stream,), {}, metadata={"kp": "high"})
    with pytest.raises(CalibrationError, match=r"must give 'kp' as a number; found: kp=high"):
        servo_run("r", bare, trajectory, FIRMWARE)
