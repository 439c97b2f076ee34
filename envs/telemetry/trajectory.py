"""Joint signals on one uniform clock, measured or simulated: a residual is two of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from envs.errors import RecordingError


@dataclass(frozen=True)
class Trajectory:
    """Signals of all joints on a uniform grid, in SI. An absent signal is None.

    Attributes:
        t_s: Time since the first sample of the recording, s; uniform.
        joints: Joint names, in column order.
        q: Position, rad or m.
        qd: Velocity, rad/s or m/s.
        tau: Effort, N·m or N.
        q_command: Commanded position, rad or m.
        current: Of the motors, A; only where no effort was logged.
        valid: False where a sample was bridged over a gap rather than measured.
    """

    t_s: Float[np.ndarray, "time"]
    joints: tuple[str, ...]
    q: Float[np.ndarray, "time joint"]
    qd: Float[np.ndarray, "time joint"] | None = None
    tau: Float[np.ndarray, "time joint"] | None = None
    q_command: Float[np.ndarray, "time joint"] | None = None
    current: Float[np.ndarray, "time joint"] | None = None
    valid: Bool[np.ndarray, "time"] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays which do not belong together, a clock that is not uniform, and NaN."""
        if len(self.t_s) < 2:
            raise RecordingError(f"a trajectory needs two samples or more, not {len(self.t_s)}")
        steps = np.diff(self.t_s)
        if not np.allclose(steps, steps.mean(), rtol=1e-6, atol=1e-9):
            raise RecordingError("the clock of a trajectory must be uniform")
        for name in ("q", "qd", "tau", "q_command", "current"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != (len(self.t_s), len(self.joints)):
                raise RecordingError(
                    f"{name} has shape {values.shape}, not {(len(self.t_s), len(self.joints))}"
                )
            if not np.isfinite(values).all():
                raise RecordingError(f"{name} of a trajectory holds NaN or infinity")

    @property
    def dt_s(self) -> float:
        """The step of the clock, s."""
        return float((self.t_s[-1] - self.t_s[0]) / (len(self.t_s) - 1))

    @property
    def measured(self) -> Bool[np.ndarray, "time"]:
        """True where the samples were measured, all of them where no gap is known."""
        return np.ones(len(self.t_s), bool) if self.valid is None else self.valid

    def span(self, start_s: float, end_s: float) -> "Trajectory":
        """Return the samples with start ≤ t < end, on the same clock."""
        keep = (self.t_s >= start_s) & (self.t_s < end_s)
        return Trajectory(
            t_s=self.t_s[keep],
            joints=self.joints,
            q=self.q[keep],
            qd=None if self.qd is None else self.qd[keep],
            tau=None if self.tau is None else self.tau[keep],
            q_command=None if self.q_command is None else self.q_command[keep],
            current=None if self.current is None else self.current[keep],
            valid=None if self.valid is None else self.valid[keep],
        )
