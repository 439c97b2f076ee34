"""Which samples of a recording can be trusted, and in which order they were taken."""

from dataclasses import dataclass, replace
from itertools import compress, pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from envs.errors import RecordingError
from envs.telemetry.recording import Policy, Recording, Signal, Stream

# Signals which the robot measured; a command may well stay the same from sample to sample.
MEASURED: tuple[Signal, ...] = ("position", "velocity", "effort", "current")
# Samples that come later than this after a newer one are no late samples: the clock has jumped.
LATE_NS = 1_000_000_000
# A step that no gap is longer than.
ENDLESS_NS = 2**62
# More jumps than this are no clock.
MAX_JUMPS = 2000


@dataclass(frozen=True)
class Channel:
    """The trusted samples of one signal: sorted, one a stamp, finite, none a stale repeat.

    Attributes:
        t_ns: Strictly increasing stamps, ns.
        joints: The joints that were logged.
        limit_ns: A longer step between two samples is a gap.
        policy: How it is resampled.
        start: Where the integral of a command_velocity starts, if known.
    """

    signal: Signal
    t_ns: Int[np.ndarray, "sample"]
    joints: tuple[str, ...]
    values: Float[np.ndarray, "sample joint"]
    limit_ns: int
    policy: Policy
    start: Float[np.ndarray, "joint"] | None


@dataclass(frozen=True)
class Order:
    """Which rows of a stream are used, in the order of their stamps, and which are not.

    Attributes:
        rows: One row a stamp, sorted by stamp.
        jumped: Rows on stretches of the clock that do not fit to the longest.
        doubled: Rows with the stamp and all values of another.
        conflicting: Rows with the stamp, but not the values, of the one that is used.
    """

    rows: Int[np.ndarray, "row"]
    jumped: Int[np.ndarray, "jumped"]
    doubled: Int[np.ndarray, "doubled"]
    conflicting: Int[np.ndarray, "conflicting"]


def order(stream: Stream) -> Order:
    """Sort a stream by its stamps, whatever order its samples arrived in within `LATE_NS`.

    Of several samples with one stamp the one with the smallest values is used, which is the same
    one in every order of arrival; only exact copies of it are harmless.
    """
    none = np.empty(0, np.int64)
    t_ns = stream.t_ns
    if (np.diff(t_ns) > 0).all():
        return Order(np.arange(len(t_ns)), none, none, none)
    kept = _one_clock(t_ns, stream.name)
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(t_ns[rows], kind="stable")]
    same = np.diff(t_ns[rows]) == 0
    if not same.any():
        return Order(rows, np.flatnonzero(~kept), none, none)
    tied = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    values = np.concatenate([stream.signals[s][rows[tied]] for s in sorted(stream.signals)], axis=1)
    # Adding zero turns -0.0 into 0.0, which compare as equal but are different bytes.
    values = values + 0.0
    keys = (*values.T[::-1], t_ns[rows[tied]])
    sorting = np.lexsort(keys)
    rows[tied], values = rows[tied][sorting], values[sorting]
    first = np.concatenate([[True], np.diff(t_ns[rows]) > 0])
    # Each tied row against the first of its stamp.
    heads = np.flatnonzero(first[tied])
    head_of = heads[np.cumsum(first[tied]) - 1]
    equal = ((values == values[head_of]) | (np.isnan(values) & np.isnan(values[head_of]))).all(1)
    spare = rows[tied][~first[tied]]
    alike = equal[~first[tied]]
    return Order(rows[first], np.flatnonzero(~kept), spare[alike], spare[~alike])


def tidy(stream: Stream) -> Stream:
    """Return the stream in the order of its stamps, with one sample a stamp."""
    rows = order(stream).rows
    if len(rows) == len(stream.t_ns) and (np.diff(rows) == 1).all():
        return stream
    signals = {signal: values[rows] for signal, values in stream.signals.items()}
    return replace(stream, t_ns=stream.t_ns[rows], signals=signals)


def _one_clock(t_ns: Int[np.ndarray, "sample"], name: str) -> Bool[np.ndarray, "sample"]:
    """Tell which samples lie on the longest run of stretches that follow each other in time.

    A stretch ends where the clock steps by more than `LATE_NS`, either way: a clock that was set
    back starts one that does not follow; one wrong stamp is a stretch of its own.
    """
    kept = np.ones(len(t_ns), bool)
    cuts = np.flatnonzero(np.abs(np.diff(t_ns)) > LATE_NS) + 1
    if not len(cuts) or (np.diff(t_ns)[cuts - 1] > 0).all():
        return kept
    if len(cuts) > MAX_JUMPS:
        raise RecordingError(
            f"stream '{name}': its clock jumps {len(cuts)} times by more than "
            f"{LATE_NS * 1e-9:g} s; is the time unit right?"
        )
    bounds = [0, *cuts.tolist(), len(t_ns)]
    stretches = list(pairwise(bounds))
    low = np.array([t_ns[a:b].min() for a, b in stretches])
    high = np.array([t_ns[a:b].max() for a, b in stretches])
    best = np.array([b - a for a, b in stretches])
    size, before = best.copy(), np.full(len(best), -1)
    for i in range(len(best)):
        follows = np.flatnonzero(high[:i] <= low[i] + LATE_NS)
        if len(follows):
            before[i] = follows[np.argmax(best[follows])]
            best[i] = size[i] + best[before[i]]
    kept[:] = False
    at = int(np.argmax(best))
    while at >= 0:
        kept[slice(*stretches[at])] = True
        at = int(before[at])
    return kept


