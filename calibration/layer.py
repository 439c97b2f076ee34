"""A calibration result as a USD layer: `over`s on an untouched robot."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calibration.result import INERTIAL, SCREW, CalibrationResult, Parameter
from calibration.screws import exponential
from envs.stage.identified import OVERRIDABLE, FrameValue, InertialValue, Value
from envs.stage.layers import write_overrides
from envs.stage.scene import Inertial

FRICTION = ".contact.friction"
"""Of "body.contact.friction"."""
OF_ONE_ROBOT = ("torque_offset", "spring", "torque_lag_s", "encoder_offset")
"""Fields that tell one robot from another of its make: the zero and the lag of its sensors, and how
its cables lie. A spring rests where the offset puts it, so that neither goes without the other."""


def for_another(result: CalibrationResult) -> CalibrationResult:
    """Return what a calibration says of another robot of the same make."""
    names = list(result.parameters)
    kept = [i for i, name in enumerate(names) if name.partition(".")[2] not in OF_ONE_ROBOT]
    return replace(
        result,
        parameters={names[i]: result.parameters[names[i]] for i in kept},
        covariance=result.covariance[np.ix_(kept, kept)],
    )


def write_calibration(path: Path, stage: Path, result: CalibrationResult) -> Path:
    """Write what was identified as a layer that goes above a stage.

    Args:
        path: The .usda to write.
        stage: The stage which the robot was calibrated in.
        result: Its joints and bodies must be those of the stage.

    Raises:
        StageError: A joint or body is not in the stage, or a value cannot be written.
    """
    joints: dict[str, dict[str, Value]] = {}
    for name, parameter in result.parameters.items():
        joint, _, field = name.partition(".")
        if field in OVERRIDABLE:
            value = Value(parameter.value, parameter.std, parameter.method, parameter.n)
            joints.setdefault(joint, {})[field] = value
    friction = {
        name.removesuffix(FRICTION): Value(p.value, p.std, p.method, p.n)
        for name, p in result.parameters.items()
        if name.endswith(FRICTION)
    }
    bodies = {
        name: {"inertial": _inertial_value(name, inertial, result.parameters)}
        for name, inertial in result.inertials.items()
    }
    return write_overrides(
        path,
        stage=stage,
        joints=joints,
        bodies=bodies,
        frames=_frames(result),
        friction=friction,
        metadata=_flat(result.provenance),
    )


def _frames(result: CalibrationResult) -> dict[str, FrameValue]:
    """Return joint → how its frame moves, for the joints that a fit moved it of."""
    found: dict[str, FrameValue] = {}
    for name in result.parameters:
        joint, _, field = name.partition(".")
        if field == f"frame.{SCREW[0]}":
            screw = [result.parameters[f"{joint}.frame.{part}"] for part in SCREW]
            std = np.array([p.std for p in screw])
            found[joint] = FrameValue(
                exponential(torch.tensor([p.value for p in screw], dtype=torch.float64)).numpy(),
                std_m=std[:3],
                std_rad=std[3:],
                method=screw[0].method,
                n=screw[0].n,
            )
    return found


def _inertial_value(
    name: str, inertial: Inertial, parameters: Mapping[str, Parameter]
) -> InertialValue:
    """Return a body's mass properties, with deviations where its numbers were identified."""
    found = [parameters.get(f"{name}.inertial.{field}") for field in INERTIAL]
    known = [p for p in found if p is not None]
    if len(known) == 1 and found[0] is not None:
        # A mass alone was searched: the inertia goes with it, the centre stays.
        inertia = np.abs(inertial.inertia_kgm2) * (found[0].std / found[0].value)
        deviation = Inertial(found[0].std, np.zeros(3), inertia)
        return InertialValue(inertial, deviation, found[0].method, found[0].n)
    if len(known) < len(INERTIAL):
        return InertialValue(inertial)
    std = np.array([p.std for p in known])
    deviation = Inertial(std[0], std[1:4], std[4:][[[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
    return InertialValue(inertial, deviation, known[0].method, known[0].n)


def _flat(provenance: Mapping[str, Any], prefix: str = "") -> dict[str, str | float | int]:
    """Return nested provenance as one level, which is what USD metadata takes well."""
    flat: dict[str, str | float | int] = {}
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}_")
        else:
            plain = isinstance(value, str | float | int)
            flat[f"{prefix}{key}"] = value if plain else json.dumps(value)
    return flat
