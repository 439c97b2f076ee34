"""What is believed of an arm's torque model before the data speak."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import block_diag

from calibration.inertia import divergence, factor, from_pseudo_inertia, tangent
from calibration.regression import STRIBECK_RANGE
from calibration.torque_model import TorqueModel, field_values
from envs.stage.scene import Joint
from envs.telemetry.filtering import Motion

# How far a link may be from the model's before the data speak, in log-Cholesky coordinates: 1 is a
# factor of e in mass, a radius of gyration in the centre of mass.
INERTIA_WIDTH = 1.0
# Stribeck's velocity before the data speak, rad/s (or m/s), and the width of its logarithm.
STRIBECK_VELOCITY, STRIBECK_WIDTH = 0.08, 0.5
# By how much a torque sensor's reading is late without data, s.
LAG_WIDTH_S = 0.02
# Share of the load that friction may take without data: a gear's efficiency.
LOAD_WIDTH = 0.1
# A joint that moves less than this (rms) is treated as if it moved so much when priors are sized.
LEAST_REACH, LEAST_SPEED, LEAST_ACCELERATION = 1e-2, 1e-3, 1e-2


@dataclass(frozen=True)
class Prior:
    """What is believed before the data speak: the model's numbers, and how far they may be off.

    Attributes:
        factors: Of the groups' pseudo-inertias in the model.
        mean: Of all else in p: FIELDS, and the logarithms of gains.
        precision: Of the same: 1 / standard deviation².
    """

    factors: Float[np.ndarray, "group 4 4"]
    mean: Float[np.ndarray, "numbers"]
    precision: Float[np.ndarray, "numbers"]

    def links(self) -> Float[np.ndarray, "group 10"]:
        """Return the groups' inertial parameters in the model."""
        factors = torch.from_numpy(self.factors)
        return np.asarray(from_pseudo_inertia(factors @ factors.mT).numpy())

    def cost(self, p: Float[np.ndarray, "params"]) -> float:
        """Return the squared distance; infinite where a link is not feasible."""
        size = 10 * len(self.factors)
        away = p[size:] - self.mean
        links = divergence(p[:size].reshape(-1, 10), self.factors).sum()
        return float(links / INERTIA_WIDTH**2 + away @ (self.precision * away))

    def gradient(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "params"]:
        """Return half its derivative with respect to the local coordinates."""
        size, S = 10 * len(self.factors), tangent()
        M = np.linalg.solve(self.factors, factor(p[:size].reshape(-1, 10)))
        slope = np.einsum("gki,gkj,sij->gs", M, M, S) - np.trace(S, axis1=-2, axis2=-1)
        inertias = slope.ravel() / (2 * INERTIA_WIDTH**2)
        return np.concatenate([inertias, self.precision * (p[size:] - self.mean)])

    @cached_property
    def hessian(self) -> Float[np.ndarray, "params params"]:
        """Half its second derivative (the precision): the same at every p.

        For π this is the second derivative along straight lines, `tr(J⁻¹ ∂J J⁻¹ ∂J)`, which in the
        local coordinates is `tr(S_k S_l)`.
        """
        S = tangent()
        link = np.einsum("kij,lij->kl", S, S) / (2 * INERTIA_WIDTH**2)
        return np.asarray(block_diag(*[link] * len(self.factors), np.diag(self.precision)))


def model_prior(
    model: TorqueModel, joints: Sequence[Joint], motion: Motion, train: Bool[np.ndarray, "time"]
) -> Prior:
    """Return the prior of a model: the stage's own numbers.

    Friction, armature and offset may each be as large as all of the joint's torque variation.
    """
    torque = np.maximum(motion.tau[train].std(axis=0), 1e-6)
    speed = np.maximum(motion.qd[train].std(axis=0), LEAST_SPEED)
    acceleration = np.maximum(motion.qdd[train].std(axis=0), LEAST_ACCELERATION)
    velocity = [
        np.clip(f.stribeck_velocity, *STRIBECK_RANGE) if f.stribeck > 0 else STRIBECK_VELOCITY
        for f in (j.friction for j in joints)
    ]
    mean = field_values(joints)
    mean[-1] = np.log(velocity)
    logarithm = np.full(len(joints), STRIBECK_WIDTH)
    lag = np.full(len(joints), LAG_WIDTH_S)
    reach = np.maximum(motion.q[train].std(axis=0), LEAST_REACH)
    offset, spring = torque, torque / reach
    width = [
        *(torque / acceleration, torque, torque / speed, offset, spring, lag),
        *(torque / speed, np.full(len(joints), LOAD_WIDTH), torque, logarithm),
    ]
    none = np.empty(0)
    # What is known is held, and its width of no consequence.
    gains = none if model.gains is None else np.where(model.gains.known, 1.0, model.gains.std)
    return Prior(
        factors=np.array([group.factor for group in model.groups]),
        mean=np.concatenate([mean.ravel(), np.zeros_like(gains)]),
        precision=np.concatenate([*width, gains]) ** -2,
    )
