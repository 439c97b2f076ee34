"""A scene built by hand: a small arm, a table, a cube that can fall."""

from dataclasses import fields, replace

import numpy as np
import pinocchio
from jaxtyping import Float

from calibration.segments import FITTED
from envs.frames import axis_angle, pose
from envs.stage.scene import (
    Articulation,
    Body,
    Drive,
    Friction,
    Inertial,
    Joint,
    Mesh,
    Scene,
    Shape,
)
from envs.stage.tree import Tree
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters
from envs.world.replay import replay_dynamic

GRAVITY = np.array([0.0, 0.0, -9.81])


def unit(rng: np.random.Generator) -> np.ndarray:
    v = rng.normal(size=3)
    return v / np.linalg.norm(v)


def random_pose(rng: np.random.Generator, reach: float) -> np.ndarray:
    turn = axis_angle(unit(rng), np.asarray(rng.uniform(-3, 3)))
    return pose(turn, rng.uniform(-reach, reach, 3))


def random_inertial(rng: np.random.Generator) -> Inertial:
    """Of a cloud of points, so that it is one that a body can have."""
    points, weight = rng.normal(size=(9, 3)) * 0.06, rng.uniform(0.05, 0.3, 9)
    com = weight @ points / weight.sum()
    r = points - com
    inertia = (
        weight[:, None, None]
        * ((r**2).sum(1)[:, None, None] * np.eye(3) - r[:, :, None] * r[:, None])
    ).sum(0)
    return Inertial(float(weight.sum()), com, inertia)


def arm(rng: np.random.Generator, n: int = 3, *, branch: bool = False) -> Articulation:
    """Return n turning joints with frames and axes at random, a fixed tool, a sliding finger.

    With `branch` the second half starts at the base once more.
    """
    bodies = [Body("base", "/World/robot/base", random_pose(rng, 0.2), random_inertial(rng))]
    joints = []
    kinds = ["revolute"] * n + ["fixed", "prismatic"]
    for i, kind in enumerate(kinds):
        name = f"link{i}"
        bodies.append(Body(name, f"/World/robot/{name}", np.eye(4), random_inertial(rng)))
        joints.append(
            Joint(
                name=f"joint{i}",
                prim=f"/World/robot/joint{i}",
                kind=kind,  # type: ignore[arg-type]
                parent="base" if i == 0 or (branch and i == n // 2) else f"link{i - 1}",
                child=name,
                X_PJ=random_pose(rng, 0.3),
                X_CJ=random_pose(rng, 0.1),
                axis=unit(rng),
                armature=float(rng.uniform(0.02, 0.1)),
                friction=Friction(
                    float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.1, 0.5)), 0.1, 0.08
                ),
                drive=Drive(float(rng.uniform(150, 400)), float(rng.uniform(8, 20)), 60.0),
                delay_s=float(rng.uniform(0.004, 0.02)),
            )
        )
    return Articulation("robot", "/World/robot", tuple(bodies), tuple(joints), fixed_base=True)


def arm_joints(n: int = 3) -> list[str]:
    return [f"joint{i}" for i in range(n)]


def box(name: str, size: tuple[float, float, float], p: tuple[float, float, float]) -> Body:
    mass, (x, y, z) = 0.2, size
    inertia = mass / 12 * np.diag([y * y + z * z, x * x + z * z, x * x + y * y])
    # The body's origin is one corner below the middle, so that frame and centre of mass differ.
    X_BS = pose(np.eye(3), np.array([0.0, 0.0, z / 2]))
    collider = Shape(f"/World/{name}/shape", "box", X_BS, size)
    inertial = Inertial(mass, X_BS[:3, 3], inertia)
    X_WB = pose(np.eye(3), np.array(p))
    return Body(name, f"/World/{name}", X_WB, inertial, colliders=(collider,))


def tetrahedron(edge: float) -> Mesh:
    vertices = edge * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    return Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))


def scene(
    robot: Articulation,
    *,
    objects: tuple[Body, ...] = (),
    static: tuple[Body, ...] = (),
) -> Scene:
    return Scene((robot,), objects, static, (), (), GRAVITY)


def pinocchio_model(tree: Tree) -> pinocchio.Model:
    model = pinocchio.Model()
    model.gravity = pinocchio.Motion(tree.gravity, np.zeros(3))
    kinds = pinocchio.JointModelRevoluteUnaligned, pinocchio.JointModelPrismaticUnaligned
    for i, name in enumerate(tree.joints):
        kind = kinds[int(tree.prismatic[i])](tree.axis[i])
        k = model.addJoint(int(tree.parent[i]) + 1, kind, pinocchio.SE3(tree.X_PJ[i]), name)
        inertia = pinocchio.Inertia.FromDynamicParameters(tree.pi[i])
        model.appendBodyToJoint(k, inertia, pinocchio.SE3.Identity())
    return model


def several(
    actuators: ActuatorParameters, factors: Float[np.ndarray, "candidate joint 6"]
) -> ActuatorParameters:
    """Return candidates that differ from one robot by factors of what rollouts are asked for."""
    values = {f.name: getattr(actuators, f.name) for f in fields(ActuatorParameters)}
    found = {name: np.broadcast_to(value, factors.shape[:2]) for name, value in values.items()}
    return ActuatorParameters(
        **found | {name: values[name] * factors[..., k] for k, name in enumerate(FITTED)}
    )


def made_by_twin(
    twin: Scene,
    joints: list[str],
    duration_s: float,
    rng: np.random.Generator,
    noise: dict[str, float],
) -> Trajectory:
    """What the twin does on a sum of sines that starts from rest, with white noise on the signals.

    Commands are held for 4 ms.
    """
    t = np.arange(round(duration_s * 1000) + 1) * 1e-3
    n = len(joints)
    omega = rng.uniform([2.0, 5.0], [4.0, 9.0], (n, 2))
    swing = np.sin(t[:, None, None] * omega + rng.uniform(0, 6, (n, 2))) * [0.6, 0.25]
    command = np.repeat((np.minimum(t, 1.0)[:, None] * swing.sum(axis=2))[::4], 4, axis=0)[: len(t)]
    still = Trajectory(t, tuple(joints), np.zeros((len(t), n)), q_command=command)
    moved = replay_dynamic(twin, still)
    noisy = {
        name: getattr(moved, name) + rng.normal(0, level, (len(t), n))
        for name, level in noise.items()
    }
    return replace(moved, **noisy)
