"""PyBullet's world against Pinocchio, forward kinematics, and geometry that can be computed."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from envs.errors import StageError
from envs.frames import from_quaternion, pose
from envs.stage.scene import Articulation, Body, Inertial, Mesh, Shape
from envs.stage.tree import joint_motion
from envs.world.bullet import BulletWorld
from envs.world.bullet_parts import MAX_LINKS
from tests.small_arm import arm, arm_joints, box, pinocchio_model, random_pose, scene, tetrahedron

DT = 1e-3


def kinematics(robot: Articulation, q: dict[str, float]) -> dict[str, np.ndarray]:
    """Body poses joint by joint, straight from what the scene's types say."""
    X = {robot.bodies[0].name: robot.bodies[0].X_WB}
    for joint in robot.joints:
        moved = joint.X_PJ @ joint_motion(joint, q.get(joint.name, 0.0))
        X[joint.child] = X[joint.parent] @ moved @ np.linalg.inv(joint.X_CJ)
    return X


@pytest.mark.parametrize(("branch", "finger"), [(False, False), (True, False), (False, True)])
def test_motion_equals_pinocchio_with_semi_implicit_euler(branch: bool, finger: bool) -> None:
    rng = np.random.default_rng(5)
    joints = arm_joints(4) + (["joint5"] if finger else [])
    n, copies = len(joints), 9
    q, qd = rng.uniform(-1, 1, (copies, n)), rng.uniform(-1, 1, (copies, n))
    robot = arm(rng, 4, branch=branch)
    welded = {} if finger else {"joint5": 0.07}
    with BulletWorld(
        scene(robot), joints=joints, welded=welded, copies=copies, colliders=False
    ) as world:
        model = pinocchio_model(world.tree)
        data = model.createData()
        world.set_state(q, qd)
        # Held near where it started, so that the motion is not chaotic and rounding stays small.
        start = q.copy()
        for _ in range(1500):
            tau = -3.0 * (q - start) - 0.3 * qd + rng.normal(size=q.shape) * 0.3
            world.step(tau)
            qdd = np.array(
                [pinocchio.aba(model, data, *row) for row in zip(q, qd, tau, strict=True)]
            )
            qd = qd + DT * qdd
            q = q + DT * qd
        bullet_q, bullet_qd = world.state()
    assert np.abs(q - start).max() > 0.1
    # Two engines, double precision, 1.5 s.
    np.testing.assert_allclose(bullet_q, q, atol=1e-9)
    np.testing.assert_allclose(bullet_qd, qd, atol=1e-8)


