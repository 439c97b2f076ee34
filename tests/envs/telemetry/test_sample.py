"""The simulated sample: it is what its truth says, and its truth explains it (Pinocchio)."""

import json
from typing import Any

import numpy as np
import pinocchio as pin
import pybullet as p
import pytest
import yourdfpy

from assets.recordings import make_sample
from envs.telemetry.alignment import align
from envs.telemetry.filtering import lowpass, motion
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.recording import Recording
from envs.telemetry.trajectory import Trajectory
from tests.envs.telemetry.tiny import PANDA, shipped


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(make_sample.TRUTH.read_text())
    return result


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return read(shipped("sample"))


@pytest.fixture(scope="module")
def trajectory(recorded: Recording) -> Trajectory:
    return align(recorded, PANDA)


def test_the_file_is_small_and_listed_with_its_hash(recorded: Recording) -> None:
    assert make_sample.MCAP.stat().st_size < 2_000_000
    listed = (make_sample.FOLDER / "SOURCES.md").read_text()
    assert recorded.sha256[make_sample.MCAP.name] in listed
    assert recorded.files == (make_sample.MCAP,)


def test_rates_duplicates_and_dropouts_are_those_of_the_truth(
    recorded: Recording, truth: dict[str, Any]
) -> None:
    states, commands = recorded.streams
    duplicates = {f.channel: f.count for f in check(recorded) if f.kind == "duplicate"}
    assert duplicates == {
        "states": truth["duplicates"]["/joint_states"],
        "commands": truth["duplicates"]["/joint_commands"],
    }
    (gap,) = [f for f in check(recorded) if f.kind == "gap"]
    assert gap.count == len(truth["dropouts_s"]) == 2
    t_s = np.unique(states.t_ns - states.t_ns[0]) * 1e-9
    steps = np.diff(t_s)
    for (start_s, end_s), i in zip(truth["dropouts_s"], np.flatnonzero(steps > 0.02), strict=True):
        assert 0.15 <= end_s - start_s <= 0.4
        assert start_s - 0.005 <= t_s[i] < start_s
        assert end_s <= t_s[i + 1] < end_s + 0.005
    assert np.median(steps) == pytest.approx(0.004, abs=1e-9)
    # A step is 4 ms and the difference of two jitters.
    even = steps[steps < 0.02]
    assert np.ptp(even) == pytest.approx(4 * truth["jitter_s"], abs=1e-9)
    assert set(np.diff(np.unique(commands.t_ns))) == {4_000_000}
    assert 24 <= t_s[-1] <= 30


def test_the_truth_is_off_the_model_by_as_much_as_it_says(truth: dict[str, Any]) -> None:
    model = pin.buildModelFromUrdf(str(make_sample.URDF))
    assert set(truth["links"]) == {
        *(f"panda_link{i}" for i in range(1, 8)),
        "panda_hand",
        "panda_leftfinger",
        "panda_rightfinger",
    }
    for i in range(1, 7):
        nominal, link = model.inertias[i], truth["links"][f"panda_link{i}"]
        assert abs(link["mass_kg"] / nominal.mass - 1) <= 0.15
        shift = np.linalg.norm(link["com_m"] - nominal.lever)
        assert shift <= 0.15 * np.linalg.norm(nominal.lever)
        ratios = np.linalg.eigvalsh(link["inertia_kgm2"]) / 0.1
        assert (np.abs(ratios - 1) <= 0.15 + 1e-12).all()
    gains = np.array([4500, 4500, 3500, 3500, 2000, 2000, 2000.0])
    for name, nominal in (("stiffness", gains), ("damping", gains / 10)):
        off = np.abs(np.array(truth[name]) / nominal - 1)
        assert ((off >= 0.1) & (off <= 0.3)).all()
    share = np.array(truth["stribeck"]) / truth["coulomb"]
    assert ((share >= 0.10) & (share <= 0.25)).all()
    assert truth["delay_s"] == 0.012


def test_the_truth_is_what_its_seed_draws(truth: dict[str, Any]) -> None:
    urdf = yourdfpy.URDF.load(make_sample.URDF, load_meshes=False)
    rng = np.random.default_rng(truth["seed"]).spawn(4)[0]
    drawn = make_sample.draw_truth(urdf, rng)
    # Rotating an inertia goes through LAPACK, whose last bit depends on the processor.
    for name, link in truth["links"].items():
        for field, value in link.items():
            np.testing.assert_allclose(value, drawn.links[name][field], rtol=1e-9, atol=1e-12)
    for name in ("armature", "coulomb", "viscous", "stribeck_velocity", "damping"):
        assert truth[name] == getattr(drawn, name)


