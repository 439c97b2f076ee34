"""The joint friction law, shared by the twin and by the identification.

`τ = (coulomb + stribeck·exp(−(q̇/v_s)²))·tanh(q̇/v₀) + viscous·q̇`: Coulomb and viscous friction with
Stribeck's excess at low speed (Olsson, Åström, Canudas de Wit, Gäfvert and Lischinsky, Friction
models and friction compensation, European Journal of Control 4, 1998, section 2), the sign smoothed
so that a simulation can step through zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.stage.scene import Friction

# v₀ above: the speed at which the smoothed sign has reached tanh 1 = 0.76, rad/s (or m/s).
STICTION_VELOCITY = 0.01


@dataclass(frozen=True)
class JointFriction:
    """Friction of several joints, the joint as the last axis; units as in `scene.Friction`.

    Leading axes, where there are any, run over candidates or worlds.
    """

    coulomb: Float[np.ndarray, "*n joint"]
    viscous: Float[np.ndarray, "*n joint"]
    stribeck: Float[np.ndarray, "*n joint"]
    stribeck_velocity: Float[np.ndarray, "*n joint"]

    def __post_init__(self) -> None:
        """Refuse a Stribeck velocity that is not positive, by which the law divides."""
        if not np.all(np.asarray(self.stribeck_velocity) > 0):
            raise StageError(
                f"a Stribeck velocity must be positive; found {np.min(self.stribeck_velocity)}"
            )


def joint_friction(frictions: Iterable[Friction]) -> JointFriction:
    """Return the friction of joints in the given order as arrays."""
    rows = [(f.coulomb, f.viscous, f.stribeck, f.stribeck_velocity) for f in frictions]
    return JointFriction(*np.array(rows, float).reshape(-1, 4).T)


def friction_torque(
    friction: JointFriction, qd: Float[np.ndarray, "*n joint"]
) -> Float[np.ndarray, "*n joint"]:
    """Return what the motor spends on friction, N·m or N: it has the sign of the velocity."""
    excess = friction.stribeck * np.exp(-((qd / friction.stribeck_velocity) ** 2))
    torque: Float[np.ndarray, "*n joint"] = (friction.coulomb + excess) * np.tanh(
        qd / STICTION_VELOCITY
    ) + friction.viscous * qd
    return torque


def friction_slope(
    friction: JointFriction, qd: Float[np.ndarray, "*n joint"]
) -> Float[np.ndarray, "*n joint"]:
    """Return the derivative of `friction_torque` with respect to qd, N·m·s/rad or N·s/m.

    It may be negative where Stribeck's excess fades.
    """
    excess = friction.stribeck * np.exp(-((qd / friction.stribeck_velocity) ** 2))
    sign = np.tanh(qd / STICTION_VELOCITY)
    slope: Float[np.ndarray, "*n joint"] = (
        (friction.coulomb + excess) * (1 - sign**2) / STICTION_VELOCITY
        - excess * 2 * qd / friction.stribeck_velocity**2 * sign
        + friction.viscous
    )
    return slope
