"""Errors of trajectories whose difference is known."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.residuals import rmse
from envs.errors import RecordingError
from envs.telemetry.trajectory import Trajectory

T = np.arange(4000) * 1e-3
ONES = np.ones((4000, 2))


def measured() -> Trajectory:
    return Trajectory(T, ("a", "b"), 0 * ONES, qd=0 * ONES, tau=0 * ONES)


def test_errors_are_those_of_the_samples_in_use() -> None:
    q = np.where(T[:, None] < 2, [3.0, 4.0], 100.0)
    simulated = replace(measured(), q=q, qd=None, tau=ONES * [1, -2])
    errors = rmse(simulated, measured(), use=T < 2)
    np.testing.assert_allclose(errors.q, [3, 4])
    np.testing.assert_allclose(errors.q_mae, [3, 4])
    assert errors.qd is None and errors.tau is not None
    np.testing.assert_allclose(errors.tau, [1, 2])


def test_the_mean_of_absolute_values_is_less_than_the_root_mean_square() -> None:
    q = np.where(T[:, None] < 1, 2.0, 0.0) * [1, -1]
    errors = rmse(replace(measured(), q=q), measured(), use=T >= 0)
    np.testing.assert_allclose(errors.q, 1.0)
    np.testing.assert_allclose(errors.q_mae, 0.5)


def test_a_low_pass_takes_ripple_away_and_leaves_the_slow_error() -> None:
    slow, ripple = np.sin(2 * np.pi * 1.0 * T), 20 * np.sin(2 * np.pi * 250 * T)
    simulated = replace(measured(), tau=np.stack([slow + ripple, slow], axis=1))
    # Whole periods, away from the ends.
    use = (T >= 1) & (T < 3)
    raw = rmse(simulated, measured(), use=use).tau
    smooth = rmse(simulated, measured(), use=use, cutoff_hz=10.0).tau
    assert raw is not None and smooth is not None
    np.testing.assert_allclose(raw, [np.sqrt(0.5 + 200), np.sqrt(0.5)], rtol=1e-3)
    np.testing.assert_allclose(smooth, np.sqrt(0.5), rtol=1e-3)


def test_what_the_measured_side_keeps_above_the_models_cutoff_counts_against_the_model() -> None:
    slow, fast = np.sin(2 * np.pi * 0.5 * T), np.sin(2 * np.pi * 8 * T)
    both = replace(measured(), tau=np.stack([slow + fast, slow], axis=1))
    simulated = replace(measured(), tau=np.stack([slow, slow], axis=1))
    errors = rmse(simulated, both, use=(T >= 1) & (T < 3), cutoff_hz=2.0, measured_cutoff_hz=40.0)
    assert errors.tau is not None
    np.testing.assert_allclose(errors.tau, [np.sqrt(0.5), 0], atol=5e-3)


def test_trajectories_that_do_not_belong_together_are_refused() -> None:
    use = np.ones(4000, bool)
    with pytest.raises(RecordingError, match="joints b, a with a, b"):
        rmse(replace(measured(), joints=("b", "a")), measured(), use=use)
    with pytest.raises(RecordingError, match="different clocks"):
        rmse(replace(measured(), t_s=T + 0.5), measured(), use=use)
    with pytest.raises(RecordingError, match="no sample is left"):
        rmse(measured(), measured(), use=~use)
