"""CSV and TSV: a header line, then one sample a line."""

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.readers.contract import Table, one_line
from envs.telemetry.recording import Damage

SUFFIXES = (".csv", ".tsv")
SEPARATORS = ",;\t| "
MISSING = ("", "nan", "null", "none", "na", "n/a")


def load(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read the columns that are wanted, or all; an empty field is NaN.

    A last line without its end is what a logger leaves when it is killed: it is left out and told.

    Raises:
        RecordingError: There is no header, or a line does not fit it; it names the line.
    """
    import polars as pl

    with path.open("rb") as stream:
        first = stream.readline(1 << 20)
    try:
        header = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: this is not a text file") from None
    separator = max(SEPARATORS, key=header.count)
    try:
        fields = next(csv.reader([header], delimiter=separator), [])
    except csv.Error as error:
        raise RecordingError(f"{path}: the header line is broken: {error}") from None
    names = [name.strip() for name in fields]
    if not any(names) or not first.endswith(b"\n"):
        raise RecordingError(f"{path}: there is no header line with the names of the columns")
    if all(_is_number(name) for name in names):
        raise RecordingError(f"{path}: the first line holds numbers, not the names of columns")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise RecordingError(f"{path}: columns are named twice: {', '.join(twice)}")
    body = path.read_bytes()[len(first) :]
    body, damage = _whole_lines(body, separator, len(names), path)
    # A line that is too short is read as nulls by polars: count the separators ourselves.
    _check_width(body, separator, len(names), path)
    if not body:
        return Table(dict.fromkeys(names, np.empty(0)), damage=damage)
    try:
        frame = pl.read_csv(
            body, has_header=False, separator=separator, schema=dict.fromkeys(names, pl.String)
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RecordingError(f"{path}: not a table: {one_line(error)}") from None
    used = [name for name in names if wanted is None or name in wanted]
    columns = {name: _numbers(frame[name], path, wanted is not None) for name in used}
    for name in names:
        columns.setdefault(name, np.empty(0))
    return Table(columns, damage=damage)


def _whole_lines(
    body: bytes, separator: str, width: int, path: Path
) -> tuple[bytes, tuple[Damage, ...]]:
    if not body or body.endswith(b"\n"):
        return body, ()
    end = body.rfind(b"\n") + 1
    last = body[end:]
    line = body.count(b"\n") + 2
    if last.count(separator.encode()) == width - 1 and _is_number(
        last.rsplit(separator.encode(), 1)[-1].decode("utf-8", "replace")
    ):
        # Whole as far as one can tell, but a digit of the last number may be missing.
        detail = f"line {line} has no end; it may lack digits and is left out"
    else:
        detail = f"line {line} is cut off and left out"
    return body[:end], (Damage(path.name, detail, line),)


def _check_width(body: bytes, separator: str, width: int, path: Path) -> None:
    if b'"' in body:
        return
    mark = separator.encode()
    for i, line in enumerate(body.split(b"\n")[:-1]):
        if line.count(mark) != width - 1:
            raise RecordingError(
                f"{path}: line {i + 2} has {line.count(mark) + 1} fields; the header has {width}"
            )


def _numbers(texts: Any, path: Path, strict: bool) -> np.ndarray:
    """Return a column of numbers, whole ones as integers; texts where nobody asked for numbers."""
    import polars as pl

    given = texts.str.strip_chars()
    given = given.set(given.str.to_lowercase().is_in(MISSING), None)
    whole = given.cast(pl.Int64, strict=False)
    if given.null_count() == 0 and whole.null_count() == 0:
        return np.asarray(whole.to_numpy())
    numbers = given.cast(pl.Float64, strict=False)
    if numbers.null_count() > given.null_count():
        if not strict:
            return np.array(texts.fill_null("").to_list())
        row = int((numbers.is_null() & given.is_not_null()).arg_true()[0])
        raise RecordingError(
            f"{path}: line {row + 2}: '{given[row][:40]}' in column '{texts.name}' is not a number"
        )
    return np.asarray(numbers.fill_null(np.nan).to_numpy())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