def test_bodies_stand_where_the_scene_puts_them() -> None:
    rng = np.random.default_rng(2)
    robot, cube = arm(rng, 4, branch=True), box("cube", (0.1, 0.2, 0.3), (1, 2, 3))
    welded = {"joint1": 0.4, "joint5": 0.05}
    q = {"joint0": 0.3, "joint2": -1.2, "joint3": 2.0}
    with BulletWorld(scene(robot, objects=(cube,)), joints=list(q), welded=welded) as world:
        world.set_state(np.array([q[name] for name in world.joints]), np.zeros(3))
        poses = world.body_poses()
        X_WB = random_pose(rng, 2.0)
        world.set_object_pose("cube", X_WB)
        moved = world.body_poses()["cube"]
    for name, X in kinematics(robot, q | welded).items():
        np.testing.assert_allclose(poses.pop(name), X, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(poses.pop("cube"), cube.X_WB, atol=1e-12)
    assert not poses
    np.testing.assert_allclose(moved, X_WB, atol=1e-12)


def test_each_copy_has_its_own_state_and_poses() -> None:
    robot, n = arm(np.random.default_rng(1), 3), 3
    q = np.linspace(-1, 1, 22 * n).reshape(22, n)
    with BulletWorld(scene(robot), joints=arm_joints(), copies=22, colliders=False) as world:
        world.set_state(q, 2 * q)
        got_q, got_qd = world.state()
        poses = world.body_poses(20)
    np.testing.assert_array_equal(got_q, q)
    np.testing.assert_array_equal(got_qd, 2 * q)
    expected = kinematics(robot, dict(zip(arm_joints(), q[20], strict=True)))
    np.testing.assert_allclose(poses["link2"], expected["link2"], atol=1e-9)


def on_table(*objects: Body) -> BulletWorld:
    table = box("table", (1.0, 1.0, 0.4), (0, 0, 0))
    floor = box("floor", (5.0, 5.0, 0.2), (0, 0, -0.1))  # overlaps the table
    foot = Shape("/World/robot/base/foot", "box", np.eye(4), (0.2, 0.2, 0.2))
    robot = arm(np.random.default_rng(0), 2)
    base = replace(robot.bodies[0], X_WB=np.eye(4), colliders=(foot,))
    robot = replace(robot, bodies=(base, *robot.bodies[1:]))
    return BulletWorld(
        scene(robot, objects=objects, static=(table, floor)), joints=arm_joints(2), dt_s=1 / 240
    )


def test_a_dropped_cube_comes_to_rest_on_the_table() -> None:
    X_BS = pose(np.eye(3), np.array([0.0, 0.0, 0.05]))
    cube = replace(
        box("cube", (0.1, 0.1, 0.1), (0.4, 0.0, 0.6)),
        colliders=tuple(
            Shape(
                f"/World/cube/{i}",
                "box",
                X_BS @ pose(np.eye(3), np.array([dx, 0, 0])),
                (0.05, 0.1, 0.1),
            )
            for i, dx in enumerate((-0.025, 0.025))
        ),
    )
    with on_table(cube) as world:
        for _ in range(48):
            world.step(np.zeros((1, 2)))
        t = 48 / 240
        # Semi-implicit Euler falls g·dt·t/2 further than g·t²/2.
        fallen = 9.81 * t * (t + 1 / 240) / 2
        assert world.body_poses()["cube"][2, 3] == pytest.approx(0.6 - fallen, abs=1e-9)
        for _ in range(480):
            world.step(np.zeros((1, 2)))
        X_WB = world.body_poses()["cube"]
        np.testing.assert_allclose(world.object_velocity("cube"), 0, atol=1e-2)
        distance = world.closest_distance("cube", "table")
        assert np.isfinite(world.state()[0]).all()
    # A contact of PyBullet gives way by a fraction of a millimetre.
    np.testing.assert_allclose(X_WB[:3, 3], [0.4, 0.0, 0.4], atol=1e-3)
    np.testing.assert_allclose(X_WB[:3, :3], np.eye(3), atol=1e-2)
    assert abs(distance) < 1e-3


def test_distances_are_those_of_the_geometry() -> None:
    """Between shapes whose frames are shifted from the body's and from the centre of mass."""
    ball = Body(
        "ball",
        "/World/ball",
        np.eye(4),
        Inertial(1.0, np.array([0.3, 0.1, 0.2]), np.eye(3) * 0.01),
        colliders=(
            Shape("/World/ball/s", "sphere", pose(np.eye(3), np.array([0.0, 0.2, 0.0])), (0.1,)),
        ),
    )
    R_lying = from_quaternion(np.array([1.0, 0.0, 1.0, 0.0]))  # z to x
    rod = Body(
        "rod",
        "/World/rod",
        np.eye(4),
        Inertial(1.0, np.zeros(3), np.eye(3) * 0.01),
        colliders=(Shape("/World/rod/s", "capsule", pose(R_lying, np.zeros(3)), (0.05, 0.6)),),
    )
    with on_table(ball, rod) as world:
        world.set_object_pose("ball", pose(np.eye(3), np.array([0.0, -0.2, 0.58])))
        world.set_object_pose("rod", pose(np.eye(3), np.array([0.0, 0.0, 3.0])))
        # To the table's face, 0.18 m below the ball's middle.
        assert world.closest_distance("ball", "table") == pytest.approx(0.08, abs=1e-6)
        assert world.closest_distance("ball", "rod", within_m=0.5) == np.inf
        world.set_object_pose("ball", pose(np.eye(3), np.array([0.0, -0.2, 0.47])))
        assert world.closest_distance("table", "ball") == pytest.approx(-0.03, abs=1e-6)
        # Beyond the rod's end (0.3 + 0.05 along x), the ball's surface 0.25 m further.
        world.set_object_pose("ball", pose(np.eye(3), np.array([0.7, -0.2, 3.0])))
        assert world.closest_distance("ball", "rod", within_m=1) == pytest.approx(0.25, abs=1e-6)
        # The robot's foot, by the body's name and with all the robot.
        world.set_object_pose("ball", pose(np.eye(3), np.array([0.0, 0.1, 0.0])))
        expected = 0.3 - 0.1 - 0.1
        for name in ("base", "robot"):
            assert world.closest_distance(name, "ball", within_m=1) == pytest.approx(
                expected, abs=1e-6
            )
        assert world.closest_distance("link0", "ball", within_m=1) == np.inf


def test_a_mesh_stays_concave_unless_its_hull_is_asked_for() -> None:
    # Two triangles that form a valley along y, open upwards.
    valley = Mesh(
        np.array([[-1, -1, 1], [0, -1, 0], [0, 1, 0], [-1, 1, 1], [1, -1, 1], [1, 1, 1]], float),
        np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]]),
    )
    trough = Body(
        "trough",
        "/World/trough",
        np.eye(4),
        Inertial(1.0, np.zeros(3), np.eye(3)),
        colliders=(Shape("/World/trough/s", "mesh", np.eye(4), mesh=valley),),
    )
    ball = Body(
        "ball",
        "/World/ball",
        pose(np.eye(3), np.array([0.0, 0.0, 0.5])),
        Inertial(1.0, np.zeros(3), np.eye(3)),
        colliders=(Shape("/World/ball/s", "sphere", np.eye(4), (0.1,)),),
    )
    robot = arm(np.random.default_rng(0), 1)
    with BulletWorld(scene(robot, objects=(ball,), static=(trough,)), joints=["joint0"]) as world:
        # The slopes are 0.5/√2 m from the ball's middle.
        open_distance = world.closest_distance("ball", "trough", within_m=1)
    with BulletWorld(scene(robot, objects=(ball, trough)), joints=["joint0"]) as world:
        in_pieces = world.closest_distance("ball", "trough", within_m=1)
    hull = replace(trough.colliders[0], approximation="convexHull")
    closed = replace(trough, colliders=(hull,))
    for moving, still in (((ball, closed), ()), ((ball,), (closed,))):
        with BulletWorld(scene(robot, objects=moving, static=still), joints=["joint0"]) as world:
            assert world.closest_distance("ball", "trough", within_m=1) < 0
    assert open_distance == pytest.approx(0.5 / np.sqrt(2) - 0.1, abs=2e-3)
    # Pieces are made of voxels, here of 0.02 m.
    assert in_pieces == pytest.approx(0.5 / np.sqrt(2) - 0.1, abs=0.02)


