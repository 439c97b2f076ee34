"""Replays of motions that are known in closed form, or that the twin made itself."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from envs.errors import RecordingError, StageError
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.friction import friction_torque, joint_friction
from envs.world.replay import replay_dynamic, replay_kinematic
from tests.small_arm import GRAVITY, arm, arm_joints, pinocchio_model, scene

N = 3
T = np.arange(3001) * 1e-3
RATE = np.array([2.0, 3.0, 4.0])
PHASE = RATE * T[:, None] + [0.0, 1.0, 2.0]
SWING = 0.5 * np.sin(PHASE)


def recording(**signals: np.ndarray) -> Trajectory:
    return Trajectory(t_s=T, joints=tuple(arm_joints(N)), **{"q": SWING, **signals})


@pytest.mark.parametrize("velocity", [True, False])
def test_kinematic_replay_gives_the_torque_of_the_motion(velocity: bool) -> None:
    robot = arm(np.random.default_rng(4), N)
    joints = tuple(replace(j, torque_offset=0.2 * (i + 1)) for i, j in enumerate(robot.joints))
    robot = replace(robot, joints=joints)
    qd, qdd = 0.5 * RATE * np.cos(PHASE), -0.5 * RATE**2 * np.sin(PHASE)
    measured = recording(qd=qd) if velocity else recording()
    simulated = replay_kinematic(scene(robot), measured)

    model = pinocchio_model(reduce_tree(robot, arm_joints(N), GRAVITY))
    data = model.createData()
    rigid = np.array([pinocchio.rnea(model, data, *x) for x in zip(SWING, qd, qdd, strict=True)])
    moved = joints[:N]
    expected = (
        rigid
        + np.array([j.armature for j in moved]) * qdd
        + friction_torque(joint_friction(j.friction for j in moved), qd)
        + np.array([j.torque_offset for j in moved])
    )
    assert simulated.tau is not None and simulated.joints == measured.joints
    np.testing.assert_array_equal(simulated.q, SWING)
    # Away from the filter's ends. Numeric differences are off by (rate·dt)²/6 ≈ 3e-6 of qdd, and
    # friction steps by 1 N·m within 0.01 rad/s.
    inner = slice(500, -500)
    np.testing.assert_allclose(simulated.tau[inner], expected[inner], atol=2e-3)


def test_dynamic_replay_repeats_what_the_twin_did() -> None:
    """A motion of the twin, taken as a recording, comes out again from its commands."""
    twin = scene(arm(np.random.default_rng(4), N))
    # Two calls, the second one with the result of the first as its measurement.
    hold = SWING.copy()
    hold[:1000] = hold[1000]
    seen: list[tuple[int, int]] = []
    first = replay_dynamic(twin, recording(q_command=hold))
    second = replay_dynamic(
        twin, replace(first, q_command=hold), progress=lambda *at: seen.append(at)
    )
    assert np.ptp(first.q[1000:], axis=0).min() > 0.1
    for name, tolerance in (("q", 1e-4), ("qd", 1e-3), ("tau", 0.05)):
        a, b = getattr(first, name)[1000:], getattr(second, name)[1000:]
        np.testing.assert_allclose(a, b, atol=tolerance)
    assert seen[-1] == (3000, 3000)
    assert seen == sorted(seen)


def test_what_a_replay_cannot_use_is_refused() -> None:
    robot = arm(np.random.default_rng(4), N)
    twin = scene(robot)
    with pytest.raises(RecordingError, match="needs recorded commands"):
        replay_dynamic(twin, recording())
    passive = replace(robot, joints=tuple(replace(j, drive=None) for j in robot.joints))
    with pytest.raises(StageError, match="no drive"):
        replay_dynamic(scene(passive), recording(q_command=SWING))
    turned = Trajectory(T, tuple(reversed(arm_joints(N))), SWING)
    with pytest.raises(RecordingError, match=r"stage's order \(joint0, joint1, joint2\)"):
        replay_kinematic(twin, turned)
    with pytest.raises(StageError, match="joint 'elbow' is not in the stage"):
        replay_kinematic(twin, Trajectory(T, ("joint0", "joint1", "elbow"), SWING))
