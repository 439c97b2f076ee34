"""What a robot logged, before it is put on one clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from envs.errors import RecordingError
from envs.telemetry.clocks import ClockFit

Signal = Literal[
    "position",
    "velocity",
    "effort",
    "command_position",
    "command_velocity",
    "command_effort",
    "current",
    "voltage",
    "temperature",
    "load",
    "enabled",
]
Policy = Literal["linear", "spline", "hold"]


@dataclass(frozen=True)
class Damage:
    """A part of a file that could not be read; what was read lies before it.

    Attributes:
        file: Name of the file.
        detail: What the reader ran into.
        at: Byte, line or row from which on nothing was read.
        lost_s: Time that is missing, s; None where the file does not tell how long it was.
    """

    file: str
    detail: str
    at: int
    lost_s: float | None = None

    def __str__(self) -> str:
        """The damage in one line, with the time that it cost."""
        lost = "the time lost is not known" if self.lost_s is None else f"{self.lost_s:.3f} s lost"
        return f"{self.file}: {self.detail}; {lost}"


@dataclass(frozen=True)
class Stream:
    """Signals that share one clock and one list of joints: a topic, or a set of columns.

    Attributes:
        name: Topic or file it came from.
        t_ns: Time stamps as recorded (they may repeat, run backwards or jump), ns.
        joints: Joint names, in column order.
        signals: Values as recorded, converted to SI; NaN where nothing was logged.
        start: Position at which the integral of command_velocity starts, where it is known.
        clock: The name of its clock, where the description says that it is not the others'.
        max_gap_s: Samples further apart have a gap between them; None: `gap_limit_ns` rules.
        policies: How signals are resampled, where the description says so.
    """

    name: str
    t_ns: Int[np.ndarray, "sample"]
    joints: tuple[str, ...]
    signals: Mapping[Signal, Float[np.ndarray, "sample joint"]]
    start: Float[np.ndarray, "joint"] | None = None
    clock: str = ""
    max_gap_s: float | None = None
    policies: Mapping[Signal, Policy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays which do not belong together."""
        for signal, values in self.signals.items():
            expected = (len(self.t_ns), len(self.joints))
            if values.shape != expected:
                raise RecordingError(
                    f"{self.name}: {signal} has shape {values.shape}; "
                    f"{expected[0]} time stamps and {expected[1]} joints need {expected}"
                )
        if self.start is not None and self.start.shape != (len(self.joints),):
            raise RecordingError(
                f"{self.name}: {len(self.start)} start positions for {len(self.joints)} joints"
            )


@dataclass(frozen=True)
class Synchrony:
    """How a clock differs from the recording's, and what was done about it.

    Attributes:
        fit: On seconds since `first_ns` (the recording's clock) and `base_ns` (this one).
        seen: What both clocks have seen.
        separable: Both have measured it, so that offset and skew were taken out; else it is a
            command that the robot follows: the skew was taken out, while the offset holds the
            drive's lag as well and was left in.
    """

    fit: ClockFit
    first_ns: int
    base_ns: int
    seen: str
    separable: bool

    @property
    def offset_ns(self) -> int:
        """What has to be added to a stamp of this clock at the middle of the recording, ns."""
        return self.first_ns - self.base_ns + round(self.fit.offset_s * 1e9)


@dataclass(frozen=True)
class DriveGain:
    """What a description says of how much torque a motor gives for its current.

    Attributes:
        value: At the joint, N·m/A or N/A.
        std: Relative standard deviation, 0 where it is known; None where nothing is said of it.
    """

    value: float
    std: float | None = None


@dataclass(frozen=True)
class Recording:
    """A recording as it lies on disk: its streams, and what identifies its files.

    Attributes:
        sha256: File name → hash of its bytes.
        metadata: What the files say beside their samples, as text.
        protection: File name → what guards its bytes: "crc checked", or "unprotected".
        damage: What could not be read of a file that was salvaged.
        joint_names: What the description calls recorded joints otherwise; "" for those left out.
        drive_gains: Joint → what is said of its drive's gain.
        clocks: How the clocks differed of streams that were moved onto the recording's.
    """

    name: str
    streams: tuple[Stream, ...]
    sha256: Mapping[str, str]
    files: tuple[Path, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    protection: Mapping[str, str] = field(default_factory=dict)
    damage: tuple[Damage, ...] = ()
    joint_names: Mapping[str, str] = field(default_factory=dict)
    drive_gains: Mapping[str, DriveGain] = field(default_factory=dict)
    clocks: Mapping[str, Synchrony] = field(default_factory=dict)

    def label(self, stream: Stream, signal: Signal) -> str:
        """Return what a signal is called in findings: by its stream too where another gives it."""
        first = next(s for s in self.streams if signal in s.signals)
        return signal if first is stream else f"{stream.name}:{signal}"
