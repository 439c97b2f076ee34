"""Joints of several degrees as chains, loops as constraints, bases: against scipy and by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from envs.errors import StageError
from envs.frames import inverse, pose
from envs.stage.identified import Value
from envs.stage.layers import write_overrides
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation
from envs.stage.tree import joint_motion, reduce_tree
from tests.envs.stage.written import BOTH, FIXED, joint, read, rigid, world

FRAMES = """
    point3f physics:localPos0 = (0.5, -0.25, 0.125)
    quatf physics:localRot0 = (0.5, 0.5, 0.5, 0.5)
    point3f physics:localPos1 = (0, 0.25, -0.5)
    quatf physics:localRot1 = (0.5, -0.5, 0.5, 0.5)
"""
X_AJ = pose(Rotation.from_quat([0.5, 0.5, 0.5, 0.5]).as_matrix(), np.array([0.5, -0.25, 0.125]))
X_BJ = pose(Rotation.from_quat([-0.5, 0.5, 0.5, 0.5]).as_matrix(), np.array([0, 0.25, -0.5]))
SWAPPED = "rel physics:body0 = </World/b>\n rel physics:body1 = </World/a>\n"


def limited(**limits: tuple[float, float]) -> str:
    return "".join(
        f"float limit:{dof}:physics:low = {low}\n float limit:{dof}:physics:high = {high}\n"
        for dof, (low, high) in limits.items()
    )


def end_pose(robot: Articulation, q: dict[str, float]) -> np.ndarray:
    """Pose of the last body in the base."""
    poses = {robot.bodies[0].name: np.eye(4)}
    for j in robot.joints:
        motion = joint_motion(j, q.get(j.name, 0.0))
        poses[j.child] = poses[j.parent] @ j.X_PJ @ motion @ inverse(j.X_CJ)
    return poses[robot.joints[-1].child]


def free_motion(q: np.ndarray) -> np.ndarray:
    """Slides, then turns about x, y, z as each has left them: scipy's intrinsic XYZ."""
    return pose(Rotation.from_euler("XYZ", q[3:]).as_matrix(), q[:3])


NAMES = [f"joint:{d}" for d in ("transX", "transY", "transZ", "rotX", "rotY", "rotZ")]


def test_a_d6_joint_is_six_joints_with_massless_bodies_between(tmp_path: Path) -> None:
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH + FRAMES, "")
    robot = read(tmp_path, world(parts)).robot
    assert [j.name for j in robot.joints] == NAMES
    assert [b.inertial.mass_kg for b in robot.bodies] == [2, 0, 0, 0, 0, 0, 2]
    assert {b.prim for b in robot.bodies[1:-1]} == {"/World/joint"}
    rng = np.random.default_rng(1)
    for _ in range(20):
        q = rng.uniform(-2, 2, 6)
        expected = X_AJ @ free_motion(q) @ inverse(X_BJ)
        found = end_pose(robot, dict(zip(NAMES, q, strict=True)))
        np.testing.assert_allclose(found, expected, atol=1e-6)  # the frames are float32


def test_swapped_sides_run_the_chain_backwards(tmp_path: Path) -> None:
    parts = rigid("a") + rigid("b") + FIXED + joint(SWAPPED + FRAMES, "")
    robot = read(tmp_path, world(parts)).robot
    assert [j.name for j in robot.joints] == NAMES[::-1]
    q = np.random.default_rng(2).uniform(-2, 2, 6)
    # Now frame 0 lies in b, which is the child: X_ba = X_bJ0 · M · X_aJ1⁻¹.
    expected = inverse(X_AJ @ free_motion(q) @ inverse(X_BJ))
    found = end_pose(robot, dict(zip(NAMES, q, strict=True)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_locked_directions_limits_and_drives_of_a_d6_joint(tmp_path: Path) -> None:
    """A lower limit above the upper one locks, equal ones leave no room; rotY has a drive."""
    values = limited(
        transX=(1, -1),
        transY=(0, 0),
        transZ=(-0.5, 0.25),
        rotX=(1, -1),
        rotY=(-90, 45),
        rotZ=(0, 0),
    )
    values += "float drive:rotY:physics:stiffness = 10\n float drive:rotY:physics:maxForce = 3\n"
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH + values, "")
    slide, turn = read(tmp_path, world(parts)).robot.joints
    assert (slide.name, slide.kind, slide.lower, slide.upper) == (
        "joint:transZ", "prismatic", -0.5, 0.25,
    )  # fmt: skip
    assert (turn.name, turn.kind) == ("joint:rotY", "revolute")
    np.testing.assert_allclose((turn.lower, turn.upper), (-np.pi / 2, np.pi / 4))
    assert slide.drive is None
    assert turn.drive is not None
    assert turn.drive.stiffness == pytest.approx(np.degrees(10))
    assert turn.drive.max_force == 3
    one = limited(**dict.fromkeys(("transX", "transY", "transZ", "rotX", "rotY"), (1, -1)))
    single = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + joint(BOTH + one, ""))).robot
    assert [(j.name, j.kind) for j in single.joints] == [("joint", "revolute")]
    np.testing.assert_array_equal(single.joints[0].axis, (0, 0, 1))


