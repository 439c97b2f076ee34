"""Look into a file that nobody has described yet: what is in it, and a draft of its description."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.description import recording_source
from envs.telemetry.detectors import register_bits
from envs.telemetry.draft import assumed, draft, unit_of
from envs.telemetry.naming import COMMANDED, TIMES, is_time, joint_of, signal_of, time_unit
from envs.telemetry.quality import check
from envs.telemetry.read import join, read
from envs.telemetry.readers import bag2, lerobot
from envs.telemetry.readers.contract import UNPROTECTED, Log, Table
from envs.telemetry.readers.formats import LOGS, TABLES, guess
from envs.telemetry.readers.messages import NAMES, described_fields, field_of
from envs.telemetry.recording import Damage, Signal
from envs.telemetry.source import MESSAGES, Format
from envs.telemetry.text_inspection import text_folder


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    Attributes:
        found: Lines for a person.
        draft: A description to keep as conf/recording/NAME.yaml, as far as it can be told.
        findings: What `check` says of a recording read by the draft; empty where it does not work.
        damage: What could not be read of a file that was salvaged.
    """

    format: Format
    found: tuple[str, ...]
    draft: str
    findings: tuple[str, ...] = field(default=())
    damage: tuple[Damage, ...] = ()

    @property
    def text(self) -> str:
        """All of it, ready to print."""
        head = "# A draft: fill in what is ???, check signs and names.\n"
        parts = ["\n".join(self.found), head + self.draft.rstrip()]
        if self.findings:
            parts.append("\n".join(("What is wrong with it, read like this:", *self.findings)))
        return "\n\n".join(parts) + "\n"


def inspect(path: Path, *, episode: int = 0) -> Inspection:
    """Tell what a file or folder holds, and draft its description.

    Args:
        path: A file; a folder of a ROS 2 bag, of a LeRobot data set or of text files.
        episode: Of a LeRobot data set.

    Raises:
        RecordingError: It is not there, its name tells no format, or it cannot be read.
    """
    if not path.exists():
        raise RecordingError(f"there is no file or folder {path}; name one: recording.path=FILE")
    kind = guess(path)
    if kind in MESSAGES:
        files = bag2.files(path) if kind == "rosbag2" else (path,)
        log = join([LOGS[kind](file, None) for file in files])
        lines, streams = _messages(log)
        metadata, protection, damage = log.metadata, log.protection, log.damage
    elif kind == "text":
        lines, streams = text_folder(path)
        metadata, protection, damage = {}, UNPROTECTED, ()
    else:
        table = (
            lerobot.load(lerobot.files(path, episode), episode)
            if kind == "lerobot"
            else TABLES[kind](path, None)
        )
        lines, streams = _columns(table)
        metadata, protection, damage = table.metadata, table.protection, table.damage
    values: dict[str, Any] = {"name": _name(path), "format": kind, "path": str(path.resolve())}
    if episode:
        values["episode"] = episode
    values["streams"] = streams
    head = (f"{path}: {kind}, {protection}", *_damage(damage))
    beside = tuple(f"  {k} = {v}" for k, v in list(metadata.items())[:40])
    found = (*head, *lines, *(("beside them:", *beside) if beside else ()))
    findings, damage = _findings(values, damage)
    return Inspection(kind, found, draft(values), findings, damage)


def _messages(log: Log) -> tuple[list[str], dict[str, Any]]:
    lines: list[str] = []
    streams: dict[str, Any] = {}
    given: set[Signal] = set()
    for name, topic in sorted(log.topics.items()):
        lines.append(f"topic {name}: {topic.kind}, {len(topic.entries)} messages")
        if not topic.entries:
            continue
        stamps = np.array([stamp for stamp, _ in topic.entries])
        lines[-1] += _rate(stamps)
        message = topic.entries[0][1]
        numbers = described_fields(message)
        joints = next((n for k in NAMES if isinstance(n := field_of(message, k), list)), [])
        lines.append(f"  fields with numbers: {', '.join(f'{k}[{n}]' for k, n in numbers.items())}")
        if joints:
            lines.append(f"  joints: {', '.join(map(str, joints))}")
        commands = re.search(r"command|cmd|goal|target|desired", name, re.I)
        signals: dict[str, Any] = {}
        for key in numbers:
            signal = signal_of(key)
            if commands and signal is not None:
                signal = COMMANDED.get(signal, signal)
            if (
                signal is not None
                and signal not in given
                and numbers[key] == (len(joints) or numbers[key])
            ):
                given.add(signal)
                signals[signal] = {"source": key, "unit": unit_of(signal, key, kind=topic.kind)}
        if {"command_position", "command_velocity"} <= given:
            given.discard("command_velocity")
            signals.pop("command_velocity", None)
        if signals:
            stamped = field_of(message, "header.stamp.sec") is not None
            streams[_name(Path(name))] = {
                "topic": name,
                **({} if joints else {"joints": _numbered(max(numbers.values()))}),
                "time": {"source": "header.stamp" if stamped else "log_time"},
                "signals": signals,
            }
    return lines, streams


