"""Every number of the configuration: one that cannot be is refused by key, before anything runs."""

import math
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from conf import schema
from conf.telemetry import MarkerConfig, SignalConfig
from envs.errors import KinetwinError

CONF = Path(__file__).resolve().parents[2] / "conf"

BESIDE = {
    "camera.": ("camera.fx=500", "camera.fy=500", "camera.cx=320", "camera.cy=240"),
    "camera.aperture_m": (),
    "camera.focus_m": ("camera.aperture_m=0.01",),
    "recording.servo.": ("recording=xl330_pendulum",),
    "recording.marker.": (
        "task=calibrate",
        "method=kinematics",
        "~recording.streams.states",
        "~recording.streams.commands",
        "recording.format=csv",
    ),
}
"""What is said beside a key so that it counts; of the prefixes that fit, the last one holds."""

LENGTHS = {"distortion": 4, "intrinsics": 4, "signs": 1, "offsets": 1, "drive_gain": 1,
           "drive_gain_std": 1}  # fmt: skip
"""Of the lists that are no pairs."""


def numbers(of: Any, prefix: str = "") -> Iterator[tuple[str, type, int]]:
    """Yield key, type and length (0: no list) of every number under a dataclass."""
    kinds = typing.get_type_hints(of)
    for name in (field.name for field in fields(of)):
        key, kind = f"{prefix}{name}", kinds[name]
        if isinstance(kind, UnionType):
            kind = next(k for k in typing.get_args(kind) if k is not type(None))
        inside = typing.get_args(kind)
        if is_dataclass(kind):
            yield from numbers(kind, f"{key}.")
        elif typing.get_origin(kind) is dict and is_dataclass(inside[1]):
            entry = {"streams": "states", "signals": "current"}[name]
            yield from numbers(inside[1], f"{key}.{entry}.")
        elif kind in (int, float):
            yield key, kind, 0
        elif typing.get_origin(kind) is list and inside[0] in (int, float):
            yield key, inside[0], LENGTHS.get(name, 2)


KEYS = list(numbers(schema.Config))
WRONG = {float: (math.nan, math.inf, -1e9), int: (-(10**9),)}
"""Hydra itself refuses what is not of a key's type."""


def beside(key: str) -> tuple[str, ...]:
    """Return the overrides that let a key count."""
    return next((BESIDE[p] for p in reversed(BESIDE) if key.startswith(p)), ())


@cache
def composed(*overrides: str) -> DictConfig:
    schema.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def around(key: str) -> DictConfig:
    """Return a configuration in which a key counts."""
    config = composed(*beside(key)).copy()
    OmegaConf.set_struct(config, False)
    if ".signals." in key:
        measured = SignalConfig(source="c", unit="A", drive_gain=[1.0])
        config.recording.streams.states.signals.current = measured
    if ".marker." in key:
        config.recording.marker = MarkerConfig(body="hand")
    return config


@pytest.mark.parametrize("key", [key for key, *_ in KEYS])
def test_what_stands_around_a_key_is_allowed(key: str) -> None:
    schema.typed(around(key))


@pytest.mark.parametrize(
    ("key", "length", "wrong"),
    [(key, length, wrong) for key, kind, length in KEYS for wrong in WRONG[kind]],
)
def test_an_impossible_number_is_refused_by_its_key(key: str, length: int, wrong: float) -> None:
    config = around(key)
    OmegaConf.update(config, key, [wrong] * length if length else wrong)
    with pytest.raises(KinetwinError) as refused:
        schema.typed(config)
    said = str(refused.value)
    # A recording's messages say "recording 'NAME', stream 'NAME': signs of current are …".
    assert (key.rsplit(".", 1)[-1] if key.startswith("recording.") else key) in said
    assert str(wrong) in said
    assert any(word in said for word in ("allowed", "needed", "must", "holds up to")), said


def test_every_kind_of_number_is_found() -> None:
    found = {key for key, *_ in KEYS}
    assert {"seed", "camera.aperture_m", "sensor.blur_px", "recording.episode"} < found
    assert {f"randomization.{f.name}" for f in fields(schema.RandomizationConfig)} < found
