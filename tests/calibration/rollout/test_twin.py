"""The fast twin does what `simulate` does over PyBullet, and its dynamics are Pinocchio's."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from calibration.rollout.twin import FastTwin, Stretches
from envs.errors import CalibrationError
from envs.stage.scene import Drive, Scene
from envs.stage.tree import Tree, reduce_tree
from envs.world.actuators import ActuatorParameters, Rollout, delayed_commands, simulate
from envs.world.bullet import BulletWorld
from tests.envs.telemetry.tiny import PANDA
from tests.random_tree import random_tree
from tests.small_arm import arm, arm_joints, pinocchio_model, scene
from tests.true_panda import true_panda

DT_S = 1e-3


def sines(rng: np.random.Generator, home: np.ndarray, steps: int) -> np.ndarray:
    """Return commands about a pose, from rest."""
    t = np.arange(steps)[:, None] * DT_S
    slow, fast = rng.uniform(2, 4, len(home)), rng.uniform(5, 9, len(home))
    swing = 0.5 * np.sin(t * slow) + 0.15 * np.sin(t * fast)
    return np.asarray(home + np.minimum(t, 1) * swing)


def by_bullet(
    twin: Scene, parameters: ActuatorParameters, stretches: Stretches, joints: Sequence[str]
) -> Rollout:
    """Return what PyBullet's robot does on the stretches, one copy for each."""
    commands = delayed_commands(
        stretches.command, stretches.start, stretches.steps, parameters.delay_s, DT_S
    )
    copies = len(stretches.start)
    with BulletWorld(twin, joints=joints, copies=copies, colliders=False, dt_s=DT_S) as world:
        return simulate(world, parameters, commands, stretches.q, stretches.qd)


def free(n: int) -> ActuatorParameters:
    """Return joints that nothing moves but what they carry."""
    nothing = {f: np.zeros(n) for f in ActuatorParameters.__dataclass_fields__}
    return ActuatorParameters(**nothing | {"max_force": np.full(n, np.inf)} | one(n))


def one(n: int) -> dict[str, np.ndarray]:
    return {"stribeck_velocity": np.ones(n)}