def test_links_carry_more_colliders_than_one_array_call_takes() -> None:
    rng = np.random.default_rng(3)
    robot = arm(rng, 2)
    tips = [random_pose(rng, 0.5) for _ in range(20)]
    shapes = tuple(
        Shape(f"/World/robot/link1/{i}", "mesh", X, mesh=tetrahedron(0.02))
        for i, X in enumerate(tips)
    )
    bodies = tuple(replace(b, colliders=shapes) if b.name == "link1" else b for b in robot.bodies)
    probe = Body(
        "probe",
        "/World/probe",
        np.eye(4),
        Inertial(1.0, np.zeros(3), np.eye(3)),
        colliders=(Shape("/World/probe/s", "sphere", np.eye(4), (0.001,)),),
    )
    robot = replace(robot, bodies=bodies)
    with BulletWorld(scene(robot, objects=(probe,)), joints=arm_joints(2)) as world:
        world.set_state(np.array([0.3, -0.4]), np.zeros(2))
        X_WB = world.body_poses()["link1"]
        for X_BS in tips:
            # At the corner of each tetrahedron.
            world.set_object_pose("probe", X_WB @ X_BS)
            assert world.closest_distance("probe", "link1") < 0


def test_what_pybullet_would_drop_in_silence_is_refused() -> None:
    robot = arm(np.random.default_rng(3), 2)
    shape = Shape("/World/robot/link1/s", "sphere", np.eye(4), (0.01,))
    many = replace(robot.bodies[2], colliders=(shape,) * MAX_LINKS)
    heavy = replace(robot, bodies=(*robot.bodies[:2], many, *robot.bodies[3:]))
    with pytest.raises(StageError, match="127 links in one body, this one needs 130"):
        BulletWorld(scene(heavy), joints=arm_joints(2))
    light = replace(
        box("cube", (1, 1, 1), (0, 0, 0)), inertial=Inertial(0.0, np.zeros(3), np.eye(3))
    )
    with pytest.raises(StageError, match="needs a mass, not 0"):
        BulletWorld(scene(robot, objects=(light,)), joints=arm_joints(2))
    hollow = replace(robot.bodies[2], inertial=Inertial(1.0, np.zeros(3), -np.eye(3)))
    odd = replace(robot, bodies=(*robot.bodies[:2], hollow, *robot.bodies[3:]))
    with pytest.raises(StageError, match="must not be negative"):
        BulletWorld(scene(odd), joints=arm_joints(2))
    vapour = replace(
        robot,
        bodies=tuple(
            replace(b, inertial=Inertial(0.0, np.zeros(3), np.zeros((3, 3)))) for b in robot.bodies
        ),
    )
    with pytest.raises(StageError, match="'joint1' carries no mass"):
        BulletWorld(scene(vapour), joints=arm_joints(2))
    with pytest.raises(StageError, match="joint 'joint9' is not in the stage"):
        BulletWorld(scene(robot), joints=["joint9"])
    with pytest.raises(ValueError, match="copies"):
        BulletWorld(scene(robot), joints=arm_joints(2), copies=2)
    with BulletWorld(scene(robot), joints=[]) as world:
        world.step(np.zeros((1, 0)))
        assert set(world.body_poses()) == {b.name for b in robot.bodies}
        with pytest.raises(StageError, match="object 'cub' is not in the world"):
            world.set_object_pose("cub", np.eye(4))
        with pytest.raises(StageError, match="body 'table' is not in the world"):
            world.closest_distance("table", "robot")
