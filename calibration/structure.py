"""Which terms each joint's torque equation has, chosen inside the training part alone.

Each candidate is a friction law, with or without a spring and a late torque sensor. The fit is
made without one block of time after the other, and each joint is judged by the blocks that its fit
has not seen (Bergmeir and Benítez, On the use of cross-validation for time series predictor
evaluation, Information Sciences 191, 2012). Of the candidates no worse than the best by more than
one standard error the simplest is taken (Breiman, Friedman, Olshen and Stone, Classification and
regression trees, 1984, section 3.4.3).

While one joint is judged all others have all terms: a term that one joint lacks would bend the
inertias, and with them what its neighbours seem to need. About the fit with all terms the cost is
a quadratic; all but the joint's own numbers are eliminated from it once, and each candidate is then
a problem of ten numbers with bounds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from calibration.newton import Local, minimize
from calibration.regression import Regression
from calibration.torque_fit import LEAST_NOISE, Problem, TorqueFit, limits
from calibration.torque_model import FIELDS, TorqueModel
from calibration.torque_prior import Prior
from calibration.validation import blocked_folds

TERMS: Mapping[str, tuple[str, ...]] = {
    "asymmetric": ("friction.asymmetry",),
    "stribeck": ("friction.stribeck", "friction.stribeck_velocity"),
    "load": ("friction.load",),
    "spring": ("spring",),
    "lag": ("torque_lag_s",),
}
"""What may be left out of a joint's equation → its fields; all else is always there."""
FRICTION_LAWS = (), ("asymmetric",), ("stribeck",), ("load",)
"""On top of Coulomb and viscous friction. Coulomb friction that differs by direction is the torque
offset, which is always there."""
BLOCKS = 10
# A term is not worth its place for less than this part of the error.
WORTH = 0.01
# How near to its end, relative to its cost, the fit with all terms comes without a block.
SETTLED = 1e-6
SWEEPS = 100

Terms = frozenset[str]
Structure = tuple[Terms, ...]
"""The terms of each joint."""


def candidates() -> tuple[Terms, ...]:
    """Return all that is compared, the one with the fewest terms first."""
    laws = product(FRICTION_LAWS, ((), ("spring",)), ((), ("lag",)))
    return tuple(frozenset((*law, *spring, *lag)) for law, spring, lag in laws)