def test_a_spherical_joint_turns_any_way_and_says_what_was_made_of_it(tmp_path: Path) -> None:
    cone = "float physics:coneAngle0Limit = 30\n"
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH + FRAMES + cone, "Spherical")
    scene = read(tmp_path, world(parts))
    assert [j.name for j in scene.robot.joints] == NAMES[3:]
    told = [(d.kind, d.message) for d in scene.diagnostics if d.prim == "/World/joint"]
    assert [k for k, m in told if "axes X, Y, Z" in m] == ["approximated"]
    assert [k for k, m in told if "coneAngle0Limit 30" in m] == ["refused"]
    q = np.array([0, 0, 0, 0.3, -1.0, 2.0])
    found = end_pose(scene.robot, dict(zip(NAMES, q, strict=True)))
    np.testing.assert_allclose(found, X_AJ @ free_motion(q) @ inverse(X_BJ), atol=1e-6)


def test_the_bodies_between_stand_at_the_rest_pose(tmp_path: Path) -> None:
    """Body b rests at slides (1, 2, 3) and a turn of 30° about x, then 40° about z."""
    wxyz = Rotation.from_euler("XZ", [30, 40], degrees=True).as_quat(scalar_first=True)
    placed = f"""double3 xformOp:translate = (1, 2, 3)
        quatd xformOp:orient = ({", ".join(map(str, wxyz))})
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient"]"""
    values = limited(rotY=(1, -1))
    parts = rigid("a") + rigid("b", placed) + FIXED + joint(BOTH + values, "")
    scene = read(tmp_path, world(parts))
    assert [d for d in scene.diagnostics if "frames win" in d.message] == []
    rest = {b.name: b.X_WB for b in scene.robot.bodies}
    np.testing.assert_allclose(rest["joint:transY"][:3, 3], (1, 2, 0), atol=1e-12)
    turned = Rotation.from_euler("X", 30, degrees=True).as_matrix()
    np.testing.assert_allclose(rest["joint:rotX"], pose(turned, np.array([1, 2, 3.0])), atol=1e-12)


def test_a_chain_s_dynamics_do_not_know_of_it(tmp_path: Path) -> None:
    """Welding two of three turns leaves the tree of a plain revolute joint."""
    values = limited(**dict.fromkeys(("transX", "transY", "transZ"), (1, -1)))
    ball = rigid("a") + rigid("b") + FIXED + joint(BOTH + FRAMES + values, "")
    hinge = rigid("a") + rigid("b") + FIXED
    hinge += joint(BOTH + FRAMES + 'uniform token physics:axis = "Y"')
    one = read(tmp_path, world(ball))
    two = read(tmp_path, world(hinge))
    a = reduce_tree(one.robot, ["joint:rotY"], one.gravity_mps2)
    b = reduce_tree(two.robot, ["joint"], two.gravity_mps2)
    np.testing.assert_allclose(a.pi, b.pi, atol=1e-12)
    np.testing.assert_allclose(a.X_PJ, b.X_PJ, atol=1e-12)
    np.testing.assert_array_equal(a.axis, b.axis)


def test_overriding_one_degree_of_a_chain(tmp_path: Path) -> None:
    file = tmp_path / "ball.usda"
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH, "Spherical")
    header = '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n)\n'
    file.write_text(header + world(parts).replace("}", "\n}\n"))
    layer = tmp_path / "over.usda"
    write_overrides(layer, stage=file, joints={"joint:rotZ": {"drive.stiffness": Value(2.0)}})
    rig = tmp_path / "rig.usda"
    rig.write_text(
        '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n'
        " subLayers = [@./over.usda@, @./ball.usda@]\n)\n"
    )
    drives = {j.name: j.drive for j in read_stage(rig).robot.joints}
    assert drives["joint:rotX"] is None
    assert drives["joint:rotZ"] is not None
    assert drives["joint:rotZ"].stiffness == 2.0
    with pytest.raises(StageError, match="all degrees of freedom"):
        write_overrides(layer, stage=file, joints={"joint:rotZ": {"armature": Value(0.1)}})


def hinge(name: str, one: str, two: str, extra: str = "") -> str:
    return f"""def PhysicsRevoluteJoint "{name}" {{
        uniform token physics:axis = "Y"
        rel physics:body0 = </World/{one}>
        rel physics:body1 = </World/{two}>
        {extra} }}\n"""


