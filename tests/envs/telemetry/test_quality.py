"""Each fault of a recording is found where it was put, counted, and dated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordingError
from envs.telemetry.channels import channel, gap_limit_ns, tidy
from envs.telemetry.quality import Finding, check
from envs.telemetry.recording import Recording, Stream
from tests.envs.telemetry.tiny import recording

T = np.arange(100) * 0.004
Q = np.stack([np.sin(30 * T), np.cos(30 * T)], axis=1)
QD = np.stack([30 * np.cos(30 * T), -30 * np.sin(30 * T)], axis=1)


def found(faulty: Recording, kind: str, where: str) -> Finding:
    (finding,) = [f for f in check(faulty) if f.kind == kind and f.channel == where]
    return finding


def complete(t_s: np.ndarray = T, q: np.ndarray = Q) -> Recording:
    qd = np.interp(t_s, T, QD[:, 0]), np.interp(t_s, T, QD[:, 1])
    signals = {"position": q, "velocity": np.stack(qd, axis=1), "effort": q - 1}
    return recording(t_s, signals, (T, {"command_position": 0 * Q}))


def test_a_clean_recording_has_no_findings() -> None:
    assert check(complete()) == ()


def test_a_second_sample_of_one_stamp_is_a_duplicate() -> None:
    t, q = np.insert(T, 50, T[49]), np.insert(Q, 50, Q[49], axis=0)
    finding = found(complete(t, q), "duplicate", "states")
    assert finding.count == 1
    assert finding.first_s == pytest.approx(T[49])


def test_an_old_reading_under_a_new_stamp_is_repeated() -> None:
    q = Q.copy()
    q[30:33] = q[29]
    assert found(complete(T, q), "repeated", "position").count == 3
    # One joint that stands still is no old reading.
    q = Q.copy()
    q[30:33, 0] = q[29, 0]
    assert not [f for f in check(complete(T, q)) if f.kind == "repeated"]


def test_a_robot_at_rest_is_not_a_stale_reading() -> None:
    q = Q.copy()
    q[30:60] = q[29]
    assert not [f for f in check(complete(T, q)) if f.kind == "repeated"]


def test_stamps_that_run_backwards_are_counted() -> None:
    order = np.arange(100)
    order[[40, 41]] = order[[41, 40]]
    finding = found(complete(T[order], Q[order]), "out_of_order", "states")
    assert finding.count == 1
    assert finding.first_s == pytest.approx(T[40])


def test_gaps_are_counted_and_measured() -> None:
    keep = np.ones(100, bool)
    keep[20:40] = keep[70:80] = False
    finding = found(complete(T[keep], Q[keep]), "gap", "states")
    assert finding.count == 2
    assert finding.first_s == pytest.approx(T[19])
    assert "longest 0.084 s, 0.128 s in all" in finding.detail


def test_jitter_gives_least_median_and_most() -> None:
    t = T.copy()
    t[10] += 0.001
    finding = found(complete(t), "jitter", "states")
    assert finding.count == 2
    assert "3.00 / 4.00 / 5.00 ms" in finding.detail


def test_samples_with_nan_are_told_and_dropped() -> None:
    q = Q.copy()
    q[5, 1], q[7, 0] = np.nan, np.inf
    faulty = complete(T, q)
    assert found(faulty, "not_finite", "position").count == 2
    trusted = channel(faulty, "position")
    assert trusted is not None
    np.testing.assert_array_equal(trusted.values, np.delete(Q, [5, 7], axis=0))


def test_a_joint_that_was_never_logged_leaves_the_others_alone() -> None:
    q = Q.copy()
    q[:, 1] = np.nan
    faulty = complete(T, q)
    assert "b" in found(faulty, "missing_signal", "position").detail
    trusted = channel(faulty, "position")
    assert trusted is not None
    assert trusted.joints == ("a",)
    assert len(trusted.t_ns) == 100


def test_missing_signals_are_told() -> None:
    missing = {f.channel for f in check(recording(T, {"position": Q})) if f.count == 0}
    assert missing == {"velocity", "effort", "command_position"}


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_without_positions_there_is_no_recording(samples: int) -> None:
    q = np.full((samples, 2), 0.0 if samples == 1 else np.nan)
    with pytest.raises(RecordingError, match="'tiny' has no usable positions: "):
        check(recording(T[:samples], {"position": q}))


def test_a_gap_is_four_steps_but_never_under_20_ms() -> None:
    assert gap_limit_ns(np.arange(9) * 1_000_000) == 20_000_000
    assert gap_limit_ns(np.arange(9) * 10_000_000) == 40_000_000


@settings(deadline=None)
@given(
    stamps=st.lists(st.integers(0, 40), min_size=2, max_size=60).filter(lambda t: len(set(t)) > 1)
)
def test_tidy_sorts_and_keeps_one_sample_a_stamp(stamps: list[int]) -> None:
    t_ns = np.array(stamps) * 1_000_000
    stream = Stream("s", t_ns, ("a",), {"position": np.sin(t_ns)[:, None]})
    result = tidy(stream)
    assert result.t_ns.tolist() == sorted(set(t_ns.tolist()))
    np.testing.assert_array_equal(result.signals["position"][:, 0], np.sin(result.t_ns))
    # The report counts what tidy removes.
    removed = [f.count for f in check(Recording("x", (stream,), {})) if f.kind == "duplicate"]
    assert sum(removed) == len(stamps) - len(set(stamps))


def test_a_clock_that_is_none_is_named() -> None:
    t = np.arange(5000) * 10.0 * np.where(np.arange(5000) % 2, 1, -1)
    with pytest.raises(RecordingError, match="stream 'states': its clock jumps 4999 times"):
        check(recording(t, {"position": np.sin(np.arange(5000))[:, None]}, joints=("a",)))
