"""Torque-level calibration of the Panda: the simulated sample's truth, and a real recording."""

import json
from typing import Any

import numpy as np

from assets.recordings import make_sample
from calibration.gradient import fit_torque
from calibration.result import CalibrationResult
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.telemetry.alignment import align
from envs.telemetry.filtering import motion, reach_s
from envs.telemetry.read import read
from tests.envs.telemetry.tiny import PANDA, shipped


def fit(recording: str, robot: str) -> CalibrationResult:
    trajectory = align(read(shipped(recording)), PANDA)
    m = motion(trajectory)
    split = 0.7 * m.t_s[-1]
    scene = read_stage(robot_asset(robot))
    # The filter must not carry what judges into what trains; the run keeps the same distance.
    train = m.t_s < split - reach_s(10.0)
    return fit_torque(scene, m, train=train, heldout=m.t_s >= split)


def values(result: CalibrationResult, field: str) -> np.ndarray:
    return np.array([result.parameters[f"{joint}.{field}"].value for joint in PANDA])


def test_the_samples_hidden_friction_is_found() -> None:
    result = fit("sample", "panda")
    truth: dict[str, Any] = json.loads(make_sample.TRUTH.read_text())
    np.testing.assert_allclose(values(result, "friction.coulomb"), truth["coulomb"], rtol=0.10)
    np.testing.assert_allclose(values(result, "friction.viscous"), truth["viscous"], rtol=0.20)
    # Those of the first two joints cannot be told from the inertia of the links they carry.
    np.testing.assert_allclose(values(result, "armature")[2:], truth["armature"][2:], rtol=0.15)
    assert not result.parameters["panda_joint1.armature"].identifiable
    for field in ("coulomb", "viscous"):
        std = [result.parameters[f"{joint}.friction.{field}"].std for joint in PANDA]
        off = np.abs(values(result, f"friction.{field}") - truth[field]) / std
        assert off.max() < 3.5
    assert result.infeasible_links == ()
    # The torque noise of 0.3 N·m below 10 Hz is 0.08 N·m.
    assert max(result.metrics["heldout_rmse_nm"]) < 0.12
    assert min(result.metrics["nominal_rmse_nm"]) > 0.9


def test_the_real_pandas_torques_are_predicted() -> None:
    result = fit("panda_gaz2019", "panda_arm")
    limits = np.array([0.151, 0.216, 0.137, 0.161, 0.065, 0.071, 0.047])  # plain least squares
    heldout = np.array(result.metrics["heldout_rmse_nm"])
    assert (heldout <= limits).all(), heldout
    assert result.infeasible_links == ()
    assert (heldout < 0.3 * np.array(result.metrics["nominal_rmse_nm"])).all()
