"""A scene as it is in PyBullet: followers, loops, floating bases, several robots in one world."""

from dataclasses import replace

import numpy as np
import pinocchio as pin
import pytest

from envs.errors import StageError
from envs.frames import axis_angle, inverse, pose
from envs.stage.following import followers
from envs.stage.scene import (
    FREEDOMS,
    MASSLESS,
    Articulation,
    Body,
    Freedom,
    Inertial,
    Joint,
    Loop,
    Scene,
    Shape,
)
from envs.world.bullet import BulletWorld
from tests.small_arm import (
    GRAVITY,
    arm,
    box,
    pinocchio_model,
    random_inertial,
    random_pose,
    unit,
)

DT = 1e-3


def whole(*robots: Articulation, objects: tuple[Body, ...] = ()) -> Scene:
    return Scene(tuple(robots), objects, (), (), (), GRAVITY)


def renamed(robot: Articulation, tag: str) -> Articulation:
    bodies = tuple(replace(b, name=f"{tag}_{b.name}") for b in robot.bodies)
    joints = tuple(
        replace(j, name=f"{tag}_{j.name}", parent=f"{tag}_{j.parent}", child=f"{tag}_{j.child}")
        for j in robot.joints
    )
    return replace(robot, name=tag, bodies=bodies, joints=joints)


def with_mimics(robot: Articulation, mimics: dict[str, tuple[str, float, float]]) -> Articulation:
    return replace(robot, joints=tuple(replace(j, mimic=mimics.get(j.name)) for j in robot.joints))


MIMICS = {
    "joint1": ("joint0", -1.7, 0.3),
    "joint2": ("joint1", 0.6, -0.2),  # a follower's follower
    "joint5": ("joint3", 0.05, 0.01),  # a slide after a turn
}


def test_chains_of_followers_are_resolved_to_their_leader() -> None:
    robot = with_mimics(
        arm(np.random.default_rng(0), 4), {k: MIMICS[k] for k in ("joint1", "joint2")}
    )
    found = followers(robot.joints)
    assert set(found) == {"joint1", "joint2"}
    assert found["joint2"].leader == "joint0"
    q = np.array([-1.0, 0.0, 0.7])
    first = -1.7 * q + 0.3
    np.testing.assert_allclose(found["joint2"].position(q), 0.6 * first - 0.2, atol=1e-15)


def test_followers_stay_with_their_leaders_and_load_them() -> None:
    """Against Pinocchio's dynamics, projected on the two joints that are free (Gᵀ M G)."""
    rng = np.random.default_rng(5)
    robot = with_mimics(arm(rng, 4), MIMICS)
    G = np.array([[1, 0], [-1.7, 0], [0.6 * -1.7, 0], [0, 1], [0, 0.05]])
    g0 = np.array([0, 0.3, 0.6 * 0.3 - 0.2, 0, 0.01])
    with BulletWorld(whole(robot), colliders=False) as world:
        assert world.joints == ("joint0", "joint1", "joint2", "joint3", "joint5")
        twin = BulletWorld(whole(robot), joints=world.joints, colliders=False)
        model = pinocchio_model(twin.tree)
        twin.close()
        data = model.createData()
        free, rate = np.array([0.4, -0.3]), np.zeros(2)
        start = G @ free + g0
        wrong = start + np.array([0, 1, 1, 0, 1])  # what is said of followers does not count
        world.set_state(wrong, np.zeros(5))
        np.testing.assert_allclose(world.state()[0][0], start, atol=1e-14)
        worst, apart = 0.0, 0.0
        for k in range(2000):
            own = np.array([3.0 * np.sin(0.01 * k), np.cos(0.013 * k)])
            own -= 2.0 * (free - [0.4, -0.3]) + 0.5 * rate
            tau = np.array([own[0], 0, 0, own[1], 0])
            q = G @ free + g0
            M = pin.crba(model, data, q)
            M = np.triu(M) + np.triu(M, 1).T
            h = pin.nonLinearEffects(model, data, q, G @ rate)
            rate = rate + DT * np.linalg.solve(G.T @ M @ G, G.T @ (tau - h))
            free = free + DT * rate
            world.step(tau[None])
            got = world.state()[0][0]
            worst = max(worst, float(np.abs(got - (G @ got[[0, 3]] + g0)).max()))
            apart = max(apart, float(np.abs(got[[0, 3]] - free).max()))
    assert abs(free[0] - start[0]) > 0.01
    # Over 2 s, rad and m; measured 4e-8 and 5e-8: what 200 rounds of the solver leave.
    assert worst < 1e-6
    assert apart < 1e-6


