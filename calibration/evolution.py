"""Drive gains, delay, friction and rotor inertia by CMA-ES over PyBullet rollouts.

Within a second a joint answers almost only to its own drive, friction and rotor. So each joint has
a CMA-ES of its own over six parameters (Hansen, The CMA Evolution Strategy: A Tutorial,
arXiv:1604.00772), and the k-th candidates of all joints are tried on one robot, each joint judged
by its own residuals: n searches in 6 dimensions cost the rollouts of one, where a single search in
6n dimensions would take thousands more. What the joints do to each other is noise to the rankings,
and fades as all searches contract.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import cma
import numpy as np
from jaxtyping import Bool, Float

from calibration.result import CalibrationResult, Parameter
from calibration.segments import FITTED, Segments, cut_segments
from calibration.uncertainty import prior_share, sandwich
from calibration.workers import Evaluate, evaluation
from envs.errors import CalibrationError
from envs.stage.scene import JointKind, Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.dynamics import TreeDynamics
from envs.world.replay import replay_kinematic

NAMES = {
    "coulomb": "friction.coulomb",
    "viscous": "friction.viscous",
    "armature": "armature",
    "stiffness": "drive.stiffness",
    "damping": "drive.damping",
    "delay_s": "delay_s",
}
"""Field of `ActuatorParameters` → field of a joint."""
UNITS: dict[JointKind, tuple[str, ...]] = {
    "revolute": ("N.m", "N.m.s/rad", "kg.m2", "N.m/rad", "N.m.s/rad", "s"),
    "prismatic": ("N", "N.s/m", "kg", "N/m", "N.s/m", "s"),
}
"""Of `FITTED`."""
KNOWN, GUESSED = 0.3, 1.0
"""Standard deviation of the logarithm to start with, of what the stage says and does not say."""
FACTOR = 5.0
"""A value may move by this in its logarithm: up or down by 150 times."""
DELAY_START_S, DELAY_SCALE_S, DELAY_MAX_S = 0.005, 0.01, 0.1
CONVERGED = 1e-3
"""A joint's search is over when its candidates differ by less than this, in its coordinates."""
DIFFERENCE = 0.05
"""Step of the finite differences, in the coordinates of the search."""
PRIOR = 3.0
"""Standard deviation, in those coordinates, of what is known before: next to nothing. It bounds the
standard deviation of a parameter that the data do not tell."""


@dataclass(frozen=True)
class Coordinates:
    """Where the search moves: logarithms of what is positive, the delay as it is.

    Attributes:
        start: Values at the origin, in SI.
        scale: What one unit of a coordinate means: of the logarithm, or in s.
    """

    start: Float[np.ndarray, "joint 6"]
    scale: Float[np.ndarray, "joint 6"]

    def values(self, z: Float[np.ndarray, "*n joint 6"]) -> Float[np.ndarray, "*n joint 6"]:
        """Return the values of `FITTED` at these coordinates, in SI."""
        moved = z * self.scale
        values: Float[np.ndarray, "*n joint 6"] = self.start * np.exp(moved)
        values[..., -1] = self.start[:, -1] + moved[..., -1]
        # The bound of the delay, but for rounding.
        values[..., -1] = np.clip(values[..., -1], 0.0, DELAY_MAX_S)
        return values

    def slope(self, z: Float[np.ndarray, "joint 6"]) -> Float[np.ndarray, "joint 6"]:
        """Return the derivative of the values."""
        slope: Float[np.ndarray, "joint 6"] = self.values(z) * self.scale
        slope[:, -1] = self.scale[:, -1]
        return slope

    def bounds(self) -> tuple[Float[np.ndarray, "joint 6"], Float[np.ndarray, "joint 6"]]:
        """Return the lowest and the highest coordinates."""
        low, high = -FACTOR / self.scale, FACTOR / self.scale
        low[:, -1] = -self.start[:, -1] / self.scale[:, -1]
        high[:, -1] = (DELAY_MAX_S - self.start[:, -1]) / self.scale[:, -1]
        return low, high


