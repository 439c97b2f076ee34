"""`--help` names all that there is, without the wait for what a run imports."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from conf import schema
from conf.imaging import CameraConfig, SensorConfig
from conf.usage import asked_for, page
from generators.labels.conventions import Label

ROOT = Path(__file__).resolve().parents[2]
NESTED = {
    "calibration": schema.CalibrationConfig,
    "excitation": schema.ExcitationConfig,
    "images": schema.ImagesConfig,
    "camera": CameraConfig,
    "sensor": SensorConfig,
    "randomization": schema.RandomizationConfig,
}


def test_every_task_and_every_choice_of_a_key_is_named() -> None:
    told = page()
    for enum in (schema.Task, schema.Method, schema.Device, schema.Engine, schema.Loss, Label):
        for member in enum:
            assert re.search(rf"\b{member.name}\b", told), member


@pytest.mark.parametrize("group", NESTED)
def test_a_group_names_its_keys_and_no_others(group: str) -> None:
    (listed,) = re.findall(rf"^  {group}\. +((?:.+\n)(?: {{20}}.+\n)*)", page(), re.M)
    named = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", listed))
    assert sorted(named) == sorted(field.name for field in fields(NESTED[group]))


def test_every_key_at_the_top_is_named() -> None:
    told = page()
    for field in fields(schema.Config):
        name = f"{field.name}." if field.name in NESTED else field.name
        assert re.search(rf"^ +(?:\w+, )*{re.escape(name)}", told, re.M) or name == "task", name


def test_lines_fit_into_a_terminal() -> None:
    ours = [line for line in page().splitlines() if not line.startswith("  robot ")]
    assert max(map(len, ours)) <= 100


def test_only_help_asks_for_it() -> None:
    assert asked_for(["task=replay", "--help"])
    assert asked_for(["-h"])
    assert not asked_for(["--hydra-help", "name=-h"])


def test_it_does_not_import_what_takes_time() -> None:
    heavy = "hydra", "omegaconf", "numpy", "conf.schema"
    code = f"import sys, conf.usage as u; u.page(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
