"""Identify a position-controlled hobby servo from its commands and its encoder alone.

The law of friction and motor is not known beforehand. Candidates, each containing the one before,
are fitted to a part of the training runs and judged on the others, a gain of the firmware at a
time; the law that foretells best is fitted to all. Nothing outside the training runs takes part.

What is minimised is `blocks·ln(mean |error|) + ½ Σ (ln(x/x₀)/σ)²`: the likelihood of errors with
double-exponential distribution of unknown width, each block of half a second counted once, since
errors within it are not independent; and a prior on the motor's constants about the stage's, which
come from a data sheet. CMA-ES (Hansen, The CMA evolution strategy: a tutorial, 2016) searches: a
joint that sticks has no derivative.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import cma
import numpy as np
from jaxtyping import Float

from calibration.result import CalibrationResult, Parameter
from calibration.rollout.servo import PARAMETERS
from calibration.servo_runs import (
    EVERY,
    STEP_S,
    Playback,
    ServoRun,
    candidate,
    nominal,
    servo_joint,
)
from calibration.uncertainty import prior_share, sandwich
from envs.errors import CalibrationError
from envs.stage.scene import Joint, Scene

BLOCK_S = 0.5
PRIOR = {"torque_constant": 0.15, "resistance": 0.15}
"""Relative standard deviations of what a data sheet says, σ above."""
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
GENERATIONS, CANDIDATES = 170, 24
PRIOR_SHARE = 0.5
_FIELD = {
    "coulomb": ("friction.coulomb", "N.m"),
    "viscous": ("friction.viscous", "N.m.s/rad"),
    "stribeck_velocity": ("friction.stribeck_velocity", "rad/s"),
    "armature": ("armature", "kg.m2"),
    "delay_s": ("delay_s", "s"),
    "encoder_offset": ("encoder_offset", "rad"),
    "torque_constant": ("servo.torque_constant", "N.m/A"),
    "resistance": ("servo.resistance", "ohm"),
    "saturation": ("servo.saturation", "1/A"),
    "motor_load": ("servo.motor_load", "1"),
    "external_load": ("servo.external_load", "1"),
    "breakaway_load": ("servo.breakaway_load", "1"),
}


@dataclass(frozen=True)
class _Search:
    """Where a law is searched: columns of a candidate that are free, their bounds, and the rest."""

    free: tuple[str, ...]
    low: Float[np.ndarray, "free"]
    high: Float[np.ndarray, "free"]
    start: Float[np.ndarray, "12"]

    @property
    def columns(self) -> list[int]:
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


def fit_servo(
    scene: Scene,
    train: Sequence[ServoRun],
    *,
    heldout: Sequence[ServoRun],
    seed: int,
    provenance: Mapping[str, Any] | None = None,
) -> CalibrationResult:
    """Identify motor, friction, rotor, delay and encoder offset of one joint's servo.

    Args:
        scene: The joint's motor in it is where the search starts and what the prior is about.
        train: Runs to fit, which also choose the law.
        heldout: Runs to judge by: played from their first state and their commands, nothing else.
        seed: Of the search.
        provenance: Goes into the result's.

    Returns:
        Values of the joint. Metrics: `heldout_mae_rad` over all held-out runs and `nominal_mae_rad`
        of the stage as it is, each a list of one; `train_mae_rad`; the same by run;
        `law` and `cross_validation_mae_rad`, what each law scored within the training runs.

    Raises:
        CalibrationError: A run does not fit the stage, none is held out, or there are too few.
    """
    begun, begun_cpu = time.perf_counter(), time.process_time()
    joint = servo_joint(scene, train)
    if not heldout:
        raise CalibrationError("no run is held out to judge the calibration by")
    if len(train) < 2:
        raise CalibrationError("method servo needs two training runs or more, to choose a law by")
    playback, rollouts = Playback(scene, train), 0
    scores: dict[str, float] = {}
    folds = _folds(train)
    for law, fields in LAWS.items():
        fold_errors = []
        for fold in folds:
            inside = Playback(scene, [run for run in train if run not in fold])
            best, played = _fit(inside, _search(joint, fields, inside), seed)
            fold_errors.append(Playback(scene, fold).errors(best[None]).mean())
            rollouts += played
        scores[law] = float(np.mean(fold_errors))
    law = min(scores, key=scores.__getitem__)
    search = _search(joint, LAWS[law], playback)
    best, played = _fit(playback, search, seed)
    judge = Playback(scene, heldout)
    stage = candidate(joint)
    of_train, of_heldout = playback.errors(best[None])[0], judge.errors(best[None])[0]
    parameters, covariance = _parameters(joint, playback, search, best)
    return CalibrationResult(
        parameters=parameters,
        covariance=covariance,
        provenance={
            "method": "servo",
            "train_runs": [run.name for run in train],
            "heldout_runs": [run.name for run in heldout],
            "dt_s": STEP_S,
            "seed": seed,
            "versions": {name: version(name) for name in ("numpy", "cma", "warp-lang")},
            **(provenance or {}),
        },
        metrics={
            "heldout_mae_rad": [float(of_heldout.mean())],
            "nominal_mae_rad": [float(judge.errors(stage[None]).mean())],
            "train_mae_rad": [float(of_train.mean())],
            "heldout_mae_rad_by_run": _by_run(heldout, of_heldout),
            "train_mae_rad_by_run": _by_run(train, of_train),
            "law": law,
            "cross_validation_mae_rad": scores,
            "rollouts": rollouts + played,
            "fit_s": time.perf_counter() - begun,
            "fit_cpu_s": time.process_time() - begun_cpu,
        },
    )


def _folds(runs: Sequence[ServoRun]) -> list[list[ServoRun]]:
    """Return what is left out in turn: the runs of one gain, or one run where there is one gain."""
    gains = sorted({run.gain for run in runs})
    if len(gains) == 1:
        return [[run] for run in runs]
    return [[run for run in runs if run.gain == gain] for gain in gains]


def _search(joint: Joint, law: tuple[str, ...], playback: Playback) -> _Search:
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
    return _Search(free, low, high, np.array([start[name] for name in PARAMETERS]))


def _fit(playback: Playback, search: _Search, seed: int) -> tuple[Float[np.ndarray, "12"], int]:
    """Return the best candidate, and how many rollouts it took."""
    width = search.high - search.low
    begin = np.clip((search.start[search.columns] - search.low) / width, 0.05, 0.95)
    blocks = playback.seen.sum() * EVERY * STEP_S / BLOCK_S
    strategy = cma.CMAEvolutionStrategy(
        begin,
        0.15,
        {
            "bounds": [0, 1],
            "popsize": CANDIDATES,
            "maxiter": GENERATIONS,
            "seed": seed + 1,  # pycma takes 0 for "by the clock"
            "verbose": -9,
        },
    )
    while not strategy.stop():
        x = strategy.ask()
        candidates = search.candidates(np.array(x))
        error = playback.errors(candidates).mean(1)
        cost = blocks * np.log(error) + search.prior(candidates)
        strategy.tell(x, np.where(np.isfinite(cost), cost, 1e12).tolist())
    best = search.candidates(np.array(strategy.result.xbest)[None])[0]
    return best, int(strategy.result.evaluations) * len(playback.runs)


def _parameters(
    joint: Joint, playback: Playback, search: _Search, best: Float[np.ndarray, "12"]
) -> tuple[dict[str, Parameter], Float[np.ndarray, "free free"]]:
    """Return the values with standard deviations, and their covariance."""
    columns, width = search.columns, search.high - search.low
    step = 1e-3 * width
    table = np.tile(best, (2 * len(columns), 1))
    for i, (column, h) in enumerate(zip(columns, step, strict=True)):
        table[2 * i, column] += h
        table[2 * i + 1, column] = max(best[column] - h, search.low[i])
    used = np.array([table[2 * i, c] - table[2 * i + 1, c] for i, c in enumerate(columns)])
    played = playback.play(table)[:, playback.seen]
    jacobian = ((played[::2] - played[1::2]) / used[:, None]).T
    residual = (playback.play(best[None])[0] - playback.measured)[playback.seen]
    run, sample = np.nonzero(playback.seen)
    length = round(BLOCK_S / (EVERY * STEP_S))
    blocks = run * 1_000_000 + sample // length
    weight = 1 / (np.sqrt((residual**2).mean()) * np.sqrt(length))
    # Uniform between its bounds is all that is known of a value beforehand, but of the motor's.
    sigma = width / np.sqrt(12)
    for i, name in enumerate(search.free):
        if name in PRIOR:
            sigma[i] = PRIOR[name] * best[columns[i]]
    precision = np.diag(1 / sigma**2)
    covariance = sandwich(weight * jacobian, weight * residual, blocks, precision)
    share = prior_share(weight * jacobian, precision, np.eye(len(columns)))
    stage = nominal(joint)
    parameters = {}
    for i, name in enumerate(search.free):
        field, unit = _FIELD[name]
        value = float(best[columns[i]])
        at_bound = min(value - search.low[i], search.high[i] - value) < 1e-3 * width[i]
        parameters[f"{joint.name}.{field}"] = Parameter(
            value=value,
            std=float(np.sqrt(covariance[i, i])),
            nominal=stage[name],
            unit=unit,
            method="servo",
            identifiable=bool(share[i] < PRIOR_SHARE and not at_bound),
            n=len(residual),
        )
    return parameters, covariance


def _by_run(runs: Sequence[ServoRun], errors: Float[np.ndarray, "log"]) -> dict[str, float]:
    return {run.name: float(e) for run, e in zip(runs, errors, strict=True)}