def true_torque(trajectory: Trajectory, truth: dict[str, Any]) -> np.ndarray:
    """Return the torque that the truth explains by Pinocchio's RNEA, armature and friction."""
    full = pin.buildModelFromUrdf(str(make_sample.URDF))
    fingers = [full.getJointId(f"panda_finger_joint{i}") for i in (1, 2)]
    model = pin.buildReducedModel(full, fingers, pin.neutral(full))
    for i in range(1, 8):
        model.inertias[i] = pin.Inertia.Zero()
    for name, link in truth["links"].items():
        frame = model.frames[model.getFrameId(name, pin.BODY)]
        inertia = pin.Inertia(
            link["mass_kg"], np.array(link["com_m"]), np.array(link["inertia_kgm2"])
        )
        model.inertias[frame.parentJoint] += frame.placement.act(inertia)
    moved, data = motion(trajectory), model.createData()
    armature, coulomb, viscous, stribeck, v_s = (
        np.array(truth[k])
        for k in ("armature", "coulomb", "viscous", "stribeck", "stribeck_velocity")
    )
    torque = np.empty_like(moved.q)
    for k, (q, qd, qdd) in enumerate(zip(moved.q, moved.qd, moved.qdd, strict=True)):
        dry = (coulomb + stribeck * np.exp(-((qd / v_s) ** 2))) * np.tanh(qd / 0.01)
        torque[k] = pin.rnea(model, data, q, qd, qdd) + armature * qdd + dry + viscous * qd
    return lowpass(torque, trajectory.dt_s, 10.0)


def test_the_truth_explains_the_measured_torque(
    trajectory: Trajectory, truth: dict[str, Any]
) -> None:
    moved = motion(trajectory)
    error = (moved.tau - true_torque(trajectory, truth))[moved.use]
    # 0.3 N·m at 250 Hz leaves 0.3·√(2·9.6 Hz / 250 Hz) ≈ 0.083 N·m below 10 Hz; the rest is the
    # noise of acceleration (2e-3 rad/s low-passed and derived: 0.022 rad/s² times up to 3 kg·m²).
    rmse = np.sqrt((error**2).mean(axis=0))
    assert (rmse < np.hypot(0.083, 0.022 * np.array([3, 3, 2, 2, 1, 1, 1]))).all(), rmse
    assert (np.abs(error.mean(axis=0)) < 0.01).all(), error.mean(axis=0)


def test_the_drive_and_its_delay_are_those_of_the_truth(
    trajectory: Trajectory, truth: dict[str, Any]
) -> None:
    """Least squares of τ = kp·(q_command(t − delay) − q) − kd·q̇ for each delay; the best wins.

    A held command that is sampled at its jumps leads the held one by half a step of the grid, here
    0.5 ms; that much is added to the true delay.
    """
    assert trajectory.q_command is not None
    moved, dt = motion(trajectory), trajectory.dt_s
    held = lowpass(trajectory.q_command, dt, 10.0)
    t_s, delays_s = trajectory.t_s, truth["delay_s"] + 0.5e-3 + np.arange(-8, 9) * 0.25e-3
    for j in range(7):
        errors, gains = [], []
        for delay_s in delays_s:
            command = np.interp(t_s - delay_s, t_s, held[:, j])
            A = np.stack([command - moved.q[:, j], -moved.qd[:, j]], axis=1)[moved.use]
            gains.append(np.linalg.lstsq(A, moved.tau[moved.use, j], rcond=None)[0])
            errors.append(np.square(moved.tau[moved.use, j] - A @ gains[-1]).sum())
        best = delays_s[np.argmin(errors)] - 0.5e-3
        assert abs(best - truth["delay_s"]) <= 0.25e-3, f"joint {j + 1}: {best} s"
        expected = [truth["stiffness"][j], truth["damping"][j]]
        np.testing.assert_allclose(gains[8], expected, rtol=0.02)