def ring(free: tuple[Freedom, ...], rng: np.random.Generator) -> Articulation:
    """Two arms of three ball-like joints each from one base; their tips are held together."""
    bodies = [Body("base", "/r/base", np.eye(4), MASSLESS)]
    joints = []
    for side, y in (("left", 0.15), ("right", -0.15)):
        parent, X_PJ = "base", pose(np.eye(3), np.array([0.0, y, 0.0]))
        for k in range(6):
            # Three axes at the shoulder, three at the elbow; links of 0.3 m.
            name = f"{side}{k}"
            inertial = Inertial(0.5, np.array([0.1, 0.0, 0.0]), np.eye(3) * 2e-3)
            bodies.append(Body(name, f"/r/{name}", np.eye(4), inertial))
            joints.append(
                Joint(
                    name, f"/r/{name}", "revolute", parent, name, X_PJ, np.eye(4), np.eye(3)[k % 3]
                )
            )
            parent = name
            X_PJ = pose(np.eye(3), np.array([0.3, 0, 0])) if k == 2 else np.eye(4)
    # Where the two tips are at q = 0, with frames turned against the links.
    turn = axis_angle(unit(rng), np.asarray(0.8))
    middle = pose(turn, np.array([0.6, 0.0, 0.05]))
    ends = [inverse(pose(np.eye(3), np.array([0.3, y, 0.0]))) @ middle for y in (0.15, -0.15)]
    loop = Loop("loop", "/r/loop", "left5", "right5", ends[0], ends[1], free)
    return Articulation("r", "/r", tuple(bodies), tuple(joints), True, (loop,))


@pytest.mark.parametrize("free", [("rotX", "rotY", "rotZ"), ("rotZ",), ("rotX",), ()])
def test_a_loop_stays_closed(free: tuple[Freedom, ...]) -> None:
    robot = ring(free, np.random.default_rng(1))
    (loop,) = robot.loops
    with BulletWorld(whole(robot), colliders=False) as world:
        world.set_state(np.zeros(12), np.zeros(12))
        gap_m, gap_rad, moved, turned = 0.0, 0.0, 0.0, 0.0
        for k in range(2000):
            q, qd = world.state()
            # Slack joints of a heavy chain would whirl: a little damping, and a push.
            push = 0.6 * np.sin(0.008 * k + np.arange(12))
            world.step(push[None] - 0.05 * qd)
            if k % 7:
                continue
            poses = world.body_poses()
            A, B = poses["left5"] @ loop.X_PJ, poses["right5"] @ loop.X_CJ
            X = inverse(A) @ B
            gap_m = max(gap_m, float(np.linalg.norm(X[:3, 3])))
            locked = [i for i in range(3) if f"rot{'XYZ'[i]}" not in free]
            if len(locked) == 2:  # the hinge's axis in both frames
                axis = next(i for i in range(3) if i not in locked)
                gap_rad = max(gap_rad, float(np.linalg.norm(X[:3, axis] - np.eye(3)[axis])))
            elif locked:
                gap_rad = max(gap_rad, float(np.linalg.norm(X[:3, :3] - np.eye(3))))
            moved = max(moved, float(np.abs(q).max()))
            turned = max(turned, float(np.linalg.norm(X[:3, :3] - np.eye(3))))
    assert moved > 0.3
    assert (turned > 0.02) == bool(free)
    # Each step drifts by O(dt²), which the next one closes; joints turn at up to 19 rad/s here.
    assert gap_m < 1e-4
    assert gap_rad < 1e-3


