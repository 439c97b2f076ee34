"""The drive against a continuous-time solution, against its own equation, and at its limits."""

from dataclasses import fields, replace

import numpy as np
import pinocchio
import pytest
from scipy.integrate import solve_ivp

from envs.errors import StageError
from envs.world.actuators import (
    ActuatorParameters,
    Rollout,
    delayed_commands,
    implicit_step,
    simulate,
)
from envs.world.bullet import BulletWorld
from envs.world.dynamics import TreeDynamics
from envs.world.friction import friction_slope, friction_torque
from tests.small_arm import arm, arm_joints, pinocchio_model, scene

N = 3
RATE, PHASE = np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0])


def swing(t: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.sin(np.asarray(t)[..., None] * RATE + PHASE))


def follow(
    parameters: ActuatorParameters, dt_s: float, duration_s: float, *, copies: int = 1
) -> tuple[Rollout, pinocchio.Model]:
    """Let the small arm follow the swing from rest."""
    steps = round(duration_s / dt_s)
    command = swing(np.arange(steps + 1) * dt_s)
    start = np.zeros(copies, int)
    commands = delayed_commands(command, start, steps, parameters.delay_s, dt_s)
    robot = scene(arm(np.random.default_rng(4), N))
    with BulletWorld(
        robot, joints=arm_joints(N), copies=copies, colliders=False, dt_s=dt_s
    ) as world:
        still = np.zeros((copies, N))
        rollout = simulate(world, parameters, commands, still + command[0], still)
        return rollout, pinocchio_model(world.tree)


def stage_parameters() -> ActuatorParameters:
    parameters = ActuatorParameters.from_joints(arm(np.random.default_rng(4), N), arm_joints(N))
    return replace(parameters, torque_offset=np.array([0.3, -0.2, 0.1]))


