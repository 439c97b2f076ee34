"""Rollout fits on the sample, which another engine made: what the issue of it asks for."""

import numpy as np
import pytest

from calibration.evolution import fit_cmaes
from calibration.result import CalibrationResult
from calibration.shooting import fit_lm
from envs.telemetry.alignment import align
from envs.telemetry.read import read
from tests.envs.telemetry.tiny import PANDA, shipped
from tests.true_panda import TRUTH, true_panda


def fit(method: str) -> CalibrationResult:
    scene = true_panda(actuators=False)
    train = align(read(shipped("sample")), PANDA).span(0.0, 0.7 * 28)
    if method == "lm":
        return fit_lm(scene, train, workers=2)
    return fit_cmaes(scene, train, seed=0, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lm", "cmaes"])
def test_the_samples_drives_and_frictions_are_found(method: str) -> None:
    result = fit(method)

    def found(field: str) -> np.ndarray:
        return np.array([result.parameters[f"{joint}.{field}"].value for joint in PANDA])

    np.testing.assert_allclose(found("friction.coulomb"), TRUTH["coulomb"], rtol=0.10)
    np.testing.assert_allclose(found("friction.viscous"), TRUTH["viscous"], rtol=0.20)
    np.testing.assert_allclose(found("armature"), TRUTH["armature"], rtol=0.20)
    np.testing.assert_allclose(found("drive.stiffness"), TRUTH["stiffness"], rtol=0.03)
    np.testing.assert_allclose(found("drive.damping"), TRUTH["damping"], rtol=0.03)
    np.testing.assert_allclose(found("delay_s"), TRUTH["delay_s"], atol=5e-4)
    assert max(result.metrics["cost"]) < 1.2
