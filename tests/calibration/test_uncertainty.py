"""Standard deviations against Monte Carlo, with residuals that are correlated in time."""

import numpy as np
import pytest

from calibration.uncertainty import prior_share, sandwich, time_blocks
from envs.errors import CalibrationError


def correlated(rng: np.random.Generator, n: int, memory: int) -> np.ndarray:
    """A moving average of white noise, with unit variance."""
    kernel = np.ones(memory) / np.sqrt(memory)
    return np.convolve(rng.normal(size=n + memory - 1), kernel, mode="valid")


def slow_motion(n: int) -> np.ndarray:
    t = np.arange(n) * 0.01
    return np.stack([np.sin(1.1 * t), np.cos(0.7 * t + 1), np.ones(n)], axis=1)


def test_it_matches_the_scatter_of_repeated_fits_where_least_squares_is_five_times_too_sure() -> (
    None
):
    rng = np.random.default_rng(0)
    n, memory = 4000, 25
    A = slow_motion(n)
    blocks = time_blocks(np.arange(n) * 0.01, 1.0)
    estimates, claimed = [], []
    for _ in range(300):
        noise = correlated(rng, n, memory)
        x = np.linalg.lstsq(A, noise, rcond=None)[0]
        estimates.append(x)
        claimed.append(np.diag(sandwich(A, noise - A @ x, blocks)))
    scatter = np.std(estimates, axis=0)
    naive = np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
    assert (scatter > 4 * naive).all()
    # 300 repetitions give the scatter to 4 %; blocks of four memories are slightly dependent.
    np.testing.assert_allclose(np.sqrt(np.mean(claimed, axis=0)), scatter, rtol=0.1)


def test_with_independent_rows_it_is_the_textbook_covariance() -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(3000, 4)) * [1, 10, 0.1, 3]
    residual = rng.normal(size=3000)
    residual -= A @ np.linalg.lstsq(A, residual, rcond=None)[0]
    robust = sandwich(A, residual, np.arange(3000))
    np.testing.assert_allclose(
        np.sqrt(np.diag(robust)), np.sqrt(np.diag(np.linalg.inv(A.T @ A))), rtol=0.05
    )


def test_it_is_the_jackknife_itself() -> None:
    rng = np.random.default_rng(2)
    A, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    P = np.diag([0.5, 2.0, 1.0])
    blocks = np.arange(60) // 10

    def fit(keep: np.ndarray) -> np.ndarray:
        return np.linalg.solve(A[keep].T @ A[keep] + P, A[keep].T @ y[keep])

    full = fit(blocks >= 0)
    changes = np.array([fit(blocks != g) - full for g in range(6)])
    H = np.linalg.inv(A.T @ A + P)
    got = sandwich(A, y - A @ full, blocks, P)
    np.testing.assert_allclose(got - H @ P @ H, 5 / 6 * changes.T @ changes, rtol=1e-10)


def test_what_the_data_leave_open_keeps_the_prior() -> None:
    rng = np.random.default_rng(3)
    A = rng.normal(size=(500, 2))
    both = np.column_stack([A[:, 0], A[:, 0], A[:, 1], np.zeros(500)])
    P = np.diag([4.0, 4.0, 1e-6, 0.25])
    covariance = sandwich(both, rng.normal(size=500), np.arange(500) // 20, P)
    # Only the sum of the first two is seen: each keeps its prior's half of the difference.
    assert np.sqrt(covariance[0, 0]) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert np.sqrt(covariance[3, 3]) == pytest.approx(2.0, rel=1e-9)
    share = prior_share(
        both, P, np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    )
    assert share[0] > 0.95
    assert share[3] == pytest.approx(1.0)
    assert (share[1:3] < 0.05).all()


def test_one_block_and_an_open_parameter_are_refused() -> None:
    A = np.random.default_rng(4).normal(size=(40, 2))
    with pytest.raises(CalibrationError, match="two blocks"):
        sandwich(A, A[:, 0], np.zeros(40, int))
    with pytest.raises(CalibrationError, match="does not enter"):
        sandwich(A * [1, 0], A[:, 0], np.arange(40))
    only_first = A.copy()
    only_first[10:, 1] = 0.0
    with pytest.raises(CalibrationError, match="without the data of block 0"):
        sandwich(only_first, A[:, 0], np.arange(40) // 10)
