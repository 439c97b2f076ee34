"""Two clocks that saw one motion: offset and skew are found, and their deviations are honest."""

import numpy as np
import pytest

from envs.errors import RecordingError
from envs.telemetry.clocks import ClockFit, fit_clocks

JITTER_S = 1e-3


def seen(
    rng: np.random.Generator, seconds: float = 60.0, jitter_s: float = JITTER_S
) -> tuple[ClockFit, float, float]:
    """Fit clocks of known offset and skew; a hundred and sixty samples a second."""
    omega = 2 * np.pi * rng.uniform(0.1, 1.0, (4, 3))
    phase = rng.uniform(0, 2 * np.pi, (4, 3))
    size = rng.uniform(0.1, 0.5, (4, 3))
    offset, skew = rng.uniform(-0.5, 0.5), rng.uniform(-1e-4, 1e-4)

    def motion(t: np.ndarray) -> np.ndarray:
        return np.asarray((size * np.sin(omega * t[:, None, None] + phase)).sum(axis=1))

    def clock(rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
        t = np.arange(int(seconds * rate_hz)) / rate_hz
        return t, motion(t) + rng.normal(0, 1e-4, (len(t), 3))

    first_s, first = clock(100.0)
    true_s, second = clock(60.0)
    # The second clock's stamp of each true time: true = stamp + offset + skew · (stamp − 30 s).
    stamps = (true_s - offset + skew * seconds / 2) / (1 + skew)
    stamped = stamps + rng.normal(0, jitter_s, len(stamps))
    noted = first_s + rng.normal(0, jitter_s, len(first_s))
    fit = fit_clocks(noted, first, stamped, 0.7 * second + 0.1)
    return fit, offset + skew * (fit.middle_s - seconds / 2), skew


def test_offset_and_skew_are_found_and_their_deviations_are_honest() -> None:
    rng = np.random.default_rng(20)
    trials = [seen(rng) for _ in range(120)]
    error_s = np.array([fit.offset_s - offset for fit, offset, _ in trials])
    assert np.median(np.abs(error_s)) <= 1e-4
    assert np.abs(error_s).max() <= 5e-4
    z_offset = error_s / [fit.offset_std_s for fit, *_ in trials]
    z_skew = [(fit.skew - skew) / fit.skew_std for fit, _, skew in trials]
    # Of 120 draws the root mean square of z is within 0.87 to 1.13 (two deviations).
    assert 0.8 <= np.sqrt(np.mean(np.square(z_offset))) <= 1.2
    assert 0.8 <= np.sqrt(np.mean(np.square(z_skew))) <= 1.2


def test_without_jitter_the_fit_is_as_good_as_the_signal() -> None:
    fit, offset, skew = seen(np.random.default_rng(1), jitter_s=0.0)
    assert fit.offset_s == pytest.approx(offset, abs=2e-5)
    assert fit.skew == pytest.approx(skew, abs=2e-6)
    t = np.array([0.0, fit.middle_s, 60.0])
    moved = t + fit.offset_s + fit.skew * (t - fit.middle_s)
    np.testing.assert_array_equal(fit.to_first(t), moved)


def test_what_cannot_be_compared_is_named() -> None:
    t = np.arange(500) / 100
    still, moving = np.zeros((500, 1)), np.sin(3 * t)[:, None]
    with pytest.raises(RecordingError, match="no channel moves on both"):
        fit_clocks(t, still, t, moving)
    with pytest.raises(RecordingError, match="1 channels cannot be laid over 2"):
        fit_clocks(t, moving, t, np.hstack([moving, moving]))
    with pytest.raises(RecordingError, match="need 120 samples"):
        fit_clocks(t[:50], moving[:50], t, moving)
    with pytest.raises(RecordingError, match="more than 2 s apart"):
        fit_clocks(t, moving, t + 100, moving)
