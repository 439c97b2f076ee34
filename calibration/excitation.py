"""Trajectories that a robot can follow and that tell the most about its parameters.

Each joint moves along a finite Fourier series (Swevers, Ganseman, Tükel, De Schutter and Van
Brussel, Optimal robot excitation and identification, IEEE Transactions on Robotics and Automation
13, 1997, eq. 7): periodic, so that periods can be averaged, and limited in band. Its coefficients
are searched by CMA-ES for the largest log-determinant of the information about the base parameters,
armature and friction (D-optimality), from one sine a joint on; whatever the search asks for is
scaled down until position, velocity, acceleration and torque are within their limits, and motions
that bring parts too close lose against all that do not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cma
import numpy as np
import torch
from jaxtyping import Float

from calibration.dynamics import regressor
from envs.errors import CalibrationError
from envs.stage.scene import Joint
from envs.stage.tree import Tree
from envs.world.dynamics import inverse_dynamics
from envs.world.friction import STICTION_VELOCITY

SHARE = 0.9
"""Of each limit, what is used: a controller overshoots, and a model's torque is not the robot's."""
INSTANTS = 120
"""At which a candidate is looked at; in the end its limits are checked on a finer grid."""
FINE = 10
WIDEST_RAD, FASTEST, STRONGEST = np.pi, 2.0, 80.0
"""Reach, velocity and torque of a joint for which the stage gives no limit."""
RANK = 1e-8
"""Relative to the largest, below which a singular value of the regressor is no information."""
SHRINK = 0.93
STEP = 0.3
"""Of the search; a joint's coefficients tell shape alone, and one of the start's is 1 or more."""
INSIDE = 0.97
"""Of the room of a joint that comes close to something, what the search uses of it."""
WORST = 1e4
"""Times what parts come too close, m: worse than any lack of information."""


@dataclass(frozen=True)
class Limits:
    """What each joint may do; units as in `scene.Joint`, acceleration rad/s² or m/s²."""

    lower: Float[np.ndarray, "joint"]
    upper: Float[np.ndarray, "joint"]
    velocity: Float[np.ndarray, "joint"]
    acceleration: Float[np.ndarray, "joint"]
    effort: Float[np.ndarray, "joint"]


@dataclass(frozen=True)
class Fourier:
    """Positions `centre + Σ_l sine_l sin(l ω t) + cosine_l cos(l ω t)`, less their value at 0.

    A combination of the coefficients is taken off that would make velocity or acceleration at the
    ends other than zero.

    Attributes:
        period_s: 2π/ω.
    """

    period_s: float
    centre: Float[np.ndarray, "joint"]
    sine: Float[np.ndarray, "joint harmonic"]
    cosine: Float[np.ndarray, "joint harmonic"]

    def at(self, t_s: Float[np.ndarray, "time"]) -> tuple[Float[np.ndarray, "time joint"], ...]:
        """Return position, velocity and acceleration."""
        w = 2 * np.pi / self.period_s * np.arange(1, self.sine.shape[1] + 1)
        angle = t_s[:, None] * w
        s, c = np.sin(angle), np.cos(angle)
        # At rest at the ends: Σ w sine = 0 (velocity), Σ w² cosine = 0 (acceleration).
        sine = self.sine - np.outer(self.sine @ w, w) / (w @ w)
        cosine = self.cosine - np.outer(self.cosine @ w**2, w**2) / (w**2 @ w**2)
        q = self.centre + s @ sine.T + (c - 1.0) @ cosine.T
        qd = (c * w) @ sine.T - (s * w) @ cosine.T
        qdd = -(s * w**2) @ sine.T - (c * w**2) @ cosine.T
        return q, qd, qdd

    def scaled(self, factor: Float[np.ndarray, "joint"] | float) -> "Fourier":
        """Return the same motion made smaller, about the same start."""
        f = np.broadcast_to(factor, self.centre.shape)[:, None]
        return replace(self, sine=self.sine * f, cosine=self.cosine * f)


def limits_of(joints: list[Joint], acceleration: float) -> Limits:
    """Return the stage's limits, and ours where it has none."""

    def finite(values: list[float], instead: float) -> Float[np.ndarray, "joint"]:
        array = np.array(values)
        return np.where(np.isfinite(array), array, instead)

    return Limits(
        lower=finite([j.lower for j in joints], -WIDEST_RAD),
        upper=finite([j.upper for j in joints], WIDEST_RAD),
        velocity=finite([j.velocity_limit for j in joints], FASTEST),
        acceleration=np.full(len(joints), acceleration),
        effort=finite([j.effort_limit for j in joints], STRONGEST),
    )


