"""Alignment: the clock, the interpolation, the commands and the gaps, against closed forms."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordingError
from envs.telemetry.alignment import align
from envs.telemetry.description import recording_source
from envs.telemetry.read import read
from envs.telemetry.recording import Policy, Recording, Stream
from envs.telemetry.trajectory_file import write_trajectory
from tests.envs.telemetry.tiny import recording

JOINTS = ("a", "b")
T = np.arange(0, 501) * 0.004


def wave(t: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2 * np.pi * t), 0.5 * np.cos(3 * np.pi * t)], axis=1)


def shuffled(source: Recording, rng: np.random.Generator) -> Recording:
    def shuffle(stream: Stream) -> Stream:
        rows = rng.permutation(len(stream.t_ns))
        signals = {k: v[rows] for k, v in stream.signals.items()}
        return replace(stream, t_ns=stream.t_ns[rows], signals=signals)

    return replace(source, streams=tuple(shuffle(s) for s in source.streams))


def declared(source: Recording, stream: int = 0, **said: Any) -> Recording:
    """Return the recording with what a description says of one of its streams."""
    streams = list(source.streams)
    streams[stream] = replace(streams[stream], **said)
    return replace(source, streams=tuple(streams))


def test_a_smooth_signal_is_met_between_jittered_samples() -> None:
    t = T + np.random.default_rng(0).uniform(-5e-4, 5e-4, len(T))
    result = align(recording(t, {"position": wave(t), "velocity": wave(t)}), JOINTS)
    # The error of a chord is at most h²/8·|q̈|: (5 ms)²/8·40 rad/s² ≈ 1.2e-4.
    inside = slice(10, -10)
    t0 = t.min()
    np.testing.assert_allclose(result.q[inside], wave(result.t_s + t0)[inside], atol=1.3e-4)
    assert result.qd is not None
    np.testing.assert_array_equal(result.qd, result.q)
    assert result.measured.all()
    assert result.tau is None
    assert result.q_command is None


def test_currents_stand_in_for_an_effort_that_was_not_logged() -> None:
    current = {"position": wave(T), "current": 3 * wave(T)}
    result = align(recording(T, current), JOINTS)
    assert result.tau is None
    assert result.current is not None
    np.testing.assert_allclose(result.current, 3 * result.q, atol=1e-12)
    half = result.span(0.2, 0.4)
    assert half.current is not None
    assert len(half.current) == len(half.t_s)
    both = align(recording(T, {**current, "effort": wave(T)}), JOINTS)
    assert both.tau is not None
    assert both.current is None


def test_columns_follow_the_stage_and_unrecorded_joints_are_absent() -> None:
    source = recording(T, {"position": wave(T)})
    result = align(source, ("b", "finger", "a"))
    assert result.joints == ("b", "a")
    np.testing.assert_allclose(result.q[::4], wave(T)[:, ::-1], atol=1e-12)


def test_an_unknown_joint_lists_the_stages() -> None:
    source = recording(T, {"position": wave(T)})
    with pytest.raises(RecordingError) as error:
        align(source, ("a", "c", "bb"))
    text = str(error.value)
    assert re.search(r"joint 'b' is not in the stage; it has: a, c, bb\. Did you mean 'bb'\?", text)
    assert "joint_names" in text


@settings(deadline=None)
@given(
    start_ns=st.integers(0, 10**10),
    steps=st.integers(30, 2000),
    rate_hz=st.sampled_from([1000.0, 500.0, 240.0, 333.0]),
)
def test_the_clock_is_exact_and_covers_the_overlap(
    start_ns: int, steps: int, rate_hz: float
) -> None:
    t_ns = 10**18 + start_ns + np.arange(steps + 1) * 1_022_000
    states = Stream("s", t_ns, ("a",), {"position": np.sin(t_ns * 1e-9)[:, None]})
    command = Stream("c", t_ns[3:] + 77, ("a",), {"command_position": np.zeros((steps - 2, 1))})
    t_s = align(Recording("x", (states, command), {}), ("a",), rate_hz=rate_hz).t_s
    k = np.round(t_s * rate_hz)
    np.testing.assert_array_equal(t_s, k / rate_hz)
    np.testing.assert_array_equal(np.diff(k), 1)
    first_s, last_s = (3 * 1_022_000 + 77) * 1e-9, steps * 1_022_000 * 1e-9
    assert first_s - 1e-8 <= t_s[0] < first_s + 1 / rate_hz
    assert last_s - 1 / rate_hz < t_s[-1] <= last_s + 1e-8


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_neither_order_nor_duplicates_change_the_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.unique(rng.integers(0, 500, 300)) * 0.001
    source = recording(t, {"position": wave(t)}, (t, {"command_position": wave(t)}))

    def repeat(stream: Stream) -> Stream:
        rows = np.sort(np.concatenate([np.arange(len(t)), rng.integers(0, len(t), 20)]))
        signals = {k: v[rows] for k, v in stream.signals.items()}
        return replace(stream, t_ns=stream.t_ns[rows], signals=signals)

    messy = replace(source, streams=tuple(repeat(s) for s in source.streams))
    expected, found = align(source, JOINTS), align(shuffled(messy, rng), JOINTS)
    np.testing.assert_array_equal(found.t_s, expected.t_s)
    np.testing.assert_array_equal(found.q, expected.q)
    assert found.q_command is not None and expected.q_command is not None
    np.testing.assert_array_equal(found.q_command, expected.q_command)
    np.testing.assert_array_equal(found.measured, expected.measured)


def test_a_command_holds_until_the_next() -> None:
    t_c = np.array([0.0, 0.01, 0.02, 0.0305, 2.0])
    commands = np.arange(5.0)[:, None] * [1, -1]
    result = align(
        recording(T, {"position": wave(T)}, (t_c, {"command_position": commands})), JOINTS
    )
    assert result.q_command is not None
    for t, expected in ((0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (30, 2), (31, 3), (1999, 3)):
        assert result.q_command[t].tolist() == [expected, -expected], f"at {t} ms"


@pytest.mark.parametrize("known", [True, False])
def test_a_commanded_velocity_is_integrated_from_its_start(known: bool) -> None:
    rate = 2 * np.pi * np.cos(2 * np.pi * T)[:, None] * [1.0, 2.0]
    q = np.stack([0.3 + 0 * T, 0.7 + T], axis=1)
    start = np.array([1.0, -1.0]) if known else None
    source = recording(T, {"position": q}, (T, {"command_velocity": rate}), start=start)
    result = align(source, JOINTS)
    assert result.q_command is not None
    expected = np.sin(2 * np.pi * T)[:, None] * [1.0, 2.0] + (start if known else q[0])
    # The trapezoidal rule's error: h²/12·(b − a)·max|v̈|, at most (4 ms)²/12·|Δv̇| here 2 · 39.5.
    np.testing.assert_allclose(result.q_command[::4], expected, atol=4e-3**2 / 12 * 2 * 79)


def test_gaps_are_bridged_and_marked() -> None:
    keep = (T <= 0.5) | (T >= 0.7)
    result = align(recording(T[keep], {"position": wave(T[keep])}), JOINTS)
    assert np.isfinite(result.q).all()
    bridged = np.flatnonzero(~result.measured)
    assert (bridged[0], bridged[-1], len(bridged)) == (501, 699, 199)
    low, high = np.minimum(*wave(np.array([0.5, 0.7]))), np.maximum(*wave(np.array([0.5, 0.7])))
    assert (result.q[bridged] >= low - 1e-12).all()
    assert (result.q[bridged] <= high + 1e-12).all()


def test_any_measured_signal_can_have_the_gap() -> None:
    tau = wave(T)
    tau[100:120] = np.nan
    result = align(recording(T, {"position": wave(T), "effort": tau}), JOINTS)
    assert result.tau is not None and np.isfinite(result.tau).all()
    assert np.flatnonzero(~result.measured)[[0, -1]].tolist() == [397, 479]
    narrow = align(declared(recording(T, {"position": wave(T)}), max_gap_s=0.001), JOINTS)
    assert np.flatnonzero(narrow.measured).tolist() == list(range(0, 2001, 4))


def test_samples_next_to_each_other_cannot_make_it_swing() -> None:
    t = np.sort(np.concatenate([T, T[1:] + 1e-9]))
    q = wave(t) + np.random.default_rng(1).normal(0, 1e-3, (len(t), 2))
    result = align(recording(t, {"position": q}), JOINTS)
    np.testing.assert_allclose(result.q, wave(result.t_s), atol=5e-3)


def test_what_cannot_be_aligned_is_refused() -> None:
    late = recording(T, {"position": wave(T)}, (T + 10, {"command_position": wave(T)}))
    with pytest.raises(RecordingError, match=r"position 0.000 to 2.000 s, command_position 10.000"):
        align(late, JOINTS)
    with pytest.raises(RecordingError, match="no position is a finite number"):
        align(recording(T, {"position": np.nan * wave(T)}), JOINTS)
    with pytest.raises(RecordingError, match=r"a rate of 0\.0 Hz is not positive"):
        align(recording(T, {"position": wave(T)}), JOINTS, rate_hz=0.0)
    states = Stream("s", (T * 1e9).astype(int), ("a",), {"position": wave(T)[:, :1]})
    other = Stream("c", (T * 1e9).astype(int), ("b",), {"command_position": wave(T)[:, :1]})
    with pytest.raises(RecordingError, match=r"states \(a\) and commands \(b\) have no joint"):
        align(Recording("x", (states, other), {}), JOINTS)


def test_a_spline_tells_a_smooth_signal_better_and_a_held_one_repeats_its_samples() -> None:
    t = np.arange(200) * 0.01
    smooth = recording(t, {"position": np.sin(6 * t)[:, None]}, joints=("a",))

    def error(policy: Policy) -> float:
        aligned = align(declared(smooth, policies={"position": policy}), ["a"])
        inside = (aligned.t_s > 0.1) & (aligned.t_s < 1.8)
        return float(np.abs(aligned.q[:, 0] - np.sin(6 * aligned.t_s))[inside].max())

    # Linear: h²/8·max|q''| = 1e-4/8·36; cubic: 5/384·h⁴·6⁴.
    assert error("linear") == pytest.approx(4.5e-4, rel=0.02)
    assert error("spline") < 2e-7
    held = align(declared(smooth, policies={"position": "hold"}), ["a"])
    assert set(held.q[:, 0]) <= set(np.sin(6 * t))
    assert held.q[15, 0] == np.sin(6 * t[1])


def test_a_spline_stops_at_a_gap() -> None:
    t = np.concatenate([np.arange(50), np.arange(100, 150)]) * 0.01
    q = np.where(t < 0.7, 0.0, 1.0) + 1e-3 * np.sin(40 * t)
    source = recording(t, {"position": q[:, None]}, joints=("a",))
    aligned = align(declared(source, policies={"position": "spline"}), ["a"])
    bridged = (aligned.t_s > t[49]) & (aligned.t_s < t[50])
    np.testing.assert_array_equal(aligned.measured, ~bridged)
    # A spline through the gap would swing by far more than the wave of 1e-3 on either side.
    assert np.abs(aligned.q[~bridged, 0] - np.rint(aligned.q[~bridged, 0])).max() < 1.01e-3
    assert ((aligned.q >= -2e-3) & (aligned.q <= 1.002)).all()


def test_one_wrong_stamp_neither_moves_the_start_nor_fills_the_memory() -> None:
    t = np.arange(100) * 0.01
    for wrong in (-1e6, 1e6):
        stamps = t.copy()
        stamps[40] = wrong
        aligned = align(recording(stamps, {"position": t[:, None]}, joints=("a",)), ["a"])
        assert aligned.t_s[0] == 0.0
        assert len(aligned.t_s) == 991
        np.testing.assert_allclose(aligned.q[:, 0], aligned.t_s, atol=1e-12)


def test_a_time_unit_that_cannot_be_right_is_named() -> None:
    t = np.arange(100) * 1e5
    with pytest.raises(RecordingError, match="is the time unit right"):
        align(recording(t, {"position": t[:, None]}, joints=("a",)), ["a"])


def test_each_signal_has_a_policy_of_its_own() -> None:
    t = np.arange(200) * 0.01
    wavy = np.sin(6 * t)[:, None]
    source = recording(
        t, {"position": wavy, "velocity": wavy}, (t, {"command_position": wavy}), joints=("a",)
    )
    source = declared(source, policies={"position": "spline", "velocity": "hold"})
    aligned = align(declared(source, 1, policies={"command_position": "linear"}), ["a"])
    assert aligned.qd is not None and aligned.q_command is not None
    at = np.sin(6 * aligned.t_s)
    inside = (aligned.t_s > 0.1) & (aligned.t_s < 1.8)
    assert np.abs(aligned.q[:, 0] - at)[inside].max() < 2e-7
    assert set(aligned.qd[:, 0]) <= set(wavy[:, 0])
    chord = np.interp(aligned.t_s, t, wavy[:, 0])
    np.testing.assert_allclose(aligned.q_command[:, 0], chord, atol=1e-12)


def test_a_command_holds_no_longer_than_its_declared_gap() -> None:
    t_c = np.array([0.0, 0.01, 0.02, 1.5, 2.0])
    source = recording(T, {"position": wave(T)}, (t_c, {"command_position": np.ones((5, 2))}))
    assert align(source, JOINTS).measured.all()
    valid = align(declared(source, 1, max_gap_s=0.6), JOINTS).measured
    assert np.flatnonzero(~valid)[[0, -1]].tolist() == [21, 1499]
    assert (~valid).sum() == 1479


def test_the_last_command_counts_at_its_own_instant() -> None:
    for last in (0.3, 0.7, 1.9, 0.1 + 0.2):
        t_c = np.array([0.0, last])
        source = recording(T, {"position": wave(T)}, (t_c, {"command_position": [[1, 1], [2, 2]]}))
        command = align(source, JOINTS).q_command
        assert command is not None
        assert command[:-1].tolist() == [[1, 1]] * (len(command) - 1)
        assert command[-1].tolist() == [2, 2]


def test_several_clocks_are_refused_until_they_are_one() -> None:
    source = declared(recording(T, {"position": wave(T)}), clock="camera")
    with pytest.raises(RecordingError, match="several clocks: synchronise it"):
        align(source, JOINTS)


def test_a_trajectory_that_was_written_is_read_again(tmp_path: Path) -> None:
    command = (T, {"command_position": wave(T)})
    whole = align(recording(T, {"position": wave(T), "effort": wave(T)}, command), JOINTS)
    path = write_trajectory(tmp_path / "trajectory.parquet", whole)
    assert [p.name for p in tmp_path.iterdir()] == ["trajectory.parquet"]
    signals = {
        signal: {"source": f"{key}_{{joint}}", "unit": unit}
        for key, signal, unit in (
            ("q", "position", "rad"), ("tau", "effort", "N.m"),
            ("q_command", "command_position", "rad"),
        )
    }  # fmt: skip
    stream = {"joints": JOINTS, "time": {"source": "t_s", "unit": "s"}, "signals": signals}
    values = {"name": "x", "format": "parquet", "path": str(path), "streams": {"all": stream}}
    again = align(read(recording_source(values)), JOINTS)
    for name in ("t_s", "q", "tau", "q_command", "valid"):
        # An instant of 2.999…e6 ns counts as a stamp of 3e6.
        np.testing.assert_allclose(getattr(again, name), getattr(whole, name), rtol=0, atol=1e-14)
