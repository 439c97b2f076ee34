"""What a recording can tell at all, in words: rank, condition, and what cannot be told apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from calibration.uncertainty import PRIOR_SHARE, prior_share
from envs.stage.tree import Tree

CONFOUNDED = 0.9
"""Values whose errors are correlated by more than this cannot be told apart."""
STILL_RAD_S = 0.02
"""A joint slower than this (rms, rad/s or m/s) shows neither friction nor inertia."""
VERTICAL = 1e-3
"""Sine of the angle between an axis and gravity below which gravity does not act on the joint."""


@dataclass(frozen=True)
class Identifiability:
    """What the data say about the parameters.

    Attributes:
        parameters: How many directions there are.
        rank: How many of them the data tell better than the prior does.
        condition: Of the Jacobian, in units of the prior, over the directions that are told.
        weak: Names of values that rest on the prior.
        confounded: Pairs of values of which only a combination is told.
        at_bounds: Names of values that ended at a bound.
        warnings: Degenerate cases, in words.
    """

    parameters: int
    rank: int
    condition: float
    weak: tuple[str, ...]
    confounded: tuple[tuple[str, str], ...]
    at_bounds: tuple[str, ...]
    warnings: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Return it in words, the degenerate cases first."""
        said = list(self.warnings)
        said.append(
            f"the data tell {self.rank} of {self.parameters} directions of the parameters "
            f"(condition {self.condition:.3g}); the others rest on the model"
        )
        said += [f"{a} and {b} cannot be told apart" for a, b in self.confounded]
        if self.at_bounds:
            said.append("at a bound: " + ", ".join(self.at_bounds))
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "parameters": self.parameters,
            "rank": self.rank,
            "condition": self.condition if math.isfinite(self.condition) else None,
            "weak": list(self.weak),
            "confounded": [list(pair) for pair in self.confounded],
            "at_bounds": list(self.at_bounds),
            "sentences": self.sentences(),
        }


def identifiability(
    names: Sequence[str],
    jacobian: Float[np.ndarray, "rows params"],
    precision: Float[np.ndarray, "params params"],
    of: Float[np.ndarray, "values params"],
    *,
    at_bounds: Sequence[str] = (),
    warnings: Sequence[str] = (),
    besides: Float[np.ndarray, "more params"] | None = None,
) -> Identifiability:
    """Judge a fit by its linearisation.

    The information `JᵀJ` is measured in units of the prior's precision P: an eigenvalue below 1 is
    a direction about which the data say less than was assumed before.

    Args:
        names: Of the values.
        jacobian: Of the whitened residuals with respect to the parameters.
        precision: P, positive definite.
        of: Derivative of the values with respect to the parameters.
        at_bounds: Values that ended at a bound.
        warnings: What is known to be degenerate.
        besides: Rows of a Jacobian: what is named in words already. Pairs that could be told apart
            with it are not named once more.
    """
    half = np.linalg.inv(np.linalg.cholesky(precision))
    information = np.linalg.eigvalsh(half @ jacobian.T @ jacobian @ half.T)
    told = information[information >= 1.0]
    share = prior_share(jacobian, precision, of)
    H = jacobian.T @ jacobian + precision
    posterior = of @ np.linalg.solve(H if besides is None else H + besides.T @ besides, of.T)
    deviation = np.sqrt(np.diag(posterior))
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = posterior / scale / scale[:, None]
    weak = share > PRIOR_SHARE
    pairs = [
        (names[i], names[j])
        for i, j in zip(*np.nonzero(np.triu(np.abs(correlation) > CONFOUNDED, 1)), strict=True)
        if weak[i] or weak[j]
    ]
    return Identifiability(
        parameters=len(information),
        rank=len(told),
        condition=float(np.sqrt(told[-1] / told[0])) if len(told) else float("inf"),
        weak=tuple(name for name, of_prior in zip(names, weak, strict=True) if of_prior),
        confounded=tuple(pairs),
        at_bounds=tuple(at_bounds),
        warnings=tuple(warnings),
    )


def still_joints(
    tree: Tree, qd: Float[np.ndarray, "time joint"], use: Bool[np.ndarray, "time"]
) -> dict[str, float]:
    """Return the joints that move too little to tell anything but their torque: name → rms."""
    speed = np.sqrt((qd[use] ** 2).mean(axis=0)).tolist()
    return {j: v for j, v in zip(tree.joints, speed, strict=True) if v < STILL_RAD_S}


def degenerate_cases(
    tree: Tree, qd: Float[np.ndarray, "time joint"], use: Bool[np.ndarray, "time"]
) -> list[str]:
    """Return what a motion cannot show whatever the model: joints at rest, axes along gravity."""
    said = [
        f"{joint} hardly moves (rms {rms:.2g} per second): its friction, armature and inertia are "
        "not told by this recording"
        for joint, rms in still_joints(tree, qd, use).items()
    ]
    gravity = np.asarray(tree.gravity, float)
    size = float(np.linalg.norm(gravity))
    for k, joint in enumerate(tree.joints):
        if tree.parent[k] >= 0 or tree.prismatic[k] or size == 0:
            continue
        axis = tree.X_PJ[k, :3, :3] @ tree.axis[k]
        if np.linalg.norm(np.cross(axis, gravity / size)) < VERTICAL:
            said.append(
                f"{joint} turns about the vertical: gravity does not act on it, so that its "
                "armature and the inertia that it carries show as a sum only, and its torque "
                "offset is no weight"
            )
    return said
