"""The damped Newton method, against SciPy's bounded least squares."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from calibration import newton
from calibration.newton import Local, minimize
from envs.errors import CalibrationError


@dataclass(frozen=True)
class Linear:
    A: np.ndarray
    b: np.ndarray

    def cost(self, p: np.ndarray) -> float:
        return float(((self.A @ p - self.b) ** 2).sum())

    def expand(self, p: np.ndarray) -> Local:
        return Local(self.A.T @ (self.A @ p - self.b), self.A.T @ self.A)

    def move(self, p: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.asarray(p + step)


class Rosenbrock:
    def cost(self, p: np.ndarray) -> float:
        return float((1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2)

    def expand(self, p: np.ndarray) -> Local:
        J = np.array([[-1.0, 0.0], [-20 * p[0], 10.0]])
        r = np.array([1 - p[0], 10 * (p[1] - p[0] ** 2)])
        return Local(J.T @ r, J.T @ J)

    def move(self, p: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.asarray(p + step)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_met_as_scipy_meets_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(30, 6)), rng.normal(size=30) * 3
    lower, upper = np.full(6, -0.2), np.array([0.2, np.inf, 0.1, np.inf, 0.3, 0.2])
    found = minimize(Linear(A, b), np.zeros(6), lower, upper)
    expected = lsq_linear(A, b, (lower, upper), tol=1e-14).x
    assert ((found == lower) | (found == upper)).any()
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_curved_valley_is_followed_to_its_end() -> None:
    free = np.full(2, np.inf)
    np.testing.assert_allclose(
        minimize(Rosenbrock(), np.array([-1.2, 1.0]), -free, free), 1.0, atol=1e-6
    )


def test_what_does_not_settle_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "STEPS", 2)
    free = np.full(2, np.inf)
    with pytest.raises(CalibrationError, match="did not settle within 2 steps"):
        minimize(Rosenbrock(), np.array([-1.2, 1.0]), -free, free)
