"""Logs of one servo, and the twin that plays them back from their commands alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from calibration.rollout.servo import PARAMETERS, Logs, ServoTwin
from envs.errors import CalibrationError
from envs.stage.scene import Joint, Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.recording import Recording
from envs.telemetry.trajectory import Trajectory
from envs.world.dynamics import TreeDynamics
from envs.world.servo_drive import ServoInput, replay_servo

STEP_S = 1e-3
EVERY = 5
"""Positions are compared every 5 ms, which is about as often as such a servo can be asked."""
BLOCK_S = 0.5
"""Errors within such a stretch are not independent of each other."""


@dataclass(frozen=True)
class Firmware:
    """How a servo turns an error of position into the duty of its bridge.

    Attributes:
        gain: Name of the metadata that holds the gain's register.
        duty_per_rad: Duty per error and count of the register, 1/rad.
        supply: Name of the metadata that holds the voltage of the supply, V.
    """

    gain: str
    duty_per_rad: float
    supply: str


@dataclass(frozen=True, eq=False)
class ServoRun:
    """One log of a servo.

    Attributes:
        gain: Duty per error of position, 1/rad.
        supply_v: Voltage of the supply without load, V.
        trajectory: Position and command of the one joint, as its encoder tells them.
        enabled: Whether the servo's torque was on.
    """

    name: str
    gain: float
    supply_v: float
    trajectory: Trajectory
    enabled: Bool[np.ndarray, "time"]

    def __post_init__(self) -> None:
        """Refuse what cannot be played back."""
        t = self.trajectory
        if len(t.joints) != 1:
            raise CalibrationError(
                f"run '{self.name}': method servo needs one joint; found {', '.join(t.joints)}"
            )
        if t.q_command is None:
            raise CalibrationError(f"run '{self.name}': method servo needs recorded commands")
        if abs(t.dt_s - STEP_S) > 1e-9:
            raise CalibrationError(f"run '{self.name}': the step must be 1 ms, not {t.dt_s:g} s")
        if self.gain <= 0 or self.supply_v <= 0:
            raise CalibrationError(
                f"run '{self.name}': gain and supply must be positive; found "
                f"{self.gain:g} 1/rad and {self.supply_v:g} V"
            )

    @property
    def seen(self) -> Bool[np.ndarray, "sample"]:
        """Which of the compared samples were measured."""
        return self.trajectory.measured[::EVERY]


def servo_run(
    name: str, recording: Recording, trajectory: Trajectory, firmware: Firmware
) -> ServoRun:
    """Return a log with what its metadata say of the firmware.

    Args:
        name: What to call it.
        recording: Its metadata hold gain and supply; a signal `enabled`, where there is one, tells
            when the torque was on.
        trajectory: The recording on one clock.
        firmware: Where to look.

    Raises:
        CalibrationError: Gain or supply are missing or no numbers.
    """
    t_s = trajectory.t_s
    enabled = np.ones(len(t_s), bool)
    first_ns = min(int(s.t_ns.min()) for s in recording.streams)
    for stream in recording.streams:
        if "enabled" in stream.signals:
            at_s = (stream.t_ns - first_ns) * 1e-9
            index = np.searchsorted(at_s, t_s + 1e-9, side="right") - 1
            enabled = stream.signals["enabled"][np.clip(index, 0, None), 0] > 0.5
    return ServoRun(
        name=name,
        gain=_metadata(name, recording, firmware.gain) * firmware.duty_per_rad,
        supply_v=_metadata(name, recording, firmware.supply),
        trajectory=trajectory,
        enabled=enabled,
    )


def _metadata(name: str, recording: Recording, key: str) -> float:
    try:
        return float(recording.metadata[key])
    except (KeyError, ValueError):
        known = ", ".join(f"{k}={v}" for k, v in recording.metadata.items()) or "none"
        raise CalibrationError(
            f"run '{name}': its metadata must give '{key}' as a number; found: {known}"
        ) from None


def servo_joint(scene: Scene, runs: Sequence[ServoRun]) -> Joint:
    """Return the joint that runs are about.

    Raises:
        CalibrationError: There is no run, they are about several joints, or the joint's motor is
            not in the stage.
    """
    names = {run.trajectory.joints[0] for run in runs}
    if len(names) != 1:
        raise CalibrationError(
            f"method servo needs runs of one joint; found: {', '.join(sorted(names)) or 'none'}"
        )
    joint = scene.robot.joint(names.pop())
    if joint.servo is None or joint.kind != "revolute":
        raise CalibrationError(
            f"joint '{joint.name}' is no servo in the stage: author twin:torqueConstant (N·m/A) "
            "and twin:windingResistance (ohm) on it; a data sheet's stall torque over its current, "
            "and voltage over current, are a start"
        )
    return joint


def nominal(joint: Joint) -> Mapping[str, float]:
    """Return what the stage says for each column of a candidate."""
    servo, friction = joint.servo, joint.friction
    assert servo is not None, "checked by servo_joint"
    values = {
        **vars(servo),
        "coulomb": friction.coulomb,
        "viscous": friction.viscous,
        "stribeck_velocity": friction.stribeck_velocity,
        "armature": joint.armature,
        "delay_s": joint.delay_s,
        "encoder_offset": joint.encoder_offset,
    }
    return {name: values[name] for name in PARAMETERS}


def candidate(joint: Joint) -> Float[np.ndarray, "12"]:
    """Return the candidate that the stage describes."""
    return np.array(list(nominal(joint).values()))


class Playback:
    """Runs ready to be played by candidates."""

    def __init__(self, scene: Scene, runs: Sequence[ServoRun]) -> None:
        joint = servo_joint(scene, runs)
        tree = reduce_tree(scene.robot, [joint.name], scene.gravity_mps2)
        turned = np.array([[0.0], [np.pi / 2]])
        M, h = TreeDynamics(tree).mass_matrix_and_bias(turned, np.zeros((2, 1)))
        self.inertia, self.runs = float(M[0, 0, 0]), tuple(runs)
        self._twin = ServoTwin(
            _logs(runs),
            inertia=self.inertia,
            gravity_sin=float(h[1, 0]),
            gravity_cos=float(h[0, 0]),
            every=EVERY,
        )
        self.measured = _padded([run.trajectory.q[::EVERY, 0] for run in runs])
        width = self.measured.shape[1]
        self.seen = np.array([np.pad(run.seen, (0, width - len(run.seen))) for run in runs])

    def play(
        self, candidates: Float[np.ndarray, "candidate 12"]
    ) -> Float[np.ndarray, "candidate log sample"]:
        """Return the positions that candidates give, rad."""
        return self._twin.play(candidates)

    def errors(
        self, candidates: Float[np.ndarray, "candidate 12"]
    ) -> Float[np.ndarray, "candidate log"]:
        """Return each run's mean absolute error of position, rad."""
        return self.misses(self.play(candidates))

    def misses(self, q: Float[np.ndarray, "*n log sample"]) -> Float[np.ndarray, "*n log"]:
        """Return each run's mean absolute error of played positions, rad."""
        error = np.where(self.seen, np.abs(q - self.measured), 0.0)
        total: Float[np.ndarray, "*n log"] = error.sum(-1) / self.seen.sum(1)
        return total


