"""Torque-level identification: inertias, rotors and friction from measured joint torques.

A convex fit on the compressed regression: the torque is linear in the inertial parameters (and in
all else but the Stribeck velocity), and the prior, a log-det divergence from the model's links, is
convex, keeps every link feasible, and leaves what the data do not excite where the model has it.
Newton's steps are taken in the log-Cholesky coordinates about the present links. Armature, friction
and Stribeck's excess are held at zero where the data would make them negative.

Coordinates about the model's links with a Gaussian prior were tried first: where the data press a
link against the edge of what is feasible, as on a real Panda, Levenberg–Marquardt crawled along
curved valleys and had not settled after 100 steps. This takes about 10 steps a round.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from calibration.identifiability import Identifiability, degenerate_cases, identifiability
from calibration.inertia import from_pseudo_inertia, is_feasible, rigid_groups
from calibration.newton import Local, minimize
from calibration.regression import STRIBECK_RANGE, Regression, build_regression
from calibration.result import CalibrationResult, Parameter
from calibration.torque_model import (
    FIELDS,
    MOST_LAG_S,
    Prior,
    TorqueModel,
    model_prior,
    model_torque,
)
from calibration.uncertainty import sandwich, time_blocks
from envs.errors import CalibrationError
from envs.stage.scene import Inertial, Scene
from envs.stage.tree import inertial_parameters, reduce_tree
from envs.telemetry.filtering import Motion

# The noise of each joint and the parameters are estimated in turn; it settles in two rounds.
ROUNDS = 3
# Blocks of time over which residuals may be correlated, s.
BLOCK_S = 0.5


def fit_torque(
    scene: Scene,
    motion: Motion,
    *,
    train: Bool[np.ndarray, "time"],
    heldout: Bool[np.ndarray, "time"] | None,
    cutoff_hz: float = 10.0,
    provenance: Mapping[str, Any] | None = None,
) -> CalibrationResult:
    """Identify inertias, armature, friction and offset of the joints that move.

    Args:
        scene: The nominal stage; its robot's joints include those of the motion, all others are
            welded at 0.
        motion: Low-passed, with measured torque on the joint's side that the drive acts on.
        train: Instants to fit; those outside `motion.use` are left out.
        heldout: Instants to judge by, likewise; None where another recording judges.
        cutoff_hz: Of the filter that the motion went through.
        provenance: Goes into the result's: hashes of the recording and the like.

    Returns:
        Values for each joint, and for each rigid group of bodies the numbers of its heaviest one;
        `inertials` holds all bodies that change. Metrics: `heldout_rmse_nm`, `nominal_rmse_nm`
        (the stage as it is, same instants) and `train_rmse_nm`, in the order of the joints.

    Raises:
        CalibrationError: The joints do not fit the stage, no link has mass, the torque is not
            finite, or the spans are too short.
    """
    begun = time.perf_counter()
    tree = reduce_tree(scene.robot, motion.joints, scene.gravity_mps2)
    if tree.joints != motion.joints:
        raise CalibrationError(
            f"the motion's joints must be in the stage's order, {', '.join(tree.joints)}; "
            f"found {', '.join(motion.joints)}"
        )
    train = train & motion.use
    judged = None if heldout is None else heldout & motion.use
    if judged is not None and not judged.any():
        raise CalibrationError("no usable instant is held out to judge the calibration by")
    model = TorqueModel(tree, rigid_groups(tree, scene.robot))
    if not model.groups:
        raise CalibrationError(f"no link of {scene.robot.prim} has mass in the model")
    joints = [scene.robot.joint(name) for name in tree.joints]
    prior = model_prior(model, joints, motion, train)
    # What a late sensor changes depends on the torque, which is found first as if it were in time.
    p, noise = _fit(model, build_regression(tree, motion, train, cutoff_hz), prior)
    near = model_torque(*model.fitted(p, joints), motion, cutoff_hz)
    regression = build_regression(tree, motion, train, cutoff_hz, tau_near=near)
    p, noise = _fit(model, regression, prior, p)

    values, _ = model.values(p)
    covariance, told = _uncertainty(
        model, regression, p, noise, prior, degenerate_cases(tree, motion.qd, train)
    )
    inertials = model.inertials(p)
    error = model_torque(*model.fitted(p, joints), motion, cutoff_hz) - motion.tau
    nominal_error = model_torque(tree, joints, motion, cutoff_hz) - motion.tau
    return CalibrationResult(
        parameters={
            name: Parameter(
                value=value,
                std=std,
                nominal=nominal,
                unit=unit,
                method="torch",
                # At a bound the data ask for what cannot be: the value is the bound's, not theirs.
                identifiable=name not in told.weak and name not in told.at_bounds,
                n=len(regression.t_s),
            )
            for (name, unit), value, std, nominal in zip(
                model.names(),
                values.tolist(),
                np.sqrt(np.diag(covariance)).tolist(),
                model.nominal(scene.robot, joints),
                strict=True,
            )
        },
        covariance=covariance,
        inertials=inertials,
        infeasible_links=_infeasible(inertials),
        provenance={
            "method": "torch",
            "train_s": _span(motion, train),
            **({} if judged is None else {"heldout_s": _span(motion, judged)}),
            "dt_s": float(motion.t_s[1] - motion.t_s[0]),
            "cutoff_hz": cutoff_hz,
            "samples": len(regression.t_s),
            "versions": {name: version(name) for name in ("numpy", "scipy", "torch")},
            **(provenance or {}),
        },
        metrics={
            **(
                {}
                if judged is None
                else {
                    "heldout_rmse_nm": _rms(error[judged]),
                    "nominal_rmse_nm": _rms(nominal_error[judged]),
                }
            ),
            "train_rmse_nm": _rms(error[train]),
            "identifiability": told.to_dict(),
            "fit_s": time.perf_counter() - begun,
        },
    )


def _bounds(joints: int) -> tuple[Float[np.ndarray, "numbers"], Float[np.ndarray, "numbers"]]:
    """Return the least and the largest of FIELDS, all blocks, as the parameters hold them."""
    names = [name for name, *_ in FIELDS]
    lower = np.zeros((len(FIELDS), joints))
    upper = np.full_like(lower, np.inf)
    lower[names.index("torque_offset")] = -np.inf
    lower[-1], upper[-1] = np.log(STRIBECK_RANGE)
    upper[names.index("torque_lag_s")] = MOST_LAG_S
    return lower.ravel(), upper.ravel()


def _fit(
    model: TorqueModel,
    regression: Regression,
    prior: Prior,
    start: Float[np.ndarray, "params"] | None = None,
) -> tuple[Float[np.ndarray, "params"], Float[np.ndarray, "joint"]]:
    """Return the parameters, and the standard deviation of each joint's noise (N·m or N)."""
    factors = torch.from_numpy(prior.factors)
    inertias = from_pseudo_inertia(factors @ factors.mT).numpy().ravel()
    lower, upper = _bounds(len(regression.joints))
    p = np.concatenate([inertias, np.clip(prior.mean, lower, upper)]) if start is None else start
    free = np.full(len(inertias), np.inf)
    low, high = np.concatenate([-free, lower]), np.concatenate([free, upper])

    noise = np.array([np.linalg.norm(j.triangle[:, -1]) for j in regression.joints])
    noise = noise / np.sqrt(len(regression.t_s))
    for _ in range(ROUNDS):
        problem = _Problem(model, regression, prior, noise)
        p = minimize(problem, p, low, high)
        noise = noise * problem.rms(p)
    return p, noise


