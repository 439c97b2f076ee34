"""How far a simulated trajectory is from a measured one."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from envs.errors import RecordingError
from envs.telemetry.filtering import lowpass
from envs.telemetry.trajectory import Trajectory


@dataclass(frozen=True)
class Errors:
    """Root mean square of simulated minus measured, per joint; None where one side lacks a signal.

    Attributes:
        q: rad or m.
        qd: rad/s or m/s.
        tau: N·m or N.
        current: A.
        q_mae: Of the position, the mean of absolute values.
    """

    q: Float[np.ndarray, "joint"]
    qd: Float[np.ndarray, "joint"] | None
    tau: Float[np.ndarray, "joint"] | None
    q_mae: Float[np.ndarray, "joint"]
    current: Float[np.ndarray, "joint"] | None = None


def rmse(
    simulated: Trajectory,
    measured: Trajectory,
    *,
    use: Bool[np.ndarray, "time"],
    cutoff_hz: float | None = None,
    measured_cutoff_hz: float | None = None,
) -> Errors:
    """Return the root-mean-square errors over the samples in use.

    Args:
        simulated: On the same clock and joints as the measured one.
        measured: What it is held against.
        use: Which samples count; samples bridged over a gap are the caller's to leave out.
        cutoff_hz: Low-pass both sides alike first: noise and the ripple of a command that is held
            between its updates are no error of the model.
        measured_cutoff_hz: Low-pass the measured side here instead, above `cutoff_hz`: what it
            holds beyond that then counts against the model.

    Raises:
        RecordingError: The two do not belong together, or no sample is in use.
    """
    if simulated.joints != measured.joints:
        raise RecordingError(
            f"cannot compare joints {', '.join(simulated.joints)} with {', '.join(measured.joints)}"
        )
    if simulated.t_s.shape != measured.t_s.shape or not np.allclose(simulated.t_s, measured.t_s):
        raise RecordingError("cannot compare two trajectories on different clocks")
    if not use.any():
        raise RecordingError("no sample is left to compare the trajectories over")

    def error(
        a: Float[np.ndarray, "time joint"] | None, b: Float[np.ndarray, "time joint"] | None
    ) -> Float[np.ndarray, "joint"] | None:
        if a is None or b is None:
            return None
        if cutoff_hz is None:
            difference = a - b
        else:
            smooth = lowpass(a, measured.dt_s, cutoff_hz)
            difference = smooth - lowpass(b, measured.dt_s, measured_cutoff_hz or cutoff_hz)
        return np.asarray(np.sqrt((difference[use] ** 2).mean(axis=0)))

    q = error(simulated.q, measured.q)
    assert q is not None, "a trajectory always has positions"
    return Errors(
        q=q,
        qd=error(simulated.qd, measured.qd),
        tau=error(simulated.tau, measured.tau),
        current=error(simulated.current, measured.current),
        q_mae=np.abs(simulated.q - measured.q)[use].mean(axis=0),
    )
