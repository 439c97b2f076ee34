"""One robot in many dialects of USD: units, axes, scale, nesting, swapped sides, rest poses.

The original is an articulation made in memory, in SI. It is written as text in a dialect and read
again: kinematics, mass matrix and joint values must be the original's. USD keeps joint frames and
masses in float32, which is what the tolerances are for.
"""

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from envs.frames import axis_angle, inverse, pose
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Body, Joint
from envs.stage.tree import joint_motion, reduce_tree
from envs.world.dynamics import TreeDynamics
from tests.small_arm import GRAVITY, arm

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])  # world to stage: z becomes y, y −z
FLIP = np.diag([1.0, -1.0, -1.0])  # half a turn about x: it turns z around


@dataclass(frozen=True)
class Dialect:
    """How a stage may say the same thing.

    Attributes:
        length_m, mass_kg: The units.
        scale: Of a prim above the robot.
        swapped: Which joints name the child as body 0.
        nested: Whether bodies lie below their parents.
        rest: The position at which the bodies are authored, rad or m, of all joints.
        principal: Whether inertias are principal moments and axes, not a full tensor.
    """

    length_m: float
    mass_kg: float
    y_up: bool
    scale: float
    swapped: int
    nested: bool
    rest: float
    principal: bool


DIALECTS = st.builds(
    Dialect,
    length_m=st.sampled_from([1.0, 0.01, 0.001, 0.0254]),
    mass_kg=st.sampled_from([1.0, 0.001]),
    y_up=st.booleans(),
    scale=st.sampled_from([1.0, 100.0, 0.01]),
    swapped=st.integers(0, 31),
    nested=st.booleans(),
    rest=st.sampled_from([0.0, 0.4, -1.1]),
    principal=st.booleans(),
)


def numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(repr(float(v)) for v in np.ravel(values)) + ")"


def quaternion(R: np.ndarray) -> str:
    return numbers(Rotation.from_matrix(R).as_quat(scalar_first=True))


def xform(X: np.ndarray, unit: float) -> str:
    return f"""
        double3 xformOp:translate = {numbers(X[:3, 3] / unit)}
        quatd xformOp:orient = {quaternion(X[:3, :3])}
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient"]"""


