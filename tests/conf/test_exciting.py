"""Which joints an excitation moves, of robots with and without drives."""

from dataclasses import replace

import numpy as np
import pytest

from conf.exciting import motors
from envs.errors import StageError
from envs.stage.scene import Drive
from tests.small_arm import arm

BARE = arm(np.random.default_rng(0))
ROBOT = replace(BARE, joints=tuple(replace(j, drive=None, mimic=None) for j in BARE.joints))
TURNING = [joint.name for joint in ROBOT.joints if joint.kind == "revolute"]


def test_a_robot_without_drives_is_moved_in_all_that_turns_and_follows_nothing() -> None:
    assert len(TURNING) == 3
    assert motors(ROBOT) == TURNING
    follower = replace(ROBOT.joint(TURNING[2]), mimic=(TURNING[0], 1.0, 0.0))
    joints = tuple(follower if j.name == follower.name else j for j in ROBOT.joints)
    assert motors(replace(ROBOT, joints=joints)) == TURNING[:2]


def test_where_some_have_drives_only_they_are_moved() -> None:
    driven = replace(ROBOT.joint(TURNING[1]), drive=Drive(100.0, 1.0))
    joints = tuple(driven if j.name == driven.name else j for j in ROBOT.joints)
    assert motors(replace(ROBOT, joints=joints)) == [TURNING[1]]


def test_a_robot_that_cannot_turn_is_refused() -> None:
    stiff = tuple(j for j in ROBOT.joints if j.kind != "revolute")
    with pytest.raises(StageError, match="no turning joint"):
        motors(replace(ROBOT, joints=stiff))