def test_an_open_ring_would_fall_apart() -> None:
    robot = ring(("rotX", "rotY", "rotZ"), np.random.default_rng(1))
    (loop,) = robot.loops
    with BulletWorld(whole(replace(robot, loops=())), colliders=False) as world:
        for k in range(500):
            push = 0.6 * np.sin(0.008 * k + np.arange(12))
            world.step(push[None] - 0.05 * world.state()[1])
        poses = world.body_poses()
    A, B = poses["left5"] @ loop.X_PJ, poses["right5"] @ loop.X_CJ
    assert np.linalg.norm(A[:3, 3] - B[:3, 3]) > 0.05


def test_a_loop_to_the_world_and_one_that_moves_nothing() -> None:
    """A tip that is pinned to the world; a second loop inside one rigid group is nothing to do."""
    robot = arm(np.random.default_rng(3), 3)
    with BulletWorld(whole(replace(robot, loops=())), colliders=False) as world:
        tip = world.body_poses()["link2"]
    pin_ = Loop("pin", "/p", "", "link2", tip, np.eye(4), FREEDOMS[3:])
    idle = Loop("idle", "/i", "link2", "link3", np.eye(4), np.eye(4), ())
    with BulletWorld(whole(replace(robot, loops=(pin_, idle))), colliders=False) as world:
        for _ in range(300):
            world.step(np.zeros((1, len(world.joints))))
        held = world.body_poses()["link2"]
    np.testing.assert_allclose(held[:3, 3], tip[:3, 3], atol=1e-4)


def floating(seed: int) -> Articulation:
    return replace(renamed(arm(np.random.default_rng(seed), 3), "free"), fixed_base=False)


def test_a_floating_robot_accelerates_as_pinocchio_says() -> None:
    robot = floating(4)
    rng = np.random.default_rng(2)
    with BulletWorld(whole(robot), colliders=False) as world:
        np.testing.assert_allclose(
            world.body_poses()["free_base"], robot.bodies[0].X_WB, atol=1e-12
        )
        held = replace(robot, fixed_base=True)
        with BulletWorld(whole(held), joints=world.joints, colliders=False) as twin:
            tree = twin.tree
        X_WB = random_pose(rng, 1.0)
        world.set_object_pose("free", X_WB)
        n = len(world.joints)
        q, qd, tau = rng.uniform(-1, 1, (3, n))
        world.set_state(q, qd)
        poses = world.body_poses()
        world.step(tau[None])
        qdd = (world.state()[1][0] - qd) / DT
        twist = world.object_velocity("free") / DT
    # Pinocchio's free flyer: the base's own inertia, then the tree seen from the base.
    model = pin.Model()
    root = model.addJoint(0, pin.JointModelFreeFlyer(), pin.SE3.Identity(), "root")
    base = robot.bodies[0].inertial
    model.appendBodyToJoint(
        root, pin.Inertia(base.mass_kg, base.com_m, base.inertia_kgm2), pin.SE3.Identity()
    )
    X_BW = inverse(robot.bodies[0].X_WB)
    for i, name in enumerate(tree.joints):
        parent = int(tree.parent[i])
        kinds = pin.JointModelRevoluteUnaligned, pin.JointModelPrismaticUnaligned
        X = tree.X_PJ[i] if parent >= 0 else X_BW @ tree.X_PJ[i]
        k = model.addJoint(
            parent + 2, kinds[int(tree.prismatic[i])](tree.axis[i]), pin.SE3(X), name
        )
        model.appendBodyToJoint(
            k, pin.Inertia.FromDynamicParameters(tree.pi[i]), pin.SE3.Identity()
        )
    data = model.createData()
    full = np.concatenate([pin.SE3ToXYZQUAT(pin.SE3(X_WB)), q])
    rate = np.concatenate([np.zeros(6), qd])
    expected = pin.aba(model, data, full, rate, np.concatenate([np.zeros(6), tau]))
    np.testing.assert_allclose(qdd, expected[6:], atol=1e-8)
    R = X_WB[:3, :3]
    at_com = expected[:3] + np.cross(expected[3:6], base.com_m)
    np.testing.assert_allclose(twist, np.concatenate([R @ at_com, R @ expected[3:6]]), atol=1e-8)
    pin.framesForwardKinematics(model, data, full)
    np.testing.assert_allclose(poses["free_base"], X_WB, atol=1e-12)
    last = data.oMi[model.getJointId(tree.joints[-1])].homogeneous
    X_LB = tree.groups[-1]["free_link4"]
    np.testing.assert_allclose(poses["free_link4"], last @ X_LB, atol=1e-10)


