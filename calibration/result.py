"""What a calibration found: values and their uncertainty, where from, and how good they are."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from envs.errors import CalibrationError
from envs.files import write_whole
from envs.stage.scene import Inertial

Method = Literal["torch", "lm", "cmaes", "servo", "kinematics"]

INERTIAL = {
    "mass": "kg",
    "com_x": "m",
    "com_y": "m",
    "com_z": "m",
    "ixx": "kg.m2",
    "ixy": "kg.m2",
    "iyy": "kg.m2",
    "ixz": "kg.m2",
    "iyz": "kg.m2",
    "izz": "kg.m2",
}
"""Fields of "body.inertial.…" and their units; the inertia is about the centre of mass."""

SCREW = ("x", "y", "z", "rx", "ry", "rz")
"""Parts of "joint.frame.…", m and rad: the screw that moves the joint's frame in its parent."""


@dataclass(frozen=True)
class Parameter:
    """One identified number, in SI.

    Attributes:
        std: Its standard deviation.
        nominal: What the stage says.
        unit: "N.m", "kg.m2" and so on.
        identifiable: False where the data hardly speak about it: the value then rests on the
            model, or on what was assumed of others.
        n: Number of samples that it rests on.
    """

    value: float
    std: float
    nominal: float
    unit: str
    method: Method
    identifiable: bool = True
    n: int | None = None


@dataclass(frozen=True)
class CalibrationResult:
    """What one method, or two together, identified.

    Attributes:
        parameters: "joint.field" (`panda_joint3.friction.coulomb`) or "body.inertial.field"
            (`panda_link4.inertial.mass`) or "body.contact.friction" → value.
        covariance: In the order of `parameters`; where two results were combined, zero between
            them.
        inertials: All bodies whose mass properties change, in the body's own frame.
        infeasible_links: Bodies among them which no matter could have.
        provenance: Hashes of the data, spans, step, cutoff, versions.
        metrics: RMSE per joint and the like.
    """

    parameters: Mapping[str, Parameter]
    covariance: Float[np.ndarray, "params params"]
    inertials: Mapping[str, Inertial] = field(default_factory=dict)
    infeasible_links: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a covariance of the wrong size, and numbers that are not finite."""
        n = len(self.parameters)
        if self.covariance.shape != (n, n):
            raise CalibrationError(
                f"{n} parameters need a covariance of {n}×{n}, not {self.covariance.shape}"
            )
        for name, p in self.parameters.items():
            if not np.isfinite([p.value, p.std, p.nominal]).all() or p.std < 0:
                raise CalibrationError(f"{name}: {p.value} ± {p.std} is not a finite result")

    def to_json(self) -> str:
        """Return the result as JSON; `from_json` gives it back to the last bit."""
        data = {
            "parameters": {name: asdict(p) for name, p in self.parameters.items()},
            "covariance": self.covariance.tolist(),
            "inertials": {
                name: {
                    "mass_kg": i.mass_kg,
                    "com_m": i.com_m.tolist(),
                    "inertia_kgm2": i.inertia_kgm2.tolist(),
                }
                for name, i in self.inertials.items()
            },
            "infeasible_links": list(self.infeasible_links),
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
        }
        return json.dumps(data, indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> Path:
        """Write the JSON, whole or not at all."""
        return write_whole(path, self.to_json())


def from_json(text: str) -> CalibrationResult:
    """Return the result that `CalibrationResult.to_json` wrote.

    Raises:
        CalibrationError: The text is not such a result.
    """
    try:
        data = json.loads(text)
        parameters = {name: Parameter(**values) for name, values in data["parameters"].items()}
        n = len(parameters)
        inertials = {
            name: Inertial(
                float(i["mass_kg"]), np.array(i["com_m"], float), np.array(i["inertia_kgm2"], float)
            )
            for name, i in data["inertials"].items()
        }
        return CalibrationResult(
            parameters=parameters,
            covariance=np.array(data["covariance"], float).reshape(n, n),
            inertials=inertials,
            infeasible_links=tuple(data["infeasible_links"]),
            provenance=data["provenance"],
            metrics=data["metrics"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CalibrationError(f"this is not a calibration result: {error!r}") from error


def combine(torque: CalibrationResult, rollout: CalibrationResult) -> CalibrationResult:
    """Return one result of two fits to the same recording.

    What the measured torque tells directly (inertias, armature, friction, offset) is taken from the
    torque-level fit; what only motion tells (stiffness, damping, delay) is added from the
    rollouts.

    Args:
        torque: Of `gradient.fit_torque`.
        rollout: Of rollouts; its values for parameters that `torque` also has are left out.
    """
    names = list(rollout.parameters)
    added = [i for i, name in enumerate(names) if name not in torque.parameters]
    n, m = len(torque.parameters), len(added)
    covariance = np.zeros((n + m, n + m))
    covariance[:n, :n] = torque.covariance
    covariance[n:, n:] = rollout.covariance[np.ix_(added, added)]
    parameters = {names[i]: rollout.parameters[names[i]] for i in added}
    inertials = {k: v for k, v in rollout.inertials.items() if k not in torque.inertials}
    return CalibrationResult(
        parameters={**torque.parameters, **parameters},
        covariance=covariance,
        inertials={**torque.inertials, **inertials},
        infeasible_links=tuple(
            dict.fromkeys(
                [*torque.infeasible_links, *(k for k in rollout.infeasible_links if k in inertials)]
            )
        ),
        provenance={"torque": dict(torque.provenance), "rollout": dict(rollout.provenance)},
        metrics={"torque": dict(torque.metrics), "rollout": dict(rollout.metrics)},
    )
