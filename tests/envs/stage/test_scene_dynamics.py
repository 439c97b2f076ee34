"""What the world and the dynamics make of a scene, against Pinocchio built from the same scene.

200 random configurations of each tree robot of the suite and of the imported ones.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest

from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.world.bullet import BulletWorld
from envs.world.dynamics import TreeDynamics
from tests.envs.stage.robots import ROBOTS
from tests.envs.stage.scene_model import model_of

SUITE = Path(os.environ.get("KINETWIN_SHARED", "../shared")) / "usd_suite"
TESTS = "newton/newton/tests/assets"
STAGES = {
    "rm65": "fiveages_robot_usds/manipulators/rm65/rm65.usd",
    "Robotiq_85": "fiveages_robot_usds/grippers/Robotiq_85/Robotiq_85.usd",
    "Galaxea_G1": "fiveages_robot_usds/grippers/Galaxea_G1/Galaxea_G1.usd",
    "ant": "newton/newton/examples/assets/ant.usda",
    "cartpole": "newton/newton/examples/assets/cartpole.usda",
    "cartpole_mjc": f"{TESTS}/cartpole_mjc.usda",
    "pendulum_d6": f"{TESTS}/pendulum_revolute_vs_d6.usda",
    "actuator": f"{TESTS}/actuator_test.usda",
    "chain": "physx/ovphysx/tests/data/links_chain_sample.usda",
    "revolute": "physx/ovphysx/tests/data/revolute_joint_scene.usda",
    "passive": f"{TESTS}/kamino/testing/joints/test_joint_revolute_passive.usda",
    "sliding": f"{TESTS}/kamino/testing/joints/test_joint_prismatic_passive_unary.usda",
    "universal": f"{TESTS}/kamino/testing/joints/test_joint_universal_passive.usda",
}


@pytest.fixture(scope="module", params=[*STAGES, *ROBOTS])
def scene(request: pytest.FixtureRequest, robot: Callable[[str], Path]) -> Scene:
    if request.param in STAGES:
        file = SUITE / STAGES[request.param]
        if not file.is_file():
            pytest.skip(f"{file} is not there; KINETWIN_SHARED names the folder of usd_suite")
        # Pinocchio's model stands still; a robot that floats is held for the comparison.
        return read_stage(file, fixed_base=True)
    return read_stage(robot(request.param))


def draw(scene: Scene, model: pin.Model, n: int = 200) -> np.ndarray:
    """Positions in the model's order; within limits, where there are any that are near."""
    rng = np.random.default_rng(4)
    joints = {j.name: j for j in scene.robot.joints}
    low = np.array([max(joints[name].lower, -3.0) for name in list(model.names)[1:]])
    high = np.array([min(joints[name].upper, 3.0) for name in list(model.names)[1:]])
    return rng.uniform(low, high, (n, model.nq))


def test_link_poses_in_pybullet(scene: Scene) -> None:
    model = model_of(scene.robot, scene.gravity_mps2)
    data, names = model.createData(), list(model.names)[1:]
    metres, radians = 0.0, 0.0
    with BulletWorld(scene, joints=names, colliders=False) as world:
        columns = [names.index(name) for name in world.joints]
        for q in draw(scene, model):
            world.set_state(q[columns], np.zeros(len(columns)))
            pin.framesForwardKinematics(model, data, q)
            poses = world.body_poses()
            for frame, X in zip(model.frames, data.oMf, strict=True):
                if frame.type == pin.FrameType.BODY:
                    off = X.homogeneous[:3, 3] - poses[frame.name][:3, 3]
                    metres = max(metres, float(np.linalg.norm(off)))
                    turn = X.rotation.T @ poses[frame.name][:3, :3]
                    radians = max(radians, float(np.linalg.norm(turn - turn.T) / np.sqrt(8)))
    assert metres <= 1e-6
    assert radians <= 1e-6


def test_mass_matrix_and_inverse_dynamics(scene: Scene) -> None:
    """Of the tree that the twin and the identification use, all joints moving."""
    model = model_of(scene.robot, scene.gravity_mps2)
    data, names = model.createData(), list(model.names)[1:]
    rng = np.random.default_rng(5)
    with BulletWorld(scene, joints=names, colliders=False) as world:
        tree = world.tree
    columns = [names.index(name) for name in tree.joints]
    q = draw(scene, model)
    qd, qdd = rng.uniform(-2, 2, (2, *q.shape))
    dynamics = TreeDynamics(tree)
    found = dynamics.inverse_dynamics(q[:, columns], qd[:, columns], qdd[:, columns])
    masses, _ = dynamics.mass_matrix_and_bias(q[:, columns], qd[:, columns])
    for i in range(len(q)):
        expected = pin.rnea(model, data, q[i], qd[i], qdd[i])[columns]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
        M = pin.crba(model, data, q[i])
        M = (np.triu(M) + np.triu(M, 1).T)[np.ix_(columns, columns)]
        np.testing.assert_allclose(masses[i], M, atol=1e-6 * np.abs(M).max(), rtol=1e-6)


def test_a_step_of_pybullet_takes_the_torque_that_pinocchio_says(scene: Scene) -> None:
    """PyBullet's motion is put through Pinocchio's inverse dynamics: the torque must come back."""
    model = model_of(scene.robot, scene.gravity_mps2)
    data, names = model.createData(), list(model.names)[1:]
    rng, worst = np.random.default_rng(6), 0.0
    with BulletWorld(scene, joints=names, colliders=False) as world:
        columns = [names.index(name) for name in world.joints]
        for q in draw(scene, model):
            qd, qdd = rng.uniform(-1, 1, (2, model.nv))
            tau = pin.rnea(model, data, q, qd, 3 * qdd)
            world.set_state(q[columns], qd[columns])
            world.step(tau[columns][None])
            moved = np.empty(model.nv)
            moved[columns] = (world.state()[1][0] - qd[columns]) / world.dt_s
            worst = max(worst, float(np.abs(pin.rnea(model, data, q, qd, moved) - tau).max()))
    assert worst <= 1e-5  # N·m; measured 4e-10 on the chain of 14, less on all others