def test_both_parts_move_alike_and_within_the_robots_limits(trajectory: Trajectory) -> None:
    moved = motion(trajectory)
    t_s, urdf = moved.t_s, yourdfpy.URDF.load(make_sample.URDF, load_meshes=False)
    late = t_s > 0.7 * t_s[-1]
    spread = moved.qd[moved.use & late].std(axis=0) / moved.qd[moved.use & ~late].std(axis=0)
    assert ((spread > 0.8) & (spread < 1.25)).all(), spread
    peak = np.abs(moved.qd).max(axis=0)
    assert ((peak > 1.0) & (peak < 1.8)).all(), peak
    assert (np.abs(moved.qd[moved.use]) < 0.15).mean() > 0.1, "friction needs slow parts too"
    for j, name in enumerate(PANDA):
        limit = urdf.joint_map[name].limit
        assert limit.lower + 0.1 < moved.q[:, j].min()
        assert moved.q[:, j].max() < limit.upper - 0.1
    np.testing.assert_allclose(trajectory.q[:50].mean(0), make_sample.HOME_RAD, atol=0.02)
    assert np.abs(moved.qd[:100]).max() < 0.02


def test_the_arm_keeps_clear_of_the_table_and_of_itself(trajectory: Trajectory) -> None:
    """PyBullet's closest points of the collision shapes, at 5 Hz."""
    client = p.connect(p.DIRECT)
    try:
        arm = p.loadURDF(str(make_sample.URDF), useFixedBase=True, physicsClientId=client)
        box = p.createCollisionShape(p.GEOM_BOX, halfExtents=[3, 3, 0.1], physicsClientId=client)
        table = p.createMultiBody(0, box, -1, [0, 0, -0.1], physicsClientId=client)
        count = p.getNumJoints(arm, physicsClientId=client)
        info = [p.getJointInfo(arm, i, physicsClientId=client) for i in range(count)]
        links = {"panda_link0": -1} | {i[12].decode(): i[0] for i in info}
        joints = [i[0] for i in info if i[1].decode() in PANDA]
        order = [f"panda_link{i}" for i in range(8)]
        order += ["panda_hand", "panda_leftfinger", "panda_rightfinger"]
        # Neighbours in the chain, and their neighbours, touch by design.
        pairs = [(a, b) for i, a in enumerate(order[:6]) for b in order[i + 3 :]]
        heights: list[float] = []
        distances: list[float] = []
        for q in trajectory.q[::200]:
            for joint, value in zip(joints, q, strict=True):
                p.resetJointState(arm, joint, value, physicsClientId=client)
            p.performCollisionDetection(physicsClientId=client)
            for name in order[2:]:
                points = p.getClosestPoints(
                    arm, table, 2.0, links[name], -1, physicsClientId=client
                )
                heights.append(min(point[8] for point in points))
            for a, b in pairs:
                points = p.getClosestPoints(
                    arm, arm, 0.3, links[a], links[b], physicsClientId=client
                )
                distances.extend(point[8] for point in points)
    finally:
        p.disconnect(client)
    assert min(heights) > 0.12
    assert min(distances) > 0.025


@pytest.mark.slow
def test_the_script_makes_the_shipped_messages(truth: dict[str, Any]) -> None:
    made, logs = make_sample.make()
    assert made.coulomb == truth["coulomb"]
    for log, stream in zip(logs, read(shipped("sample")).streams, strict=True):
        assert (log.t_ns + make_sample.START_NS).tolist() == stream.t_ns.tolist()
        for name, values in log.fields.items():
            signal: Any = "command_position" if log.topic == "/joint_commands" else name
            # Rounded to 6, 5 and 3 digits when written.
            np.testing.assert_allclose(stream.signals[signal], values, atol=6e-4)
    assert list(make_sample.messages(logs)) == list(make_sample.messages(make_sample.make()[1]))


@pytest.mark.slow
def test_halving_the_step_changes_nothing_that_is_logged(
    truth: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the first six seconds, which are as fast as the rest."""
    urdf = yourdfpy.URDF.load(make_sample.URDF, load_meshes=False)
    parameters, path, *_ = np.random.default_rng(truth["seed"]).spawn(4)
    drawn = make_sample.draw_truth(urdf, parameters)
    period = make_sample.PERIOD_S
    commands = make_sample.excitation(np.arange(7000) * period, path)
    monkeypatch.setattr(make_sample, "DURATION_S", 6.0)
    model = make_sample.build_model(urdf, drawn)
    whole = make_sample.simulate(model, drawn, commands)
    half = make_sample.simulate(model, drawn, commands, step_s=make_sample.STEP_S / 2)
    np.testing.assert_allclose(whole.q, half.q[::2], atol=1e-7)
