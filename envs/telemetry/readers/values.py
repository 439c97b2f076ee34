"""From numbers as logged to SI: registers, units, signs and offsets."""

import numpy as np
from jaxtyping import Float, Int

from envs.errors import RecordingError
from envs.telemetry.recording import Signal
from envs.telemetry.source import MAX_TIME_NS, TIME_UNITS_NS, UNITS, SignalSource


def to_si(
    signal: Signal, source: SignalSource, values: Float[np.ndarray, "sample joint"], where: str
) -> Float[np.ndarray, "sample joint"]:
    """Convert numbers as they were logged; the array itself is changed where it can be.

    Raises:
        RecordingError: The signs or offsets are not one for all joints or one a joint, or the
            numbers do not fit into the register.
    """
    joints = values.shape[1]
    if source.register_bits:
        values = _signed(values, source.register_bits, where)
    scale = UNITS[signal][source.unit]
    for name, given in (("signs", source.signs), ("offsets", source.offsets)):
        if len(given) not in (0, 1, joints):
            raise RecordingError(f"{where}: {len(given)} {name} for {joints} joints")
    if scale != 1.0:
        values *= scale
    if source.signs:
        values *= np.array(source.signs)
    if source.offsets:
        values += np.array(source.offsets)
    return values


def _signed(
    values: Float[np.ndarray, "sample joint"], bits: int, where: str
) -> Float[np.ndarray, "sample joint"]:
    """Read unsigned numbers as two's complement."""
    known = values[np.isfinite(values)]
    if (known != np.rint(known)).any() or (known < 0).any() or (known >= 2.0**bits).any():
        raise RecordingError(
            f"{where}: register_bits is {bits}, but the numbers are not whole ones from 0 to "
            f"{2**bits - 1}: {known.min():g} to {known.max():g}"
        )
    return np.where(values >= 2.0 ** (bits - 1), values - 2.0**bits, values)


def to_ns(values: np.ndarray, unit: str, where: str) -> Int[np.ndarray, "sample"]:
    """Return time stamps in ns, exactly where they are whole numbers.

    Raises:
        RecordingError: One is not a number, or too large for 64 bits; it names the row.
    """
    factor = TIME_UNITS_NS[unit]
    scaled = values.astype(np.float64) * factor
    bad = np.flatnonzero(~(np.abs(scaled) < MAX_TIME_NS))
    if len(bad):
        raise RecordingError(f"{where}: row {bad[0] + 1} is no time in {unit}: {values[bad[0]]}")
    if values.dtype.kind in "iu":
        return np.asarray(values.astype(np.int64) * factor)
    return np.rint(scaled).astype(np.int64)