def test_ten_seconds_of_the_panda_are_pybullets() -> None:
    twin, steps = true_panda(), 10_000
    parameters = ActuatorParameters.from_joints(twin.robot, PANDA)
    assert all(
        np.all(getattr(parameters, f) > 0)
        for f in ("stiffness", "damping", "armature", "coulomb", "viscous", "stribeck", "delay_s")
    )
    home = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.7])
    command = sines(np.random.default_rng(0), home, steps + 1)
    stretches = Stretches(command, np.zeros(1, int), steps, home[None], np.zeros((1, 7)))
    tree = reduce_tree(twin.robot, PANDA, twin.gravity_mps2)
    fast = FastTwin(tree, dt_s=DT_S).roll(parameters, stretches)
    slow = by_bullet(twin, parameters, stretches, PANDA)
    assert np.ptp(slow.q[:, 0], axis=0).min() > 0.5
    # Two integrations of the same arithmetic: only rounding is between them.
    np.testing.assert_allclose(fast.q[0, 0], slow.q[:-1, 0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(fast.qd[0, 0], slow.qd[:-1, 0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(fast.tau[0, 0], slow.tau[:-1, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("drive", [Drive(300.0, 12.0, 6.0), Drive(3e6, 400.0, 80.0)])
def test_drives_at_their_limit_and_too_stiff_are_pybullets(drive: Drive) -> None:
    rng, steps = np.random.default_rng(5), 200
    robot = arm(rng, 4, branch=True)
    joints = (*arm_joints(4), "joint5")
    moving = [replace(j, drive=drive) if j.name in joints else j for j in robot.joints]
    twin = scene(replace(robot, joints=tuple(moving)))
    parameters = ActuatorParameters.from_joints(twin.robot, joints)
    start = np.array([0, 150])
    command = sines(rng, np.zeros(5), 700)
    q, qd = rng.normal(size=(2, 2, 5)) * [[[0.2]], [[1.0]]]
    stretches = Stretches(command, start, steps, q, qd)
    tree = reduce_tree(twin.robot, joints, twin.gravity_mps2)
    fast = FastTwin(tree, dt_s=DT_S).roll(parameters, stretches)
    slow = by_bullet(twin, parameters, stretches, joints)
    np.testing.assert_allclose(fast.q[0], slow.q[:-1].swapaxes(0, 1), rtol=0, atol=1e-10)
    np.testing.assert_allclose(fast.tau[0], slow.tau[:-1].swapaxes(0, 1), rtol=0, atol=1e-5)
    limited = np.abs(fast.tau) >= drive.max_force
    assert limited.any() and not limited.all()


def aba(tree: Tree, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    model = pinocchio_model(tree)
    return np.asarray(pinocchio.aba(model, model.createData(), q, qd, np.zeros(len(q))))


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_free_motion_of_odd_trees_is_pinocchios(n: int) -> None:
    rng = np.random.default_rng(n)
    still = np.zeros((1, n))
    for _ in range(3):
        tree = random_tree(rng, n)
        q, qd = rng.normal(size=n), rng.normal(size=n)
        stretches = Stretches(still, np.zeros(1, int), 2, q[None], qd[None])
        rolled = FastTwin(tree, dt_s=DT_S).roll(free(n), stretches)
        # Semi-implicit Euler: the first step's velocity is told by where it leads.
        qdd = ((rolled.q[0, 0, 1] - q) / DT_S - qd) / DT_S
        expected = aba(tree, q, qd)
        # Two differences divided by 1 ms twice lose six figures to rounding.
        np.testing.assert_allclose(qdd, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_candidates_differ_by_inertia_gains_and_start_and_threads_change_no_bit() -> None:
    rng, n, steps = np.random.default_rng(2), 3, 60
    robot = arm(rng, n)
    tree = reduce_tree(robot, arm_joints(n), scene(robot).gravity_mps2)
    parameters = ActuatorParameters.from_joints(robot, arm_joints(n))
    factor = rng.uniform(0.8, 1.2, (5, n))
    several = replace(
        parameters,
        **{
            f: getattr(parameters, f) * (factor if f == "stiffness" else np.ones((5, n)))
            for f in ActuatorParameters.__dataclass_fields__
        },
    )
    pi = tree.pi * factor[:, :, None]
    q = rng.normal(size=(5, 2, n)) * 0.1
    start = np.array([3, 40])
    stretches = Stretches(sines(rng, np.zeros(n), 99), start, steps, q, 0 * q, width=20)
    alone = FastTwin(tree, dt_s=DT_S).roll(several, stretches, pi=pi)
    shared = FastTwin(tree, dt_s=DT_S, threads=2).roll(several, stretches, pi=pi)
    assert alone.q.shape == (5, 2, 3, n)
    for name in ("q", "qd", "tau"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(shared, name))
    for k in range(5):
        single = replace(
            parameters,
            **{f: getattr(several, f)[k] for f in ActuatorParameters.__dataclass_fields__},
        )
        fine = FastTwin(replace(tree, pi=pi[k]), dt_s=DT_S).roll(
            single, replace(stretches, q=q[k], qd=0 * q[k], width=1)
        )
        for name in ("q", "qd", "tau"):
            means = getattr(fine, name)[0].reshape(2, 3, 20, n).mean(axis=2)
            np.testing.assert_allclose(getattr(alone, name)[k], means, rtol=1e-12, atol=1e-13)


def test_what_cannot_be_rolled_out_is_refused() -> None:
    tree = random_tree(np.random.default_rng(0), 2)
    with pytest.raises(CalibrationError, match=r"device 'cuda:7' is not there .* cpu"):
        FastTwin(tree, dt_s=DT_S, device="cuda:7")
    with pytest.raises(CalibrationError, match="1 to 48 joints; found 0"):
        FastTwin(replace(tree, joints=()), dt_s=DT_S)
    with pytest.raises(CalibrationError, match="means of 20 samples"):
        Stretches(np.zeros((9, 2)), np.zeros(1, int), 30, np.zeros((1, 2)), np.zeros((1, 2)), 20)


def test_importing_it_starts_nothing_and_starting_it_says_nothing() -> None:
    code = (
        "import calibration.rollout.twin as t, warp as wp\n"
        "assert not wp.is_initialized() if hasattr(wp, 'is_initialized') else True\n"
        "t._device('cpu')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "" and run.stderr == ""
