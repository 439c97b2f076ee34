"""A hobby servo that turns one joint, in PyBullet.

The law is that of `calibration.rollout.servo`, where motor, bridge and friction are described: a
step semi-implicit in back-EMF and viscous friction, after which dry friction stops the joint or all
of it is spent. PyBullet is given the torque that takes it to the velocity at the end of that step;
see `envs.world.actuators` for why rotors need this.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from envs.errors import StageError
from envs.stage.scene import Joint, Scene
from envs.world.bullet import BulletWorld
from envs.world.dynamics import TreeDynamics


@dataclass(frozen=True)
class ServoInput:
    """What servos were told, one copy a column; positions as the encoder reads them.

    Attributes:
        command: rad; held from one sample to the next.
        enabled: 1 where the torque is on, else 0.
        gain: Duty per error of position, 1/rad.
        supply: Voltage, V.
        q0: Position to start from, rad.
        qd0: Velocity to start from, rad/s.
    """

    command: Float[np.ndarray, "step copy"]
    enabled: Shaped[np.ndarray, "step copy"]
    gain: Float[np.ndarray, "copy"]
    supply: Float[np.ndarray, "copy"]
    q0: Float[np.ndarray, "copy"]
    qd0: Float[np.ndarray, "copy"]


def replay_servo(
    scene: Scene, joint: Joint, told: ServoInput, *, dt_s: float
) -> Float[np.ndarray, "step copy"]:
    """Return the encoder's position before each step, rad, as PyBullet's robot moves.

    Args:
        scene: With the robot; all other joints are welded at 0.
        joint: Of the servo, as the stage has it.
        told: What each copy was told.
        dt_s: The step, s.

    Raises:
        StageError: The joint is no servo in the stage.
    """
    if joint.servo is None:
        raise StageError(f"joint '{joint.name}' is no servo in the stage")
    steps, copies = told.command.shape
    # The command of a step lies between two samples; the bridge switches with the earlier one.
    at = np.maximum(np.arange(steps) - joint.delay_s / dt_s, 0.0)
    before = at.astype(int)
    after = np.minimum(before + 1, steps - 1)
    part = (at - before)[:, None]
    goals = told.command[before] + part * (told.command[after] - told.command[before])
    on = told.enabled[before].astype(float)
    read = np.empty((steps, copies))
    with BulletWorld(
        scene, joints=[joint.name], copies=copies, colliders=False, dt_s=dt_s
    ) as world:
        dynamics = TreeDynamics(world.tree)
        world.set_state(told.q0[:, None] + joint.encoder_offset, told.qd0[:, None])
        for k in range(steps):
            q, qd = world.state()
            read[k] = q[:, 0] - joint.encoder_offset
            M, h = dynamics.mass_matrix_and_bias(q, qd)
            inertia, bias, speed = M[:, 0, 0], h[:, 0], qd[:, 0]
            end = _speed_after(joint, told, inertia, bias, read[k], speed, goals[k], on[k], dt_s)
            world.step((inertia * (end - speed) / dt_s + bias)[:, None])
    return read


def _speed_after(
    joint: Joint,
    told: ServoInput,
    inertia: Float[np.ndarray, "copy"],
    bias: Float[np.ndarray, "copy"],
    reading: Float[np.ndarray, "copy"],
    speed: Float[np.ndarray, "copy"],
    goal: Float[np.ndarray, "copy"],
    on: Float[np.ndarray, "copy"],
    dt_s: float,
) -> Float[np.ndarray, "copy"]:
    """Return the velocity at the end of a step, rad/s."""
    servo, friction = joint.servo, joint.friction
    assert servo is not None, "checked by replay_servo"
    k, R, V = servo.torque_constant, servo.resistance, told.supply
    duty = np.clip(told.gain * (goal - reading), -1.0, 1.0)
    factor = on * k / R / (1 + servo.saturation * np.abs(duty * V - k * speed) / R)
    drive, braking = factor * V * duty, factor * k
    motor, load = drive - braking * speed, -bias
    dry = (
        friction.coulomb
        + servo.motor_load * np.abs(motor)
        + servo.external_load * np.abs(load)
        + servo.breakaway_load
        * np.abs(motor - load)
        * np.exp(-np.abs(speed) / friction.stribeck_velocity)
    )
    mass = inertia + joint.armature
    held = mass + dt_s * (braking + friction.viscous)
    free = (mass * speed + dt_s * (drive + load)) / held
    return np.asarray(np.sign(free) * np.maximum(np.abs(free) - dt_s * dry / held, 0.0))
