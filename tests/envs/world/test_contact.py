"""Friction and restitution of the stage's materials, in PyBullet, against the laws of both."""

from dataclasses import replace

import numpy as np
import pytest

from envs.frames import pose
from envs.stage.scene import Body, Contact, Inertial, Mesh, Scene, Shape
from envs.world.bullet import BulletWorld
from tests.small_arm import arm, box, scene


def made_of(body: Body, contact: Contact) -> Body:
    shapes = tuple(replace(s, contact=contact) for s in body.colliders)
    return replace(body, colliders=shapes)


def touching(thing: Body, contact: Contact, ground: Contact, gravity: np.ndarray) -> Scene:
    table = made_of(box("table", (20.0, 20.0, 1.0), (5.0, 5.0, -1.0)), ground)
    robot = arm(np.random.default_rng(0), 1)
    far = replace(robot.bodies[0], X_WB=pose(np.eye(3), np.array([0.0, 0.0, 50.0])))
    robot = replace(robot, bodies=(far, *robot.bodies[1:]))
    return replace(
        scene(robot, objects=(made_of(thing, contact),), static=(table,)), gravity_mps2=gravity
    )


def slid_m(friction: float, ground: float, pull: float, seconds: float) -> float:
    """How far a cube goes on level ground under a gravity that also pulls along x."""
    cube = box("cube", (0.2, 0.2, 0.05), (5.0, 5.0, 0.0))
    gravity = np.array([pull, 0.0, -9.81])
    built = touching(cube, Contact(friction, friction, 0.0), Contact(ground, ground, 0.0), gravity)
    with BulletWorld(built, joints=["joint0"]) as world:
        for _ in range(round(seconds / world.dt_s)):
            world.step(np.zeros((1, 1)))
        return float(world.body_poses()["cube"][0, 3] - 5.0)


@pytest.mark.parametrize(("friction", "ground", "pull"), [(0.2, 0.2, 3.0), (0.1, 0.4, 3.0)])
def test_a_cube_slides_with_what_friction_leaves(
    friction: float, ground: float, pull: float
) -> None:
    mu = np.sqrt(friction * ground)
    expected = (pull - mu * 9.81) * 0.5**2 / 2
    # The contact takes some milliseconds to bear the cube's weight.
    assert slid_m(friction, ground, pull, 0.5) == pytest.approx(expected, rel=0.03)


def test_a_cube_stays_where_friction_holds_it() -> None:
    assert abs(slid_m(0.4, 0.4, 3.0, 0.5)) < 2e-3


@pytest.mark.parametrize("restitution", [0.0, 0.5, 0.9])
def test_a_ball_bounces_with_its_restitution(restitution: float) -> None:
    """Bullet adds its correction of the depth that the last step went into the ground.

    That is at most 0.2 (its contact ERP) of the speed with which the ball came.
    """
    radius, height = 0.1, 1.0
    ball = Body(
        "ball",
        "/World/ball",
        pose(np.eye(3), np.array([5.0, 5.0, radius + height])),
        Inertial(1.0, np.zeros(3), np.eye(3) * 0.004),
        colliders=(Shape("/World/ball/s", "sphere", np.eye(4), (radius,)),),
    )
    contact = Contact(0.5, 0.5, restitution)
    built = touching(ball, contact, contact, np.array([0.0, 0.0, -9.81]))
    heights = []
    with BulletWorld(built, joints=["joint0"]) as world:
        fall = np.sqrt(2 * height / 9.81)
        for step in range(round(2 * fall * 1.2 / world.dt_s)):
            world.step(np.zeros((1, 1)))
            if step * world.dt_s > fall * 1.05:
                heights.append(world.body_poses()["ball"][2, 3] - radius)
    ratio = np.sqrt(max(heights) / height)
    assert restitution - 0.01 <= ratio <= restitution + 0.2


def test_a_flat_mesh_on_a_moving_body_collides() -> None:
    plate = Mesh(
        np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float),
        np.array([[0, 1, 2], [0, 2, 3]]),
    )
    shape = Shape("/World/plate/s", "mesh", np.eye(4), mesh=plate)
    inertial = Inertial(1.0, np.zeros(3), np.diag([0.3, 0.3, 0.6]))
    at = pose(np.eye(3), np.array([5.0, 5.0, 0.25]))
    body = Body("plate", "/World/plate", at, inertial, colliders=(shape,))
    contact = Contact(0.5, 0.5, 0.0)
    built = touching(body, contact, contact, np.array([0.0, 0.0, -9.81]))
    with BulletWorld(built, joints=["joint0"]) as world:
        distance = world.closest_distance("plate", "table", within_m=1.0)
    # PyBullet's margin of 1 mm lies around it.
    assert distance == pytest.approx(0.25, abs=2e-3)