def _columns(table: Table) -> tuple[list[str], dict[str, Any]]:
    lines: list[str] = []
    for name, column in table.columns.items():
        shape = "" if column.ndim == 1 else f"[{column.shape[1]}]"
        if column.dtype.kind in "biuf" and column.size:
            finite = column[np.isfinite(column)]
            span = f"{finite.min():.6g} to {finite.max():.6g}" if finite.size else "never finite"
            lines.append(f"column {name}{shape}: {len(column)} rows, {span}")
        else:
            lines.append(f"column {name}{shape}: {len(column)} rows, not numbers")
    time = next((n for n in table.columns if TIMES.search(n) and is_time(table.columns[n])), None)
    if time is None:
        lines.append("no column looks like time")
        return lines, {}
    unit = time_unit(table.columns[time])
    scale = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}[unit]
    lines.append(f"time is '{time}', in {unit} by its step{_rate(table.columns[time] * scale)}")
    signals: dict[str, Any] = {}
    joints: list[str] = []
    named = False
    single: dict[Signal, dict[str, str]] = {}
    for name, column in table.columns.items():
        if (
            name == time
            or column.dtype.kind not in "biuf"
            or len(column) != len(table.columns[time])
        ):
            continue
        signal = signal_of(name)
        if signal is None:
            continue
        if column.ndim == 2 and signal not in signals:
            signals[signal] = {"source": name, "unit": unit_of(signal, name)}
            named = named or name in table.joints
            joints = joints or list(table.joints.get(name, _numbered(column.shape[1])))
        elif column.ndim == 1:
            single.setdefault(signal, {})[joint_of(name, signal) or "joint"] = name
    if not signals and single:
        joints = list(single.get("position", next(iter(single.values()))))
        for signal, by_joint in single.items():
            if set(by_joint) == set(joints):
                names = [by_joint[joint] for joint in joints]
                place: dict[str, Any] = (
                    {"columns": names} if len(names) > 1 else {"source": names[0]}
                )
                bits = max(register_bits(table.columns[name].astype(float)) for name in names)
                if bits:
                    place["register_bits"] = bits
                signals[signal] = {**place, "unit": unit_of(signal, names[0])}
            else:
                lines.append(
                    f"{signal} is left out of the draft: its joints are {', '.join(by_joint)}, and "
                    f"not those of {next(iter(signals))}, {', '.join(joints)}"
                )
    if "command_position" in signals:
        signals.pop("command_velocity", None)
    if not signals:
        return lines, {}
    stream = {} if named else {"joints": joints}
    return lines, {"states": {**stream, "time": {"source": time, "unit": unit}, "signals": signals}}


def _rate(stamps_ns: np.ndarray) -> str:
    if len(stamps_ns) < 2:
        return ""
    steps = np.diff(stamps_ns.astype(float)) * 1e-9
    middle = float(np.median(steps))
    rate = f", about {1 / middle:.4g} Hz" if middle > 0 else ""
    return f", {float(steps.sum()):.3f} s{rate}"


def _numbered(count: int) -> list[str]:
    return [f"joint{i + 1}" for i in range(count)]


def _name(path: Path) -> str:
    return re.sub(r"\W+", "_", path.stem or path.name).strip("_") or "recording"


def _damage(damage: tuple[Damage, ...]) -> tuple[str, ...]:
    return tuple(f"  damaged: {d.detail}" for d in damage)


def _findings(
    values: Mapping[str, Any], damage: tuple[Damage, ...]
) -> tuple[tuple[str, ...], tuple[Damage, ...]]:
    """Return what is wrong with the recording as the draft reads it, and what it lost."""
    filled, units = assumed(values)
    head = (f"taking {', '.join(units)}:",) if units else ()
    try:
        recording = read(recording_source(filled))
        findings = check(recording)
    except RecordingError as error:
        return (f"the draft does not work yet: {error}",), damage
    told = (
        f"  {f.kind} of {f.channel}: "
        # Of what is about the whole there is no count and no time.
        + (f"{f.count}, first at {f.first_s:.3f} s; " if len(f.rows) else "")
        + f.detail
        for f in findings
    )
    return (*head, *told), recording.damage
