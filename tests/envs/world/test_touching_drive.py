"""A driven robot that touches something, against the laws of sliding and of impact."""

import numpy as np
import pytest

from envs.errors import StageError
from envs.stage.scene import Articulation, Drive, Friction, Scene
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters, Rollout, simulate
from envs.world.bullet import BulletWorld
from envs.world.replay import replay_dynamic
from tests.pusher import BLOCK_KG, block, pushed, slider, table
from tests.small_arm import scene

JOINTS = ["slide"]


def roll(
    built: Scene, command: np.ndarray, *, speed: float = 0.0
) -> tuple[Rollout, float, np.ndarray]:
    """Return what the slider does, and at the end if it touches anything and the block's speed."""
    parameters = ActuatorParameters.from_joints(built.robot, JOINTS)
    with BulletWorld(built, joints=JOINTS) as world:
        q, qd = np.zeros((1, 1)), np.full((1, 1), speed)
        rolled = simulate(world, parameters, command[:, None, None], q, qd)
        moves = world.object_velocity("block") if built.objects else np.zeros(6)
        return rolled, world.touches(), moves


@pytest.mark.parametrize("armature", [0.0, 1.0, 9.0])
def test_the_drive_bears_all_of_the_friction_of_what_it_pushes(armature: float) -> None:
    robot = slider(Drive(2000.0, 200.0), armature=armature, friction=Friction(2.0, 5.0))
    speed, t = 0.2, np.arange(1500) * 1e-3
    rolled, touches, moves = roll(pushed(robot, block(0.22, 0.4), 0.4), speed * t)
    mean = slice(1000, 1400)
    assert touches
    assert rolled.qd[mean].mean() == pytest.approx(speed, rel=1e-3)
    assert moves[0] == pytest.approx(speed, rel=1e-3)
    expected = 0.4 * BLOCK_KG * 9.81 + 2.0 + 5.0 * speed
    assert rolled.tau[mean].mean() == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("armature", [0.0, 1.0, 9.0])
def test_a_drive_that_leans_on_a_wall_is_held_by_it(armature: float) -> None:
    robot = slider(Drive(2000.0, 200.0), armature=armature)
    wall = block(0.22, 0.0)
    rolled, touches, _ = roll(scene(robot, static=(wall,)), np.full(1500, 0.03))
    assert touches
    # The wall is 2 cm away; it gives way by next to nothing.
    assert rolled.q[-1, 0, 0] == pytest.approx(0.02, abs=2e-4)
    assert rolled.qd[-100:].std() < 1e-4
    assert rolled.tau[-1, 0, 0] == pytest.approx(2000.0 * (0.03 - rolled.q[-1, 0, 0]), rel=1e-3)


@pytest.mark.parametrize("armature", [0.0, 1.0, 9.0])
def test_an_impact_keeps_the_momentum_of_links_and_rotors(armature: float) -> None:
    robot = slider(Drive(0.0, 0.0), armature=armature)
    rolled, touches, moves = roll(pushed(robot, block(0.22, 0.0), 0.0), np.zeros(400), speed=0.5)
    mass = 1.0 + armature
    assert not touches or rolled.qd[-1, 0, 0] == pytest.approx(moves[0], rel=1e-2)
    assert mass * rolled.qd[-1, 0, 0] + BLOCK_KG * moves[0] == pytest.approx(mass * 0.5, rel=2e-3)
    assert moves[0] == pytest.approx(mass * 0.5 / (mass + BLOCK_KG), rel=2e-2)


def test_in_the_air_contacts_change_no_bit() -> None:
    robot: Articulation = slider(Drive(2000.0, 200.0), armature=2.0)
    command = 0.1 * np.sin(np.arange(800) * 5e-3)
    alone = roll(scene(robot), command)[0]
    beside = roll(scene(robot, objects=(block(2.0, 0.4),), static=(table(0.4),)), command)[0]
    np.testing.assert_array_equal(alone.q, beside.q)
    np.testing.assert_array_equal(alone.tau, beside.tau)


def still(command: np.ndarray) -> Trajectory:
    t = np.arange(len(command)) * 1e-3
    return Trajectory(t, ("slide",), np.zeros((len(t), 1)), q_command=command[:, None])


def test_a_replay_meets_the_scene_if_told_so() -> None:
    robot = slider(Drive(2000.0, 200.0), armature=2.0)
    wall = scene(robot, static=(block(0.22, 0.0),))
    recorded = still(np.full(1500, 0.03))
    assert replay_dynamic(wall, recorded).q[-1, 0] == pytest.approx(0.03, abs=1e-5)
    held = replay_dynamic(wall, recorded, contacts=True)
    assert held.q[-1, 0] == pytest.approx(0.02, abs=2e-4)
    again = replay_dynamic(wall, recorded, contacts=True)
    np.testing.assert_array_equal(held.q, again.q)


def test_a_robot_that_starts_inside_something_is_refused() -> None:
    robot = slider(Drive(2000.0, 200.0), armature=2.0)
    inside = scene(robot, static=(block(0.19, 0.0),))
    assert np.isfinite(replay_dynamic(inside, still(np.zeros(99))).q).all()
    with pytest.raises(StageError, match=r"body 'cube' of the robot is 10\.0 mm inside 'block'"):
        replay_dynamic(inside, still(np.zeros(99)), contacts=True)
