"""Put the streams of a recording on one uniform clock."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.integrate import cumulative_trapezoid

from envs.errors import RecordingError, unknown
from envs.telemetry.channels import MEASURED, Channel, channel, tidy
from envs.telemetry.recording import Recording
from envs.telemetry.resampling import Places, places, resample
from envs.telemetry.trajectory import Trajectory

# More instants than this are made only where there are samples to fill them.
MOST_INSTANTS = 10_000_000


def align(
    recording: Recording,
    joints: Sequence[str],
    *,
    rate_hz: float = 1000.0,
) -> Trajectory:
    """Return the recorded signals on one clock, in the stage's joint order.

    The clock covers what state and command streams have in common; its instants are whole multiples
    of the step since the recording's first stamp. Measured signals are interpolated linearly,
    unless their policy says otherwise: this cannot swing however close two stamps are, and takes
    (π·f / rate)²/3 from a frequency f: 0.5 % of 10 Hz at 250 samples a second. On the sample,
    low-passed at 10 Hz, it is as near to the truth as PCHIP or a cubic spline: 5e-5 rad. Where the
    samples of a signal are further apart than its stream's gap, the result only fills the place
    and `valid` is False. A commanded position holds until the next one, however long that takes
    unless a gap is declared, or follows its policy; a commanded velocity is integrated (trapezoids)
    from its start, or from the measured position where that is unknown, and then treated alike.

    Args:
        recording: What was logged, with the stage's joint names.
        joints: Joints of the stage that move; the recording may hold some of them only.
        rate_hz: Samples per second of the result.

    Returns:
        A trajectory with the joints that were logged; a signal that was not logged for all of them
        is None. Currents stand in for an effort that was not logged.

    Raises:
        RecordingError: A recorded joint is not in the stage, there are no positions, the streams
            do not overlap, or they are on several clocks: `synchronise` comes first.
    """
    if any(stream.clock for stream in recording.streams):
        raise RecordingError(f"recording '{recording.name}' is on several clocks: synchronise it")
    for stream in recording.streams:
        for name in stream.joints:
            if name not in joints:
                raise RecordingError(
                    f"stream '{stream.name}': {unknown('joint', name, joints, where='the stage')} "
                    "joint_names can map a recorded name to the stage's, or to '' to leave it out."
                )
    if not rate_hz > 0:
        raise RecordingError(f"a rate of {rate_hz} Hz is not positive")
    position = channel(recording, "position")
    if position is None:
        raise RecordingError(f"recording '{recording.name}': no position is a finite number")
    command = commanded(recording, position)
    names = tuple(
        n for n in joints if n in position.joints and (command is None or n in command.joints)
    )
    if command is not None and not names:
        raise RecordingError(
            f"recording '{recording.name}': states ({', '.join(position.joints)}) and commands "
            f"({', '.join(command.joints)}) have no joint in common"
        )
    velocity, effort, current = (
        found if (found := channel(recording, s)) and set(names) <= set(found.joints) else None
        for s in MEASURED[1:]
    )
    current = None if effort is not None else current
    used = [c for c in (position, velocity, effort, current, command) if c is not None]
    # A wrong stamp that is not used must not move the start.
    t0_ns = min(int(tidy(s).t_ns[0]) for s in recording.streams if len(s.t_ns))
    grid_ns, t_s = _clock(used, t0_ns, rate_hz, recording.name)
    found_at: list[tuple[Channel, Places]] = []

    def interpolate(source: Channel) -> Float[np.ndarray, "time joint"]:
        # Signals of one message share their stamps, and so their places.
        at = next((p for c, p in found_at if _same_places(c, source)), None)
        if at is None:
            exact_ns = t_s * 1e9 - float(source.t_ns[0] - t0_ns)
            at = places(source.t_ns, grid_ns, exact_ns, source.limit_ns)
            found_at.append((source, at))
        columns = [source.joints.index(n) for n in names]
        return resample(source.values, columns, at, source.policy, source.t_ns, source.limit_ns)

    q = interpolate(position)
    qd = None if velocity is None else interpolate(velocity)
    tau = None if effort is None else interpolate(effort)
    q_command = None if command is None else interpolate(command)
    valid = np.ones(len(t_s), bool)
    for _, at in found_at:
        valid &= ~at.bridged
    return Trajectory(
        t_s=t_s,
        joints=names,
        q=q,
        qd=qd,
        tau=tau,
        q_command=q_command,
        current=None if current is None else interpolate(current),
        valid=valid,
    )


def commanded(recording: Recording, position: Channel) -> Channel | None:
    """Return the commanded positions, integrated from velocities where only those were logged."""
    velocity = channel(recording, "command_velocity")
    if velocity is None:
        return channel(recording, "command_position")
    t_s = (velocity.t_ns - velocity.t_ns[0]) * 1e-9
    start = velocity.start
    if start is None:
        lost = [n for n in velocity.joints if n not in position.joints]
        if lost:
            raise RecordingError(
                f"recording '{recording.name}': no start for the commanded velocity of "
                f"{', '.join(lost)}, and no position was measured"
            )
        start = np.array(
            [
                np.interp(velocity.t_ns[0], position.t_ns, position.values[:, i])
                for i in (position.joints.index(n) for n in velocity.joints)
            ]
        )
    moved = cumulative_trapezoid(velocity.values, t_s, axis=0, initial=0.0)
    return Channel(
        signal="command_position",
        t_ns=velocity.t_ns,
        joints=velocity.joints,
        values=start + moved,
        limit_ns=velocity.limit_ns,
        policy=velocity.policy,
        start=None,
    )


def _same_places(one: Channel, other: Channel) -> bool:
    return one.limit_ns == other.limit_ns and np.array_equal(one.t_ns, other.t_ns)


def _clock(
    channels: Sequence[Channel], t0_ns: int, rate_hz: float, name: str
) -> tuple[Int[np.ndarray, "time"], Float[np.ndarray, "time"]]:
    """Return the instants k / rate_hz that all channels cover: stamps (ns), and s since t0."""
    spans = {c.signal: (int(c.t_ns[0]) - t0_ns, int(c.t_ns[-1]) - t0_ns) for c in channels}
    first_ns, last_ns = max(a for a, _ in spans.values()), min(b for _, b in spans.values())
    # Counting steps, not dividing a duration, keeps the step exact; 1e-6 of one absorbs rounding.
    first = math.ceil(first_ns * rate_hz / 1e9 - 1e-6)
    last = math.floor(last_ns * rate_hz / 1e9 + 1e-6)
    if last <= first:
        found = ", ".join(f"{s} {a / 1e9:.3f} to {b / 1e9:.3f} s" for s, (a, b) in spans.items())
        raise RecordingError(
            f"recording '{name}': its signals have no stretch of time in common: {found}"
        )
    count, known = last - first + 1, sum(len(c.t_ns) for c in channels)
    if count > MOST_INSTANTS and count > 100 * known:
        raise RecordingError(
            f"recording '{name}': {known} samples span {(last_ns - first_ns) * 1e-9:g} s, which is "
            f"{count} instants at {rate_hz:g} Hz; is the time unit right, or a stamp wrong?"
        )
    t_s = np.arange(first, last + 1) / rate_hz
    return t0_ns + np.rint(t_s * 1e9).astype(np.int64), t_s
