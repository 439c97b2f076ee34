"""Parquet: named columns, one number or one list of numbers a row."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.readers.contract import Table, one_line

SUFFIXES = (".parquet", ".pq")


class _Columns(Mapping[str, np.ndarray]):
    """Columns that become numbers when they are asked for, so that few are in memory twice.

    A column that was not wanted is there by name, so that a wrong name can be answered with what
    there is, but empty.
    """

    def __init__(self, path: Path, frame: Any, names: Sequence[str]) -> None:
        self._path, self._frame, self._names = path, frame, dict.fromkeys(names)

    def __getitem__(self, name: str) -> np.ndarray:
        import polars as pl

        if name not in self._names:
            raise KeyError(name)
        if name not in self._frame.columns:
            return np.empty(0)
        try:
            return numbers(self._frame[name], self._path)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
            raise RecordingError(f"{self._path}: column '{name}': {one_line(error)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise RecordingError(f"{path}: this is no whole Parquet file: {one_line(error)}") from None
    return Table(_Columns(path, frame, list(schema)))


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
