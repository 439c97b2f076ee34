"""What the tests of this folder share."""

import numpy as np
import pytest

from envs.stage.scene import Articulation, Scene
from tests.calibration.torque_arm import nominal_of
from tests.small_arm import arm


@pytest.fixture(scope="session")
def truth() -> Articulation:
    """The small arm that made the torques."""
    return arm(np.random.default_rng(11))


@pytest.fixture(scope="session")
def nominal(truth: Articulation) -> Scene:
    """What is believed of it before."""
    return nominal_of(truth, np.random.default_rng(12))
