"""What moves a joint: position drive, friction, rotor inertia and delay, one step at a time.

PyBullet's own motors are off. Each step solves, with M and h of the robot and rotor inertia Ia,

    (M + Ia) q̈ + h + friction(q̇⁺) + offset = drive,    q̇⁺ = q̇ + dt q̈,
    drive = kp (u − q − α dt q̇⁺) − kd (q̇ + θ dt q̈)    within ±max_force,

for q̈. PyBullet is then given the torque `M q̈ + h`, which makes it take exactly this acceleration as
long as nothing is touched.

Forces of contact act on PyBullet's M alone, which knows no rotors. What they did in a step, the
torque `c = M Δq̇/dt + h − τ`, is therefore known to the next one: `h − c` stands for h there, in
what is solved and in the torque that PyBullet is given. At rest, or sliding evenly, this is exact:
the drive feels all of the contact, not the part M/(M + Ia) of it. In an impact the rotors' momentum
follows that of the links in a geometric series, a part Ia/(M + Ia) of what is left in each step,
and the sum is right: `Σ (M + Ia) Δq̇ = dt Σ (drive − h − friction + c)`, with c a step late.

PyBullet's velocities belong to the middles of steps: its integration is a leapfrog, and of second
order where forces are those of the instant between two steps. For the drive this is θ = 1/2, α = 0,
so that what is identified does not depend on the step. A drive too stiff for it is made as implicit
as it takes not to overshoot, up to the stable PD control of Tan, Liu and Turk (IEEE Computer
Graphics and Applications 31, 2011), which is θ = α = 1: no drive is too stiff. Friction is
linearised about q̇.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from envs.errors import StageError
from envs.stage.scene import Articulation
from envs.world.bullet import BulletWorld
from envs.world.dynamics import TreeDynamics
from envs.world.friction import JointFriction, friction_slope, friction_torque


@dataclass(frozen=True)
class ActuatorParameters:
    """Of several joints, the joint as the last axis; units as in `scene.Joint`.

    Leading axes, where there are any, run over candidates. Friction is as in `JointFriction`.

    Attributes:
        stiffness: Of the drive, N·m/rad or N/m.
        damping: Of the drive, N·m·s/rad or N·s/m.
        max_force: Of the drive, N·m or N.
        armature: Rotor inertia felt at the joint, kg·m² or kg.
        torque_offset: What the drive spends besides, N·m or N.
        delay_s: From a command to its effect.
    """

    stiffness: Float[np.ndarray, "*n joint"]
    damping: Float[np.ndarray, "*n joint"]
    max_force: Float[np.ndarray, "*n joint"]
    armature: Float[np.ndarray, "*n joint"]
    coulomb: Float[np.ndarray, "*n joint"]
    viscous: Float[np.ndarray, "*n joint"]
    stribeck: Float[np.ndarray, "*n joint"]
    stribeck_velocity: Float[np.ndarray, "*n joint"]
    torque_offset: Float[np.ndarray, "*n joint"]
    delay_s: Float[np.ndarray, "*n joint"]

    def __post_init__(self) -> None:
        """Refuse a negative stiffness, damping, inertia, friction or delay."""
        for item in fields(self):
            values = getattr(self, item.name)
            low = -np.inf if item.name == "torque_offset" else 0.0
            # An unlimited drive is allowed; NaN fails every comparison.
            if not np.all((values >= low) & (np.isfinite(values) | (item.name == "max_force"))):
                raise StageError(
                    f"{item.name} of a joint must be finite and ≥ {low:g}; found {values}"
                )

    @classmethod
    def from_joints(cls, robot: Articulation, joints: Sequence[str]) -> Self:
        """Return the parameters that the stage gives these joints, in their order.

        Raises:
            StageError: A joint is unknown, or has no drive.
        """
        found = [robot.joint(name) for name in joints]
        passive = [joint.name for joint in found if joint.drive is None]
        if passive:
            raise StageError(
                f"no drive (stiffness, damping, maxForce) is authored for: {', '.join(passive)}; "
                "commands need one to move a joint"
            )
        drives = [joint.drive for joint in found if joint.drive is not None]
        return cls(
            stiffness=np.array([d.stiffness for d in drives]),
            damping=np.array([d.damping for d in drives]),
            max_force=np.array([d.max_force for d in drives]),
            armature=np.array([j.armature for j in found]),
            coulomb=np.array([j.friction.coulomb for j in found]),
            viscous=np.array([j.friction.viscous for j in found]),
            stribeck=np.array([j.friction.stribeck for j in found]),
            stribeck_velocity=np.array([j.friction.stribeck_velocity for j in found]),
            torque_offset=np.array([j.torque_offset for j in found]),
            delay_s=np.array([j.delay_s for j in found]),
        )

    def of(self, candidates: Int[np.ndarray, "pick"]) -> Self:
        """Return the parameters of some of the candidates, which are their leading axis."""
        return type(self)(**{f.name: getattr(self, f.name)[candidates] for f in fields(self)})

    @property
    def friction(self) -> JointFriction:
        """The part of them that is friction."""
        return JointFriction(self.coulomb, self.viscous, self.stribeck, self.stribeck_velocity)


@dataclass(frozen=True)
class Rollout:
    """What simulated robots did: `steps + 1` samples of each copy, in SI.

    `tau` is the torque of the drive, as a sensor on the motor's side would log it. The velocity at
    an instant is the mean of the steps before and after it; the last sample, after which nothing is
    known, has the last step's velocity and torque.
    """

    q: Float[np.ndarray, "sample copy joint"]
    qd: Float[np.ndarray, "sample copy joint"]
    tau: Float[np.ndarray, "sample copy joint"]


def implicit_step(
    parameters: ActuatorParameters,
    friction: JointFriction,
    M: Float[np.ndarray, "copy joint joint"],
    h: Float[np.ndarray, "copy joint"],
    q: Float[np.ndarray, "copy joint"],
    qd: Float[np.ndarray, "copy joint"],
    command: Float[np.ndarray, "copy joint"],
    dt_s: float,
) -> tuple[Float[np.ndarray, "copy joint"], Float[np.ndarray, "copy joint"]]:
    """Return acceleration and drive torque of one step; see the head of this file.

    Args:
        parameters: Of one robot for all copies, or of each copy.
        friction: The friction among them.
        M: Mass matrix, without rotors.
        h: Coriolis, centrifugal and gravity torque.
        q: Position before the step, rad or m.
        qd: Velocity before the step, rad/s or m/s.
        command: What acts in the step; see `delayed_commands`.
        dt_s: The step, s.
    """
    kp, kd, limit = parameters.stiffness, parameters.damping, parameters.max_force
    diagonal = np.arange(q.shape[-1])
    inertia = M[:, diagonal, diagonal] + parameters.armature
    # Alone, a joint slows in a step to (1 − (1 − θ) λ) / (1 + θ λ): that must not change sign.
    rate = (dt_s * (kd + dt_s * kp) / inertia).max(axis=1, keepdims=True)
    theta = np.maximum(0.5, 1.0 - 1.0 / np.maximum(rate, 1.0))
    alpha = 2.0 * theta - 1.0
    # The drive is `hold − give·q̈` while it is within its limit.
    hold = kp * (command - q - alpha * dt_s * qd) - kd * qd
    give = dt_s * (theta * kd + alpha * dt_s * kp)
    load = h + friction_torque(friction, qd) + parameters.torque_offset
    added = parameters.armature + dt_s * friction_slope(friction, qd)
    while True:
        A = M.copy()
        A[:, diagonal, diagonal] += added + give
        qdd: Float[np.ndarray, "copy joint"] = np.linalg.solve(A, (hold - load)[..., None])[..., 0]
        drive: Float[np.ndarray, "copy joint"] = hold - give * qdd
        beyond = np.abs(drive) > limit
        if not beyond.any():
            return qdd, drive
        # A drive at its limit no longer gives; it is held there, and the others solved again. Each
        # round holds at least one joint more, so that this ends.
        hold = np.where(beyond, np.clip(drive, -limit, limit), hold)
        give = np.where(beyond, 0.0, give)


def delayed_commands(
    command: Float[np.ndarray, "time joint"],
    start: Int[np.ndarray, "copy"],
    steps: int,
    delay_s: Float[np.ndarray, "*copy joint"],
    dt_s: float,
) -> Float[np.ndarray, "step copy joint"]:
    """Return the command that acts in each step: its mean over half a step before and after.

    A sample of the grid holds until the next one. Before the first sample and after the last one
    the command holds.

    Args:
        command: Commanded positions on the grid.
        start: The sample at which each copy starts.
        steps: How many steps follow.
        delay_s: Of one robot for all copies, or of each copy, s.
        dt_s: Step of the grid and of the simulation, s.
    """
    copies, n = len(start), command.shape[1]
    at = start[:, None] - 0.5 - np.broadcast_to(delay_s, (copies, n)) / dt_s
    whole = np.floor(at)
    part = at - whole
    index = np.arange(steps)[:, None, None] + whole.astype(int)
    last, joint = len(command) - 1, np.arange(n)
    before = command[np.clip(index, 0, last), joint]
    after = command[np.clip(index + 1, 0, last), joint]
    acting: Float[np.ndarray, "step copy joint"] = (1 - part) * before + part * after
    return acting


def simulate(
    world: BulletWorld,
    parameters: ActuatorParameters,
    commands: Float[np.ndarray, "step copy joint"],
    q: Float[np.ndarray, "copy joint"],
    qd: Float[np.ndarray, "copy joint"],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Rollout:
    """Put the robots in a state and let their drives follow the commands.

    Args:
        world: With as many copies as there are states; its joints are the columns.
        parameters: Of one robot for all copies, or of each copy.
        commands: What acts in each step; see `delayed_commands`.
        q: Position to start from, rad or m.
        qd: Velocity to start from, rad/s or m/s.
        progress: Called with (steps done, steps in all) now and then.
    """
    dynamics, friction, steps = TreeDynamics(world.tree), parameters.friction, len(commands)
    log = np.empty((3, steps + 1, *q.shape))
    world.set_state(q, qd)
    q, qd = world.state()
    log[0, 0], log[1, 0] = q, qd
    contact = np.zeros_like(q)
    for k, command in enumerate(commands):
        M, h = dynamics.mass_matrix_and_bias(q, qd)
        load = h - contact
        qdd, drive = implicit_step(parameters, friction, M, load, q, qd, command, world.dt_s)
        tau = (M @ qdd[..., None])[..., 0] + load
        world.step(tau)
        before = qd
        q, qd = world.state()
        contact = np.zeros_like(q)
        if world.touches():
            contact = (M @ ((qd - before) / world.dt_s)[..., None])[..., 0] + h - tau
        log[0, k + 1], log[1, k + 1], log[2, k] = q, qd, drive
        if progress is not None and (k + 1) % 250 == 0:
            progress(k + 1, steps)
    log[2, -1] = log[2, -2]
    log[1, 1:-1] = (log[1, 1:-1] + log[1, 2:]) / 2
    if progress is not None:
        progress(steps, steps)
    return Rollout(*log)
