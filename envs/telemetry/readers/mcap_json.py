"""MCAP files with JSON joint states: `{"header": …, "name": […], "position": […], …}`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from mcap.reader import make_reader

from envs.errors import RecordingError, unknown
from envs.telemetry.recording import Signal, Stream
from envs.telemetry.source import MAX_TIME_NS, UNITS, RecordingSource, StreamSource

Message = Mapping[str, Any]


def files(source: RecordingSource) -> tuple[Path, ...]:
    """Return the one file."""
    return (source.path,)


def read_streams(source: RecordingSource) -> tuple[Stream, ...]:
    """Read all streams in the order of the file, in SI, with the joint names of the messages.

    Raises:
        RecordingError: The file is broken, a topic or a field is not in it, or a message is not
            a joint state.
    """
    topics = {stream.topic for stream in source.streams}
    entries = _load(source.path, topics)
    return tuple(_stream(source.path, stream, entries[stream.topic]) for stream in source.streams)


def _load(path: Path, topics: set[str]) -> dict[str, list[tuple[int, bytes]]]:
    """Return (log time, message) of the topics, with every checksum checked."""
    entries: dict[str, list[tuple[int, bytes]]] = {topic: [] for topic in topics}
    encodings: dict[str, str] = {}
    try:
        with path.open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True)
            summary = reader.get_summary()
            for channel in summary.channels.values() if summary else ():
                encodings[channel.topic] = channel.message_encoding
            for _, channel, message in reader.iter_messages(topics=topics, log_time_order=False):
                encodings[channel.topic] = channel.message_encoding
                entries[channel.topic].append((message.log_time, message.data))
    except Exception as error:  # whatever the library stumbles over, the file is what is broken
        fault = str(error) or type(error).__name__
        raise RecordingError(
            f"{path}: this is no MCAP file, or it is cut off or damaged: {fault}"
        ) from error
    for topic in sorted(topics):
        if topic not in encodings:
            raise RecordingError(unknown("topic", topic, sorted(encodings), where=str(path)))
        if not entries[topic]:
            raise RecordingError(f"{path}: there is no message on {topic}")
        if encodings[topic] != "json":
            raise RecordingError(
                f"{path}: {topic} is encoded as '{encodings[topic]}'; this reader takes json"
            )
    return entries


def _stream(path: Path, source: StreamSource, entries: list[tuple[int, bytes]]) -> Stream:
    messages: list[Message] = []
    t_ns = np.empty(len(entries), np.int64)
    joints: dict[str, int] = {}
    for i, (log_time_ns, data) in enumerate(entries):
        where = f"{path}: message {i + 1} on {source.topic}"
        message = _decode(data, where)
        stamp = log_time_ns if source.time.source == "log_time" else _stamp_ns(message, where)
        if abs(stamp) > MAX_TIME_NS:
            raise RecordingError(f"{where} has a time stamp beyond 64 bits: {stamp} ns")
        t_ns[i] = stamp
        for name in message["name"]:
            joints.setdefault(name, len(joints))
        messages.append(message)
    signals: dict[Signal, Float[np.ndarray, "sample joint"]] = {}
    for signal, described in source.signals.items():
        if not any(described.source in message for message in messages):
            fields = sorted({key for message in messages for key in message})
            where = f"the messages on {source.topic}"
            raise RecordingError(
                f"{path}: {unknown('field', described.source, fields, where=where)}"
            )
        values = _values(messages, described.source, joints, f"{path}: {source.topic}")
        signals[signal] = values * UNITS[signal][described.unit]
    return Stream(source.name, t_ns, tuple(joints), signals)


def _decode(data: bytes, where: str) -> Message:
    try:
        message: Message = json.loads(data)
    except ValueError as error:
        raise RecordingError(f"{where} is not JSON: {error}") from None
    names = message.get("name") if isinstance(message, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordingError(f"{where} is not a joint state: it has no list of joints in 'name'")
    if len(set(names)) != len(names):
        raise RecordingError(f"{where} names a joint twice: {', '.join(names)}")
    return message


def _stamp_ns(message: Message, where: str) -> int:
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, dict) else None
    if not isinstance(stamp, dict) or not all(
        type(stamp.get(part)) is int for part in ("sec", "nanosec")
    ):
        raise RecordingError(
            f"{where} has no header.stamp with whole sec and nanosec; time.source=log_time "
            "takes the time of logging instead"
        )
    return int(stamp["sec"] * 1_000_000_000 + stamp["nanosec"])


def _values(
    messages: list[Message], field: str, joints: Mapping[str, int], where: str
) -> Float[np.ndarray, "sample joint"]:
    """Gather one field of all messages; NaN where it is absent, empty or null."""
    values = np.full((len(messages), len(joints)), np.nan)
    for i, message in enumerate(messages):
        row = message.get(field)
        if not row:
            continue
        names = message["name"]
        if not isinstance(row, list) or len(row) != len(names):
            raise RecordingError(
                f"{where}: message {i + 1} has {field}={row!r} for {len(names)} joints"
            )
        for name, value in zip(names, row, strict=True):
            if value is not None:
                if type(value) not in (int, float):
                    raise RecordingError(
                        f"{where}: message {i + 1} has {field}={value!r} for {name}, not a number"
                    )
                values[i, joints[name]] = value
    return values
