"""Clean signals of a moving arm, and faults put into them where we know."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from envs.telemetry.finding import Fault
from envs.telemetry.recording import Recording, Signal, Stream

JOINTS = tuple(f"joint{i}" for i in range(1, 8))
RATE_HZ = 250
LAG_S = 0.02
Rng = np.random.Generator


@dataclass(frozen=True)
class Injected:
    """A recording with one kind of fault.

    Attributes:
        truth: Channel → the rows that have the fault; empty where it is about the whole channel.
    """

    recording: Recording
    kind: Fault
    truth: dict[str, np.ndarray]


def clean(rng: Rng, seconds: float = 40.0) -> Recording:
    """Return an excitation with sensor noise: 4e-5 rad, 3e-3 rad/s, 0.05 N·m."""
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    amplitude = rng.uniform(0.05, 0.3, (5, 7))
    omega = 2 * np.pi * rng.uniform(0.1, 0.8, (5, 7))
    phase = rng.uniform(0, 2 * np.pi, (5, 7))

    def wave(at: np.ndarray, order: int = 0) -> np.ndarray:
        angle = omega * at[:, None, None] + phase + order * np.pi / 2
        return np.asarray((amplitude * omega**order * np.sin(angle)).sum(axis=1))

    q, qd, qdd = wave(t), wave(t, 1), wave(t, 2)
    signals: dict[Signal, np.ndarray] = {
        "position": q + rng.normal(0, 4e-5, q.shape),
        "velocity": qd + rng.normal(0, 3e-3, q.shape),
        "effort": 5 * qdd + 8 * np.sin(q) + 2 * np.tanh(qd / 0.01) + rng.normal(0, 0.05, q.shape),
    }
    t_ns = np.rint(t * 1e9 + rng.uniform(-2e5, 2e5, n)).astype(np.int64) + 10**18
    states = Stream("states", t_ns, JOINTS, signals)
    command: dict[Signal, np.ndarray] = {"command_position": wave(t + LAG_S)}
    commands = Stream("commands", np.rint(t * 1e9).astype(np.int64) + 10**18, JOINTS, command)
    return Recording("clean", (states, commands), {})


def changed(recording: Recording, **signals: np.ndarray) -> Recording:
    """Return the recording with other values of signals."""
    return replace(
        recording,
        streams=tuple(
            replace(s, signals={k: signals.get(k, v) for k, v in s.signals.items()})
            for s in recording.streams
        ),
    )


def states(recording: Recording, t_ns: Any, rows: Any) -> Recording:
    """Return the recording with other rows of the states."""
    old, *rest = recording.streams
    new = Stream(old.name, t_ns, old.joints, {k: v[rows] for k, v in old.signals.items()})
    return replace(recording, streams=(new, *rest))


def places(rng: Rng, n: int, count: int, apart: int) -> np.ndarray:
    """Return places that are at least so far apart, and from the ends."""
    slots = rng.choice(np.arange(2, n // apart - 2), count, replace=False)
    return np.sort(slots) * apart + rng.integers(0, apart // 3, count)


def spike(recording: Recording, rng: Rng) -> Injected:
    signal: Signal = rng.choice(np.array(["position", "velocity", "effort"]))
    values = recording.streams[0].signals[signal].copy()
    truth = {}
    steps = np.quantile(np.abs(np.diff(values, axis=0)), 0.98, axis=0)
    for j in rng.choice(7, 3, replace=False):
        rows = places(rng, len(values), 20, 40)
        sign = rng.choice([-1, 1], 20)
        values[rows, j] += sign * steps[j] * rng.uniform(6, 50, 20)
        truth[f"{signal}/{JOINTS[j]}"] = rows
    return Injected(changed(recording, **{signal: values}), "spike", truth)


def stuck(recording: Recording, rng: Rng) -> Injected:
    signal: Signal = rng.choice(np.array(["position", "velocity", "effort"]))
    values = recording.streams[0].signals[signal].copy()
    j = int(rng.integers(7))
    rows = []
    for first in places(rng, len(values), 4, 400):
        length = int(rng.integers(12, 100))
        values[first : first + length, j] = values[first, j]
        rows.append(np.arange(first + 1, first + length))
    truth = {f"{signal}/{JOINTS[j]}": np.concatenate(rows)}
    return Injected(changed(recording, **{signal: values}), "stuck", truth)


def zero_filled(recording: Recording, rng: Rng) -> Injected:
    values = recording.streams[0].signals["effort"].copy()
    j = int(rng.integers(7))
    first = int(rng.integers(100, 5000))
    rows = np.arange(first, first + int(rng.integers(20, 400)))
    values[rows, j] = 0.0
    return Injected(changed(recording, effort=values), "zero_filled", {f"effort/{JOINTS[j]}": rows})


def not_finite(recording: Recording, rng: Rng) -> Injected:
    values = recording.streams[0].signals["position"].copy()
    rows = np.sort(rng.choice(len(values), 50, replace=False))
    values[rows, rng.integers(0, 7, 50)] = rng.choice([np.nan, np.inf, -np.inf], 50)
    return Injected(changed(recording, position=values), "not_finite", {"position": rows})


def repeated(recording: Recording, rng: Rng) -> Injected:
    values = {k: v.copy() for k, v in recording.streams[0].signals.items()}
    rows = places(rng, len(values["position"]), 60, 40)
    for v in values.values():
        v[rows] = v[rows - 1]
    return Injected(changed(recording, **values), "repeated", dict.fromkeys(values, rows))


def duplicate(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    at = places(rng, len(old.t_ns), 60, 40)
    rows = np.insert(np.arange(len(old.t_ns)), at + 1, at)
    again = np.flatnonzero(np.diff(rows) == 0) + 1
    return Injected(states(recording, old.t_ns[rows], rows), "duplicate", {"states": again})


def conflict(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    at = places(rng, len(old.t_ns), 60, 40)
    rows = np.insert(np.arange(len(old.t_ns)), at + 1, at)
    again = np.flatnonzero(np.diff(rows) == 0) + 1
    injected = states(recording, old.t_ns[rows], rows)
    effort = injected.streams[0].signals["effort"].copy()
    # Of two samples of one stamp the smaller counts, by the signals in the order of their names.
    effort[again] += rng.uniform(0.1, 5.0, (60, 1))
    return Injected(changed(injected, effort=effort), "conflict", {"states": again})


def out_of_order(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    order = np.arange(len(old.t_ns))
    late = []
    for first in places(rng, len(order), 60, 60):
        # One sample arrives behind the next few.
        k = int(rng.integers(1, 12))
        order[first : first + k + 1] = np.roll(order[first : first + k + 1], -1)
        late.append(first + k)
    return Injected(
        states(recording, old.t_ns[order], order), "out_of_order", {"states": np.array(late)}
    )


def clock_jump(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    t_ns = old.t_ns.copy()
    rows = places(rng, len(t_ns), 20, 100)
    t_ns[rows] += rng.choice([-1, 1], 20) * rng.integers(2 * 10**9, 10**15, 20)
    return Injected(states(recording, t_ns, np.arange(len(t_ns))), "clock_jump", {"states": rows})


def clock_reset(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    at = int(rng.integers(200, len(old.t_ns) // 3))
    t_ns = old.t_ns.copy()
    # The clock is set back once; the shorter part is what does not fit.
    t_ns[at:] -= t_ns[at] - t_ns[0]
    truth = {"states": np.arange(at)}
    return Injected(states(recording, t_ns, np.arange(len(t_ns))), "clock_jump", truth)


def gap(recording: Recording, rng: Rng) -> Injected:
    old = recording.streams[0]
    keep = np.ones(len(old.t_ns), bool)
    for first in places(rng, len(keep), 6, 500):
        keep[first : first + int(rng.integers(8, 120))] = False
    rows = np.flatnonzero(keep)
    before = np.flatnonzero(np.diff(rows) > 1)
    return Injected(states(recording, old.t_ns[rows], rows), "gap", {"states": before})


def wrapped_register(recording: Recording, rng: Rng) -> Injected:
    j = int(rng.integers(7))
    values = recording.streams[0].signals["velocity"].copy()
    counts = np.rint(values[:, j] / np.abs(values[:, j]).max() * 10_000)
    rows = np.flatnonzero(counts < 0)
    values[:, j] = np.where(counts < 0, counts + 65536, counts) * 1e-3
    where = f"velocity/{JOINTS[j]}"
    return Injected(changed(recording, velocity=values), "wrapped_register", {where: rows})


def wrapped_angle(recording: Recording, rng: Rng) -> Injected:
    j = int(rng.integers(7))
    values = recording.streams[0].signals["position"].copy()
    # The joint passes π where the middle of its motion is.
    values[:, j] += np.pi - np.median(values[:, j])
    values[:, j] = (values[:, j] + np.pi) % (2 * np.pi) - np.pi
    rows = np.flatnonzero(np.abs(np.diff(values[:, j])) > 5) + 1
    # Noise at the very edge makes it flicker; a single sample is then a spike, not a turn.
    apart = np.diff(np.concatenate([[-9], rows, [10**9]])) > 1
    rows = rows[apart[:-1] & apart[1:]]
    where = f"position/{JOINTS[j]}"
    return Injected(changed(recording, position=values), "wrapped_angle", {where: rows})


def whole(
    kind: Fault, channel: str, change: Callable[[np.ndarray, Rng], np.ndarray], signal: Signal
) -> Callable[[Recording, Rng], Injected]:
    """Return an injector that changes one joint of a signal throughout."""

    def inject(recording: Recording, rng: Rng) -> Injected:
        j = int(rng.integers(7))
        stream = next(s for s in recording.streams if signal in s.signals)
        values = stream.signals[signal].copy()
        values[:, j] = change(values[:, j], rng)
        where = f"{channel}/{JOINTS[j]}"
        return Injected(changed(recording, **{signal: values}), kind, {where: np.empty(0, int)})

    return inject


def late(values: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the values some samples later."""
    return np.roll(values, int(rng.integers(4, 15)))


