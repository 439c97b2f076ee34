"""Where a recording's clocks, signals and units are found: what `conf/recording/*.yaml` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import pi
from pathlib import Path
from typing import Any, Literal, get_args

from envs.errors import RecordingError, unknown
from envs.telemetry.recording import Signal

Format = Literal["mcap_json", "text"]

SIGNALS: tuple[Signal, ...] = get_args(Signal)
FORMATS: tuple[Format, ...] = get_args(Format)
# Factor to SI of each unit that a signal may have.
UNITS: Mapping[Signal, Mapping[str, float]] = {
    "position": {"rad": 1.0, "deg": pi / 180, "m": 1.0},
    "velocity": {"rad/s": 1.0, "deg/s": pi / 180, "m/s": 1.0},
    "effort": {"N.m": 1.0, "N": 1.0},
    "command_position": {"rad": 1.0, "deg": pi / 180, "m": 1.0},
    "command_velocity": {"rad/s": 1.0, "deg/s": pi / 180, "m/s": 1.0},
}
TIME_UNITS_NS: Mapping[str, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
# Beyond it a time stamp in ns no longer fits into 64 bits.
MAX_TIME_NS = 9.2e18
CLOCKS = ("header.stamp", "log_time")


@dataclass(frozen=True)
class TimeSource:
    """Where a stream's time stamps are.

    Attributes:
        source: For MCAP "header.stamp" or "log_time"; for text a file.
        unit: Of the numbers of a text file; MCAP's clocks have units of their own.
    """

    source: str
    unit: str = ""


@dataclass(frozen=True)
class SignalSource:
    """Where a signal is, and its unit.

    Attributes:
        source: A field of the message, or a file.
        unit: One of `UNITS`.
        start: For a command_velocity: the file with the positions at which it starts. Without
            one it starts where the robot was measured to be.
    """

    source: str
    unit: str
    start: str = ""


@dataclass(frozen=True)
class StreamSource:
    """A topic, or files with one sample a row, that share one clock.

    Attributes:
        time: Its clock.
        signals: Where each signal is.
        topic: The topic of an MCAP file.
        joints: Joint names of a text file's columns; messages name their own.
    """

    name: str
    time: TimeSource
    signals: Mapping[Signal, SignalSource]
    topic: str = ""
    joints: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordingSource:
    """A recording on disk and how to read it.

    Attributes:
        path: The MCAP file, or the folder of the text files.
        joint_names: Recorded name → the stage's name, for joints that are called otherwise.
    """

    name: str
    format: Format
    path: Path
    streams: tuple[StreamSource, ...]
    joint_names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a description that cannot be read, or that gives a signal twice."""
        where = f"recording '{self.name}'"
        if not self.streams:
            raise RecordingError(f"{where}: it needs at least one stream")
        given: dict[str, str] = {}
        for stream in self.streams:
            _check_stream(stream, self.format, f"{where}, stream '{stream.name}'")
            for signal in stream.signals:
                if signal in given:
                    raise RecordingError(
                        f"{where}: streams '{given[signal]}' and '{stream.name}' both give {signal}"
                    )
                given[signal] = stream.name
        if "position" not in given:
            raise RecordingError(f"{where}: no stream gives 'position'")
        if {"command_position", "command_velocity"} <= set(given):
            raise RecordingError(f"{where}: give command_position or command_velocity, not both")


