"""Errors of an identification against the hidden truth of a simulated recording."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.result import CalibrationResult, Parameter
from calibration.truth import FIELDS, read_truth
from envs.errors import CalibrationError


def written(folder: Path) -> Path:
    columns = {key: [2.0, 4.0] for key in FIELDS.values()}
    path = folder / "truth.json"
    path.write_text(json.dumps({**columns, "joints": ["a", "b"], "delay_s": 0.012}))
    return path


def found(**values: float) -> CalibrationResult:
    parameters = {
        name.replace("__", "."): Parameter(value, 0.1, 0.0, "N.m", "torch")
        for name, value in values.items()
    }
    return CalibrationResult(parameters, np.eye(len(parameters)))


def test_errors_are_relative_and_those_of_a_delay_in_seconds(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path))
    errors = truth.errors(found(b__friction__coulomb=5.0, a__delay_s=0.010))
    assert errors["friction.coulomb"] == {"b": pytest.approx(0.25)}
    assert errors["delay_s"] == {"a": pytest.approx(-0.002)}


def test_parameters_without_a_truth_are_left_out(tmp_path: Path) -> None:
    assert read_truth(written(tmp_path)).errors(found(a__torque_offset=1.0)) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"joints": ["a"]}', '{"joints": "a", "coulomb": [1]}'])
def test_anything_else_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"other\.json"):
        read_truth(path)


def test_missing_truth_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"none\.json"):
        read_truth(tmp_path / "none.json")
