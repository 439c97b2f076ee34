"""Which methods a calibration takes, and why: what the recording has the signals for."""

from conf.outcome import Prepared
from conf.schema import Config, Method
from envs.errors import CalibrationError

WHY = {
    Method.torch: "effort was measured, which tells inertias, friction and rotors directly",
    Method.lm: "commands were recorded, which tell stiffness, damping and delay by rollouts",
    Method.servo: "recording.servo describes the firmware of a hobby servo and recording.test says "
    "which of its runs judge",
    Method.kinematics: "the recording holds poses of a marker, which tell offsets and geometry",
}

OF_CURRENT = (
    "the motors' currents were measured, which tell friction, drive gains and inertias up to one "
    "common factor"
)
"""Why `torch`, where no effort was measured."""


def alone(config: Config) -> tuple[Method, str] | None:
    """Return the method that works without any other, and why; None where others are to choose.

    These are the kinematics of measured poses and the servo, whose recordings no other can use as
    well.
    """
    method = config.method
    if method in (Method.servo, Method.kinematics):
        return method, f"method {method.name}, as asked for"
    if method is not Method.auto:
        return None
    if config.recording.marker is not None:
        return Method.kinematics, f"method auto takes kinematics: {WHY[Method.kinematics]}"
    if not _servo_lacks(config):
        return Method.servo, f"method auto takes servo: {WHY[Method.servo]}"
    return None


def choose(config: Config, data: Prepared) -> tuple[list[Method], str]:
    """Return which of torque level and rollouts to run, and why these.

    Raises:
        CalibrationError: The recording lacks what they need.
    """
    method = config.method
    lacks = {
        Method.torch: "measured effort or current" if data.motion is None else "",
        Method.lm: "recorded commands" if data.trajectory.q_command is None else "",
        Method.cmaes: "recorded commands" if data.trajectory.q_command is None else "",
    }
    wanted = [Method.torch, Method.lm] if method is Method.auto else [method]
    possible = [m for m in wanted if not lacks[m]]
    if not possible:
        needs = "; ".join(f"{m.name} needs {lacks[m]}" for m in wanted)
        raise CalibrationError(f"recording '{data.recording.name}' cannot calibrate: {needs}")
    if method is not Method.auto:
        return possible, f"method {method.name}, as asked for"
    why = WHY if data.gains is None else {**WHY, Method.torch: OF_CURRENT}
    taken = ", then ".join(f"{m.name} ({why[m]})" for m in possible)
    left = [f"{m.name} needs {lacks[m]}" for m in wanted if lacks[m]]
    if config.recording.servo is not None:
        left.append(f"servo needs {_servo_lacks(config)}")
    out = f"; left out: {', '.join(left)}" if left else ""
    return possible, f"method auto takes {taken}{out}"


def _servo_lacks(config: Config) -> str:
    """Return what the servo's method lacks, "" where nothing."""
    described, test = config.recording, config.split().test
    if described.servo is None:
        return "recording.servo"
    if not described.runs:
        return "recording.runs"
    if test is None or not test.metadata:
        return f"recording.test={{{described.servo.gain}: VALUE}}, which says what runs judge"
    return ""
