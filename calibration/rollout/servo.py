# mypy: ignore-errors
"""Rollouts of a hobby servo that turns one joint: many candidates and many logs at once, in Warp.

The firmware compares the command with its encoder and sets the duty of a pulse-width modulated
bridge, `d = clip(gain·(command − q), ±1)`. The motor answers as a DC motor behind its gear, all
seen from the joint: current `i = (d·V − k·q̇)/R`, torque `k·i/(1 + s·|i|)`. The second factor is
what the iron's saturation takes: makers' stall torques grow more slowly than their currents.

The gear's friction grows with the load that it carries; after M4 and M5 of Duclusaud, Passault,
Padois and Ly (Extended friction models for the physics simulation of servo actuators, 2024) it is
`F = coulomb + a·|τ_motor| + b·|τ_load| + c·|τ_motor − τ_load|·exp(−|q̇|/v)`, beside a viscous
part. A step is semi-implicit in back-EMF and viscous friction, and F is what stops the joint within
the step or all of it is spent: a joint that sticks stays where it is to the last bit.
"""

from dataclasses import dataclass

import numpy as np
import warp as wp
from jaxtyping import Float, Int

# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.

f64 = wp.float64
PARAMETERS = (
    "torque_constant",
    "resistance",
    "saturation",
    "coulomb",
    "viscous",
    "motor_load",
    "external_load",
    "breakaway_load",
    "stribeck_velocity",
    "armature",
    "delay_s",
    "encoder_offset",
)
"""Columns of a table of candidates; units as in `envs.stage.scene.Servo`, `Friction`, `Joint`."""


@wp.kernel
def _play(
    candidate: wp.array2d(dtype=f64),
    command: wp.array2d(dtype=f64),
    enabled: wp.array2d(dtype=f64),
    gain: wp.array(dtype=f64),
    supply: wp.array(dtype=f64),
    q0: wp.array(dtype=f64),
    qd0: wp.array(dtype=f64),
    steps: wp.array(dtype=wp.int32),
    inertia: f64,
    gravity_sin: f64,
    gravity_cos: f64,
    dt: f64,
    every: wp.int32,
    out: wp.array3d(dtype=f64),
):
    c, log = wp.tid()
    one = f64(1.0)
    zero = f64(0.0)
    k = candidate[c, 0]
    R = candidate[c, 1]
    saturation = candidate[c, 2]
    coulomb = candidate[c, 3]
    viscous = candidate[c, 4]
    motor_load = candidate[c, 5]
    external_load = candidate[c, 6]
    breakaway_load = candidate[c, 7]
    fading = candidate[c, 8]
    mass = inertia + candidate[c, 9]
    late = candidate[c, 10] / dt
    offset = candidate[c, 11]
    V = supply[log]
    n = steps[log]
    q = q0[log]
    w = qd0[log]
    for step in range(n):
        if step % every == 0:
            out[c, log, step // every] = q
        at = wp.max(f64(step) - late, zero)
        before = wp.int32(at)
        after = wp.min(before + 1, n - 1)
        goal = command[log, before]
        goal = goal + (at - f64(before)) * (command[log, after] - goal)
        duty = wp.clamp(gain[log] * (goal - q), -one, one)
        # With its torque switched off the bridge is open: no current, no back-EMF that brakes.
        on = enabled[log, before]
        factor = on * k / R / (one + saturation * wp.abs(duty * V - k * w) / R)
        drive = factor * V * duty
        braking = factor * k
        theta = q + offset
        load = -(gravity_sin * wp.sin(theta) + gravity_cos * wp.cos(theta))
        motor = drive - braking * w
        friction = (
            coulomb
            + motor_load * wp.abs(motor)
            + external_load * wp.abs(load)
            + breakaway_load * wp.abs(motor - load) * wp.exp(-wp.abs(w) / fading)
        )
        held = mass + dt * (braking + viscous)
        w = (mass * w + dt * (drive + load)) / held
        stop = dt * friction / held
        w = wp.where(wp.abs(w) <= stop, zero, w - wp.sign(w) * stop)
        q = q + dt * w


@dataclass(frozen=True)
class Logs:
    """What several logs told a servo to do, on one grid; shorter ones are padded.

    Attributes:
        dt_s: Step of the grid and of the simulation.
        command: In the encoder's coordinate, rad; held from one sample to the next.
        enabled: 1 where the servo's torque is on, else 0.
        gain: Duty per error of each log, 1/rad.
        supply: Voltage of each log, V.
        q0: Encoder's position to start from, rad.
        qd0: Velocity to start from, rad/s.
        steps: How many steps each log has.
    """

    dt_s: float
    command: Float[np.ndarray, "log step"]
    enabled: Float[np.ndarray, "log step"]
    gain: Float[np.ndarray, "log"]
    supply: Float[np.ndarray, "log"]
    q0: Float[np.ndarray, "log"]
    qd0: Float[np.ndarray, "log"]
    steps: Int[np.ndarray, "log"]


class ServoTwin:
    """A pendulum on a servo; the logs are brought to the kernel once, the candidates each time."""

    def __init__(
        self, logs: Logs, *, inertia: float, gravity_sin: float, gravity_cos: float, every: int
    ) -> None:
        """Take over the logs.

        Args:
            logs: What to play.
            inertia: Of all that hangs on the joint, about it, kg·m².
            gravity_sin: The joint needs `gravity_sin·sin θ + gravity_cos·cos θ` to hold, N·m.
            gravity_cos: See there.
            every: Each how many steps the position is handed out.
        """
        wp.config.quiet = True
        self._log_count, width = logs.command.shape
        self._samples = -(-width // every)
        self._arrays = [
            wp.array(a, dtype=f64, device="cpu")
            for a in (logs.command, logs.enabled, logs.gain, logs.supply, logs.q0, logs.qd0)
        ]
        self._arrays.append(wp.array(logs.steps.astype(np.int32), dtype=wp.int32, device="cpu"))
        self._plant = [f64(x) for x in (inertia, gravity_sin, gravity_cos, logs.dt_s)]
        self._every = every

    def play(
        self, candidates: Float[np.ndarray, "candidate 12"]
    ) -> Float[np.ndarray, "candidate log sample"]:
        """Return the encoder's positions, rad; NaN behind the end of a shorter log."""
        shape = (len(candidates), self._log_count, self._samples)
        out = wp.full(shape, np.nan, dtype=f64, device="cpu")
        wp.launch(
            _play,
            dim=shape[:2],
            inputs=[
                wp.array(candidates, dtype=f64, device="cpu"),
                *self._arrays,
                *self._plant,
                self._every,
                out,
            ],
            device="cpu",
        )
        return np.array(out.numpy())