def test_a_ring_is_cut_where_it_is_far_from_the_base(tmp_path: Path) -> None:
    """Four bars: the joint between b and c is reached last from the base a, whatever its order."""
    ring = hinge("ab", "a", "b") + hinge("bc", "b", "c", FRAMES) + hinge("cd", "c", "d")
    parts = "".join(map(rigid, "abcd")) + FIXED + ring + hinge("ad", "a", "d")
    scene = read(tmp_path, world(parts))
    robot = scene.robot
    assert [j.name for j in robot.joints] == ["ab", "bc", "ad"]
    (loop,) = robot.loops
    assert (loop.name, loop.parent, loop.child, loop.free) == ("cd", "c", "d", ("rotY",))
    chosen = hinge("bc", "b", "c", FRAMES + "bool physics:excludeFromArticulation = true\n"
                   "float newton:friction = 1")  # fmt: skip
    ring = hinge("ab", "a", "b") + chosen + hinge("cd", "c", "d") + hinge("ad", "a", "d")
    scene = read(tmp_path, world("".join(map(rigid, "abcd")) + FIXED + ring))
    (loop,) = scene.robot.loops
    assert (loop.name, loop.parent, loop.child) == ("bc", "b", "c")
    np.testing.assert_allclose(loop.X_PJ, X_AJ, atol=1e-7)
    np.testing.assert_allclose(loop.X_CJ, X_BJ, atol=1e-7)
    (told,) = (d for d in scene.diagnostics if d.prim == "/World/bc")
    assert told.kind == "refused"
    assert "friction.coulomb" in told.message


def test_the_dynamics_of_a_tree_refuse_a_loop_that_moves(tmp_path: Path) -> None:
    ring = hinge("ab", "a", "b") + hinge("bc", "b", "c") + hinge("cd", "c", "d")
    tail = hinge("de", "d", "e")
    parts = "".join(map(rigid, "abcde")) + FIXED + ring + hinge("ad", "a", "d") + tail
    scene = read(tmp_path, world(parts))
    with pytest.raises(StageError, match="/World/cd: closes a loop between 'c' and 'd'"):
        reduce_tree(scene.robot, ["ab", "bc", "ad"], scene.gravity_mps2)
    # Welded, the ring is one piece, and what hangs from it moves as in any tree.
    assert reduce_tree(scene.robot, ["de"], scene.gravity_mps2).joints == ("de",)


def test_a_joint_kept_out_of_the_tree_is_used_where_nothing_else_leads(tmp_path: Path) -> None:
    out = "bool physics:excludeFromArticulation = true"
    parts = "".join(map(rigid, "abc")) + FIXED + hinge("bc", "b", "c", out) + hinge("ab", "a", "b")
    robot = read(tmp_path, world(parts)).robot
    assert [j.name for j in robot.joints] == ["ab", "bc"]
    assert robot.loops == ()


def test_a_second_hold_in_the_world_is_a_loop(tmp_path: Path) -> None:
    second = 'def PhysicsFixedJoint "x" { rel physics:body1 = </World/b> }'
    robot = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + joint(BOTH) + second)).robot
    assert robot.anchor == "/World/base"
    assert [(x.name, x.parent, x.child, x.free) for x in robot.loops] == [("x", "", "b", ())]


def test_the_caller_may_fix_or_free_a_base(tmp_path: Path) -> None:
    file = tmp_path / "stage.usda"
    header = '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n)\n'
    held = world(rigid("a") + rigid("b") + FIXED + joint(BOTH))
    file.write_text(header + held.replace("}", "\n}\n"))
    assert read_stage(file).robot.fixed_base
    scene = read_stage(file, fixed_base=False)
    assert not scene.robot.fixed_base
    assert scene.robot.loops == ()
    assert any(d.prim == "/World/base" and d.kind == "refused" for d in scene.diagnostics)
    free = tmp_path / "free.usda"
    free.write_text(header + world(rigid("a") + rigid("b") + joint(BOTH)).replace("}", "\n}\n"))
    assert not read_stage(free).robot.fixed_base
    assert read_stage(free, fixed_base=True).robot.fixed_base
    rail = tmp_path / "rail.usda"
    rail.write_text(
        header + world(rigid("a") + joint("rel physics:body1 = </World/a>")).replace("}", "\n}\n")
    )
    with pytest.raises(StageError, match="/World/joint: leads to the world"):
        read_stage(rail, fixed_base=False)


def test_mimics_chain_and_must_not_go_round(tmp_path: Path) -> None:
    def follow(name: str, one: str, two: str, leader: str) -> str:
        mimic = f"rel newton:mimicJoint = </World/{leader}>\n float newton:mimicCoef1 = 2"
        return hinge(name, one, two, mimic)

    bodies = "".join(map(rigid, "abcd")) + FIXED
    chained = hinge("x", "a", "b") + follow("y", "b", "c", "x") + follow("z", "c", "d", "y")
    robot = read(tmp_path, world(bodies + chained)).robot
    assert [j.mimic for j in robot.joints] == [None, ("x", 2.0, 0.0), ("y", 2.0, 0.0)]
    round_ = hinge("x", "a", "b") + follow("y", "b", "c", "z") + follow("z", "c", "d", "y")
    with pytest.raises(StageError, match="in a circle"):
        read(tmp_path, world(bodies + round_))
