"""Laws of a servo's motor and friction: what each leaves free, and within which bounds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from calibration.rollout.servo import PARAMETERS
from calibration.servo_runs import Playback, nominal
from envs.stage.scene import Joint

PRIOR = {"torque_constant": 0.15, "resistance": 0.15}
"""Relative standard deviations of what a data sheet says."""
LAWS: Mapping[str, tuple[str, ...]] = {
    "coulomb": ("coulomb", "viscous"),
    "load": ("coulomb", "viscous", "motor_load", "external_load"),
    "stribeck": (
        "coulomb",
        "viscous",
        "motor_load",
        "external_load",
        "breakaway_load",
        "stribeck_velocity",
    ),
    "saturating": (
        "coulomb",
        "viscous",
        "motor_load",
        "external_load",
        "breakaway_load",
        "stribeck_velocity",
        "saturation",
    ),
}
"""Friction that does not know the load; that grows with it; that is more at rest; and a motor whose
torque falls behind its current."""
ALWAYS = ("torque_constant", "resistance", "armature", "delay_s", "encoder_offset")


@dataclass(frozen=True)
class Search:
    """Where a law is searched: columns of a candidate that are free, their bounds, and the rest."""

    free: tuple[str, ...]
    low: Float[np.ndarray, "free"]
    high: Float[np.ndarray, "free"]
    start: Float[np.ndarray, "12"]

    @property
    def columns(self) -> list[int]:
        """Where the free values are in a candidate."""
        return [PARAMETERS.index(name) for name in self.free]

    def candidates(
        self, x: Float[np.ndarray, "candidate free"]
    ) -> Float[np.ndarray, "candidate 12"]:
        """Return whole candidates; x runs from 0 to 1 between the bounds."""
        table = np.tile(self.start, (len(x), 1))
        table[:, self.columns] = self.low + x * (self.high - self.low)
        return table

    def prior(
        self, candidates: Float[np.ndarray, "candidate 12"]
    ) -> Float[np.ndarray, "candidate"]:
        """Return ½ Σ (ln(x/x₀)/σ)² of each candidate."""
        total = np.zeros(len(candidates))
        for name, sigma in PRIOR.items():
            i = PARAMETERS.index(name)
            total += 0.5 * (np.log(candidates[:, i] / self.start[i]) / sigma) ** 2
        return total


def search_of(joint: Joint, law: tuple[str, ...], playback: Playback) -> Search:
    """Return a law's bounds: shares of what the motor of the stage can do at its supply."""
    start = dict(nominal(joint))
    start |= {name: 0.0 for name in ("saturation", "breakaway_load") if name not in law}
    k, R, inertia = start["torque_constant"], start["resistance"], playback.inertia
    V = float(np.mean([run.supply_v for run in playback.runs]))
    stall_nm, stall_a, speed = k * V / R, V / R, V / k
    bounds = {
        "torque_constant": (k / 3, 3 * k),
        "resistance": (R / 3, 3 * R),
        "saturation": (0.0, 4 / stall_a),
        "coulomb": (0.0, 0.2 * stall_nm),
        "viscous": (0.0, 0.5 * stall_nm / speed),
        "motor_load": (0.0, 0.8),
        "external_load": (0.0, 0.8),
        "breakaway_load": (0.0, 0.5),
        "stribeck_velocity": (0.001 * speed, 0.3 * speed),
        "armature": (0.0, inertia),
        "delay_s": (0.0, 0.03),
        "encoder_offset": (-0.1, 0.1),
    }
    free = (*ALWAYS, *law)
    low, high = np.array([bounds[name] for name in free]).T
    return Search(free, low, high, np.array([start[name] for name in PARAMETERS]))
