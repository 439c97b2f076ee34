"""Torques of a small arm whose truth is known, made by Pinocchio, and fits of them."""

from dataclasses import replace

import numpy as np
import pinocchio

from calibration.gradient import fit_torque
from calibration.result import CalibrationResult
from envs.stage.scene import Articulation, Friction, Joint, Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.filtering import Motion, motion
from envs.telemetry.trajectory import Trajectory
from envs.world.friction import friction_torque, joint_friction
from tests.small_arm import GRAVITY, arm_joints, pinocchio_model, scene

NOISE_NM = 0.05
SPLIT_S = 14.0


def nominal_of(truth: Articulation, rng: np.random.Generator) -> Scene:
    """The truth with masses and inertias off by up to 15 %, no friction and no rotors."""

    def joint(j: Joint) -> Joint:
        return replace(j, armature=0.0, friction=Friction())

    bodies = []
    for body in truth.bodies:
        i, s = body.inertial, rng.uniform(0.85, 1.15)
        heavier = replace(i, mass_kg=s * i.mass_kg, inertia_kgm2=s * i.inertia_kgm2)
        bodies.append(replace(body, inertial=heavier))
    return scene(replace(truth, bodies=tuple(bodies), joints=tuple(map(joint, truth.joints))))


def recorded(truth: Articulation, rng: np.random.Generator, *, gap: bool = False) -> Motion:
    """20 s of excitation at 1 kHz, with noise on the torque only."""
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    joints = [truth.joint(name) for name in tree.joints]
    t = np.arange(20_000) * 1e-3
    w, phase = rng.uniform(0.5, 5, (5, 3)), rng.uniform(0, 6, (5, 3))
    angle = t[:, None, None] * w + phase
    q, qd = np.sin(angle).sum(axis=1) * 0.4, (w * np.cos(angle)).sum(axis=1) * 0.4
    qdd = -(w**2 * np.sin(angle)).sum(axis=1) * 0.4
    model = pinocchio_model(tree)
    data = model.createData()
    rows = zip(q, qd, qdd, strict=True)
    tau = np.array([pinocchio.rnea(model, data, *row) for row in rows])
    tau += np.array([j.armature for j in joints]) * qdd
    tau += friction_torque(joint_friction(j.friction for j in joints), qd)
    tau += 0.1 * np.arange(3) + rng.normal(size=tau.shape) * NOISE_NM
    valid = np.ones(len(t), bool)
    if gap:
        valid[5000:6000] = False
        tau[5000:6000] = 100.0
    return motion(Trajectory(t_s=t, joints=tree.joints, q=q, qd=qd, tau=tau, valid=valid))


def fitted(nominal: Scene, m: Motion) -> CalibrationResult:
    return fit_torque(
        nominal,
        m,
        train=m.t_s < SPLIT_S,
        heldout=m.t_s >= SPLIT_S,
        provenance={"sha256": {"log": "abc"}},
    )


def with_vertical_first_axis(truth: Articulation) -> Articulation:
    first, *others = truth.joints
    # As its frame sees it: the base does not stand upright.
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    gravity = tree.X_PJ[0, :3, :3].T @ tree.gravity
    upright = replace(first, axis=gravity / np.linalg.norm(gravity))
    return replace(truth, joints=(upright, *others))


def told(result: CalibrationResult) -> str:
    return " / ".join(result.metrics["identifiability"]["sentences"])
