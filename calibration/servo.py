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
from importlib.metadata import version
from typing import Any

import cma
import numpy as np
from jaxtyping import Float

from calibration.result import CalibrationResult
from calibration.servo_laws import LAWS, Search, search_of
from calibration.servo_runs import (
    BLOCK_S,
    EVERY,
    STEP_S,
    Playback,
    ServoRun,
    candidate,
    servo_joint,
)
from calibration.servo_told import told
from envs.errors import CalibrationError
from envs.stage.scene import Scene

GENERATIONS, CANDIDATES = 170, 24


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
            best, played = _fit(inside, search_of(joint, fields, inside), seed)
            fold_errors.append(Playback(scene, fold).errors(best[None]).mean())
            rollouts += played
        scores[law] = float(np.mean(fold_errors))
    law = min(scores, key=scores.__getitem__)
    search = search_of(joint, LAWS[law], playback)
    best, played = _fit(playback, search, seed)
    judge = Playback(scene, heldout)
    stage = candidate(joint)
    of_train, of_heldout = playback.errors(best[None])[0], judge.errors(best[None])[0]
    parameters, covariance = told(joint, playback, search, best)
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


def _fit(playback: Playback, search: Search, seed: int) -> tuple[Float[np.ndarray, "12"], int]:
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


def _by_run(runs: Sequence[ServoRun], errors: Float[np.ndarray, "log"]) -> dict[str, float]:
    return {run.name: float(e) for run, e in zip(runs, errors, strict=True)}