def scaled(values: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the values with a wrong factor, not that between degrees and radians."""
    return np.asarray(values * rng.choice([-1.0, 0.5, 0.8, 1.25, 2.0]))


INJECTORS: dict[str, Callable[[Recording, Rng], Injected]] = {
    "spike": spike,
    "stuck": stuck,
    "zero_filled": zero_filled,
    "not_finite": not_finite,
    "repeated": repeated,
    "duplicate": duplicate,
    "conflict": conflict,
    "out_of_order": out_of_order,
    "clock_jump": clock_jump,
    "clock_reset": clock_reset,
    "gap": gap,
    "wrapped_register": wrapped_register,
    "wrapped_angle": wrapped_angle,
    "velocity_scale": whole("velocity_mismatch", "velocity", scaled, "velocity"),
    "velocity_lag": whole("velocity_mismatch", "velocity", late, "velocity"),
    "velocity_degrees": whole("degrees", "velocity", lambda v, _: np.degrees(v), "velocity"),
    "position_degrees": whole("degrees", "position", lambda v, _: np.degrees(v), "position"),
    "command_degrees": whole(
        "degrees", "command_position", lambda v, _: np.degrees(v), "command_position"
    ),
    "command_scale": whole(
        "command_mismatch", "command_position", lambda v, _: -v, "command_position"
    ),
}
