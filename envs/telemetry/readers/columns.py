"""From the columns of a table to streams."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from envs.errors import RecordingError, unknown
from envs.telemetry.readers.contract import Table
from envs.telemetry.readers.values import to_ns, to_si
from envs.telemetry.recording import Signal, Stream
from envs.telemetry.source import SignalSource, StreamSource


def names(source: StreamSource) -> tuple[str, ...]:
    """Return the columns that a stream needs, each once."""
    wanted = [source.time.source]
    for described in source.signals.values():
        wanted.extend(_names(described, source.joints))
    return tuple(dict.fromkeys(wanted))


def stream(table: Table, source: StreamSource, file: str) -> Stream:
    """Read one stream, in SI, with the joint names of its description or of the table.

    Raises:
        RecordingError: A column is not there, or has not one number for each joint.
    """
    t = _column(table.columns, source.time.source, file)
    if t.ndim != 1:
        raise RecordingError(f"{file}: time '{source.time.source}' has {t.shape[1]} columns, not 1")
    t_ns = to_ns(t, source.time.unit, f"{file}: {source.time.source}")
    joints = source.joints or _joints(table, source, file)
    signals: dict[Signal, Float[np.ndarray, "sample joint"]] = {}
    for signal, described in source.signals.items():
        values = _values(table, described, joints, file)
        if len(values) != len(t_ns):
            raise RecordingError(
                f"{file}: {signal} has {len(values)} rows, but '{source.time.source}' has "
                f"{len(t_ns)} time stamps"
            )
        signals[signal] = to_si(signal, described, values, f"{file}: {signal}")
    return Stream(source.name, t_ns, joints, signals)


def _names(described: SignalSource, joints: tuple[str, ...]) -> tuple[str, ...]:
    if described.columns:
        return described.columns
    pattern = described.source
    if "{joint}" in pattern or "{i}" in pattern:
        return tuple(
            pattern.replace("{joint}", joint).replace("{i}", str(i))
            for i, joint in enumerate(joints)
        )
    return (pattern,)


def _values(
    table: Table, described: SignalSource, joints: tuple[str, ...], file: str
) -> Float[np.ndarray, "sample joint"]:
    """Gather one column, or one a joint, column by column in memory."""
    found = [_column(table.columns, name, file) for name in _names(described, joints)]
    if len(found) == 1 and found[0].ndim == 2:
        if found[0].shape[1] != len(joints):
            raise RecordingError(
                f"{file}: '{described.source}' has {found[0].shape[1]} columns for "
                f"{len(joints)} joints"
            )
        return np.array(found[0], float, order="F")
    if len(found) != len(joints) or any(f.ndim != 1 for f in found):
        raise RecordingError(
            f"{file}: '{described.source or ', '.join(described.columns)}' gives "
            f"{len(found)} columns for {len(joints)} joints; one a joint is needed, with {{joint}} "
            "or {i} in its name, or listed in 'columns'"
        )
    if len({len(f) for f in found}) > 1:
        raise RecordingError(
            f"{file}: '{described.source}' has columns of different lengths: "
            f"{', '.join(str(len(f)) for f in found)}"
        )
    values = np.empty((len(found[0]), len(joints)), order="F")
    for i, column in enumerate(found):
        values[:, i] = column
    return values


def _column(columns: Mapping[str, np.ndarray], name: str, file: str) -> np.ndarray:
    if name not in columns:
        raise RecordingError(f"{file}: {unknown('column', name, columns, where='it')}")
    column = columns[name]
    if column.dtype.kind not in "iufb":
        raise RecordingError(f"{file}: column '{name}' is not numbers, but {_sample(column)}")
    return column


def _sample(column: np.ndarray) -> str:
    return "empty" if not column.size else repr(str(column.flat[0]))


def _joints(table: Table, source: StreamSource, file: str) -> tuple[str, ...]:
    for described in source.signals.values():
        if described.source in table.joints:
            return table.joints[described.source]
    raise RecordingError(
        f"{file}: the joints of stream '{source.name}' are not named in it; list them in 'joints'"
    )
