"""The one place where USD's units meet SI: degrees, metersPerUnit, kilogramsPerUnit and upAxis."""

from dataclasses import dataclass, field
from math import degrees, radians
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import Pose, pose

Quantity = Literal[
    "position", "velocity", "effort", "stiffness", "damping", "damping_per_rad", "armature", "si"
]
"""What a joint attribute measures; "si" is already in SI, whatever the stage says."""

# Y-up to Z-up: x stays, y becomes z, z becomes −y.
_Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Units:
    """Factors from a stage's units to SI, and the rotation from its axes to the Z-up world.

    Attributes:
        length_m: Metres in one unit of length.
        mass_kg: Kilograms in one unit of mass.
        R_WS: Stage axes S seen from the world W.
    """

    length_m: float = 1.0
    mass_kg: float = 1.0
    R_WS: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))

    @property
    def inertia_kgm2(self) -> float:
        """One unit of rotational inertia."""
        return self.mass_kg * self.length_m**2

    def joint_factor(self, quantity: Quantity, *, angular: bool) -> float:
        """Return the factor from an attribute's value to SI.

        USD measures angles in degrees, so stiffness and damping of a revolute joint's drive are per
        degree; torque is mass·length²/s². MuJoCo's damping is per radian.
        """
        if quantity == "si":
            return 1.0
        if not angular:
            force = self.mass_kg * self.length_m
            return {
                "position": self.length_m,
                "velocity": self.length_m,
                "effort": force,
                "stiffness": self.mass_kg,
                "damping": self.mass_kg,
                "damping_per_rad": self.mass_kg,
                "armature": self.mass_kg,
            }[quantity]
        return {
            "position": radians(1.0),
            "velocity": radians(1.0),
            "effort": self.inertia_kgm2,
            "stiffness": self.inertia_kgm2 * degrees(1.0),
            "damping": self.inertia_kgm2 * degrees(1.0),
            "damping_per_rad": self.inertia_kgm2,
            "armature": self.inertia_kgm2,
        }[quantity]

    def world_pose(self, R_SB: Float[np.ndarray, "3 3"], p_SB: Float[np.ndarray, "3"]) -> Pose:
        """Return the pose in the Z-up world, in metres, of a frame given in stage units."""
        return pose(self.R_WS @ R_SB, self.R_WS @ np.asarray(p_SB) * self.length_m)


SI = Units()


def read_units(stage: Any, name: str) -> Units:
    """Return the units that a stage authors.

    Args:
        stage: A `Usd.Stage`.
        name: What to call it in a message.

    Raises:
        StageError: metersPerUnit or upAxis is not authored, or holds nonsense. USD would fall back
            to centimetres and Y-up, which is hardly ever what a robot's author meant.
    """
    from pxr import Tf, UsdGeom, UsdPhysics

    root = stage.GetRootLayer().identifier
    missing = [
        key
        for key, authored in (
            ("metersPerUnit", UsdGeom.StageHasAuthoredMetersPerUnit(stage)),
            ("upAxis", stage.HasAuthoredMetadata(UsdGeom.Tokens.upAxis)),
        )
        if not authored
    ]
    if missing:
        raise StageError(
            f"{name}: the stage does not say its {' and '.join(missing)}; author them in the root "
            f"layer ({root}), as they are not inherited from sublayers or references"
        )
    try:
        length = float(UsdGeom.GetStageMetersPerUnit(stage))
        mass = float(UsdPhysics.GetStageKilogramsPerUnit(stage))
        y_up = UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y
    except (Tf.ErrorException, TypeError) as error:
        raise StageError(
            f"{name}: metersPerUnit and kilogramsPerUnit must be numbers and upAxis Y or Z"
        ) from error
    for key, value in (("metersPerUnit", length), ("kilogramsPerUnit", mass)):
        if not 1e-12 <= value <= 1e12:
            raise StageError(f"{name}: {key} must be a positive number, not {value}")
    return Units(length, mass, _Z_UP_FROM_Y_UP if y_up else np.eye(3))
