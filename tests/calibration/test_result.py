"""Calibration results: written and read again to the last bit, combined, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.result import CalibrationResult, Parameter, combine, from_json
from envs.errors import CalibrationError
from envs.stage.scene import Inertial

finite = st.floats(allow_nan=False, allow_infinity=False)


def a_result(names: tuple[str, ...], seed: int = 0) -> CalibrationResult:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(len(names), len(names)))
    return CalibrationResult(
        parameters={
            name: Parameter(float(rng.normal()), float(rng.random()), 0.1, "N.m", "torch", n=9)
            for name in names
        },
        covariance=root @ root.T,
        inertials={"link": Inertial(1.5, rng.normal(size=3), np.diag(rng.random(3)))},
        infeasible_links=("link",),
        provenance={"sha256": {"a": "b"}, "train_s": [0.0, 1.5]},
        metrics={"heldout_rmse_nm": [0.1, 0.2]},
    )


@settings(max_examples=30, deadline=None)
@given(finite, st.floats(0, 1e300), st.booleans())
def test_json_gives_it_back_to_the_last_bit(value: float, std: float, known: bool) -> None:
    result = a_result(("a.armature", "b.torque_offset"))
    changed = replace(
        result,
        parameters={
            **result.parameters,
            "a.armature": Parameter(value, std, value / 3, "kg.m2", "cmaes", known),
        },
    )
    back = from_json(changed.to_json())
    assert back.parameters == changed.parameters
    assert list(back.parameters) == list(changed.parameters)
    np.testing.assert_array_equal(back.covariance, changed.covariance)
    for name, inertial in changed.inertials.items():
        assert back.inertials[name].mass_kg == inertial.mass_kg
        np.testing.assert_array_equal(back.inertials[name].com_m, inertial.com_m)
        np.testing.assert_array_equal(back.inertials[name].inertia_kgm2, inertial.inertia_kgm2)
    assert back.infeasible_links == changed.infeasible_links
    assert back.provenance == changed.provenance
    assert back.metrics == changed.metrics
    assert back.to_json() == changed.to_json()


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    result = a_result(("a.armature",))
    path = result.write(tmp_path / "calibration.json")
    assert from_json(path.read_text()).to_json() == result.to_json()
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]


def test_combining_takes_torque_values_and_adds_what_only_motion_tells() -> None:
    torque = a_result(("a.armature", "a.friction.coulomb"), seed=1)
    rollout = a_result(("a.friction.coulomb", "a.drive.stiffness", "a.delay_s"), seed=2)
    both = combine(torque, rollout)
    assert list(both.parameters) == [
        "a.armature",
        "a.friction.coulomb",
        "a.drive.stiffness",
        "a.delay_s",
    ]
    assert both.parameters["a.friction.coulomb"] == torque.parameters["a.friction.coulomb"]
    assert both.parameters["a.delay_s"] == rollout.parameters["a.delay_s"]
    np.testing.assert_array_equal(both.covariance[:2, :2], torque.covariance)
    np.testing.assert_array_equal(both.covariance[2:, 2:], rollout.covariance[1:, 1:])
    assert not both.covariance[:2, 2:].any()
    assert both.inertials["link"] is torque.inertials["link"]
    assert both.infeasible_links == ("link",)
    assert both.metrics["torque"] == torque.metrics
    assert both.provenance["rollout"] == rollout.provenance
    assert from_json(both.to_json()).to_json() == both.to_json()


def test_nonsense_is_refused() -> None:
    result = a_result(("a.armature",))
    with pytest.raises(CalibrationError, match="need a covariance of 1×1"):
        replace(result, covariance=np.eye(2))
    for bad in (float("nan"), float("inf")):
        broken = {"a.armature": Parameter(bad, 0.1, 0.0, "kg.m2", "torch")}
        with pytest.raises(CalibrationError, match=r"a.armature.*is not a finite result"):
            replace(result, parameters=broken)
    with pytest.raises(CalibrationError, match="is not a finite result"):
        replace(result, parameters={"a.armature": Parameter(1.0, -0.1, 0.0, "kg.m2", "torch")})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parameters": {"a": {"value": 1}}}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError, match="not a calibration result"):
        from_json(text)
