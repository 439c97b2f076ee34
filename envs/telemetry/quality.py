"""What is wrong with a recording: every fault is told, with what is done about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from jaxtyping import Int

from envs.errors import RecordingError
from envs.telemetry.channels import MEASURED, channel, gaps_ns, logged, order, stale, tidy
from envs.telemetry.expected import Limits, joint_findings, limit_findings, named_findings
from envs.telemetry.finding import Fault, Finding
from envs.telemetry.plausible import relation_findings, value_findings, voltage_findings
from envs.telemetry.recording import Recording, Stream
from envs.telemetry.source import SIGNALS

__all__ = ["Fault", "Finding", "check"]

# A step that differs from the median by more than this share of it counts as jitter.
JITTER_SHARE = 0.1


def check(
    recording: Recording,
    *,
    joints: Sequence[str] | None = None,
    limits: Mapping[str, Limits] | None = None,
) -> tuple[Finding, ...]:
    """Return all that is wrong with a recording, stream by stream.

    Args:
        recording: What was read.
        joints: The joints that it should hold; without them names are not compared.
        limits: Joint → what it can do; without them only the signals are compared with each other.

    Raises:
        RecordingError: It has no usable positions at all.
    """
    position = channel(recording, "position")
    if position is None or len(position.t_ns) < 2:
        raise RecordingError(
            f"recording '{recording.name}' has no usable positions: "
            f"{'none is a finite number' if position is None else 'fewer than two samples'}"
        )
    start_ns = min(int(tidy(s).t_ns[0]) for s in recording.streams if len(s.t_ns))
    findings: list[Finding] = []
    for damage in recording.damage:
        action = "what lies before it is kept"
        detail = str(damage).removeprefix(f"{damage.file}: ")
        findings.append(Finding("truncated", damage.file, 1, 0.0, action, detail))
    findings.extend(clock_findings(recording))
    for stream in recording.streams:
        told = [
            *_stream_findings(stream, start_ns),
            *value_findings(stream, start_ns),
            *voltage_findings(stream),
        ]
        for signal in stream.signals:
            label = recording.label(stream, signal)
            if label != signal:
                told = [_relabelled(finding, signal, label) for finding in told]
        findings.extend(told)
    for signal, instead in (
        ("velocity", "the derivative of position is used"),
        ("effort", _without_effort(recording)),
        ("command_position", "no command can be replayed"),
    ):
        names = ("command_position", "command_velocity") if "command" in signal else (signal,)
        given = any(name in stream.signals for stream in recording.streams for name in names)
        if not given:
            findings.append(Finding("missing_signal", signal, 0, 0.0, instead, "it was not logged"))
    # Bits that fell over make numbers that overflow; such a relation explains nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        findings.extend(relation_findings(recording))
    findings.extend(named_findings(recording.joint_names))
    if joints is not None:
        findings.extend(joint_findings(position.joints, joints))
    if limits is not None:
        findings.extend(limit_findings(recording, limits, start_ns))
    return tuple(findings)


def _without_effort(recording: Recording) -> str:
    current = any("current" in stream.signals for stream in recording.streams)
    return "the motors' current is used" if current else "no torque can be compared"


def _relabelled(finding: Finding, signal: str, label: str) -> Finding:
    """Return a finding about a signal under the label that tells the signal's stream."""
    first, *rest = finding.channel.split("/", 1)
    return replace(finding, channel="/".join((label, *rest))) if first == signal else finding


def clock_findings(recording: Recording) -> Iterator[Finding]:
    """Yield how the clocks differed that were moved onto the recording's, ± standard deviations."""
    for name, found in recording.clocks.items():
        fit = found.fit
        offset = f"{found.offset_ns * 1e-9:.6f} ± {fit.offset_std_s:.6f} s"
        skew = f"{fit.skew * 1e6:.2f} ± {fit.skew_std * 1e6:.2f} ppm"
        if found.separable:
            action = "offset and skew taken out"
            detail = f"its stamps lacked {offset} and ran {skew} slow, by {found.seen}"
        else:
            action = "skew taken out, offset left in"
            detail = (
                f"it ran {skew} slow; the robot follows its {found.seen} {offset} later, which is "
                "the clock's offset and the drive's lag together: these two cannot be told apart"
            )
        yield Finding("clock_offset", name, 1, 0.0, action, detail)