def left_out(terms: Terms) -> frozenset[str]:
    """Return the fields that a joint with these terms does not have."""
    return frozenset(f for name, fields in TERMS.items() if name not in terms for f in fields)


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        joints: Their names.
        structure: What was chosen for each.
        candidates: What it was chosen from.
        scores: Error of each candidate, joint and block that its fit had not seen, N·m or N.
    """

    joints: tuple[str, ...]
    structure: Structure
    candidates: tuple[Terms, ...]
    scores: Float[np.ndarray, "candidate joint block"]

    def to_dict(self) -> dict[str, Any]:
        """Return joint → what was chosen, and the score of each candidate, for JSON."""
        means = np.exp(np.log(self.scores).mean(axis=-1)) if self.scores.size else self.scores
        allowed = margins(self.scores) if self.scores.size else np.zeros(len(self.joints))
        return {
            joint: {
                "chosen": words(terms),
                "one_standard_error": float(allowed[j]),
                "blocks_rmse_nm": {
                    words(c): float(mean[j]) for c, mean in zip(self.candidates, means, strict=True)
                },
            }
            for j, (joint, terms) in enumerate(zip(self.joints, self.structure, strict=True))
        }


def words(terms: Terms) -> str:
    """Return the name of a candidate."""
    return " + ".join(["coulomb and viscous", *(name for name in TERMS if name in terms)])


def margins(scores: Float[np.ndarray, "candidate joint block"]) -> Float[np.ndarray, "joint"]:
    """Return the standard error of how much the best gains over the plainest, in logarithms.

    One margin a joint, and not one a candidate: else of two candidates the worse one could pass
    because its scores vary more.
    """
    logs = np.log(scores)
    best = logs.mean(axis=-1).argmin(axis=0)
    gain = logs[0] - logs[best, np.arange(logs.shape[1])]
    return np.asarray(gain.std(axis=-1, ddof=1) / math.sqrt(logs.shape[-1]))


def simplest(
    found: tuple[Terms, ...], scores: Float[np.ndarray, "candidate joint block"]
) -> Structure:
    """Return for each joint the plainest candidate within a standard error, or a hundredth."""
    means = np.log(scores).mean(axis=-1)
    chosen = []
    for mean, margin in zip(means.T, margins(scores), strict=True):
        near = np.flatnonzero(mean - mean.min() <= max(margin, WORTH))
        chosen.append(found[min(near, key=lambda c: (len(found[c]), mean[c]))])
    return tuple(chosen)


def choose(
    model: TorqueModel,
    regression: Regression,
    prior: Prior,
    begin: TorqueFit,
    reach_s: float,
    *,
    tick: Callable[[], None] = lambda: None,
) -> Choice:
    """Choose the terms of each joint.

    Args:
        model: Of the torque.
        regression: Of the training part, with the columns of lag and load.
        prior: On its parameters.
        begin: A fit with all terms; its noise and its outliers are taken over.
        reach_s: How far the filter carries a block into its neighbours.
        tick: Called after each block.

    Returns:
        The plainest for all joints, without scores, where the training part is too short to choose.
    """
    found, joints = candidates(), model.tree.joints
    row_s = float(np.median(np.diff(regression.t_s)))
    every = np.ones(len(regression.t_s), bool)
    folds = blocked_folds(every, BLOCKS, math.ceil(reach_s / row_s))
    needed = 2 * max(rows.columns.shape[1] for rows in regression.joints)
    if min(train.sum() for train, _ in folds) < needed:
        return Choice(joints, (frozenset(),) * len(joints), (), np.zeros((0, len(joints), 0)))
    scores = np.zeros((len(found), len(joints), BLOCKS))
    all_terms = limits(model, prior, (left_out(frozenset(TERMS)),) * len(joints))
    for k, (train, judge) in enumerate(folds):
        pairs = list(zip(regression.joints, begin.weights, strict=True))
        trained, judged = ([rows.moments(w * of) for rows, w in pairs] for of in (train, judge))
        problem = Problem(
            model, prior, regression.joints, trained, begin.noise, regression.information
        )
        p = minimize(problem, begin.p, *all_terms, gain=SETTLED)
        local, c, D = problem.expand(p), model.coefficients(p), model.derivative(p)
        for j, rows in enumerate(regression.joints):
            own = Own.of(model, j, local, p, all_terms)
            for i, terms in enumerate(found):
                step = own.step(left_out(terms))
                tried = np.append(c[rows.index] + D[rows.index] @ step, -1.0)
                error = max(tried @ judged[j] @ tried, 0.0) / (begin.weights[j] @ judge)
                scores[i, j, k] = max(math.sqrt(error), LEAST_NOISE)
        tick()
    return Choice(joints, simplest(found, scores), found, scores)


@dataclass(frozen=True)
class Own:
    """A joint's own numbers near a fit, all others following them to their best.

    Attributes:
        params: How many parameters there are in all.
        own: Which are the joint's, in the order of FIELDS.
        others: Which follow; what a bound holds does not.
        follow: Derivative of the others with respect to the joint's.
        away: Of the others, from where the fit is to their best.
        gradient: Half the derivative of the cost with respect to the joint's.
        hessian: Half the second one.
        low: Lowest steps of the joint's own.
        high: Highest steps.
        zero: The steps that take the joint's own to 0, the Stribeck velocity nowhere.
    """

    params: int
    own: Int[np.ndarray, "field"]
    others: Int[np.ndarray, "other"]
    follow: Float[np.ndarray, "other field"]
    away: Float[np.ndarray, "other"]
    gradient: Float[np.ndarray, "field"]
    hessian: Float[np.ndarray, "field field"]
    low: Float[np.ndarray, "field"]
    high: Float[np.ndarray, "field"]
    zero: Float[np.ndarray, "field"]

    @classmethod
    def of(
        cls,
        model: TorqueModel,
        joint: int,
        local: Local,
        p: Float[np.ndarray, "params"],
        bounds: tuple[Float[np.ndarray, "params"], Float[np.ndarray, "params"]],
    ) -> "Own":
        """Eliminate all but a joint's own numbers from the cost near a fit."""
        low, high = bounds
        own = model.enters(joint)[-len(FIELDS) :]
        g, H = local.gradient, local.hessian
        free = ~(((p <= low) & (g > 0)) | ((p >= high) & (g < 0)))
        free[own] = False
        others = np.flatnonzero(free)
        between = H[np.ix_(others, own)]
        solved = np.linalg.solve(H[np.ix_(others, others)], np.column_stack([between, g[others]]))
        follow, away = -solved[:, :-1], -solved[:, -1]
        zero = -p[own]
        zero[-1] = 0.0
        return cls(
            params=len(p),
            own=own,
            others=others,
            follow=follow,
            away=away,
            gradient=g[own] + between.T @ away,
            hessian=H[np.ix_(own, own)] + between.T @ follow,
            low=low[own] - p[own],
            high=high[own] - p[own],
            zero=zero,
        )

    def step(self, absent: frozenset[str]) -> Float[np.ndarray, "params"]:
        """Return the step to the best fit without some of the joint's fields."""
        out = np.array([name in absent for name, *_ in FIELDS])
        low, high = np.where(out, self.zero, self.low), np.where(out, self.zero, self.high)
        step = np.zeros(self.params)
        step[self.own] = bounded(self.gradient, self.hessian, low, high)
        step[self.others] = self.away + self.follow @ step[self.own]
        return step


def bounded(
    gradient: Float[np.ndarray, "n"],
    hessian: Float[np.ndarray, "n n"],
    low: Float[np.ndarray, "n"],
    high: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return where `2 gᵀx + xᵀHx` is least within bounds, H positive definite.

    Each coordinate in turn goes to its best (Gauss and Seidel), which cannot but converge; the
    free ones are then solved for at once, so that a few rounds do.
    """
    x = np.clip(np.zeros_like(gradient), low, high)
    for _ in range(SWEEPS):
        before = x.copy()
        for i in np.flatnonzero(low < high):
            slope = gradient[i] + hessian[i] @ x
            x[i] = min(max(x[i] - slope / hessian[i, i], low[i]), high[i])
        free = np.flatnonzero((x > low) & (x < high))
        if len(free):
            y = x.copy()
            slope = gradient[free] + hessian[free] @ x
            y[free] -= np.linalg.solve(hessian[np.ix_(free, free)], slope)
            if ((y >= low) & (y <= high)).all():
                x = y
        if np.allclose(x, before, rtol=1e-9, atol=1e-12):
            break
    return np.asarray(x)
