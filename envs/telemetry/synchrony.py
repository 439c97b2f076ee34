"""Streams on clocks of their own, moved onto the recording's clock: by how much, and how surely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from envs.errors import RecordingError
from envs.telemetry.channels import MEASURED, Channel, trusted
from envs.telemetry.clocks import ClockFit, fit_clocks
from envs.telemetry.recording import Recording, Signal, Stream, Synchrony

# Clocks that overlap as they are stamped are not further apart than this.
NEAR_S = 2.0
# Both clocks have seen one motion where one explains so much of the other.
ALIKE = 0.9
# What a command tells of the clock of what follows it.
FOLLOWED: dict[Signal, Signal] = {
    "command_position": "position",
    "command_velocity": "velocity",
}


@dataclass(frozen=True)
class _Pair:
    """One motion on two clocks; `measured` where both have measured it."""

    first: Channel
    second: Channel
    measured: bool


def synchronise(recording: Recording) -> Recording:
    """Move each stream that has a clock of its own onto that of the positions.

    Where both clocks have measured one signal, offset and skew are taken out. Where a clock has
    only commands, the skew is, but the offset is left in: it cannot be told from the drive's lag.
    Nothing is moved of which the description does not say that its clock is another.

    Returns:
        The recording with all streams on one clock; `clocks` tells what was found and done.

    Raises:
        RecordingError: Nothing tells how a clock differs.
    """
    reference = next((s.clock for s in recording.streams if "position" in s.signals), "")
    clocks = dict.fromkeys(s.clock for s in recording.streams if s.clock != reference)
    if not clocks:
        return recording
    found: dict[str, Synchrony] = {}
    for clock in clocks:
        ours = [s for s in recording.streams if s.clock == reference]
        theirs = [s for s in recording.streams if s.clock == clock]
        try:
            found[clock] = _compared(_pair(ours, theirs))
        except RecordingError as error:
            raise RecordingError(
                f"recording '{recording.name}': clock '{clock}': {error}"
            ) from None
    streams = (
        replace(s, clock="", t_ns=_moved(s, found[s.clock]))
        if s.clock in found
        else replace(s, clock="")
        for s in recording.streams
    )
    return replace(recording, streams=tuple(streams), clocks=found)


def _pair(ours: Sequence[Stream], theirs: Sequence[Stream]) -> _Pair:
    """Return what both clocks have measured, else a command on one that the other follows."""
    pairs = [(signal, signal, True) for signal in MEASURED]
    pairs += [(followed, command, False) for command, followed in FOLLOWED.items()]
    for first, second, measured in pairs:
        for a, b in ((a, b) for a in _channels(ours, first) for b in _channels(theirs, second)):
            if set(a.joints) & set(b.joints):
                return _Pair(a, b, measured)
    names = ", ".join(sorted({signal for s in theirs for signal in s.signals}))
    raise RecordingError(
        f"nothing that it stamps ({names}) is on the recording's clock too; give the position that "
        "both have seen, or leave out 'clock' to take the stamps as they are"
    )


def _channels(streams: Sequence[Stream], signal: Signal) -> Iterator[Channel]:
    for stream in streams:
        found = trusted(stream, signal)
        if found is not None:
            yield found


def _compared(pair: _Pair) -> Synchrony:
    joints = [name for name in pair.first.joints if name in pair.second.joints]
    first_ns, second_ns = int(pair.first.t_ns[0]), int(pair.second.t_ns[0])
    apart = pair.first.t_ns[-1] < second_ns or pair.second.t_ns[-1] < first_ns
    if apart and not pair.measured:
        raise RecordingError(
            "it has only commands, and does not overlap the recording's; the drive's lag and the "
            "clock's offset cannot be told apart: give the position that both have seen"
        )
    # Seconds since the first stamp of either: a float does not hold more digits.
    base_ns = second_ns if apart else first_ns
    fit = fit_clocks(
        (pair.first.t_ns - first_ns) * 1e-9,
        _columns(pair.first, joints),
        (pair.second.t_ns - base_ns) * 1e-9,
        _columns(pair.second, joints),
        most_offset_s=float(np.ptp(pair.first.t_ns)) * 1e-9 if apart else NEAR_S,
    )
    if fit.explained < ALIKE:
        raise RecordingError(
            f"{pair.second.signal} there explains only {fit.explained:.0%} of {pair.first.signal} "
            f"here, whatever its offset: they are not one motion"
        )
    return Synchrony(
        fit=fit,
        first_ns=first_ns,
        base_ns=base_ns,
        seen=f"{pair.second.signal} of {len(joints)} joint{'s' if len(joints) > 1 else ''}",
        separable=pair.measured,
    )


def _columns(source: Channel, joints: Sequence[str]) -> Float[np.ndarray, "sample joint"]:
    return source.values[:, [source.joints.index(name) for name in joints]]


def _moved(stream: Stream, found: Synchrony) -> np.ndarray:
    """Return a stream's stamps on the recording's clock, ns."""
    fit, since_s = found.fit, (stream.t_ns - found.base_ns) * 1e-9
    skew_ns = np.rint(fit.skew * (since_s - fit.middle_s) * 1e9).astype(np.int64)
    return np.asarray(stream.t_ns + skew_ns + (found.offset_ns if found.separable else 0))


__all__ = ["ClockFit", "synchronise"]
