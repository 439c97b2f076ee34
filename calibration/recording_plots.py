"""The figures of a recording's quality: findings over time, a closer look, the sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from calibration.plots import figure_of, png
from envs.telemetry.channels import gaps_ns, order
from envs.telemetry.finding import Finding
from envs.telemetry.recording import Recording, Signal, Stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Samples that are used as they are, that are told to be doubtful, and that are not used.
KEPT, FLAGGED, UNUSED = "#8794a1", "#e07a1f", "#c0392b"
# More rows or panels than these no one looks at.
MOST_ROWS, MOST_PANELS = 24, 6
UNITS = {
    "position": "rad or m", "velocity": "rad/s or m/s", "effort": "N·m or N", "current": "A",
    "voltage": "V",
}  # fmt: skip
LEAST_STEP_MS = 0.01
"""Where steps of 0 or less are drawn."""
# What a look at the signal shows; faults of a clock show in the time between samples.
SHOWN = (
    "spike", "stuck", "zero_filled", "wrapped_register", "wrapped_angle", "degrees", "limit",
    "rate", "not_finite", "repeated",
)  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """A finding, the stream that it is in, and the signal and joint where it is about one."""

    finding: Finding
    stream: Stream
    signal: Signal | None
    joint: int | None


def timeline(recording: Recording, findings: Sequence[Finding]) -> bytes | None:
    """Draw when each finding occurs, a row for each; None where none has a time."""
    found = [p for f in findings if len(f.rows) and (p := _place(recording, f)) is not None]
    if not found:
        return None
    found = sorted(found, key=lambda p: -_weight(p.finding))[:MOST_ROWS]
    figure, (axis,) = figure_of(1, width_in=10.0, height_in=0.35 + 0.21 * len(found))
    start_ns = _start(recording)
    for row, place in enumerate(reversed(found)):
        t_s = (_times(place.stream)[place.finding.rows] - start_ns) * 1e-9
        axis.plot(
            t_s, np.full(len(t_s), row), "|", color=_colour(place.finding), markersize=8,
            markeredgewidth=1.1,
        )  # fmt: skip
        axis.annotate(
            f"{place.finding.count}", (1.005, row), xycoords=("axes fraction", "data"),
            fontsize=7, va="center", color="#66727f",
        )  # fmt: skip
    names = [f"{p.finding.kind}   {p.finding.channel}" for p in reversed(found)]
    axis.set_yticks(range(len(found)), names, fontsize=7)
    axis.set_ylim(-0.6, len(found) - 0.4)
    ends = [_times(s) for s in recording.streams if len(s.t_ns)]
    axis.set_xlim(0, (max(int(t.max()) for t in ends) - start_ns) * 1e-9)
    axis.set_xlabel("time, s", fontsize=8)
    axis.plot([], [], "|", color=KEPT, label="used")
    axis.plot([], [], "|", color=FLAGGED, label="flagged")
    axis.plot([], [], "|", color=UNUSED, label="not used")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, frameon=False)
    return png(figure)


def closer_look(recording: Recording, findings: Sequence[Finding]) -> bytes | None:
    """Draw the signal about the first sample of the findings, one of each kind before a second."""
    found = [
        p
        for f in findings
        if f.kind in SHOWN and len(f.rows) and (p := _place(recording, f)) and p.signal
    ]
    rank: dict[str, int] = {}
    turns = [rank.setdefault(p.finding.kind, 0) for p in found]
    for i, place in enumerate(found):
        turns[i] = rank[place.finding.kind]
        rank[place.finding.kind] += 1
    shown = [found[i] for i in np.argsort(turns, kind="stable")[:MOST_PANELS]]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = figure_of(rows, width_in=10.0, height_in=1.9, columns=columns, shared=False)
    for axis, place in zip(axes, shown, strict=False):
        _look(axis, place, _start(recording))
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return png(figure)


def sampling(recording: Recording) -> bytes:
    """Draw the time between samples over time, one axis a stream: jitter, repeats and gaps."""
    from matplotlib.ticker import LogLocator

    streams = [s for s in recording.streams if len(s.t_ns) > 1]
    figure, axes = figure_of(len(streams), width_in=10.0, height_in=1.4)
    start_ns = _start(recording)
    for axis, stream in zip(axes, streams, strict=True):
        jumped = order(stream).jumped
        t_ns = np.delete(stream.t_ns, jumped)
        # On a logarithmic axis a repeated or a late stamp, a step of 0 or less, has no place.
        step_ms = np.maximum(np.diff(t_ns) / 1e6, LEAST_STEP_MS)
        limit_ms = gaps_ns(stream, np.sort(t_ns)) / 1e6
        gap = step_ms > limit_ms
        at_s = (t_ns[1:] - start_ns) * 1e-9
        axis.plot(at_s[~gap], step_ms[~gap], ".", markersize=2, color="#1673b1")
        axis.plot(at_s[gap], step_ms[gap], "o", markersize=4, color=UNUSED)
        axis.axhline(limit_ms, color=UNUSED, linewidth=0.7, linestyle="--")
        axis.annotate(
            "gap", (1.005, limit_ms), xycoords=("axes fraction", "data"), fontsize=7,
            va="center", color=UNUSED,
        )  # fmt: skip
        axis.set_yscale("log")
        decades = np.log10(max(step_ms.max(), limit_ms) / step_ms.min())
        # Names of 1, 2 and 5 would stand in each other where there are many decades.
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.set_ylabel("step, ms", fontsize=8)
        axis.set_title(stream.name, fontsize=8, loc="left")
        axis.margins(x=0)
    axes[-1].set_xlabel("time, s", fontsize=8)
    return png(figure)


def _look(axis: "Axes", place: _Place, start_ns: int) -> None:
    finding, stream = place.finding, place.stream
    assert place.signal is not None, "only such places are shown"
    values = stream.signals[place.signal]
    joint = _telling(values, int(finding.rows[0])) if place.joint is None else place.joint
    rows = order(stream).rows
    at = np.searchsorted(rows, finding.rows[0]) if (np.diff(rows) > 0).all() else 0
    near = rows[max(0, at - 40) : at + 80]
    t_s = (stream.t_ns[near] - start_ns) * 1e-9
    marked = np.isin(near, finding.rows)
    shown = values[near, joint]
    axis.plot(t_s, shown, ".-", color="#1673b1", markersize=3, linewidth=0.7)
    bad = marked & np.isfinite(shown)
    axis.plot(t_s[bad], shown[bad], "o", color=_colour(finding), markersize=4)
    for t in t_s[marked & ~np.isfinite(shown)]:
        axis.axvline(t, color=_colour(finding), linewidth=0.8)
    where = f"{place.signal}/{stream.joints[joint]}"
    axis.set_title(f"{finding.kind}: {where}", fontsize=8, loc="left")
    axis.set_xlabel("time, s", fontsize=7)
    axis.set_ylabel(UNITS.get(place.signal.removeprefix("command_"), ""), fontsize=7)
    axis.margins(x=0.02)
    # An offset above the axis would stand in the title.
    axis.ticklabel_format(axis="y", useOffset=False)


def _place(recording: Recording, finding: Finding) -> _Place | None:
    head, _, joint = finding.channel.partition("/")
    for stream in recording.streams:
        if finding.channel == stream.name:
            return _Place(finding, stream, None, None)
        for signal in stream.signals:
            if recording.label(stream, signal) == head:
                number = stream.joints.index(joint) if joint in stream.joints else None
                return _Place(finding, stream, signal, number)
    return None


def _times(stream: Stream) -> Int[np.ndarray, "sample"]:
    """Return the stamps; for those of a clock that jumped, those of the samples around them."""
    jumped = order(stream).jumped
    if not len(jumped):
        return stream.t_ns
    t_ns = stream.t_ns.copy()
    kept = np.setdiff1d(np.arange(len(t_ns)), jumped)
    base = int(t_ns[kept[0]])
    t_ns[jumped] = base + np.interp(jumped, kept, (t_ns[kept] - base).astype(float)).astype(int)
    return t_ns


def _start(recording: Recording) -> int:
    return min(int(_times(s).min()) for s in recording.streams if len(s.t_ns))


def _telling(values: Float[np.ndarray, "sample joint"], row: int) -> int:
    """Return the joint to show of a whole signal: one that lacks the value, or moves the most."""
    missing = np.flatnonzero(~np.isfinite(values[row]))
    known = np.where(np.isfinite(values), values, 0.0)
    return int(missing[0]) if len(missing) else int(np.argmax(np.ptp(known, axis=0)))


def _colour(finding: Finding) -> str:
    if any(word in finding.action for word in ("quarantined", "dropped", "not used", "cut")):
        return UNUSED
    return FLAGGED if finding.action == "flagged" else KEPT


def _weight(finding: Finding) -> int:
    """Put what is not used before what is flagged, and that before what is harmless."""
    return (KEPT, FLAGGED, UNUSED).index(_colour(finding))