def test_robots_in_one_world_move_as_each_does_alone() -> None:
    """Two that stand, one that floats, far apart."""
    robots = [renamed(arm(np.random.default_rng(k), 3, branch=k == 1), f"r{k}") for k in (0, 1)]
    robots = [
        replace(
            r,
            bodies=(
                replace(r.bodies[0], X_WB=random_pose(np.random.default_rng(9), 3)),
                *r.bodies[1:],
            ),
        )
        for r in robots
    ]
    robots.append(floating(2))
    rng, alone = np.random.default_rng(1), []
    sizes = [sum(j.kind != "fixed" for j in r.joints) for r in robots]
    torque = rng.normal(size=(300, 1, sum(sizes))) * 0.1
    with BulletWorld(whole(*robots), colliders=False) as world:
        assert len(world.joints) == sum(sizes)
        for tau in torque:
            world.step(tau)
        together, poses = world.state(), world.body_poses()
    first = 0
    for robot, n in zip(robots, sizes, strict=True):
        with BulletWorld(whole(robot), colliders=False) as world:
            for tau in torque[..., first : first + n]:
                world.step(tau)
            alone.append(world.state())
            for name, X in world.body_poses().items():
                np.testing.assert_allclose(poses[name], X, atol=1e-10, err_msg=name)
        first += n
    for k in (0, 1):
        parts = np.concatenate([a[k] for a in alone], axis=1)
        np.testing.assert_allclose(together[k], parts, atol=1e-10)


def test_robots_touch_each_other_and_objects() -> None:
    robots = []
    for k, x in enumerate((0.0, 0.35)):
        ball = Shape(f"/s{k}", "sphere", np.eye(4), (0.1,))
        base = Body(
            f"base{k}",
            f"/b{k}",
            pose(np.eye(3), np.array([x, 0, 0.2])),
            random_inertial(np.random.default_rng(0)),
            colliders=(ball,),
        )
        robots.append(Articulation(f"robot{k}", f"/r{k}", (base,), (), fixed_base=k == 0))
    cube = box("cube", (0.1, 0.1, 0.1), (0.7, 0.0, 0.15))
    with BulletWorld(whole(*robots, objects=(cube,))) as world:
        assert world.closest_distance("robot0", "robot1", within_m=1) == pytest.approx(0.15)
        assert world.closest_distance("base1", "cube", within_m=1) == pytest.approx(0.2, abs=2e-3)
        world.set_object_pose("robot1", pose(np.eye(3), np.array([0.0, 0.0, 0.5])))
        for _ in range(400):
            world.step(np.zeros((1, 0)))
        # It fell, met the other one and was thrown aside or rests on it: never inside.
        assert world.closest_distance("robot0", "robot1", within_m=5) > -2e-3
        assert world.body_poses()["base1"][2, 3] < 0.45


def test_what_pybullet_cannot_hold_is_refused() -> None:
    robot = ring(("rotX", "rotY"), np.random.default_rng(0))
    with pytest.raises(StageError, match=r"/r/loop: PyBullet closes loops .*rotX, rotY"):
        BulletWorld(whole(robot))
    light = replace(ring((), np.random.default_rng(0)), loops=(), fixed_base=False)
    with pytest.raises(StageError, match="/r: a base that floats needs a mass"):
        BulletWorld(whole(light))
    with pytest.raises(ValueError, match="copies"):
        BulletWorld(whole(robot), copies=2, colliders=False)
    with (
        BulletWorld(whole(replace(robot, loops=()))) as world,
        pytest.raises(ValueError, match="no tree"),
    ):
        _ = world.tree