def body_text(body: Body, X: np.ndarray, dialect: Dialect, children: str) -> str:
    unit, inertial = dialect.length_m * dialect.scale, body.inertial
    tensor = inertial.inertia_kgm2 / (dialect.mass_kg * dialect.length_m**2)
    if dialect.principal:
        moments, axes = np.linalg.eigh(tensor)
        axes = axes * [1.0, 1.0, np.linalg.det(axes)]
        inertia = f"""float3 physics:diagonalInertia = {numbers(moments)}
        quatf physics:principalAxes = {quaternion(axes)}"""
    else:
        six = tensor[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        inertia = f"double[] newton:inertia = [{', '.join(repr(float(v)) for v in six)}]"
    return f"""
    def Xform "{body.name}" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
    {{
        {xform(X, unit)}
        float physics:mass = {inertial.mass_kg / dialect.mass_kg!r}
        point3f physics:centerOfMass = {numbers(inertial.com_m / unit)}
        {inertia}
        {children}
    }}
"""


def joint_text(joint: Joint, paths: dict[str, str], swap: bool, dialect: Dialect) -> str:
    unit = dialect.length_m * dialect.scale
    # A joint frame whose z axis is the joint's axis; seen from the other side the motion is
    # backwards, which half a turn of both frames makes good.
    normal = np.cross([0, 0, 1.0], joint.axis)
    F = axis_angle(normal / np.linalg.norm(normal), np.arccos(joint.axis[2]))
    F = F @ FLIP if swap else F
    ends = [(joint.parent, joint.X_PJ), (joint.child, joint.X_CJ)]
    if swap:
        ends = ends[::-1]
    text = ""
    for side, (name, X) in enumerate(ends):
        text += f"""rel physics:body{side} = <{paths[name]}>
        point3f physics:localPos{side} = {numbers(X[:3, 3] / unit)}
        quatf physics:localRot{side} = {quaternion(X[:3, :3] @ F)}
        """
    kind = joint.kind.capitalize()
    if joint.kind != "fixed":
        angular = joint.kind == "revolute"
        q = np.pi / 180 if angular else dialect.length_m
        force = dialect.mass_kg * dialect.length_m * (dialect.length_m if angular else 1.0)
        dof = "angular" if angular else "linear"
        assert joint.drive is not None
        text += f"""uniform token physics:axis = "Z"
        float physics:lowerLimit = {joint.lower / q!r}
        float physics:upperLimit = {joint.upper / q!r}
        float newton:velocityLimit = {joint.velocity_limit / q!r}
        float newton:armature = {joint.armature / force * (1 if angular else dialect.length_m)!r}
        float newton:friction = {joint.friction.coulomb / force!r}
        float newton:damping = {joint.friction.viscous / force * q!r}
        float drive:{dof}:physics:stiffness = {joint.drive.stiffness / force * q!r}
        float drive:{dof}:physics:damping = {joint.drive.damping / force * q!r}
        float drive:{dof}:physics:maxForce = {joint.effort_limit / force!r}
        """
    return f'def Physics{kind}Joint "{joint.name}" {{\n        {text}\n}}\n'


def poses_at(robot: Articulation, q: dict[str, float]) -> dict[str, np.ndarray]:
    poses = {robot.bodies[0].name: robot.bodies[0].X_WB}
    for joint in robot.joints:
        motion = joint_motion(joint, q.get(joint.name, 0.0))
        poses[joint.child] = poses[joint.parent] @ joint.X_PJ @ motion @ inverse(joint.X_CJ)
    return poses


def stage_text(robot: Articulation, dialect: Dialect) -> str:
    R_SW = Y_UP if dialect.y_up else np.eye(3)
    rest = poses_at(robot, {j.name: dialect.rest for j in robot.joints})
    stage = {name: pose(R_SW, np.zeros(3)) @ X for name, X in rest.items()}
    paths: dict[str, str] = {robot.bodies[0].name: f"/World/robot/{robot.bodies[0].name}"}
    for joint in robot.joints:
        above = paths[joint.parent] if dialect.nested else "/World/robot"
        paths[joint.child] = f"{above}/{joint.child}"

    def text(body: Body, parent: str | None) -> str:
        X = stage[body.name]
        below = [j for j in robot.joints if j.parent == body.name] if dialect.nested else []
        bodies = {b.name: b for b in robot.bodies}
        inner = "".join(text(bodies[j.child], body.name) for j in below)
        return body_text(body, X if parent is None else inverse(stage[parent]) @ X, dialect, inner)

    tops = robot.bodies[:1] if dialect.nested else robot.bodies
    bodies = "".join(text(b, None) for b in tops)
    joints = "".join(
        joint_text(j, paths, bool(dialect.swapped >> i & 1), dialect)
        for i, j in enumerate(robot.joints)
    )
    down = R_SW @ [0, 0, -1.0]
    return f"""#usda 1.0
(
    metersPerUnit = {dialect.length_m!r}
    kilogramsPerUnit = {dialect.mass_kg!r}
    upAxis = "{"Y" if dialect.y_up else "Z"}"
)
def PhysicsScene "physics"
{{
    vector3f physics:gravityDirection = {numbers(down)}
    float physics:gravityMagnitude = {9.81 / dialect.length_m!r}
}}
def Xform "World"
{{
    def Xform "robot" (prepend apiSchemas = ["PhysicsArticulationRootAPI"])
    {{
        double3 xformOp:scale = {numbers(np.full(3, dialect.scale))}
        uniform token[] xformOpOrder = ["xformOp:scale"]
{bodies}
    }}
    def PhysicsFixedJoint "hold"
    {{
        rel physics:body1 = </World/robot/{robot.bodies[0].name}>
    }}
{joints}
}}
"""


def limited(robot: Articulation) -> Articulation:
    joints = [
        replace(j, lower=-1.5 - i, upper=2.0 + i, velocity_limit=3.0 + i, effort_limit=60.0)
        for i, j in enumerate(robot.joints)
    ]
    return replace(robot, joints=tuple(joints))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dialects")


NUMBERS = count()


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(dialect=DIALECTS, seed=st.integers(0, 2**31), branch=st.booleans())
def test_a_dialect_changes_nothing(folder: Path, dialect: Dialect, seed: int, branch: bool) -> None:
    rng = np.random.default_rng(seed)
    original = limited(arm(rng, 3, branch=branch))
    # A new name each time: USD keeps layers that it has read.
    file = folder / f"stage_{next(NUMBERS)}.usda"
    file.write_text(stage_text(original, dialect))
    scene = read_stage(file)
    robot = scene.robot
    assert robot.fixed_base
    assert robot.loops == ()
    assert {d.kind for d in scene.diagnostics} == set(), scene.diagnostics
    np.testing.assert_allclose(scene.gravity_mps2, GRAVITY, atol=1e-6)

    names = [j.name for j in original.joints if j.kind != "fixed"]
    q = rng.uniform(-1.5, 1.5, len(names))
    at = dict(zip(names, q, strict=True))
    found, expected = poses_at(robot, at), poses_at(original, at)
    for name, X_WB in expected.items():
        np.testing.assert_allclose(found[name], X_WB, atol=3e-6)

    trees = [reduce_tree(r, names, GRAVITY) for r in (robot, original)]
    masses = []
    for tree in trees:
        order = [tree.joints.index(name) for name in names]
        columns = [names.index(name) for name in tree.joints]
        M, bias = TreeDynamics(tree).mass_matrix_and_bias(q[columns], np.ones(len(q)))
        masses.append((M[np.ix_(order, order)], bias[order]))
    size = np.abs(masses[1][0]).max()
    np.testing.assert_allclose(masses[0][0], masses[1][0], atol=1e-5 * size)
    np.testing.assert_allclose(masses[0][1], masses[1][1], atol=3e-5)

    for joint in original.joints:
        if joint.kind == "fixed":
            continue
        other = robot.joint(joint.name)
        assert joint.drive is not None
        assert other.drive is not None
        pairs = [
            (other.lower, joint.lower),
            (other.upper, joint.upper),
            (other.velocity_limit, joint.velocity_limit),
            (other.effort_limit, joint.effort_limit),
            (other.armature, joint.armature),
            (other.friction.coulomb, joint.friction.coulomb),
            (other.friction.viscous, joint.friction.viscous),
            (other.drive.stiffness, joint.drive.stiffness),
            (other.drive.damping, joint.drive.damping),
        ]
        values, wanted = np.array(pairs).T
        np.testing.assert_allclose(values, wanted, rtol=1e-6)