def _stream_findings(stream: Stream, start_ns: int) -> Iterator[Finding]:
    """Yield the faults of a stream's clock, and of its samples as a whole."""
    t_ns = stream.t_ns

    def told(kind: Fault, rows: Int[np.ndarray, "row"], action: str, detail: str) -> Finding:
        rows = np.sort(rows)
        first_s = (int(t_ns[rows].min()) - start_ns) * 1e-9
        return Finding(kind, stream.name, len(rows), first_s, action, detail, rows)

    found = order(stream)
    n = len(t_ns)
    if len(found.jumped):
        detail = f"{len(found.jumped)} of {n} samples lie on stretches of another clock"
        yield told("clock_jump", found.jumped, "cut into segments, the longest is kept", detail)
    steady = np.setdiff1d(np.arange(n), found.jumped)
    late = np.concatenate([[False], np.diff(np.maximum.accumulate(t_ns[steady])) == 0])[
        : len(steady)
    ]
    late &= t_ns[steady] < np.maximum.accumulate(t_ns[steady])
    if late.any():
        detail = f"{late.sum()} of {n} samples lie before an earlier one"
        yield told("out_of_order", steady[late], "sorted", detail)
    if len(found.doubled):
        detail = f"{len(found.doubled)} of {n} samples are copies of another of their stamp"
        yield told("duplicate", found.doubled, "one of each is kept", detail)
    if len(found.conflicting):
        detail = f"{len(found.conflicting)} of {n} samples contradict another of their stamp"
        yield told("conflict", found.conflicting, "quarantined; the smallest is kept", detail)
    for signal in SIGNALS:
        if signal in stream.signals:
            yield from _sample_findings(signal, stream, found.rows, start_ns)
    rows = found.rows
    if len(rows) < 2:
        return
    steps = np.diff(t_ns[rows])
    gaps = np.flatnonzero(steps > gaps_ns(stream, t_ns[rows]))
    if len(gaps):
        used_on = stream.max_gap_s is None and not set(stream.signals) & set(MEASURED)
        action = "held" if used_on else "bridged, not used"
        detail = f"longest {steps.max() * 1e-9:.3f} s, {steps[gaps].sum() * 1e-9:.3f} s in all"
        yield told("gap", rows[gaps], action, detail)
    even = np.delete(steps, gaps)
    if not len(even):
        return
    median = np.median(even)
    uneven = np.setdiff1d(np.flatnonzero(np.abs(steps - median) > JITTER_SHARE * median), gaps)
    if len(uneven):
        low, mid, high = even.min() * 1e-6, median * 1e-6, even.max() * 1e-6
        detail = f"steps of {low:.2f} / {mid:.2f} / {high:.2f} ms (least / median / most)"
        yield told("jitter", rows[uneven], "resampled", detail)


def _sample_findings(
    signal: str, stream: Stream, rows: Int[np.ndarray, "row"], start_ns: int
) -> Iterator[Finding]:
    """Yield what lacks in one signal, and its stale samples."""
    ordered = tidy(stream)
    values = next(v for s, v in ordered.signals.items() if s == signal)
    used = logged(values)
    absent = list(compress(ordered.joints, ~used))
    if absent:
        detail = f"no finite value in most samples for {', '.join(absent)}"
        yield Finding("missing_signal", signal, len(absent), 0.0, "left out", detail)
    if not used.any():
        return

    def told(kind: Fault, places: Int[np.ndarray, "row"], detail: str) -> Finding:
        first_s = (int(ordered.t_ns[places[0]]) - start_ns) * 1e-9
        action = "quarantined" if kind == "not_finite" else "dropped"
        return Finding(kind, signal, len(places), first_s, action, detail, rows[places])

    bad = ~np.isfinite(values[:, used]).all(axis=1)
    if bad.any():
        detail = f"{bad.sum()} of {len(bad)} samples hold NaN or infinity"
        yield told("not_finite", np.flatnonzero(bad), detail)
    if signal in MEASURED:
        old = stale(ordered.t_ns[~bad], values[~bad][:, used])
        if old.any():
            detail = f"{old.sum()} of {len(values)} samples repeat the one before under a new stamp"
            yield told("repeated", np.flatnonzero(~bad)[old], detail)
