"""Whether the values of a signal can be true, alone and beside the signals that belong to it."""

from collections.abc import Iterator
from math import degrees, radians

import numpy as np
from jaxtyping import Bool, Float, Int

from envs.telemetry.alignment import commanded
from envs.telemetry.channels import MEASURED, Channel, channel, order
from envs.telemetry.detectors import empty, frozen, register_bits, spikes, turned, wrapped
from envs.telemetry.finding import Fault, Finding
from envs.telemetry.recording import Recording, Signal, Stream
from envs.telemetry.relations import Relation, relate

SENSED: tuple[Signal, ...] = (*MEASURED, "load")
# A velocity may differ by so much in scale from dq/dt, and by so many steps in time.
SCALE_SHARE = 0.1
LAG_STEPS = 2.5
# Two signals are related where one explains so much of the other.
RELATED = 0.8
# Between radians and degrees; the share by which a scale may differ and still be this.
DEGREES_SHARE = 0.15
# A supply that changes by more than this share is told.
VOLTAGE_SHARE = 0.05
# A drive that is soft follows its command by no less than this.
COMMAND_SCALE = (0.5, 1.5)


def value_findings(stream: Stream, start_ns: int) -> Iterator[Finding]:
    """Yield the faults which show in the values of one signal of a stream."""
    rows = order(stream).rows
    t_ns = stream.t_ns[rows]
    for signal in SENSED:
        if signal not in stream.signals:
            continue
        values = stream.signals[signal][rows]
        values = np.where(np.isfinite(values), values, np.nan)
        for j, joint in enumerate(stream.joints):
            where = f"{signal}/{joint}"
            yield from _register_findings(values[:, j], where, rows, t_ns, start_ns)
        known = _bridged(values)
        if known is None:
            continue
        spiky = spikes(known)
        still = frozen(known) & np.isfinite(values)
        for j, joint in enumerate(stream.joints):
            where = f"{signal}/{joint}"
            if signal == "position":
                turns = turned(known[:, j])
                detail = f"{turns.sum()} jumps of a whole turn; unwrap the angle before it is read"
                yield from _told(
                    "wrapped_angle", where, turns, "flagged", detail, rows, t_ns, start_ns
                )
            detail = f"{spiky[:, j].sum()} samples stand out of their neighbours"
            yield from _told("spike", where, spiky[:, j], "flagged", detail, rows, t_ns, start_ns)
            zero = still[:, j] & (known[:, j] == 0)
            detail = f"{zero.sum()} samples are 0 to the last bit while others move"
            yield from _told("zero_filled", where, zero, "flagged", detail, rows, t_ns, start_ns)
            stuck = still[:, j] & ~zero
            detail = f"{stuck.sum()} samples stay the same to the last bit while others move"
            yield from _told("stuck", where, stuck, "flagged", detail, rows, t_ns, start_ns)
        if signal != "position":
            for place in np.flatnonzero(empty(known)):
                if _moves(stream, rows, int(place)):
                    everywhere = np.ones(len(known), bool)
                    detail = "it is 0 throughout although the joint moves"
                    where = f"{signal}/{stream.joints[place]}"
                    yield from _told(
                        "zero_filled", where, everywhere, "flagged", detail, rows, t_ns, start_ns
                    )


def voltage_findings(stream: Stream) -> Iterator[Finding]:
    """Yield where the supply changes so much that a motor's torque does."""
    if "voltage" not in stream.signals:
        return
    for j, joint in enumerate(stream.joints):
        values = stream.signals["voltage"][:, j]
        values = values[np.isfinite(values)]
        if len(values) and np.ptp(values) > VOLTAGE_SHARE * np.median(values):
            detail = f"{values.min():.2f} to {values.max():.2f} V, median {np.median(values):.2f} V"
            yield Finding("voltage_swing", f"voltage/{joint}", 1, 0.0, "kept", detail)


def relation_findings(recording: Recording) -> Iterator[Finding]:
    """Yield where velocity is not the derivative of position, or commands are not followed."""
    position = channel(recording, "position")
    if position is None or len(position.t_ns) < 20:
        return
    velocity = channel(recording, "velocity")
    step_s = float(np.median(np.diff(position.t_ns))) * 1e-9
    if velocity is not None:
        for joint in velocity.joints:
            if joint in position.joints:
                yield from _velocity(joint, position, velocity, step_s)
    command = commanded(recording, position)
    if command is not None:
        for joint in command.joints:
            if joint in position.joints:
                yield from _command(joint, position, command, step_s)


