"""A Panda that moves a payload, as a fit would meet it: what it truly is, and what is believed."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.rollout.twin import FastTwin, Stretches
from calibration.segments import FITTED
from envs.stage.scene import Drive, Friction, Scene
from envs.stage.tree import Tree, reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters
from tests.envs.telemetry.tiny import PANDA
from tests.panda_motion import HOME, SHAPE, command
from tests.true_panda import true_panda

STEPS, DT_S = 10_000, 1e-3
NOISE = {"q": 2e-4, "qd": 2e-3, "tau": 0.3}
BODY = "panda_hand"
PAYLOAD = np.array([1.0, 0.03, -0.02, 0.06])
"""Mass, kg, and place in the hand, m."""
LEAST_NM, MOST_NM = 0.35, 1.5
"""Coulomb friction lies evenly between these."""
FREE = ("coulomb", "viscous", "stiffness", "damping", "delay_s")


def with_payload(tree: Tree, payload: np.ndarray = PAYLOAD) -> Tree:
    """Return the tree whose hand holds the payload."""
    link = next(i for i, group in enumerate(tree.groups) if BODY in group)
    X_LB = tree.groups[link][BODY]
    m, c = payload[0], X_LB[:3, :3] @ payload[1:] + X_LB[:3, 3]
    inertia = m * (c @ c * np.eye(3) - np.outer(c, c))
    pi = tree.pi.copy()
    pi[link] += [m, *m * c, *inertia[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]]
    return replace(tree, pi=pi)


def with_joints(scene: Scene, **changes: Any) -> Scene:
    """Return the scene with other values in all recorded joints; callables take the joint."""
    joints = tuple(
        replace(j, **{k: v(j) if callable(v) else v for k, v in changes.items()})
        if j.name in PANDA
        else j
        for j in scene.robot.joints
    )
    return replace(scene, articulations=(replace(scene.robot, joints=joints),))


def believed(scene: Scene) -> Scene:
    """Return the stage before a fit: drives off by a fifth, no friction, no delay, no payload."""
    return with_joints(
        scene,
        drive=lambda j: Drive(j.drive.stiffness * 1.2, j.drive.damping * 0.8, j.drive.max_force),
        friction=Friction(),
        delay_s=0.0,
    )


@dataclass(frozen=True)
class Case:
    """A recording, the stage that is believed, and what a fit should report."""

    trajectory: Trajectory
    stage: Scene
    truth: np.ndarray


def case(seed: int, *, stribeck: bool = False) -> Case:
    """Return 10 s of a Panda with a payload, made by the fast twin, with noise on all signals.

    Args:
        seed: Of frictions and noise.
        stribeck: Whether the robot has the sample's excess at low speed, which a fit knows not.
    """
    rng = np.random.default_rng(seed)
    scene = with_joints(
        true_panda(),
        friction=lambda j: replace(
            j.friction,
            coulomb=float(rng.uniform(LEAST_NM, MOST_NM)),
            stribeck=j.friction.stribeck * stribeck,
        ),
    )
    parameters = ActuatorParameters.from_joints(scene.robot, PANDA)
    tree = with_payload(reduce_tree(scene.robot, PANDA, scene.gravity_mps2))
    commands = command(SHAPE, DT_S)
    stretches = Stretches(commands, np.zeros(1, int), STEPS, HOME[None], np.zeros((1, 7)))
    rolled = FastTwin(tree, dt_s=DT_S).roll(parameters, stretches)
    signals = {k: getattr(rolled, k)[0, 0] + rng.normal(0, s, (STEPS, 7)) for k, s in NOISE.items()}
    trajectory = Trajectory(
        np.arange(STEPS) * DT_S, tuple(PANDA), q_command=commands[:STEPS], **signals
    )
    own = np.stack([getattr(parameters, name) for name in FITTED if name in FREE], axis=-1)
    return Case(trajectory, believed(scene), np.concatenate([own.ravel(), PAYLOAD]))
