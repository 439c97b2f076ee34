"""The last steps of a fit, on residuals whose minimum SciPy finds."""

import numpy as np
from scipy.optimize import least_squares

from calibration.coordinates import Coordinates
from calibration.polish import costs, linearise, polish

START = np.array([[0.5, 0.2, 0.1, 900.0, 30.0, 0.005], [1.0, 0.4, 0.3, 2000.0, 50.0, 0.02]])
COORDINATES = Coordinates(START, np.array([[0.5, 0.2, 0.1, 0.3, 0.3, 0.01]] * 2))
RNG = np.random.default_rng(0)
# Segments, bins, joints, signals; then joint and field. Each joint's residuals feel the other's.
SLOPE = RNG.normal(size=(3, 20, 2, 2, 2, 6)) * np.array([[1.0, 0.2], [0.2, 1.0]])[:, None, :, None]
OFFSET = 0.05 * RNG.normal(size=(3, 20, 2, 2))
PRIOR = 1e-9 * np.eye(12)


def bowl(minimum: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Residuals that bend a little, smallest near relative changes of `minimum`."""
    moved = np.sinh((values - START) / START - minimum)
    return np.asarray(np.einsum("sbjkip,cip->csbjk", SLOPE, moved) + OFFSET)


def scipy_minimum(minimum: np.ndarray) -> np.ndarray:
    low, high = (bound.ravel() for bound in COORDINATES.bounds())

    def residuals(z: np.ndarray) -> np.ndarray:
        return bowl(minimum, COORDINATES.values(z.reshape(1, 2, 6))).ravel()

    found = least_squares(residuals, np.zeros(12), bounds=(low, high), xtol=1e-12, ftol=1e-12)
    return np.asarray(found.x.reshape(2, 6))


def test_the_bottom_is_reached_and_the_slopes_are_those_there() -> None:
    minimum = RNG.uniform(-0.4, 0.4, (2, 6))
    rounds: list[int] = []
    end = polish(
        COORDINATES, lambda v: bowl(minimum, v), np.zeros((2, 6)), PRIOR, report=rounds.append
    )
    # Rounds end where the next one would gain less than a thousandth of the cost.
    np.testing.assert_allclose(end.z, scipy_minimum(minimum), atol=2e-3)
    np.testing.assert_allclose(end.residual, bowl(minimum, COORDINATES.values(end.z[None]))[0])
    at_start = costs(bowl(minimum, START[None]))[0]
    np.testing.assert_allclose(end.evolved, at_start)
    assert np.all(costs(end.residual[None])[0] < 0.1 * at_start)
    assert rounds == list(range(1, end.rounds + 1))

    _, jacobian = linearise(COORDINATES, lambda v: bowl(minimum, v), end.z)
    step = 1e-6
    for k in range(12):
        moved = end.z + step * np.eye(12)[k].reshape(2, 6)
        slope = (bowl(minimum, COORDINATES.values(moved[None])) - end.residual) / step
        # A difference over ±h of sinh is too large by h²/6; h is up to 0.1 (the delay's).
        np.testing.assert_allclose(jacobian[:, k], slope.ravel(), rtol=2e-3, atol=1e-4)


def test_a_value_below_its_bound_stays_on_it_and_the_others_know() -> None:
    minimum = RNG.uniform(-0.4, 0.4, (2, 6))
    minimum[0, 1], minimum[1, 2] = -1.4, -1.6  # friction and armature below zero
    end = polish(
        COORDINATES, lambda v: bowl(minimum, v), np.zeros((2, 6)), PRIOR, report=lambda _: None
    )
    values = COORDINATES.values(end.z)
    assert values[0, 1] == 0 and values[1, 2] == 0 and values.min() >= 0
    np.testing.assert_allclose(end.z, scipy_minimum(minimum), atol=2e-2)
