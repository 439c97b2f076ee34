"""What a robot logged, before it is put on one clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from envs.errors import RecordingError

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


@dataclass(frozen=True)
class Stream:
    """Signals that share one clock and one list of joints: a topic, or a set of columns.

    Attributes:
        name: Topic or file it came from.
        t_ns: Time stamps as recorded (they may repeat, run backwards or jump), ns.
        joints: Joint names, in column order.
        signals: Values as recorded, converted to SI; NaN where nothing was logged.
        start: Position at which the integral of command_velocity starts, where it is known.
    """

    name: str
    t_ns: Int[np.ndarray, "sample"]
    joints: tuple[str, ...]
    signals: Mapping[Signal, Float[np.ndarray, "sample joint"]]
    start: Float[np.ndarray, "joint"] | None = None

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
class Recording:
    """A recording as it lies on disk: its streams, and what identifies its files.

    Attributes:
        sha256: File name → hash of its bytes.
        metadata: What the files say beside their samples, as text.
        protection: File name → what guards its bytes: "crc checked", or "unprotected".
        damage: What could not be read of a file that was salvaged.
    """

    name: str
    streams: tuple[Stream, ...]
    sha256: Mapping[str, str]
    files: tuple[Path, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    protection: Mapping[str, str] = field(default_factory=dict)
    damage: tuple[Damage, ...] = ()
