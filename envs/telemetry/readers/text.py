"""Text files of numbers: one number a line, or one sample a line in columns."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from envs.errors import RecordingError
from envs.telemetry.readers.values import to_si
from envs.telemetry.recording import Signal, Stream
from envs.telemetry.source import MAX_TIME_NS, TIME_UNITS_NS, RecordingSource, StreamSource


def files(source: RecordingSource) -> tuple[Path, ...]:
    """Return the files that the recording needs, each once."""
    names: dict[str, None] = {}
    for stream in source.streams:
        names[stream.time.source] = None
        for signal in stream.signals.values():
            names[signal.source] = None
            if signal.start:
                names[signal.start] = None
    return tuple(source.path / name for name in names)


def read_streams(source: RecordingSource) -> tuple[Stream, ...]:
    """Read all streams of a folder of text files, in SI, with the joint names of the file."""
    return tuple(_read_stream(source.path, stream) for stream in source.streams)


def _read_stream(folder: Path, source: StreamSource) -> Stream:
    joints = len(source.joints)
    t_ns = _time(folder / source.time.source, source.time.unit)
    signals: dict[Signal, Float[np.ndarray, "sample joint"]] = {}
    start = None
    for signal, described in source.signals.items():
        path = folder / described.source
        values = to_si(signal, described, _samples(path, joints), str(path))
        if len(values) != len(t_ns):
            raise RecordingError(
                f"{path}: {len(values)} samples of {joints} joints, but {source.time.source} "
                f"has {len(t_ns)} time stamps"
            )
        signals[signal] = values
        if described.start:
            rows = to_si(
                signal, described, _samples(folder / described.start, joints), described.start
            )
            if rows.shape != (1, joints) or not np.isfinite(rows).all():
                raise RecordingError(
                    f"{folder / described.start}: {joints} finite start positions are needed, "
                    f"not {rows.shape[0]} rows of {joints}"
                )
            start = rows[0]
    return Stream(source.name, t_ns, source.joints, signals, start)


def numbers(path: Path) -> Float[np.ndarray, "row column"]:
    """Read a table of numbers.

    Raises:
        RecordingError: The file is something else.
    """
    try:
        with warnings.catch_warnings():
            # An empty file is an error here, not a warning.
            warnings.simplefilter("error")
            return np.loadtxt(path, dtype=float, ndmin=2, comments=None)
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: this is not a text file") from None
    except (ValueError, UserWarning) as error:
        reason = str(error).split("; use `usecols`")[0]
        raise RecordingError(f"{path}: not a table of numbers: {reason}") from None


def _time(path: Path, unit: str) -> Int[np.ndarray, "sample"]:
    values = numbers(path)
    if values.shape[1] != 1:
        raise RecordingError(f"{path}: one time stamp a line is needed, not {values.shape[1]}")
    t = values[:, 0] * TIME_UNITS_NS[unit]
    bad = np.flatnonzero(~(np.abs(t) < MAX_TIME_NS))
    if len(bad):
        raise RecordingError(f"{path}: line {bad[0] + 1} is no time in {unit}: {values[bad[0], 0]}")
    return np.round(t).astype(np.int64)


def _samples(path: Path, joints: int) -> Float[np.ndarray, "sample joint"]:
    values = numbers(path)
    if values.shape[1] not in (1, joints):
        raise RecordingError(
            f"{path}: 1 or {joints} numbers a line are needed, not {values.shape[1]}"
        )
    if values.size % joints:
        raise RecordingError(
            f"{path}: {values.size} numbers are not whole samples of {joints} joints; "
            "is the file cut off?"
        )
    return values.reshape(-1, joints)
