"""Parquet: named columns, one number or one list of numbers a row."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.readers.contract import Table, one_line

SUFFIXES = (".parquet", ".pq")


def load(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read the columns that are wanted, or all; null is NaN.

    Plain Parquet stores no checksum that its readers check, and its index lies at the end: a
    file that was cut off cannot be salvaged.

    Raises:
        RecordingError: The file is not Parquet, or broken.
    """
    import polars as pl

    try:
        schema = pl.read_parquet_schema(path)
        names = [name for name in schema if wanted is None or name in wanted]
        frame = pl.read_parquet(path, columns=names)
        columns = {name: numbers(frame[name], path) for name in names}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise RecordingError(f"{path}: this is no whole Parquet file: {one_line(error)}") from None
    for name in schema:
        # Told by name, so that a wrong one can be answered with what there is.
        columns.setdefault(name, np.empty(0))
    return Table(columns)


def numbers(series: Any, path: Path) -> np.ndarray:
    """Return a polars column as numbers; lists of one width become a table.

    Raises:
        RecordingError: Its lists have different widths.
    """
    import polars as pl

    kind = series.dtype
    if isinstance(kind, pl.List):
        widths = series.list.len().drop_nulls().unique()
        if len(widths) > 1:
            raise RecordingError(f"{path}: the lists of column '{series.name}' differ in length")
        width = int(widths[0]) if len(widths) else 0
        kind = pl.Array(kind.inner, width)
        series = series.cast(kind)
    if isinstance(kind, pl.Array):
        if not kind.inner.is_numeric():
            return np.array(series.to_list(), dtype=str)
        flat = series.explode() if kind.size else series
        if series.null_count() == 0 and kind.size:
            return np.asarray(_plain(flat)).reshape(len(series), kind.size)
        rows = [row or [None] * kind.size for row in series.to_list()]
        return np.array(rows, float).reshape(len(series), kind.size)
    if kind.is_numeric() or kind == pl.Boolean:
        return _plain(series)
    if isinstance(kind, pl.Datetime | pl.Duration):
        per = {"ns": 1, "us": 1000, "ms": 1_000_000}[kind.time_unit]
        return np.asarray(series.to_physical().to_numpy()) * per
    return np.asarray(series.cast(pl.String, strict=False).to_numpy()).astype(str)


def _plain(series: Any) -> np.ndarray:
    """Return numbers; missing ones become NaN."""
    import polars as pl

    if series.null_count():
        series = series.cast(pl.Float64).fill_null(np.nan)
    return np.asarray(series.to_numpy())
