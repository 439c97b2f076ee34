"""The keys that describe a recording: its file, its streams and signals, what trains and judges."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from omegaconf import MISSING

from conf.checks import between
from envs.errors import RecordingError, unknown
from envs.telemetry.description import recording_source
from envs.telemetry.source import RecordingSource

ANGLES = {"rad": 1.0, "deg": math.pi / 180}
LENGTHS = {"m": 1.0, "mm": 1e-3}
MEASURED = ("x", "y", "z", "qw", "qx", "qy", "qz", "u", "v")
"""What a table of a marker's poses may hold beside joints."""


@dataclass
class TimeConfig:
    """Where a stream's time stamps are; see envs/telemetry/source.py."""

    source: str = MISSING
    unit: str = ""


@dataclass
class SignalConfig:
    """Where a signal is, its unit, and what it takes to read it right."""

    source: str = ""
    unit: str = MISSING
    start: str = ""
    columns: list[str] = field(default_factory=list)
    signs: list[float] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    register_bits: int = 0
    drive_gain: list[float] = field(default_factory=list)
    drive_gain_std: list[float] = field(default_factory=list)
    resample: str = ""


@dataclass
class StreamConfig:
    """A topic, or the columns of a file, that share one clock."""

    time: TimeConfig = field(default_factory=TimeConfig)
    signals: dict[str, SignalConfig] = field(default_factory=dict)
    topic: str = ""
    joints: list[str] = field(default_factory=list)
    file: str = ""
    clock: str = ""
    max_gap_s: float | None = None


@dataclass
class ServoConfig:
    """The firmware of a hobby servo: see `calibration.servo_runs.Firmware`."""

    gain: str = MISSING
    duty_per_rad: float = MISSING
    supply: str = MISSING

    def check(self) -> None:
        """Refuse a gain that drives nothing.

        Raises:
            ConfigError: It is none.
        """
        between("recording.servo.duty_per_rad", self.duty_per_rad, 1e-9, 1e3)


@dataclass
class MarkerConfig:
    """A table of a marker's measured poses instead of streams: for `method=kinematics`.

    Attributes:
        body: The body that carries it.
        angle_unit: Of turning joints.
        length_unit: Of positions and sliding joints.
        columns: The table's name of a column → x, y, z, qw, qx, qy, qz, u or v.
        ignore: Columns that are not read, such as a time.
        intrinsics: fx, fy, cx, cy of the camera, pixels, where the table has u and v.
    """

    body: str = MISSING
    angle_unit: str = "rad"
    length_unit: str = "m"
    columns: dict[str, str] = field(default_factory=dict)
    ignore: list[str] = field(default_factory=list)
    intrinsics: list[float] = field(default_factory=list)

    def check(self) -> None:
        """Refuse what no table can mean.

        Raises:
            RecordingError: A unit or a column is unknown, or numbers are missing.
        """
        for key, value, allowed in (
            ("angle_unit", self.angle_unit, ANGLES),
            ("length_unit", self.length_unit, LENGTHS),
        ):
            if value not in allowed:
                raise RecordingError(unknown("unit", value, allowed, where=f"marker.{key}"))
        for column in self.columns.values():
            if column not in MEASURED:
                raise RecordingError(unknown("column", column, MEASURED, where="marker.columns"))
        if len(self.intrinsics) not in (0, 4):
            raise RecordingError(
                f"marker.intrinsics must be fx, fy, cx, cy; found {self.intrinsics}"
            )
        for name, pixels in zip(("fx", "fy", "cx", "cy"), self.intrinsics, strict=False):
            least = 1.0 if name in ("fx", "fy") else -1e6
            between(f"recording.marker.intrinsics: {name}", pixels, least, 1e6)


@dataclass
class RecordingConfig:
    """A recording, how to read it, the robot that made it, and what of it trains and judges.

    `individual` tells one robot from another of its make; see `layer.OF_ONE_ROBOT`.
    """

    name: str = MISSING
    robot: str = ""
    individual: str = ""
    format: str = MISSING
    path: str = MISSING
    streams: dict[str, StreamConfig] = field(default_factory=dict)
    joint_names: dict[str, str] = field(default_factory=dict)
    episode: int = 0
    truth: str = ""
    train: Any = None
    test: Any = None
    runs: list[str] = field(default_factory=list)
    servo: ServoConfig | None = None
    marker: MarkerConfig | None = None

    def source(self) -> RecordingSource:
        """Return the checked description that the readers take.

        Raises:
            RecordingError: A signal, unit or clock is unknown, or one is missing.
        """
        return recording_source(
            {
                "name": self.name,
                "format": self.format,
                "path": self.path,
                "streams": {name: _given(asdict(s)) for name, s in self.streams.items()},
                "joint_names": self.joint_names,
                "episode": self.episode,
            }
        )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested values without the empty ones, which stand for "not given" in a schema."""
    return {
        key: _given(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value not in ("", [], {}, None)
    }