def replay_runs(scene: Scene, runs: Sequence[ServoRun]) -> Float[np.ndarray, "log sample"]:
    """Return the positions that the stage's servo takes in PyBullet, rad, as `Playback.play`."""
    joint, logs = servo_joint(scene, runs), _logs(runs)
    told = ServoInput(
        logs.command.T, logs.enabled.T, logs.gain, logs.supply, q0=logs.q0, qd0=logs.qd0
    )
    q = replay_servo(scene, joint, told, dt_s=STEP_S)
    steps = np.arange(len(q))[:, None]
    return np.asarray(np.where(steps < logs.steps, q, np.nan)[::EVERY].T)


def _logs(runs: Sequence[ServoRun]) -> Logs:
    commands = [run.trajectory.q_command for run in runs]
    return Logs(
        dt_s=STEP_S,
        command=_padded([c[:, 0] for c in commands if c is not None]),
        enabled=_padded([run.enabled for run in runs]),
        gain=np.array([run.gain for run in runs]),
        supply=np.array([run.supply_v for run in runs]),
        q0=np.array([run.trajectory.q[0, 0] for run in runs]),
        qd0=np.array([_first_velocity(run) for run in runs]),
        steps=np.array([len(run.trajectory.t_s) for run in runs]),
    )


def _padded(rows: Sequence[np.ndarray]) -> Float[np.ndarray, "log step"]:
    width = max(map(len, rows))
    return np.array([np.pad(r.astype(float), (0, width - len(r)), "edge") for r in rows])


def _first_velocity(run: ServoRun) -> float:
    velocity = run.trajectory.qd
    return 0.0 if velocity is None else float(velocity[0, 0])
