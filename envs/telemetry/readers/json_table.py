"""JSON and JSON lines: one object a sample, or one list a column."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.readers.contract import Table
from envs.telemetry.recording import Damage

SUFFIXES = (".json", ".jsonl", ".ndjson")


def load(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read samples and the values beside them, which become metadata; null is NaN.

    `{"kp": 100, "entries": [{"t": 0, …}, …]}`, `[{"t": 0, …}, …]`, `{"t": [0, …], …}` and one
    object a line are understood; objects within an object get dotted names.

    Raises:
        RecordingError: The file is not JSON, or holds no samples.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: this is not a text file") from None
    damage: tuple[Damage, ...] = ()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        content, damage = _lines(text, path, error)
    if isinstance(content, dict) and path.suffix in (".jsonl", ".ndjson"):
        content = [content]
    rows, metadata = _samples(content, path)
    columns = (
        _from_rows(rows, path)
        if isinstance(rows, list)
        else {name: _array(values, name, path) for name, values in rows.items()}
    )
    return Table(columns, metadata=metadata, damage=damage)


def _lines(
    text: str, path: Path, error: Exception
) -> tuple[list[dict[str, Any]], tuple[Damage, ...]]:
    """Read one object a line; a last line that was cut off is left out."""
    lines = text.split("\n")
    rows: list[dict[str, Any]] = []
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if rows and i == len(lines) - 1:
                detail = f"line {i + 1} is cut off and left out"
                return rows, (Damage(path.name, detail, i + 1),)
            reason = str(error) if not rows else f"line {i + 1} is no JSON"
            raise RecordingError(f"{path}: this is not JSON, or it is cut off: {reason}") from None
        if not isinstance(row, dict):
            raise RecordingError(f"{path}: line {i + 1} is no object with names and values")
        rows.append(row)
    if not rows:
        raise RecordingError(f"{path}: this is not JSON: it is empty")
    return rows, ()


def _samples(
    content: Any, path: Path
) -> tuple[list[dict[str, Any]] | dict[str, list[Any]], dict[str, str]]:
    if isinstance(content, dict):
        flat = _flat(content)
        metadata = {k: _text(v) for k, v in flat.items() if not isinstance(v, list)}
        lists = {k: v for k, v in flat.items() if isinstance(v, list) and v}
        tables = [k for k, v in lists.items() if isinstance(v[0], dict)]
        if len(tables) == 1:
            metadata |= {k: _text(v) for k, v in lists.items() if k != tables[0]}
            return lists[tables[0]], metadata
        if not tables and lists:
            return lists, metadata
    elif isinstance(content, list) and content:
        return content, {}
    raise RecordingError(
        f"{path}: there are no samples: a list of objects, or one list a column, is needed"
    )


def _from_rows(rows: list[dict[str, Any]], path: Path) -> dict[str, np.ndarray]:
    names: dict[str, None] = {}
    flat = []
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RecordingError(f"{path}: sample {i + 1} is no object with names and values")
        flat.append(_flat(row))
        names.update(dict.fromkeys(flat[-1]))
    return {name: _array([row.get(name) for row in flat], name, path) for name in names}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _array(values: list[Any], name: str, path: Path) -> np.ndarray:
    """Return a column of numbers, or of lists of numbers; texts where it holds others."""
    widths = {len(v) for v in values if isinstance(v, list)}
    if len(widths) > 1:
        raise RecordingError(f"{path}: the lists of '{name}' differ in length")
    if widths:
        (width,) = widths
        values = [[None] * width if v is None else v for v in values]
        if any(not isinstance(v, list) for v in values):
            raise RecordingError(f"{path}: '{name}' is a list in some samples only")
        items = [item for row in values for item in row]
    else:
        items = values
    if all(type(v) in (int, bool) for v in items) and all(abs(v) < 2**62 for v in items):
        return np.array(values)
    if all(v is None or type(v) in (int, float, bool) for v in items):
        try:
            return np.array(values, dtype=float)
        except OverflowError:
            raise RecordingError(f"{path}: '{name}' holds a number beyond 64 bits") from None
    return np.array([_text(v) for v in values])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:200]