def _velocity(joint: str, position: Channel, velocity: Channel, step_s: float) -> Iterator[Finding]:
    t_s, q = _column(position, joint)
    found = relate(t_s, np.gradient(q, t_s), _at(velocity, joint, position), most_lag_s=0.1)
    if found is None or found.explained < RELATED:
        return
    fault = _units(joint, found, "velocity", "position")
    if fault is not None:
        yield fault
    elif abs(found.scale - 1) > SCALE_SHARE or abs(found.lag_s) > LAG_STEPS * step_s:
        detail = (
            f"it is {found.scale:.4g} times dq/dt, {found.lag_s * 1e3:.2f} ms later; "
            f"explains {found.explained:.1%}"
        )
        yield Finding("velocity_mismatch", f"velocity/{joint}", 1, 0.0, "flagged", detail)


def _command(joint: str, position: Channel, command: Channel, step_s: float) -> Iterator[Finding]:
    t_s, q = _column(position, joint)
    found = relate(t_s, _at(command, joint, position), q)
    if found is None or found.explained < RELATED:
        return
    fault = _units(joint, found, "position", "command_position")
    detail = (
        f"position is {found.scale:.4g} times the command, {found.lag_s * 1e3:.2f} ms later; "
        f"explains {found.explained:.1%}"
    )
    where = f"command_position/{joint}"
    if fault is not None:
        yield fault
    elif not COMMAND_SCALE[0] < found.scale < COMMAND_SCALE[1]:
        yield Finding("command_mismatch", where, 1, 0.0, "flagged", detail)
    elif abs(found.lag_s) > LAG_STEPS * step_s:
        yield Finding("command_lag", where, 1, 0.0, "kept", detail)


def _units(joint: str, found: Relation, follower: Signal, followed: Signal) -> Finding | None:
    """Return the finding that one of two signals is in degrees, the other in radians."""
    for scale, guilty in ((degrees(1), follower), (radians(1), followed)):
        if abs(found.scale / scale - 1) < DEGREES_SHARE:
            detail = f"{follower} is {found.scale:.4g} times what {followed} says; 180/π is 57.3"
            return Finding("degrees", f"{guilty}/{joint}", 1, 0.0, "flagged", detail)
    return None


def _column(source: Channel, joint: str) -> tuple[np.ndarray, np.ndarray]:
    t_s = (source.t_ns - source.t_ns[0]) * 1e-9
    return t_s, source.values[:, source.joints.index(joint)]


def _at(source: Channel, joint: str, other: Channel) -> Float[np.ndarray, "sample"]:
    """Return a channel's values at the stamps of another."""
    values = source.values[:, source.joints.index(joint)]
    if len(source.t_ns) == len(other.t_ns) and (source.t_ns == other.t_ns).all():
        return values
    t0_ns = other.t_ns[0]
    return np.asarray(np.interp(other.t_ns - t0_ns, source.t_ns - t0_ns, values))


def _register_findings(
    values: Float[np.ndarray, "sample"],
    where: str,
    rows: Int[np.ndarray, "sample"],
    t_ns: Int[np.ndarray, "sample"],
    start_ns: int,
) -> Iterator[Finding]:
    finite = np.isfinite(values)
    if not finite.any():
        return
    bits = register_bits(values[finite])
    if bits:
        high = finite.copy()
        high[finite] = wrapped(values[finite], bits)
        detail = f"negative numbers in an unsigned register: declare register_bits: {bits}"
        yield from _told("wrapped_register", where, high, "flagged", detail, rows, t_ns, start_ns)


def _told(
    kind: Fault,
    where: str,
    marked: Bool[np.ndarray, "sample"],
    action: str,
    detail: str,
    rows: Int[np.ndarray, "sample"],
    t_ns: Int[np.ndarray, "sample"],
    start_ns: int,
) -> Iterator[Finding]:
    places = np.flatnonzero(marked)
    if len(places):
        first_s = (int(t_ns[places[0]]) - start_ns) * 1e-9
        yield Finding(kind, where, len(places), first_s, action, detail, rows[places])


def _bridged(values: Float[np.ndarray, "sample joint"]) -> Float[np.ndarray, "sample joint"] | None:
    """Return the values with the missing ones interpolated; None where a joint has too few."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    at = np.arange(len(values))
    filled = values.copy()
    for j in range(values.shape[1]):
        known = ~missing[:, j]
        if known.sum() < 2:
            filled[:, j] = 0.0
            continue
        filled[:, j] = np.interp(at, at[known], values[known, j])
    return None if missing.all() else filled


def _moves(stream: Stream, rows: Int[np.ndarray, "sample"], joint: int) -> bool:
    """Tell whether the stream's position of a joint changes."""
    if "position" not in stream.signals:
        return False
    q = stream.signals["position"][rows, joint]
    return bool(np.nanmax(q) - np.nanmin(q) > 0.01) if np.isfinite(q).any() else False
