"""Look into a folder of text files of numbers: which belong to which clock, and what they are."""

from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.draft import unit_of
from envs.telemetry.naming import COMMANDED, TIMES, is_time, signal_of, time_unit
from envs.telemetry.readers.text import numbers
from envs.telemetry.recording import Signal


def text_folder(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Return lines for a person and the streams of a draft.

    A file belongs to the clock with whose stamps its numbers come out even; of several, to the one
    whose name begins most like its own. A signal that another clock has already given is taken for
    its command.
    """
    lines: list[str] = []
    tables: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.txt")):
        try:
            tables[path.name] = numbers(path)
        except RecordingError:
            lines.append(f"file {path.name}: not a table of numbers")
            continue
        table = tables[path.name]
        span = f"{np.nanmin(table):.6g} to {np.nanmax(table):.6g}"
        lines.append(f"file {path.name}: {table.shape[0]} rows of {table.shape[1]}, {span}")
    clocks = {
        name: table[:, 0]
        for name, table in tables.items()
        if TIMES.search(Path(name).stem) and is_time(table[:, 0]) and table.shape[1] == 1
    }
    if not clocks:
        lines.append("no file looks like time")
        return lines, {}
    streams: dict[str, Any] = {}
    given: set[Signal] = set()
    for clock, stamps in clocks.items():
        unit = time_unit(stamps)
        lines.append(f"time is in {clock}, in {unit} by its step")
        signals: dict[Signal, Any] = {}
        joints = 0
        for name, table in tables.items():
            signal = signal_of(Path(name).stem)
            if signal is None or name in clocks or _clock(name, table, clocks) != clock:
                continue
            signal = COMMANDED.get(signal, signal) if signal in given else signal
            count = table.size // len(stamps)
            if signal not in given and joints in (0, count):
                joints = count
                given.add(signal)
                signals[signal] = {"source": name, "unit": unit_of(signal, Path(name).stem)}
        if signals:
            _start(signals, joints, clock, tables)
            streams[Path(clock).stem] = {
                "joints": [f"joint{i + 1}" for i in range(joints)],
                "time": {"source": clock, "unit": unit},
                "signals": signals,
            }
    return lines, streams


def _clock(name: str, table: np.ndarray, clocks: dict[str, np.ndarray]) -> str | None:
    even = [clock for clock, stamps in clocks.items() if table.size % len(stamps) == 0]
    alike = [_shared(name, clock) for clock in even]
    return even[int(np.argmax(alike))] if even else None


def _start(
    signals: dict[Signal, Any], joints: int, clock: str, tables: dict[str, np.ndarray]
) -> None:
    """Add where a commanded velocity starts: one position a joint, in a file of its own."""
    if "command_velocity" not in signals:
        return
    for name, table in tables.items():
        position = signal_of(Path(name).stem.rstrip("0")) == "position"
        if table.size == joints and position and _shared(name, clock):
            signals["command_velocity"]["start"] = name


def _shared(one: str, other: str) -> int:
    """Return how many letters two names begin with in common."""
    differ = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
