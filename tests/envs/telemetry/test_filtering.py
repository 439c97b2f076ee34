"""The low-pass filter and what it makes of motion, against analytic signals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordingError
from envs.telemetry.filtering import lowpass, motion, reach_s
from envs.telemetry.trajectory import Trajectory

DT = 1e-3
T = np.arange(6001) * DT


def trajectory(f_hz: float, *, velocity: bool = True, noise: float = 0.0) -> Trajectory:
    w = 2 * np.pi * f_hz
    rng = np.random.default_rng(0)
    q, qd, tau = np.sin(w * T), w * np.cos(w * T), 3 * np.cos(w * T)
    q, qd, tau = (x[:, None] + noise * rng.normal(size=(len(T), 1)) for x in (q, qd, tau))
    return Trajectory(T, ("a",), q, qd=qd if velocity else None, tau=tau)


@settings(deadline=None)
@given(f_hz=st.floats(1.0, 40.0), cutoff_hz=st.floats(5.0, 30.0))
def test_the_gain_is_a_squared_butterworth_without_delay(f_hz: float, cutoff_hz: float) -> None:
    w = 2 * np.pi * f_hz
    result = lowpass(np.stack([np.sin(w * T), np.cos(w * T)], axis=1), DT, cutoff_hz)
    # |H|² of order 4, with the bilinear transform's warped frequencies.
    ratio = np.tan(np.pi * f_hz * DT) / np.tan(np.pi * cutoff_hz * DT)
    gain = 1 / (1 + ratio**8)
    # The ends' transients die out at the filter's slowest pole: e^(−24·1.5·c/10) of them is left.
    middle = slice(2500, 3500)
    tolerance = 1e-6 + 2 * np.exp(-24.05 * cutoff_hz / 10 * 2.5)
    np.testing.assert_allclose(result[middle, 0], gain * np.sin(w * T)[middle], atol=tolerance)
    np.testing.assert_allclose(result[middle, 1], gain * np.cos(w * T)[middle], atol=tolerance)


@pytest.mark.parametrize("velocity", [True, False])
def test_motion_of_a_sine(velocity: bool) -> None:
    f, w = 1.0, 2 * np.pi
    result = motion(trajectory(f, velocity=velocity))
    # Well inside: the ends' own transient is another matter.
    use = (T > 1) & (T < 5)
    # The gain at 1 Hz is 1 − 1e-8; central differences lose (w·dt)²/6 = 7e-6 each.
    np.testing.assert_allclose(result.q[use, 0], np.sin(w * T)[use], atol=1e-4)
    np.testing.assert_allclose(result.qd[use, 0], w * np.cos(w * T)[use], atol=1e-3)
    np.testing.assert_allclose(result.qdd[use, 0], -(w**2) * np.sin(w * T)[use], atol=3e-2)
    np.testing.assert_allclose(result.tau[use, 0], 3 * np.cos(w * T)[use], atol=1e-3)


def test_a_measured_velocity_is_preferred() -> None:
    source = trajectory(1.0)
    assert source.qd is not None
    biased = Trajectory(T, ("a",), source.q, qd=source.qd + 1, tau=source.tau)
    shift = motion(biased).qd - motion(source).qd
    np.testing.assert_allclose(shift[motion(source).use], 1, atol=1e-6)


def test_the_ends_are_left_out() -> None:
    use = motion(trajectory(1.0), trim_s=0.3).use
    assert np.flatnonzero(use)[[0, -1]].tolist() == [300, 5700]
    assert use.sum() == 5401


def test_a_bridged_gap_is_left_out_as_far_as_it_leaks() -> None:
    source = trajectory(1.0)
    spoilt, valid = source.q.copy(), np.ones(len(T), bool)
    valid[3000:3100] = False
    spoilt[~valid] += 1.0
    assert source.qd is not None
    before = motion(source)
    after = motion(Trajectory(T, ("a",), spoilt, qd=source.qd, tau=source.tau, valid=valid))
    out = np.flatnonzero(before.use & ~after.use)
    reach = round(reach_s(10.0) / DT)
    assert 280 < reach < 300
    assert abs(out[0] - (3000 - reach)) <= 1
    assert abs(out[-1] - (3099 + reach)) <= 1
    leak = np.abs(after.q - before.q)[after.use]
    # The slowest pole has decayed to 1/1000 there; at three quarters of the way it has not.
    assert leak.max() < 2e-4
    assert (
        np.abs(after.q - before.q)[3000 - reach * 3 // 4 - 60 : 3000 - reach * 3 // 4].max() > 1e-3
    )


def test_filtering_both_sides_keeps_a_linear_law() -> None:
    """τ = Y·x holds after the filter whatever the noise-free signals are: parallel filtering."""
    rng = np.random.default_rng(3)
    Y = rng.normal(size=(len(T), 4, 3))
    x = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(lowpass(Y @ x, DT, 10.0), lowpass(Y, DT, 10.0) @ x, atol=1e-12)


def test_what_cannot_be_filtered_is_refused() -> None:
    short = Trajectory(T[:10], ("a",), np.zeros((10, 1)), tau=np.zeros((10, 1)))
    with pytest.raises(RecordingError, match="10 samples are too few to filter; 16 are needed"):
        motion(short)
    with pytest.raises(
        RecordingError, match=r"cutoff of 500.0 Hz must lie between 0 and .* 500 Hz"
    ):
        motion(trajectory(1.0), cutoff_hz=500.0)
    with pytest.raises(RecordingError, match="without a measured effort"):
        motion(Trajectory(T, ("a",), np.zeros((len(T), 1))))
