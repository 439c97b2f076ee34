"""From messages to streams: joint states, and any message with a list of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.errors import RecordingError, unknown
from envs.telemetry.readers.contract import Log
from envs.telemetry.readers.values import to_si
from envs.telemetry.recording import Signal, Stream
from envs.telemetry.source import MAX_TIME_NS, StreamSource

# Where messages list the joints they are about.
NAMES = ("name", "joint_names")


def field_of(message: Any, path: str) -> Any:
    """Return a field of a message, `a.b` for one within another; None where it has none."""
    for part in path.split("."):
        message = message.get(part) if isinstance(message, dict) else getattr(message, part, None)
        if message is None:
            return None
    return message


def fields_of(message: Any) -> tuple[str, ...]:
    """Return the names of a message's fields."""
    names = message if isinstance(message, dict) else getattr(message, "__dataclass_fields__", ())
    return tuple(sorted(name for name in names if not name.startswith("__")))


def stream(log: Log, source: StreamSource, file: str) -> Stream:
    """Read one stream in the order of the file, in SI, with the joint names of its messages.

    Messages of one stamp about different joints, as an arm and its gripper send them, are one
    sample.

    Raises:
        RecordingError: The topic or a field is not there, or a message is not what is described.
    """
    if source.topic not in log.topics:
        raise RecordingError(unknown("topic", source.topic, sorted(log.topics), where=file))
    entries = log.topics[source.topic].entries
    if not entries:
        raise RecordingError(f"{file}: there is no message on {source.topic}")
    stamps: list[int] = []
    named: list[Sequence[str]] = []
    for i, (log_ns, message) in enumerate(entries):
        where = f"{file}: message {i + 1} on {source.topic}"
        names = source.joints or _names(message, where)
        stamp = log_ns if source.time.source == "log_time" else _stamp_ns(message, where)
        if abs(stamp) > MAX_TIME_NS:
            raise RecordingError(f"{where} has a time stamp beyond 64 bits: {stamp} ns")
        stamps.append(stamp)
        named.append(names)
    joints = {name: None for names in named for name in names}
    column = {name: i for i, name in enumerate(joints)}
    rows = _rows(stamps, named)
    t_ns = np.zeros(max(rows) + 1, np.int64)
    t_ns[rows] = stamps
    signals: dict[Signal, Float[np.ndarray, "sample joint"]] = {}
    for signal, described in source.signals.items():
        values = np.full((len(t_ns), len(joints)), np.nan)
        present = False
        for i, (row, names) in enumerate(zip(rows, named, strict=True)):
            found = field_of(entries[i][1], described.source)
            present = present or found is not None
            numbers = _numbers(found, names, f"{file}: {source.topic}: message {i + 1}", described)
            if numbers is not None:
                values[row, [column[name] for name in names]] = numbers
        if not present:
            fields = sorted({name for _, message in entries for name in fields_of(message)})
            where = f"the messages on {source.topic}"
            raise RecordingError(
                f"{file}: {unknown('field', described.source, fields, where=where)}"
            )
        signals[signal] = to_si(signal, described, values, f"{file}: {signal}")
    return Stream(source.name, t_ns, tuple(joints), signals)


def _rows(stamps: list[int], named: list[Sequence[str]]) -> list[int]:
    """Return the sample that each message belongs to: its own, or that of its stamp so far."""
    rows: list[int] = []
    latest: dict[int, tuple[int, set[str]]] = {}
    count = 0
    for stamp, names in zip(stamps, named, strict=True):
        row, known = latest.get(stamp, (-1, set()))
        if row < 0 or not names or known & set(names):
            row, known = count, set()
            count += 1
        latest[stamp] = (row, known | set(names))
        rows.append(row)
    return rows


def _names(message: Any, where: str) -> Sequence[str]:
    names = next((n for key in NAMES if (n := field_of(message, key)) is not None), None)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordingError(
            f"{where} is not a joint state: it has no list of joints in 'name'; the stream's "
            "'joints' can name them"
        )
    if len(set(names)) != len(names):
        raise RecordingError(f"{where} names a joint twice: {', '.join(names)}")
    return names


def _stamp_ns(message: Any, where: str) -> int:
    sec, nanosec = (field_of(message, f"header.stamp.{part}") for part in ("sec", "nanosec"))
    if type(sec) is not int or type(nanosec) is not int:
        raise RecordingError(
            f"{where} has no header.stamp with whole sec and nanosec; time.source=log_time "
            "takes the time of logging instead"
        )
    return sec * 1_000_000_000 + nanosec


def _numbers(
    found: Any, names: Sequence[str], where: str, described: Any
) -> Float[np.ndarray, "joint"] | None:
    """Return one message's numbers; None where the field is absent or empty."""
    if isinstance(found, (int, float)) and len(names) == 1 and not isinstance(found, bool):
        return np.array([found], float)
    if found is None or (hasattr(found, "__len__") and len(found) == 0):
        return None
    name = described.source
    if isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iuf":
        row: Any = found
    elif isinstance(found, list):
        for joint, value in zip(names, found, strict=False):
            if value is not None and type(value) not in (int, float):
                raise RecordingError(f"{where} has {name}={value!r} for {joint}, not a number")
        row = [np.nan if value is None else value for value in found]
    else:
        row = ()
    if len(row) != len(names):
        raise RecordingError(f"{where} has {name}={_short(found)} for {len(names)} joints")
    try:
        return np.asarray(row, float)
    except OverflowError:
        raise RecordingError(f"{where} has a number in {name} beyond 64 bits") from None


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."


def described_fields(message: Any) -> Mapping[str, int]:
    """Return the fields that hold numbers, and how many each holds."""
    found: dict[str, int] = {}
    for name in fields_of(message):
        value = field_of(message, name)
        if isinstance(value, (list, np.ndarray)):
            if len(value) and all(isinstance(v, (int, float, np.number)) for v in value):
                found[name] = len(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = 1
    return found