def information(tree: Tree, series: Fourier, instants: int = INSTANTS) -> float:
    """Return the log-determinant of the information about base parameters, armature and friction.

    Over the directions that a motion can tell at all, which are the same for all motions (the base
    parameters of Gautier and Khalil, Direct calculation of minimum set of inertial parameters of
    serial robots, IEEE Transactions on Robotics and Automation 6, 1990).
    """
    return _log_det(tree, series, _base(tree), instants)


def _log_det(
    tree: Tree, series: Fourier, base: Float[np.ndarray, "columns base"], instants: int = INSTANTS
) -> float:
    t_s = np.arange(instants) * series.period_s / instants
    stacked = _columns(tree, *series.at(t_s)) @ base
    sign, value = np.linalg.slogdet(stacked.T @ stacked)
    return float(value) if sign > 0 else -np.inf


@dataclass(frozen=True)
class Design:
    """A motion, and the plain one that it was made better than, both within all limits."""

    series: Fourier
    plain: Fourier


def design(
    tree: Tree,
    limits: Limits,
    *,
    centre: Float[np.ndarray, "joint"],
    clearance: Callable[[Float[np.ndarray, "joint"]], float],
    margin_m: float,
    period_s: float,
    harmonics: int,
    evaluations: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Design:
    """Search the most informative series within the limits.

    It starts from the plain motion, one sine a joint of different frequencies, as large as the
    limits and the clearance allow.

    Args:
        tree: With the inertias to reckon torques with.
        limits: Of the joints.
        centre: Where the motion starts and ends, rad or m.
        clearance: Position → least distance between parts that must not touch, m.
        margin_m: What it must not fall below.
        period_s: Of the series.
        harmonics: Of each joint.
        evaluations: Candidates to try.
        seed: Of the search.
        progress: Called with (candidates tried, candidates in all).

    Raises:
        CalibrationError: The robot cannot even stand at the centre.
    """
    n = len(centre)
    load = np.abs(inverse_dynamics(tree, centre, 0 * centre, 0 * centre))
    inside = (centre > limits.lower) & (centre < limits.upper) & (load < SHARE * limits.effort)
    if not inside.all():
        outside = ", ".join(name for name, ok in zip(tree.joints, inside, strict=True) if not ok)
        raise CalibrationError(f"an excitation cannot start where it is: out of limits: {outside}")
    if clearance(centre) < margin_m:
        raise CalibrationError(
            f"an excitation cannot start where it is: {clearance(centre):.3g} m of clearance, "
            f"not {margin_m:g} m"
        )

    fine = np.arange(INSTANTS * FINE) * period_s / (INSTANTS * FINE)
    coarse = fine[::FINE]

    def depth(series: Fourier) -> float:
        """Return how far parts come closer than allowed, m, summed over instants."""
        return sum(max(0.0, margin_m - clearance(q)) for q in series.at(coarse)[0])

    def finished(series: Fourier) -> Fourier:
        return _cleared(_within(series, tree, limits, fine), depth)

    base = _base(tree)
    sine = np.zeros((n, harmonics))
    sine[np.arange(n), np.arange(n) % harmonics] = 1.0
    plain = Fourier(period_s, centre, sine, 0 * sine)
    plain = plain.scaled(1 / _kinematic(plain, limits, fine).max(axis=0))
    free = np.abs(plain.at(fine)[0] - centre).max(axis=0)
    plain = finished(plain)
    # Joints keep the room that this leaves them, and some less where they had to give room up:
    # what touches nothing there seldom does in another motion.
    room = np.abs(plain.at(fine)[0] - centre).max(axis=0)
    room = np.where(room < free * (1 - 1e-9), INSIDE, 1.0) * room / SHARE
    roomy = replace(limits, lower=centre - room, upper=centre + room)

    def series(x: Float[np.ndarray, "coefficients"]) -> Fourier:
        sine, cosine = x.reshape(2, n, harmonics) / np.arange(1, harmonics + 1)
        asked = Fourier(period_s, centre, sine, cosine)
        asked = asked.scaled(1 / _kinematic(asked, roomy, coarse).max(axis=0))
        return _within(asked, tree, limits, coarse)

    def cost(x: Float[np.ndarray, "coefficients"]) -> float:
        candidate = series(x)
        too_close = depth(candidate)
        return WORST * (1 + too_close) if too_close > 0 else -_log_det(tree, candidate, base)

    start = np.stack([sine, 0 * sine]) * np.arange(1, harmonics + 1)
    rng = np.random.default_rng(seed)
    options = {
        "popsize": 16,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,
        "verbose": -9,
    }
    search = cma.CMAEvolutionStrategy(start.ravel(), STEP, options)
    report = progress or (lambda done, total: None)
    generations = max(1, evaluations // search.popsize)
    for k in range(generations):
        asked = search.ask()
        costs = []
        for j, x in enumerate(asked):
            costs.append(cost(x))
            report(k * search.popsize + j + 1, generations * search.popsize)
        search.tell(asked, costs)
    found = finished(series(search.result.xbest))
    better = _log_det(tree, found, base) > _log_det(tree, plain, base)
    return Design(found if better else plain, plain)


def _cleared(series: Fourier, depth: Callable[[Fourier], float]) -> Fourier:
    """Return the motion made smaller until no parts are too close, in the joints that help most."""
    now = depth(series)
    while now > 0:
        tried = [series.scaled(1 - (1 - SHRINK) * row) for row in np.eye(len(series.centre))]
        depths = [depth(s) for s in tried]
        best = int(np.argmin(depths))
        # All joints at once only where no single one helps.
        helps = depths[best] < now
        series = tried[best] if helps else series.scaled(SHRINK)
        now = depths[best] if helps else depth(series)
    return series


def _within(series: Fourier, tree: Tree, limits: Limits, t_s: Float[np.ndarray, "time"]) -> Fourier:
    """Return the series made as small as the limits want it, joint by joint, then as a whole."""
    series = series.scaled(1.0 / np.maximum(_kinematic(series, limits, t_s).max(axis=0), 1.0))
    while _most(series, tree, limits, t_s).max() > 1.0:
        series = series.scaled(SHRINK)
    return series


def _kinematic(
    series: Fourier, limits: Limits, t_s: Float[np.ndarray, "time"]
) -> Float[np.ndarray, "limit joint"]:
    """Return how much of each limit's usable part the motion takes; 1 is all of it."""
    q, qd, qdd = series.at(t_s)
    away = q - series.centre
    used = [
        away.max(axis=0) / (SHARE * (limits.upper - series.centre)),
        -away.min(axis=0) / (SHARE * (series.centre - limits.lower)),
        np.abs(qd).max(axis=0) / (SHARE * limits.velocity),
        np.abs(qdd).max(axis=0) / (SHARE * limits.acceleration),
    ]
    return np.stack(used)


def _most(
    series: Fourier, tree: Tree, limits: Limits, t_s: Float[np.ndarray, "time"]
) -> Float[np.ndarray, "limit joint"]:
    """Return the same with torque among the limits."""
    torque = np.abs(inverse_dynamics(tree, *series.at(t_s))).max(axis=0)
    kinematic = _kinematic(series, limits, t_s) - 1e-9
    return np.vstack([kinematic, torque / (SHARE * limits.effort)])


def _columns(
    tree: Tree,
    q: Float[np.ndarray, "time joint"],
    qd: Float[np.ndarray, "time joint"],
    qdd: Float[np.ndarray, "time joint"],
) -> Float[np.ndarray, "rows columns"]:
    """Return the derivative of all torques with respect to π, armature, Coulomb and viscous."""
    time, n = q.shape
    with torch.no_grad():
        Y = regressor(tree, *(torch.from_numpy(np.ascontiguousarray(x)) for x in (q, qd, qdd)))
    own = np.zeros((time, n, 3, n))
    for k, column in enumerate((qdd, np.tanh(qd / STICTION_VELOCITY), qd)):
        own[:, np.arange(n), k, np.arange(n)] = column
    flat = np.concatenate([Y.numpy(), own.reshape(time, n, 3 * n)], axis=2)
    return flat.reshape(time * n, -1)


def _base(tree: Tree) -> Float[np.ndarray, "columns base"]:
    """Return the directions of the parameters that some motion can tell."""
    rng = np.random.default_rng(0)
    q, qd, qdd = rng.normal(size=(3, 60, len(tree.joints))) * 2
    _, values, directions = np.linalg.svd(_columns(tree, q, qd, qdd), full_matrices=False)
    return np.asarray(directions[values > RANK * values[0]].T)