@dataclass(frozen=True)
class _Problem:
    """Squared whitened residuals, and the prior's squared distance."""

    model: TorqueModel
    regression: Regression
    prior: Prior
    noise: Float[np.ndarray, "joint"]

    def residuals(self, p: Float[np.ndarray, "params"]) -> list[Float[np.ndarray, "rows"]]:
        """Return each joint's, compressed."""
        c = self.model.coefficients(p)
        weight = np.sqrt(self.regression.information) / self.noise
        return [
            w * (j.triangle[:, :-1] @ c[j.index] - j.triangle[:, -1])
            for j, w in zip(self.regression.joints, weight, strict=True)
        ]

    def rms(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "joint"]:
        """Return each joint's root mean square over all its rows, in units of its noise."""
        rows = len(self.regression.t_s) * self.regression.information
        return np.array([np.sqrt(r @ r / rows) for r in self.residuals(p)])

    def cost(self, p: Float[np.ndarray, "params"]) -> float:
        """See `newton.Problem`."""
        return self.prior.cost(p) + float(sum(r @ r for r in self.residuals(p)))

    def expand(self, p: Float[np.ndarray, "params"]) -> Local:
        """See `newton.Problem`; the Hessian leaves out the curvature of the Stribeck velocity."""
        D = self.model.derivative(p)
        weight = np.sqrt(self.regression.information) / self.noise
        gradient, hessian = self.prior.gradient(p), self.prior.hessian()
        for j, w, r in zip(self.regression.joints, weight, self.residuals(p), strict=True):
            J = w * j.triangle[:, :-1] @ D[j.index]
            gradient += J.T @ r
            hessian += J.T @ J
        return Local(gradient, hessian)

    def move(
        self, p: Float[np.ndarray, "params"], step: Float[np.ndarray, "params"]
    ) -> Float[np.ndarray, "params"]:
        """See `newton.Problem`."""
        return self.model.move(p, step)


