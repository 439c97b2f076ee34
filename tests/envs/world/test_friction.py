"""The friction law: its limits by hand, its slope by finite differences."""

import numpy as np
import pytest

from envs.errors import StageError
from envs.stage.scene import Friction
from envs.world.friction import STICTION_VELOCITY, friction_slope, friction_torque, joint_friction

LAW = (Friction(0.5, 0.2, 0.3, 0.1), Friction(1.0, 0.0), Friction(0.0, 0.7))


def test_the_law_in_its_limits() -> None:
    friction = joint_friction(LAW)
    # Fast: the excess is gone, the sign is ±1.
    np.testing.assert_allclose(
        friction_torque(friction, np.full(3, 2.0)), [0.5 + 0.4, 1.0, 1.4], atol=1e-12
    )
    np.testing.assert_array_equal(friction_torque(friction, np.zeros(3)), 0.0)
    # At the Stribeck velocity the excess is down to 1/e.
    at_v_s = friction_torque(friction, np.full(3, 0.1))[0]
    assert at_v_s == pytest.approx((0.5 + 0.3 / np.e) * np.tanh(10) + 0.02, abs=1e-12)


def test_it_is_odd_and_broadcasts_over_candidates() -> None:
    friction = joint_friction(LAW)
    qd = np.random.default_rng(0).normal(size=(2, 4, 3)) * 0.1
    np.testing.assert_array_equal(friction_torque(friction, -qd), -friction_torque(friction, qd))
    assert friction_slope(friction, qd).shape == (2, 4, 3)


def test_the_slope_is_the_derivative() -> None:
    friction = joint_friction(LAW)
    qd = np.concatenate([np.linspace(-0.05, 0.05, 21), [-1.5, 0.3]])[:, None].repeat(3, axis=1)
    step = 1e-4 * STICTION_VELOCITY
    change = friction_torque(friction, qd + step) - friction_torque(friction, qd - step)
    # Truncation is of the order of (step / v₀)² = 1e-8 of the steepest slope, 80 N·m·s/rad.
    np.testing.assert_allclose(friction_slope(friction, qd), change / (2 * step), atol=2e-6)


def test_a_stribeck_velocity_of_zero_is_refused() -> None:
    with pytest.raises(StageError, match="must be positive"):
        joint_friction([Friction(1.0, 0.0, 0.5, 0.0)])