def test_motion_and_torque_converge_to_the_continuous_solution() -> None:
    """Pinocchio with the rotors in its mass matrix, integrated to 1e-9, in continuous time."""
    p, duration = stage_parameters(), 0.8
    rollouts = [follow(p, dt, duration)[0] for dt in (1e-3, 0.5e-3)]
    model = follow(p, 1e-3, 2e-3)[1]
    model.armature = p.armature
    data = model.createData()

    def drive(t: float, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
        delayed = np.array([swing(np.maximum(t - d, 0.0))[i] for i, d in enumerate(p.delay_s)])
        tau = p.stiffness * (delayed - q) - p.damping * qd
        return np.asarray(np.clip(tau, -p.max_force, p.max_force))

    def derivative(t: float, x: np.ndarray) -> np.ndarray:
        q, qd = x[:N], x[N:]
        tau = drive(t, q, qd) - friction_torque(p.friction, qd) - p.torque_offset
        return np.concatenate([qd, pinocchio.aba(model, data, q, qd, tau)])

    start = np.concatenate([swing(np.zeros(())), np.zeros(N)])
    grid = np.arange(801) * 1e-3
    exact = solve_ivp(
        derivative,
        (0, duration),
        start,
        method="LSODA",
        t_eval=grid,
        rtol=1e-9,
        atol=1e-10,
        max_step=2e-3,
    )
    tau = np.array([drive(t, x[:N], x[N:]) for t, x in zip(grid, exact.y.T, strict=True)])
    truth = np.concatenate([exact.y.T, tau], axis=1)[200:]
    scale = np.abs(truth).max(axis=0)
    whole, half = (
        np.concatenate([r.q[::k, 0], r.qd[::k, 0], r.tau[::k, 0]], axis=1)[200:]
        for k, r in ((1, rollouts[0]), (2, rollouts[1]))
    )
    assert scale[:N].min() > 0.1
    # Half the step, at most half the error: the drive is of second order, friction and Coriolis
    # forces of first.
    error, better = np.abs(whole - truth).max(axis=0), np.abs(half - truth).max(axis=0)
    assert np.all(better < 0.6 * error)
    assert np.all(better < 0.02 * scale)


@pytest.mark.parametrize("limit", [np.inf, 4.0])
def test_a_step_solves_the_equation_it_states(limit: float) -> None:
    rng, dt, copies = np.random.default_rng(0), 1e-3, 50
    p = replace(stage_parameters(), max_force=np.full(N, limit))
    robot = scene(arm(np.random.default_rng(4), N))
    with BulletWorld(robot, joints=arm_joints(N), copies=copies, colliders=False) as world:
        q, qd, u = (rng.uniform(-1, 1, (copies, N)) for _ in range(3))
        u = q + 0.05 * u
        model = pinocchio_model(world.tree)
        M, h = TreeDynamics(world.tree).mass_matrix_and_bias(q, qd)
        qdd, drive = implicit_step(p, p.friction, M, h, q, qd, u, dt)
        world.set_state(q, qd)
        world.step((M @ qdd[..., None])[..., 0] + h)
        q1, qd1 = world.state()
    # PyBullet takes this very acceleration.
    np.testing.assert_allclose(qd1, qd + dt * qdd, atol=1e-10)
    np.testing.assert_allclose(q1, q + dt * qd1, atol=1e-12)
    data = model.createData()
    inverse = np.array([pinocchio.rnea(model, data, *x) for x in zip(q, qd, qdd, strict=True)])
    friction = friction_torque(p.friction, qd) + friction_slope(p.friction, qd) * dt * qdd
    balance = inverse + p.armature * qdd + friction + p.torque_offset
    np.testing.assert_allclose(drive, balance, atol=1e-9)
    # Not too stiff for this step, so that the drive is that of the instant.
    law = p.stiffness * (u - q) - p.damping * (qd + qd1) / 2
    held = np.abs(drive) == limit
    np.testing.assert_allclose(drive[~held], law[~held], atol=1e-8)
    assert np.all(np.abs(drive) <= limit)
    if np.isinf(limit):
        assert not held.any()
    else:
        assert held.any(axis=1).all() and not held.all()
        # What is held would ask for more.
        assert np.all(np.sign(law[held]) == np.sign(drive[held]))


@pytest.mark.parametrize(("damping", "most"), [(4e1, np.inf), (4e3, 100.0)])
def test_stiffness_far_beyond_an_explicit_drive_stays_stable(damping: float, most: float) -> None:
    p = replace(stage_parameters(), stiffness=np.full(N, 4e5), damping=np.full(N, damping))
    p = replace(p, max_force=np.full(N, np.inf), delay_s=np.zeros(N))
    rollout, _ = follow(p, 1e-3, 1.0)
    t = np.arange(1001) * 1e-3
    # A held sample is late by half its hold; a stiff drive acts up to one step late.
    lag = damping / 4e5 + 1e-3
    late = np.asarray(swing(t - lag))
    assert np.abs(rollout.q[200:, 0] - late[200:]).max() < 2e-3
    # A damped one does not ring: its velocity is as smooth as the motion's, which bends by less
    # than 32 rad/s³.
    bend = np.diff(rollout.qd[200:-1, 0], n=2, axis=0) / 1e-6
    assert np.abs(bend).max() < most


def test_copies_do_not_see_each_other() -> None:
    rng, copies = np.random.default_rng(7), 6
    one = stage_parameters()
    many = ActuatorParameters(
        *(getattr(one, f.name) * rng.uniform(0.7, 1.3, (copies, N)) for f in fields(one))
    )
    together, _ = follow(many, 1e-3, 0.1, copies=copies)
    for k in range(copies):
        alone, _ = follow(
            ActuatorParameters(*(getattr(many, f.name)[k] for f in fields(many))), 1e-3, 0.1
        )
        for name in ("q", "qd", "tau"):
            np.testing.assert_allclose(
                getattr(together, name)[:, k], getattr(alone, name)[:, 0], rtol=1e-9, atol=1e-9
            )
    assert np.ptp(together.q[-1], axis=0).min() > 1e-4


def test_a_command_arrives_later_by_its_delay() -> None:
    dt, t = 1e-3, np.arange(400) * 1e-3
    # Sampled at the middle of each hold, which is what a held sample stands for.
    middle = t + dt / 2
    command = np.stack([2.0 * middle, np.sin(3 * middle)], axis=1)
    delay = np.array([[0.0, 0.0], [0.0123, 0.2], [0.0005, 0.0031]])
    start = np.array([100, 100, 250])
    acting = delayed_commands(command, start, 100, delay, dt)
    begin = (start + np.arange(100)[:, None]) * dt
    when = np.maximum(begin[..., None] - delay, dt / 2)
    np.testing.assert_allclose(acting[..., 0], 2.0 * when[..., 0], atol=1e-12)
    # Linear between samples: off by at most dt²/8 times the curvature.
    np.testing.assert_allclose(acting[..., 1], np.sin(3 * when[..., 1]), atol=1.2e-6)
    assert acting[0, 1, 1] == command[0, 1]  # before the recording the first command holds
    after = delayed_commands(command, np.array([395]), 10, np.zeros(2), dt)
    np.testing.assert_array_equal(after[-1, 0], command[-1])


def test_a_held_command_acts_neither_early_nor_late() -> None:
    """A held ramp is late by half a hold, and what follows it by damping / stiffness."""
    p = replace(stage_parameters(), max_force=np.full(N, np.inf))
    p = replace(p, delay_s=np.array([0.0, 0.004, 0.0075]))
    speed, steps = 0.2, 1500
    command = np.broadcast_to(speed * np.arange(steps + 1)[:, None] * 1e-3, (steps + 1, N))
    commands = delayed_commands(command, np.zeros(1, int), steps, p.delay_s, 1e-3)
    robot = scene(arm(np.random.default_rng(4), N))
    with BulletWorld(robot, joints=arm_joints(N), colliders=False) as world:
        rollout = simulate(world, p, commands, np.zeros((1, N)), np.zeros((1, N)))
    now, t = steps - 1, (steps - 1) * 1e-3
    target = speed * (t - 0.5e-3 - p.delay_s)
    law = p.stiffness * (target - rollout.q[now, 0]) - p.damping * rollout.qd[now, 0]
    # A tenth of a step earlier or later would be 20 µrad, which is 3e-3 N·m or more.
    np.testing.assert_allclose(rollout.tau[now, 0], law, atol=1e-9)
    assert (p.stiffness * speed * 1e-4).min() > 2e-3


def test_parameters_come_from_the_stage() -> None:
    robot = arm(np.random.default_rng(4), N)
    p = ActuatorParameters.from_joints(robot, ["joint2", "joint0"])
    joint = robot.joints[2]
    assert joint.drive is not None
    expected = {
        "stiffness": joint.drive.stiffness,
        "damping": joint.drive.damping,
        "max_force": joint.drive.max_force,
        "armature": joint.armature,
        "coulomb": joint.friction.coulomb,
        "viscous": joint.friction.viscous,
        "stribeck": joint.friction.stribeck,
        "stribeck_velocity": joint.friction.stribeck_velocity,
        "torque_offset": joint.torque_offset,
        "delay_s": joint.delay_s,
    }
    assert {f.name: getattr(p, f.name)[0] for f in fields(p)} == expected
    assert p.delay_s[1] == robot.joints[0].delay_s
    passive = replace(robot, joints=(replace(robot.joints[0], drive=None), *robot.joints[1:]))
    with pytest.raises(StageError, match=r"no drive .* is authored for: joint0;"):
        ActuatorParameters.from_joints(passive, ["joint0", "joint1"])
    with pytest.raises(StageError, match="delay_s of a joint must be finite and ≥ 0"):
        replace(p, delay_s=np.array([0.01, -0.01]))
    with pytest.raises(StageError, match="armature"):
        replace(p, armature=np.array([0.01, np.nan]))