def _uncertainty(
    model: TorqueModel,
    regression: Regression,
    p: Float[np.ndarray, "params"],
    noise: Float[np.ndarray, "joint"],
    prior: Prior,
    warnings: Sequence[str],
) -> tuple[Float[np.ndarray, "values values"], Identifiability]:
    """Return the covariance of the values to report, and what the data tell of them."""
    c, D = model.coefficients(p), model.derivative(p)
    weight = np.sqrt(regression.information) / noise
    joints = list(zip(regression.joints, weight, strict=True))
    jacobian = np.concatenate([w * j.columns @ D[j.index] for j, w in joints])
    residual = np.concatenate([w * (j.columns @ c[j.index] - j.tau) for j, w in joints])
    blocks = np.tile(time_blocks(regression.t_s, BLOCK_S), len(joints))
    (_, of), precision = model.values(p), prior.hessian()
    names = [name for name, _ in model.names()]
    lower, upper = _bounds(len(model.tree.joints))
    fields = slice(len(names) - len(lower), None)
    at_bound = (p[fields] <= lower) | (p[fields] >= upper)
    bounded = [name for name, ends in zip(names[fields], at_bound, strict=True) if ends]
    covariance = of @ sandwich(jacobian, residual, blocks, precision) @ of.T
    told = identifiability(names, jacobian, precision, of, at_bounds=bounded, warnings=warnings)
    return covariance, told


def _infeasible(inertials: Mapping[str, Inertial]) -> tuple[str, ...]:
    """Return the bodies whose mass properties no matter could have; a massless frame has none."""
    return tuple(
        name
        for name, inertial in inertials.items()
        if (inertial.mass_kg != 0 or inertial.inertia_kgm2.any())
        and not is_feasible(inertial_parameters(inertial, np.eye(4)))
    )


def _span(motion: Motion, rows: Bool[np.ndarray, "time"]) -> list[float]:
    return [float(t) for t in motion.t_s[rows][[0, -1]]]


def _rms(error: Float[np.ndarray, "time joint"]) -> list[float]:
    return [float(x) for x in np.sqrt((error**2).mean(axis=0))]
