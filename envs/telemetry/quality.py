"""What is wrong with a recording, and which of its samples can be trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from envs.errors import RecordingError
from envs.telemetry.recording import Recording, Signal, Stream
from envs.telemetry.source import SIGNALS

Fault = Literal[
    "out_of_order", "duplicate", "repeated", "not_finite", "missing_signal", "gap", "jitter"
]

# Signals which the robot measured; a command may well stay the same from sample to sample.
MEASURED: tuple[Signal, ...] = ("position", "velocity", "effort")
# A step that differs from the median by more than this share of it counts as jitter.
JITTER_SHARE = 0.1


@dataclass(frozen=True)
class Finding:
    """One fault of a recording and what is done about it.

    Attributes:
        channel: The stream, or the signal, that has it.
        count: How many samples, steps or gaps.
        first_s: When it first occurs, s since the recording's first stamp.
        action: What alignment does about it.
        detail: Figures, in words.
    """

    kind: Fault
    channel: str
    count: int
    first_s: float
    action: str
    detail: str


@dataclass(frozen=True)
class Channel:
    """The trusted samples of one signal: sorted, one a stamp, finite, none a stale repeat.

    Attributes:
        t_ns: Strictly increasing stamps, ns.
        joints: The joints that were logged.
        limit_ns: A longer step between two samples is a gap.
        start: Where the integral of a command_velocity starts, if known.
    """

    signal: Signal
    t_ns: Int[np.ndarray, "sample"]
    joints: tuple[str, ...]
    values: Float[np.ndarray, "sample joint"]
    limit_ns: int
    start: Float[np.ndarray, "joint"] | None


def tidy(stream: Stream) -> Stream:
    """Return the stream in the order of its stamps, with the first sample of each stamp."""
    order = np.argsort(stream.t_ns, kind="stable")
    t_ns = stream.t_ns[order]
    rows = order[np.concatenate([[True], np.diff(t_ns) > 0])] if len(order) else order
    signals = {signal: values[rows] for signal, values in stream.signals.items()}
    return Stream(stream.name, stream.t_ns[rows], stream.joints, signals, stream.start)


def gap_limit_ns(t_ns: Int[np.ndarray, "sample"]) -> int:
    """Return the step (ns) from which on two samples have a gap between them.

    A gap is four median steps, and never under 20 ms: what lies below is bridged well enough for
    an analysis up to 10 Hz.
    """
    return max(20_000_000, 4 * int(np.median(np.diff(t_ns)))) if len(t_ns) > 1 else 20_000_000


def logged(values: Float[np.ndarray, "sample joint"]) -> Bool[np.ndarray, "joint"]:
    """Tell which joints a signal is about: those that most of its samples have finite values for.

    So a joint that is always, or mostly, NaN does not take the samples of the others with it.
    """
    finite = np.isfinite(values)
    finite = finite[finite.any(axis=1)]
    if finite.all():
        return np.full(values.shape[1], len(finite) > 0)
    patterns, counts = np.unique(finite, axis=0, return_counts=True)
    return np.asarray(patterns[np.argmax(counts)])


def stale(
    t_ns: Int[np.ndarray, "sample"], values: Float[np.ndarray, "sample joint"]
) -> Bool[np.ndarray, "sample"]:
    """Tell which samples repeat all values of the one before: an old reading under a new stamp.

    A stretch longer than a gap is a robot at rest with a quiet sensor, not a stale reading.

    Args:
        t_ns: Increasing stamps, ns.
        values: Values at these stamps.
    """
    repeats = np.zeros(len(t_ns), bool)
    if len(t_ns) < 2:
        return repeats
    repeats[1:] = (np.diff(values, axis=0) == 0).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int)))
    limit_ns = gap_limit_ns(t_ns)
    for first, end in edges.reshape(-1, 2):
        if t_ns[end - 1] - t_ns[first - 1] > limit_ns:
            repeats[first:end] = False
    return repeats


def channel(recording: Recording, signal: Signal) -> Channel | None:
    """Return the trusted samples of a signal, or None where it was not logged."""
    for stream in recording.streams:
        if signal not in stream.signals:
            continue
        rows = tidy(stream)
        values = rows.signals[signal]
        used = logged(values)
        if not used.any():
            return None
        keep = np.isfinite(values[:, used]).all(axis=1)
        t_ns, values = rows.t_ns[keep], values[keep][:, used]
        if signal in MEASURED:
            fresh = ~stale(t_ns, values)
            t_ns, values = t_ns[fresh], values[fresh]
        return Channel(
            signal=signal,
            t_ns=t_ns,
            joints=tuple(compress(rows.joints, used)),
            values=values,
            limit_ns=gap_limit_ns(rows.t_ns),
            start=None if rows.start is None else rows.start[used],
        )
    return None


def check(recording: Recording) -> tuple[Finding, ...]:
    """Return all that is wrong with a recording, stream by stream.

    Raises:
        RecordingError: It has no usable positions at all.
    """
    position = channel(recording, "position")
    if position is None or len(position.t_ns) < 2:
        raise RecordingError(
            f"recording '{recording.name}' has no usable positions: "
            f"{'none is a finite number' if position is None else 'fewer than two samples'}"
        )
    start_ns = min(int(s.t_ns.min()) for s in recording.streams if len(s.t_ns))
    findings: list[Finding] = []
    for stream in recording.streams:
        findings.extend(_stream_findings(stream, start_ns))
    for signal, instead in (
        ("velocity", "the derivative of position is used"),
        ("effort", "no torque can be compared"),
        ("command_position", "no command can be replayed"),
    ):
        names = ("command_position", "command_velocity") if "command" in signal else (signal,)
        given = any(name in stream.signals for stream in recording.streams for name in names)
        if not given:
            findings.append(Finding("missing_signal", signal, 0, 0.0, instead, "it was not logged"))
    return tuple(findings)


def _stream_findings(stream: Stream, start_ns: int) -> Iterator[Finding]:
    def since_s(t_ns: int) -> float:
        return (t_ns - start_ns) * 1e-9

    t_ns = stream.t_ns
    late = np.concatenate([[False], t_ns[1:] < np.maximum.accumulate(t_ns)[:-1]])
    if late.any():
        first = since_s(int(t_ns[late][0]))
        detail = f"{late.sum()} of {len(t_ns)} samples lie before an earlier one"
        yield Finding("out_of_order", stream.name, int(late.sum()), first, "sorted", detail)
    rows = tidy(stream)
    same = len(t_ns) - len(rows.t_ns)
    if same:
        stamps, counts = np.unique(t_ns, return_counts=True)
        first = since_s(int(stamps[counts > 1][0]))
        detail = f"{same} of {len(t_ns)} samples carry the stamp of another"
        yield Finding("duplicate", stream.name, same, first, "the first of each is kept", detail)
    for signal in SIGNALS:
        if signal in rows.signals:
            yield from _signal_findings(signal, rows, start_ns)
    if len(rows.t_ns) < 2:
        return
    steps = np.diff(rows.t_ns)
    gaps = np.flatnonzero(steps > gap_limit_ns(rows.t_ns))
    if len(gaps):
        action = "held" if any("command" in s for s in rows.signals) else "bridged, not used"
        detail = f"longest {steps.max() * 1e-9:.3f} s, {steps[gaps].sum() * 1e-9:.3f} s in all"
        first = since_s(int(rows.t_ns[gaps[0]]))
        yield Finding("gap", stream.name, len(gaps), first, action, detail)
    even = np.delete(steps, gaps)
    median = np.median(even)
    uneven = np.setdiff1d(np.flatnonzero(np.abs(steps - median) > JITTER_SHARE * median), gaps)
    if len(uneven):
        low, mid, high = even.min() * 1e-6, median * 1e-6, even.max() * 1e-6
        detail = f"steps of {low:.2f} / {mid:.2f} / {high:.2f} ms (least / median / most)"
        first = since_s(int(rows.t_ns[uneven[0]]))
        yield Finding("jitter", stream.name, len(uneven), first, "resampled", detail)


def _signal_findings(signal: Signal, rows: Stream, start_ns: int) -> Iterator[Finding]:
    """Yield the faults of one signal of a tidy stream."""
    values = rows.signals[signal]
    used = logged(values)
    absent = list(compress(rows.joints, ~used))
    if absent:
        detail = f"no finite value in most samples for {', '.join(absent)}"
        yield Finding("missing_signal", signal, len(absent), 0.0, "left out", detail)
    if not used.any():
        return
    bad = ~np.isfinite(values[:, used]).all(axis=1)
    if bad.any():
        first = (int(rows.t_ns[bad][0]) - start_ns) * 1e-9
        detail = f"{bad.sum()} of {len(bad)} samples hold NaN or infinity"
        yield Finding("not_finite", signal, int(bad.sum()), first, "dropped", detail)
    if signal in MEASURED:
        t_ns = rows.t_ns[~bad]
        old = stale(t_ns, values[~bad][:, used])
        if old.any():
            first = (int(t_ns[old][0]) - start_ns) * 1e-9
            detail = f"{old.sum()} of {len(values)} samples repeat the one before under a new stamp"
            yield Finding("repeated", signal, int(old.sum()), first, "dropped", detail)