def fit_rollouts(
    scene: Scene,
    trajectory: Trajectory,
    *,
    train_end_s: float,
    seed: int,
    workers: int,
    generations: int = 60,
    candidates: int = 16,
    segments: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    Coulomb and viscous friction, rotor inertia, gains and delay of each recorded joint are fitted;
    inertias, Stribeck's excess, torque limits and offsets stay as the stage has them. The end of
    the evolution is polished by one Gauss–Newton step over all joints at once, from the Jacobian
    that the standard deviations need anyway.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order.
        train_end_s: No sample from here on is looked at.
        seed: Of the candidates. Together with the other arguments, `workers` excepted, it
            determines the result to the last bit.
        workers: Processes.
        generations: At most; fewer where all searches have contracted before.
        candidates: Of each generation.
        segments: Seconds of data that each candidate is tried on.
        progress: Called with (work done, work in all).

    Raises:
        RecordingError: There are no commands.
        CalibrationError: The data are too short, or no candidate can be simulated.
        StageError: A joint has no drive.
    """
    data = cut_segments(scene, trajectory, train_end_s=train_end_s, count=segments)
    coordinates = _coordinates(scene, trajectory.span(-np.inf, train_end_s), data)
    probes = 1 + 2 * coordinates.start.size
    total = generations + -(-probes // candidates) + 1
    report = progress or (lambda done, total: None)
    with evaluation(data, candidates=candidates, workers=workers) as evaluate:
        at_start = _costs(evaluate(coordinates.start[None]))[0]
        report(0, total)
        z, used = _evolve(
            coordinates,
            evaluate,
            seed=seed,
            generations=generations,
            candidates=candidates,
            report=lambda done: report(done, total),
        )
        residual, jacobian = _linearise(coordinates, evaluate, z)
        report(total - 1, total)
        evolved = _costs(residual[None])[0]
        prior = np.eye(z.size) / PRIOR**2
        z, residual = _polish(coordinates, evaluate, z, residual, jacobian, prior)
    report(total, total)

    blocks = np.broadcast_to(
        np.arange(len(data.start))[:, None, None, None], residual.shape
    ).ravel()
    covariance = sandwich(jacobian, residual.ravel(), blocks, prior)
    slope = coordinates.slope(z).ravel()
    told = prior_share(jacobian, prior, np.eye(z.size)) < 0.5
    return CalibrationResult(
        parameters=_parameters(scene, data, coordinates.values(z), covariance, slope, told),
        covariance=covariance * slope * slope[:, None],
        provenance={
            "seed": seed,
            "train_end_s": train_end_s,
            "dt_s": data.dt_s,
            "integrator": "semi-implicit Euler",
            "segments_s": [float(trajectory.t_s[k]) for k in data.start],
            "samples": data.measured[..., 0, 0].size * data.bin,
            "generations": used,
            "candidates": candidates,
            "versions": {name: version(name) for name in ("cma", "numpy", "pybullet")},
        },
        metrics={
            "rollouts": (used * candidates + probes + 2) * len(data.start),
            "signals": list(data.signals),
            "cost_start": at_start.tolist(),
            "cost_evolution": evolved.tolist(),
            "cost": _costs(residual[None])[0].tolist(),
        },
    )


def _coordinates(scene: Scene, train: Trajectory, data: Segments) -> Coordinates:
    """Return where to start and how far to look; what the stage leaves open is guessed."""
    start = np.stack([getattr(data.actuators, name) for name in FITTED], axis=-1)
    names = np.array(data.joints)
    if (start[:, FITTED.index("stiffness")] <= 0).any():
        idle = ", ".join(names[start[:, FITTED.index("stiffness")] <= 0])
        raise CalibrationError(f"a drive without stiffness does not follow positions: {idle}")
    scale = np.where(start > 0, KNOWN, GUESSED)
    # A tenth of what the motion takes, in torque and in inertia, is of the right order.
    motion = replay_kinematic(scene, train)
    assert motion.tau is not None and motion.qd is not None, "a kinematic replay has both"
    torque = np.maximum(motion.tau[motion.measured].std(axis=0), 1e-2)
    speed = np.maximum(motion.qd[motion.measured].std(axis=0), 1e-2)
    tree = reduce_tree(scene.robot, data.joints, scene.gravity_mps2)
    M, _ = TreeDynamics(tree).mass_matrix_and_bias(data.q, np.zeros_like(data.q))
    guess = np.stack(
        [
            0.1 * torque,
            0.1 * torque / speed,
            0.1 * np.diagonal(M, axis1=1, axis2=2).mean(axis=0),
            start[:, FITTED.index("stiffness")],
            0.1 * start[:, FITTED.index("stiffness")],
            np.full(len(names), DELAY_START_S),
        ],
        axis=-1,
    )
    start = np.where(start > 0, start, guess)
    start[:, -1] = np.minimum(start[:, -1], DELAY_MAX_S)
    scale[:, -1] = DELAY_SCALE_S
    return Coordinates(start, scale)


def _costs(
    residuals: Float[np.ndarray, "candidate segment bin joint signal"],
) -> Float[np.ndarray, "candidate joint"]:
    """Return the mean square of the whitened residuals; 1 is a fit down to the noise."""
    return np.asarray((residuals**2).mean(axis=(1, 2, 4)))


def _evolve(
    coordinates: Coordinates,
    evaluate: Evaluate,
    *,
    seed: int,
    generations: int,
    candidates: int,
    report: Callable[[int], None],
) -> tuple[Float[np.ndarray, "joint 6"], int]:
    """Return the centres of all searches, and the generations used."""
    searches = []
    for low, high, sequence in zip(
        *coordinates.bounds(),
        np.random.SeedSequence(seed).spawn(len(coordinates.start)),
        strict=True,
    ):
        rng = np.random.default_rng(sequence)
        options = {
            "popsize": candidates,
            "bounds": [low.tolist(), high.tolist()],
            # Draws from our generator; NaN keeps pycma from seeding numpy's global one.
            "randn": lambda *shape, rng=rng: rng.standard_normal(shape),
            "seed": np.nan,
            "verbose": -9,
        }
        searches.append(cma.CMAEvolutionStrategy(np.zeros(len(FITTED)), 1.0, options))
    for generation in range(1, generations + 1):
        asked = [search.ask() for search in searches]
        z = np.array(asked).swapaxes(0, 1)
        costs = _costs(evaluate(coordinates.values(z)))
        if not np.isfinite(costs).all():
            raise CalibrationError(
                f"generation {generation} of the evolution holds a robot that flies apart; "
                "the stage's drives or inertias are far from the recorded robot's"
            )
        for search, points, cost in zip(searches, asked, costs.T, strict=True):
            search.tell(points, cost.tolist())
        report(generation)
        if np.ptp(z, axis=0).max() < CONVERGED:
            break
    return np.array([search.result.xfavorite for search in searches]), generation


def _linearise(
    coordinates: Coordinates, evaluate: Evaluate, z: Float[np.ndarray, "joint 6"]
) -> tuple[Float[np.ndarray, "segment bin joint signal"], Float[np.ndarray, "rows params"]]:
    """Return residuals and their Jacobian, by central differences, of all joints to all."""
    low, high = coordinates.bounds()
    steps = DIFFERENCE * np.eye(z.size).reshape(-1, *z.shape)
    # Next to a bound the difference is one-sided.
    up, down = np.minimum(z + steps, high), np.maximum(z - steps, low)
    residuals = evaluate(coordinates.values(np.concatenate([z[None], up, down])))
    plus, minus = np.split(residuals[1:].reshape(2 * z.size, -1), 2)
    width = (up - down).sum(axis=(1, 2))
    return residuals[0], ((plus - minus) / width[:, None]).T


def _polish(
    coordinates: Coordinates,
    evaluate: Evaluate,
    z: Float[np.ndarray, "joint 6"],
    residual: Float[np.ndarray, "segment bin joint signal"],
    jacobian: Float[np.ndarray, "rows params"],
    prior: Float[np.ndarray, "params params"],
) -> tuple[Float[np.ndarray, "joint 6"], Float[np.ndarray, "segment bin joint signal"]]:
    """Take one Gauss–Newton step; keep it where it makes the residuals smaller."""
    step = -np.linalg.solve(jacobian.T @ jacobian + prior, jacobian.T @ residual.ravel())
    low, high = coordinates.bounds()
    # Beyond one unit the linearisation says little.
    moved = np.clip(z + np.clip(step.reshape(z.shape), -1.0, 1.0), low, high)
    after = evaluate(coordinates.values(moved[None]))[0]
    if np.isfinite(after).all() and (after**2).sum() < (residual**2).sum():
        return moved, after
    return z, residual


def _parameters(
    scene: Scene,
    data: Segments,
    values: Float[np.ndarray, "joint 6"],
    covariance: Float[np.ndarray, "params params"],
    slope: Float[np.ndarray, "params"],
    told: Bool[np.ndarray, "params"],
) -> dict[str, Parameter]:
    std = (np.sqrt(np.diag(covariance)) * slope).reshape(values.shape)
    identifiable = np.reshape(told, values.shape)
    return {
        f"{joint}.{NAMES[name]}": Parameter(
            value=float(values[i, k]),
            std=float(std[i, k]),
            nominal=float(getattr(data.actuators, name)[i]),
            unit=UNITS[scene.robot.joint(joint).kind][k],
            method="cmaes",
            identifiable=bool(identifiable[i, k]),
        )
        for i, joint in enumerate(data.joints)
        for k, name in enumerate(FITTED)
    }
