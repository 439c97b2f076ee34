"""Where a recording's clocks, signals and units are found: what `conf/recording/*.yaml` says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, pi
from pathlib import Path
from typing import Literal, get_args

from envs.errors import RecordingError, unknown
from envs.telemetry.recording import Policy, Signal

Format = Literal[
    "mcap",
    "rosbag1",
    "rosbag2",
    "csv",
    "json",
    "parquet",
    "lerobot",
    "hdf5",
    "npz",
    "matlab",
    "text",
]

SIGNALS: tuple[Signal, ...] = get_args(Signal)
FORMATS: tuple[Format, ...] = get_args(Format)
# The signals of a trajectory.
RESAMPLED: tuple[Signal, ...] = (
    "position", "velocity", "effort", "current", "command_position", "command_velocity",
)  # fmt: skip
POLICIES: tuple[Policy, ...] = get_args(Policy)
# Formats of messages on topics; the others but text are tables with named columns.
MESSAGES: tuple[Format, ...] = ("mcap", "rosbag1", "rosbag2")
_ANGLE = {"rad": 1.0, "deg": pi / 180, "rev": 2 * pi, "m": 1.0, "mm": 1e-3}
_RATE = {"rad/s": 1.0, "deg/s": pi / 180, "rpm": pi / 30, "m/s": 1.0, "mm/s": 1e-3}
_FORCE = {"N.m": 1.0, "mN.m": 1e-3, "N": 1.0}
# Factor to SI of each unit that a signal may have; temperatures stay in degrees Celsius.
UNITS: Mapping[Signal, Mapping[str, float]] = {
    "position": _ANGLE,
    "velocity": _RATE,
    "effort": _FORCE,
    "command_position": _ANGLE,
    "command_velocity": _RATE,
    "command_effort": _FORCE,
    "current": {"A": 1.0, "mA": 1e-3},
    "voltage": {"V": 1.0, "mV": 1e-3},
    "temperature": {"degC": 1.0},
    "load": {"1": 1.0, "%": 1e-2, "0.1%": 1e-3},
    "enabled": {"1": 1.0},
}
TIME_UNITS_NS: Mapping[str, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
# Beyond it a time stamp in ns no longer fits into 64 bits.
MAX_TIME_NS = 9.2e18
MAX_GAP_S = 3600.0
# In SI units of any signal; beyond it no sensor's zero lies.
MAX_OFFSET = 1e6
CLOCKS = ("header.stamp", "log_time")
REGISTER_BITS = (0, 8, 16, 32)


@dataclass(frozen=True)
class TimeSource:
    """Where a stream's time stamps are.

    Attributes:
        source: "header.stamp" or "log_time" of messages; a column of a table; a text file.
        unit: Of the numbers of a table or text file; the clocks of messages have their own.
    """

    source: str
    unit: str = ""


@dataclass(frozen=True)
class SignalSource:
    """Where a signal is, its unit, and what it takes to read it right.

    Attributes:
        source: A field of the message; a column of the table, one number or a whole sample wide,
            or one a joint with {joint} or {i} (from 0) in its name; a text file.
        unit: One of `UNITS`.
        start: For a command_velocity: the file with the positions at which it starts. Without
            one it starts where the robot was measured to be.
        columns: A table's columns in the order of the joints, instead of `source`.
        signs: 1 or -1, one for all joints or one a joint.
        offsets: Added after unit and sign, in SI, one for all joints or one a joint.
        register_bits: Width of the unsigned register that holds the signed number; 0: none.
        drive_gain: Of a current: torque at the joint over it, N·m/A or N/A, as far as it is known;
            one for all joints or one a joint, 0 for one that is not.
        drive_gain_std: Its relative standard deviation, likewise; 0 where the gain is known.
        resample: How it is put on another clock; without it measured signals are interpolated
            linearly, and commands hold.
    """

    source: str = ""
    unit: str = ""
    start: str = ""
    columns: tuple[str, ...] = ()
    signs: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    register_bits: int = 0
    drive_gain: tuple[float, ...] = ()
    drive_gain_std: tuple[float, ...] = ()
    resample: Policy | None = None


@dataclass(frozen=True)
class StreamSource:
    """A topic, or columns with one sample a row, that share one clock.

    Attributes:
        time: Its clock.
        signals: Where each signal is.
        topic: The topic of a file of messages.
        joints: Joint names in the order of the columns; messages may name their own, and a
            LeRobot folder does.
        file: The table's file, where the recording's path is a folder of several.
        clock: A name for its clock, where that is not the clock of the positions; streams with
            one name share one clock.
        max_gap_s: Samples further apart have a gap between them, which nothing bridges.
    """

    name: str
    time: TimeSource
    signals: Mapping[Signal, SignalSource]
    topic: str = ""
    joints: tuple[str, ...] = ()
    file: str = ""
    clock: str = ""
    max_gap_s: float | None = None


@dataclass(frozen=True)
class RecordingSource:
    """A recording on disk and how to read it.

    Attributes:
        path: The file; the folder of the text files, of several tables, of a split ROS 2 bag or
            of a LeRobot data set.
        joint_names: Recorded name → the stage's name, for joints that are called otherwise, or
            "" for those that are left out.
        episode: Which episode of a LeRobot data set.
    """

    name: str
    format: Format
    path: Path
    streams: tuple[StreamSource, ...]
    joint_names: Mapping[str, str] = field(default_factory=dict)
    episode: int = 0

    def __post_init__(self) -> None:
        """Refuse a description that cannot be read, or that gives a signal twice."""
        where = f"recording '{self.name}'"
        if not self.streams:
            raise RecordingError(f"{where}: it needs at least one stream")
        given: dict[tuple[str, str], str] = {}
        for stream in self.streams:
            _check_stream(stream, self.format, f"{where}, stream '{stream.name}'")
            for signal in stream.signals:
                # A signal that two clocks have seen tells how they differ.
                first = given.setdefault((signal, stream.clock), stream.name)
                if first != stream.name:
                    raise RecordingError(
                        f"{where}: streams '{first}' and '{stream.name}' both give {signal}"
                    )
        signals = {signal for signal, _ in given}
        if "position" not in signals:
            raise RecordingError(f"{where}: no stream gives 'position'")
        if {"command_position", "command_velocity"} <= signals:
            raise RecordingError(f"{where}: give command_position or command_velocity, not both")


def _check_stream(stream: StreamSource, kind: Format, where: str) -> None:
    if kind in MESSAGES:
        if not stream.topic:
            raise RecordingError(f"{where}: a stream of {kind} needs its 'topic'")
        if stream.time.source not in CLOCKS:
            raise RecordingError(unknown("clock", stream.time.source, CLOCKS, where=where))
        if stream.time.unit:
            raise RecordingError(
                f"{where}: the clocks of {kind} have their own unit; leave out time.unit"
            )
    else:
        if stream.topic:
            raise RecordingError(f"{where}: {kind} files have no topics; leave out 'topic'")
        if not stream.joints and kind != "lerobot":
            raise RecordingError(
                f"{where}: a {kind} stream needs 'joints' in the order of its columns"
            )
        if stream.time.unit not in TIME_UNITS_NS:
            units = ", ".join(TIME_UNITS_NS)
            raise RecordingError(f"{where}: unit '{stream.time.unit}' of time; allowed: {units}")
    if len(set(stream.joints)) != len(stream.joints):
        raise RecordingError(f"{where}: a joint is listed twice: {', '.join(stream.joints)}")
    if stream.file and (kind in MESSAGES or kind in ("text", "lerobot")):
        raise RecordingError(f"{where}: {kind} has no 'file' for a stream; leave it out")
    if stream.max_gap_s is not None and not 0 < stream.max_gap_s <= MAX_GAP_S:
        raise RecordingError(
            f"{where}: max_gap_s is {stream.max_gap_s}; allowed: above 0, up to {MAX_GAP_S:g}"
        )
    if not stream.signals:
        raise RecordingError(f"{where}: it gives no signal; allowed: {', '.join(SIGNALS)}")
    for signal, source in stream.signals.items():
        _check_signal(signal, source, stream, kind, where)


def _check_signal(
    signal: Signal, source: SignalSource, stream: StreamSource, kind: Format, where: str
) -> None:
    if source.unit not in UNITS[signal]:
        raise RecordingError(
            f"{where}: unit '{source.unit}' of {signal}; allowed: {', '.join(UNITS[signal])}"
        )
    if source.start and (signal != "command_velocity" or kind != "text"):
        raise RecordingError(f"{where}: only a text command_velocity has a 'start'")
    if bool(source.source) == bool(source.columns):
        raise RecordingError(f"{where}: {signal} needs either 'source' or 'columns'")
    if source.columns and (kind in MESSAGES or kind == "text"):
        raise RecordingError(f"{where}: {kind} has no 'columns'; give {signal} a 'source'")
    if source.columns and len(source.columns) != len(stream.joints):
        raise RecordingError(
            f"{where}: {signal} has {len(source.columns)} columns for {len(stream.joints)} joints"
        )
    if source.resample is not None and signal not in RESAMPLED:
        raise RecordingError(
            f"{where}: {signal} is not resampled; leave out 'resample', which is for "
            f"{', '.join(RESAMPLED)}"
        )
    if any(sign not in (1.0, -1.0) for sign in source.signs):
        raise RecordingError(f"{where}: signs of {signal} are {list(source.signs)}; allowed: 1, -1")
    if not all(abs(offset) <= MAX_OFFSET for offset in source.offsets):
        raise RecordingError(
            f"{where}: offsets of {signal} are {list(source.offsets)}; allowed: "
            f"{-MAX_OFFSET:g} to {MAX_OFFSET:g}"
        )
    if source.drive_gain and signal != "current":
        raise RecordingError(f"{where}: only a current has a 'drive_gain', {signal} has none")
    if source.drive_gain_std and not source.drive_gain:
        raise RecordingError(f"{where}: drive_gain_std of {signal} needs its 'drive_gain'")
    for key in ("drive_gain", "drive_gain_std"):
        values = getattr(source, key)
        if not all(isfinite(value) and value >= 0 for value in values):
            raise RecordingError(f"{where}: {key} is {list(values)}; allowed: 0 or more, finite")
    if source.register_bits not in REGISTER_BITS:
        raise RecordingError(
            f"{where}: register_bits of {signal} is {source.register_bits}; allowed: "
            f"{', '.join(map(str, REGISTER_BITS))}"
        )
