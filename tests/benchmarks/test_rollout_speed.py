"""A step of the fast twin, against PyBullet's and MuJoCo's of the same Panda in the same process.

CPU time of this process, turn by turn, and the least of several tries counts. MuJoCo gets its own
position actuators, joint friction and armature, and nothing to collide with.
"""

import time
from collections.abc import Callable

import mujoco
import mujoco.rollout
import numpy as np

from calibration.rollout.twin import FastTwin, Stretches
from envs.frames import to_quaternion
from envs.stage.tree import Tree, reduce_tree, to_inertial
from envs.world.actuators import ActuatorParameters, delayed_commands, simulate
from envs.world.bullet import BulletWorld
from tests.benchmarks.conftest import Record
from tests.envs.telemetry.tiny import PANDA
from tests.true_panda import true_panda

STEPS, DT_S = 4000, 1e-3
HOME = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.7])


def in_mujoco(tree: Tree, parameters: ActuatorParameters) -> mujoco.MjModel:
    """Return the tree with MuJoCo's own drive, friction and armature."""
    spec = mujoco.MjSpec()
    spec.option.gravity, spec.option.timestep = tree.gravity, DT_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    bodies = [spec.worldbody]
    for i, name in enumerate(tree.joints):
        X = tree.X_PJ[i]
        body = bodies[tree.parent[i] + 1].add_body(
            name=name, pos=X[:3, 3], quat=to_quaternion(X[:3, :3])
        )
        bodies.append(body)
        own = to_inertial(tree.pi[i])
        J = own.inertia_kgm2
        body.mass, body.ipos, body.explicitinertial = own.mass_kg, own.com_m, True
        body.fullinertia = [J[0, 0], J[1, 1], J[2, 2], J[0, 1], J[0, 2], J[1, 2]]
        body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=tree.axis[i],
            armature=parameters.armature[i],
            frictionloss=parameters.coulomb[i],
            damping=[parameters.viscous[i], 0, 0],
        )
        actuator = spec.add_actuator(
            name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcelimited=True
        )
        actuator.set_to_position(kp=parameters.stiffness[i], kv=parameters.damping[i])
        actuator.forcerange = [-parameters.max_force[i], parameters.max_force[i]]
    return spec.compile()


def least(works: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Return the least CPU time of each, s, tried in turns."""
    tries: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            start = time.process_time()
            work()
            tries[name].append(time.process_time() - start)
    return {name: min(values) for name, values in tries.items()}


def test_a_step_of_the_panda(record: Record) -> None:
    twin = true_panda()
    parameters = ActuatorParameters.from_joints(twin.robot, PANDA)
    tree = reduce_tree(twin.robot, PANDA, twin.gravity_mps2)
    t = np.arange(STEPS + 1)[:, None] * DT_S
    command = HOME + 0.3 * np.minimum(t, 1) * np.sin(t * np.linspace(2, 5, 7))
    start, still = np.zeros(1, int), np.zeros((1, 7))
    fast = FastTwin(tree, dt_s=DT_S)
    stretches = Stretches(command, start, STEPS, HOME[None], still, width=20)
    acting = delayed_commands(command, start, STEPS, parameters.delay_s, DT_S)
    model = in_mujoco(tree, parameters)
    data, state = mujoco.MjData(model), np.concatenate([[0.0], HOME, np.zeros(7)])
    control = command[None, :STEPS]
    with (
        BulletWorld(twin, joints=PANDA, colliders=False, dt_s=DT_S) as world,
        mujoco.rollout.Rollout(nthread=0) as roller,
    ):
        taken = least(
            {
                "fast twin": lambda: fast.roll(parameters, stretches),
                "mujoco.rollout": lambda: roller.rollout(model, data, state, control),
                "PyBullet": lambda: simulate(world, parameters, acting, HOME[None], still),
            },
            4,
        )
    end, _ = mujoco.rollout.rollout(model, data, state, control)
    # Another friction law and no delay: near enough to be the same work.
    assert np.abs(end[0, -1, 1:8] - command[-1]).max() < 0.3
    step_us = {name: value / STEPS * 1e6 for name, value in taken.items()}
    for name, value in step_us.items():
        record(f"rollout.step.{name.replace(' ', '_')}_us", value)
        record(f"rollout.step.{name.replace(' ', '_')}_to_fast_twin", value / step_us["fast twin"])
    assert step_us["fast twin"] < 2.0
    assert step_us["mujoco.rollout"] > 2 * step_us["fast twin"]
    assert step_us["PyBullet"] > 40 * step_us["fast twin"]
