"""A recording's description, as YAML gives it, made a `RecordingSource`: keys, types and words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.errors import RecordingError, unknown
from envs.telemetry.source import (
    FORMATS,
    POLICIES,
    SIGNALS,
    RecordingSource,
    SignalSource,
    StreamSource,
    TimeSource,
)


def recording_source(values: Mapping[str, Any]) -> RecordingSource:
    """Check plain nested values, as they come from YAML, and return what they describe.

    Args:
        values: The fields of `RecordingSource`; `streams` maps a name to a stream's fields, and
            within it `signals` a signal to its source. Relative paths are kept as they are.

    Raises:
        RecordingError: A key is unknown or missing, or a value is not allowed; it names the key.
    """
    needed = ("name", "format", "path", "streams")
    _keys(values, "recording", needed=needed, optional=("joint_names", "episode"))
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
        episode=_whole(values.get("episode", 0), f"{where}: episode"),
    )


def _stream(name: str, value: Any, parent: str) -> StreamSource:
    where = f"{parent}: streams.{name}"
    stream = _mapping(value, where)
    optional = ("topic", "joints", "file", "clock", "max_gap_s")
    _keys(stream, where, needed=("time", "signals"), optional=optional)
    time = _mapping(stream["time"], f"{where}.time")
    _keys(time, f"{where}.time", needed=("source",), optional=("unit",))
    signals = {}
    for signal, given in _mapping(stream["signals"], f"{where}.signals").items():
        if signal not in SIGNALS:
            raise RecordingError(unknown("signal", signal, SIGNALS, where=where))
        signals[signal] = _signal(given, f"{where}.signals.{signal}")
    return StreamSource(
        name=name,
        time=TimeSource(**{key: _text(v, f"{where}.time.{key}") for key, v in time.items()}),
        signals=signals,
        topic=_text(stream.get("topic") or "", f"{where}.topic"),
        joints=_texts(stream.get("joints"), f"{where}.joints"),
        file=_text(stream.get("file") or "", f"{where}.file"),
        clock=_text(stream.get("clock") or "", f"{where}.clock"),
        max_gap_s=_seconds(stream.get("max_gap_s"), f"{where}.max_gap_s"),
    )


def _signal(value: Any, where: str) -> SignalSource:
    given = _mapping(value, where)
    optional = (
        "source", "start", "columns", "signs", "offsets", "register_bits", "drive_gain",
        "drive_gain_std", "resample",
    )  # fmt: skip
    _keys(given, where, needed=("unit",), optional=optional)
    policy = _text(given.get("resample") or "", f"{where}.resample")
    if policy and policy not in POLICIES:
        raise RecordingError(unknown("resample", policy, POLICIES, where=where))
    return SignalSource(
        source=_text(given.get("source") or "", f"{where}.source"),
        unit=_text(given["unit"], f"{where}.unit"),
        start=_text(given.get("start") or "", f"{where}.start"),
        columns=_texts(given.get("columns"), f"{where}.columns"),
        signs=_numbers(given.get("signs"), f"{where}.signs"),
        offsets=_numbers(given.get("offsets"), f"{where}.offsets"),
        register_bits=_whole(given.get("register_bits", 0), f"{where}.register_bits"),
        drive_gain=_numbers(given.get("drive_gain"), f"{where}.drive_gain"),
        drive_gain_std=_numbers(given.get("drive_gain_std"), f"{where}.drive_gain_std"),
        resample=next((p for p in POLICIES if p == policy), None),
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


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value or (), Sequence):
        raise RecordingError(f"{where}: a list of names is needed, not {value!r}")
    return tuple(_text(item, where) for item in value or ())


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    items = value or ()
    if not isinstance(items, (list, tuple)) or any(type(i) not in (int, float) for i in items):
        raise RecordingError(f"{where}: a list of numbers is needed, not {value!r}")
    return tuple(float(item) for item in items)


def _seconds(value: Any, where: str) -> float | None:
    if value is not None and type(value) not in (int, float):
        raise RecordingError(f"{where}: a number of seconds is needed, not {value!r}")
    return None if value is None else float(value)


def _whole(value: Any, where: str) -> int:
    if type(value) is not int or value < 0:
        raise RecordingError(f"{where}: a whole number from 0 is needed, not {value!r}")
    return value
