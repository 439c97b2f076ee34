"""The hidden truth of a simulated recording: what a calibration should have found."""

import json
from dataclasses import dataclass
from pathlib import Path

from calibration.result import CalibrationResult
from envs.errors import CalibrationError

# Field of a calibrated joint parameter → its key in the truth.
FIELDS = {
    "armature": "armature",
    "friction.coulomb": "coulomb",
    "friction.viscous": "viscous",
    "friction.stribeck": "stribeck",
    "friction.stribeck_velocity": "stribeck_velocity",
    "drive.stiffness": "stiffness",
    "drive.damping": "damping",
    "delay_s": "delay_s",
}


@dataclass(frozen=True)
class Truth:
    """Parameter name ("panda_joint3.friction.coulomb") → true value, in SI."""

    values: dict[str, float]

    def errors(self, result: CalibrationResult) -> dict[str, dict[str, float]]:
        """Return field → joint → estimate minus truth, relative to it (in seconds for a delay)."""
        errors: dict[str, dict[str, float]] = {}
        for name, true in self.values.items():
            if name not in result.parameters:
                continue
            joint, _, field = name.partition(".")
            off = result.parameters[name].value - true
            errors.setdefault(field, {})[joint] = off if field == "delay_s" else off / true
        return errors


def read_truth(path: Path) -> Truth:
    """Read the JSON that was written beside a simulated recording.

    Raises:
        CalibrationError: The file is missing, or is no such truth.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        joints = data["joints"]
        values: dict[str, float] = {}
        for field, key in FIELDS.items():
            column = data[key] if isinstance(data[key], list) else [data[key]] * len(joints)
            values |= {
                f"{joint}.{field}": float(v) for joint, v in zip(joints, column, strict=True)
            }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CalibrationError(f"{path} is not the truth of a recording: {error!r}") from error
    return Truth(values)