def _check_stream(stream: StreamSource, kind: Format, where: str) -> None:
    if kind == "mcap_json":
        if not stream.topic:
            raise RecordingError(f"{where}: an mcap_json stream needs its 'topic'")
        if stream.joints:
            raise RecordingError(f"{where}: messages name their joints; leave out 'joints'")
        if stream.time.source not in CLOCKS:
            raise RecordingError(unknown("clock", stream.time.source, CLOCKS, where=where))
        if stream.time.unit:
            raise RecordingError(f"{where}: MCAP's clocks have their own unit; leave out time.unit")
    else:
        if stream.topic:
            raise RecordingError(f"{where}: text files have no topics; leave out 'topic'")
        if not stream.joints:
            raise RecordingError(
                f"{where}: a text stream needs 'joints' in the order of its columns"
            )
        if len(set(stream.joints)) != len(stream.joints):
            raise RecordingError(f"{where}: a joint is listed twice: {', '.join(stream.joints)}")
        if stream.time.unit not in TIME_UNITS_NS:
            units = ", ".join(TIME_UNITS_NS)
            raise RecordingError(f"{where}: unit '{stream.time.unit}' of time; allowed: {units}")
    if not stream.signals:
        raise RecordingError(f"{where}: it gives no signal; allowed: {', '.join(SIGNALS)}")
    for signal, source in stream.signals.items():
        if source.unit not in UNITS[signal]:
            raise RecordingError(
                f"{where}: unit '{source.unit}' of {signal}; allowed: {', '.join(UNITS[signal])}"
            )
        if source.start and (signal != "command_velocity" or kind != "text"):
            raise RecordingError(f"{where}: only a text command_velocity has a 'start'")


def recording_source(values: Mapping[str, Any]) -> RecordingSource:
    """Check plain nested values, as they come from YAML, and return what they describe.

    Args:
        values: The fields of `RecordingSource`; `streams` maps a name to a stream's fields, and
            within it `signals` a signal to its source. Relative paths are kept as they are.

    Raises:
        RecordingError: A key is unknown or missing, or a value is not allowed; it names the key.
    """
    _keys(
        values, "recording", needed=("name", "format", "path", "streams"), optional=("joint_names",)
    )
    where = f"recording '{values['name']}'"
    streams = _mapping(values["streams"], f"{where}: streams")
    names = _mapping(values.get("joint_names") or {}, f"{where}: joint_names")
    kind = _text(values["format"], f"{where}: format")
    if kind not in FORMATS:
        raise RecordingError(unknown("format", kind, FORMATS, where=where))
    return RecordingSource(
        name=_text(values["name"], "recording: name"),
        format=kind,
        path=Path(_text(str(values["path"]), f"{where}: path")),
        streams=tuple(_stream(str(name), value, where) for name, value in streams.items()),
        joint_names={str(k): _text(v, f"{where}: joint_names.{k}") for k, v in names.items()},
    )


def _stream(name: str, value: Any, parent: str) -> StreamSource:
    where = f"{parent}: streams.{name}"
    stream = _mapping(value, where)
    _keys(stream, where, needed=("time", "signals"), optional=("topic", "joints"))
    time = _mapping(stream["time"], f"{where}.time")
    _keys(time, f"{where}.time", needed=("source",), optional=("unit",))
    signals = {}
    for signal, given in _mapping(stream["signals"], f"{where}.signals").items():
        if signal not in SIGNALS:
            raise RecordingError(unknown("signal", signal, SIGNALS, where=where))
        source = _mapping(given, f"{where}.signals.{signal}")
        _keys(source, f"{where}.signals.{signal}", needed=("source", "unit"), optional=("start",))
        texts = {key: _text(v, f"{where}.signals.{signal}.{key}") for key, v in source.items()}
        signals[signal] = SignalSource(**texts)
    joints = stream.get("joints") or ()
    if isinstance(joints, str) or not isinstance(joints, Sequence):
        raise RecordingError(f"{where}.joints: a list of names is needed, not {joints!r}")
    return StreamSource(
        name=name,
        time=TimeSource(**{key: _text(v, f"{where}.time.{key}") for key, v in time.items()}),
        signals=signals,
        topic=_text(stream.get("topic") or "", f"{where}.topic"),
        joints=tuple(_text(joint, f"{where}.joints") for joint in joints),
    )


def _keys(
    values: Mapping[str, Any], where: str, *, needed: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    for key in values:
        if key not in needed + optional:
            raise RecordingError(unknown("key", str(key), needed + optional, where=where))
    for key in needed:
        if values.get(key) is None:
            raise RecordingError(f"{where}: '{key}' is missing")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordingError(f"{where}: names and values are needed, not {value!r}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RecordingError(f"{where}: a text is needed, not {value!r}")
    return value