def gap_limit_ns(t_ns: Int[np.ndarray, "sample"]) -> int:
    """Return the step (ns) from which on two samples have a gap between them.

    A gap is four median steps, and never under 20 ms: what lies below is bridged well enough for
    an analysis up to 10 Hz. Of a long recording some 100 000 steps tell the median.
    """
    if len(t_ns) < 2:
        return 20_000_000
    steps = np.diff(t_ns)[:: 1 + len(t_ns) // 200_000]
    return max(20_000_000, 4 * int(np.median(steps)))


def logged(values: Float[np.ndarray, "sample joint"]) -> Bool[np.ndarray, "joint"]:
    """Tell which joints a signal is about: those that most of its samples have finite values for.

    So a joint that is always, or mostly, NaN does not take the samples of the others with it.
    """
    finite = np.isfinite(values)
    if finite.all():
        return np.full(values.shape[1], len(finite) > 0)
    finite = finite[finite.any(axis=1)]
    if finite.all():
        return np.full(values.shape[1], len(finite) > 0)
    patterns, counts = np.unique(finite, axis=0, return_counts=True)
    return np.asarray(patterns[np.argmax(counts)])


def stale(
    t_ns: Int[np.ndarray, "sample"], values: Float[np.ndarray, "sample joint"]
) -> Bool[np.ndarray, "sample"]:
    """Tell which samples repeat all values of the one before: an old reading under a new stamp.

    A stretch longer than a gap is a robot at rest with a quiet sensor, not a stale reading; and a
    single joint repeats its value whenever it moves by less than its encoder tells apart.

    Args:
        t_ns: Increasing stamps, ns.
        values: Values at these stamps.
    """
    repeats = np.zeros(len(t_ns), bool)
    if len(t_ns) < 2 or values.shape[1] < 2:
        return repeats
    repeats[1:] = values[1:, 0] == values[:-1, 0]
    candidates = np.flatnonzero(repeats)
    repeats[candidates] = (values[candidates] == values[candidates - 1]).all(axis=1)
    if not repeats.any():
        return repeats
    edges = np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int)))
    limit_ns = gap_limit_ns(t_ns)
    for first, end in edges.reshape(-1, 2):
        if t_ns[end - 1] - t_ns[first - 1] > limit_ns:
            repeats[first:end] = False
    return repeats


def gaps_ns(stream: Stream, t_ns: Int[np.ndarray, "sample"]) -> int:
    """Return the step (ns) from which on a stream has a gap: as declared, or by its own steps."""
    if stream.max_gap_s is not None:
        return round(stream.max_gap_s * 1e9)
    return gap_limit_ns(t_ns)


def channel(recording: Recording, signal: Signal) -> Channel | None:
    """Return the trusted samples of a signal, or None where it was not logged.

    Of several streams that give it, on clocks of their own, the first counts.
    """
    for stream in recording.streams:
        if signal in stream.signals:
            return trusted(stream, signal)
    return None


def trusted(stream: Stream, signal: Signal) -> Channel | None:
    """Return the trusted samples of a stream's signal, or None where there are none."""
    if signal not in stream.signals:
        return None
    rows = tidy(stream)
    values, t_ns = rows.signals[signal], rows.t_ns
    used = np.ones(values.shape[1], bool)
    # Anything that is not finite makes the sum so; looking at each value takes far longer.
    with np.errstate(invalid="ignore", over="ignore"):
        whole = values.size > 0 and bool(np.isfinite(values.sum()))
    if not whole:
        used = logged(values)
        if not used.any():
            return None
        keep = np.isfinite(values[:, used]).all(axis=1)
        t_ns, values = t_ns[keep], values[keep][:, used]
    if signal in MEASURED:
        fresh = ~stale(t_ns, values)
        if not fresh.all():
            t_ns, values = t_ns[fresh], values[fresh]
    # A command holds however long the next one takes, unless the description says otherwise.
    endless = signal not in MEASURED and stream.max_gap_s is None
    return Channel(
        signal=signal,
        t_ns=t_ns,
        joints=tuple(compress(rows.joints, used)),
        values=values,
        limit_ns=ENDLESS_NS if endless else gaps_ns(stream, rows.t_ns),
        policy=stream.policies.get(signal, "linear" if signal in MEASURED else "hold"),
        start=None if rows.start is None else rows.start[used],
    )
