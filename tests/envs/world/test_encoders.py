"""What encoders read too little is put right wherever a recording poses or moves the twin."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from envs.stage.scene import Articulation
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.bullet import BulletWorld
from envs.world.encoders import from_readings, to_readings
from envs.world.replay import replay_dynamic, replay_kinematic
from tests.small_arm import GRAVITY, arm, arm_joints, pinocchio_model, scene

N = 3
OFFSETS = np.array([0.3, -0.2, 0.1])
T = np.arange(3001) * 1e-3
STANDS = 0.5 * np.sin([2.0, 3.0, 4.0] * T[:, None] + [0.0, 1.0, 2.0])
READ = Trajectory(T, tuple(arm_joints(N)), STANDS - OFFSETS, q_command=STANDS - OFFSETS)


def robots() -> tuple[Articulation, Articulation]:
    """Return an arm with encoders that are right, and one whose encoders are off."""
    right = arm(np.random.default_rng(4), N)
    joints = tuple(
        replace(j, encoder_offset=float(o)) for j, o in zip(right.joints, OFFSETS, strict=False)
    )
    return right, replace(right, joints=joints + right.joints[N:])


def test_positions_and_commands_go_over_and_come_back() -> None:
    right, off = robots()
    stands = from_readings(off, READ)
    np.testing.assert_allclose(stands.q, STANDS, atol=1e-15)
    assert stands.q_command is not None
    np.testing.assert_allclose(stands.q_command, STANDS, atol=1e-15)
    np.testing.assert_allclose(to_readings(off, stands).q, READ.q, atol=1e-15)
    assert from_readings(right, READ) is READ


def test_a_replay_holds_the_pose_and_the_torque_that_pinocchio_finds_there() -> None:
    _, off = robots()
    tree = reduce_tree(off, arm_joints(N), GRAVITY)
    model = pinocchio_model(tree)
    data = model.createData()
    still = replace(READ, q=np.tile(READ.q[700], (len(T), 1)), q_command=None)
    tau = replay_kinematic(scene(off), still).tau
    assert tau is not None
    held = STANDS[700]
    np.testing.assert_allclose(
        tau[1500], pinocchio.computeGeneralizedGravity(model, data, held), atol=1e-9
    )
    pinocchio.forwardKinematics(model, data, held)
    with BulletWorld(scene(off), joints=tree.joints, colliders=False) as world:
        q = from_readings(off, still).q[:1]
        world.set_state(q, 0 * q)
        poses = world.body_poses()
    for i, group in enumerate(tree.groups):
        for name, X_LB in group.items():
            expected = data.oMi[i + 1].homogeneous @ X_LB
            np.testing.assert_allclose(poses[name], expected, atol=1e-6)


def test_a_controller_compares_commands_with_readings() -> None:
    """Commands and motion are the robot's, moved by the offsets."""
    right, off = robots()
    expected = replay_dynamic(scene(right), from_readings(off, READ))
    found = replay_dynamic(scene(off), READ)
    np.testing.assert_allclose(found.q + OFFSETS, expected.q, atol=1e-12)
    assert found.tau is not None
    assert expected.tau is not None
    np.testing.assert_allclose(found.tau, expected.tau, atol=1e-9)
    assert found.q_command == pytest.approx(READ.q_command, abs=1e-12)
