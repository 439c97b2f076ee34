"""The verdict of a calibration: better on what no fit has seen, or not written."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from calibration.validation import Comparison, Verdict, whiteness
from conf.outcome import Judged, Outcome
from conf.schema import Method
from conf.session import Session
from envs.errors import NotImprovedError
from envs.telemetry.filtering import lowpass

TELLS = {Method.torch.name: ("torque", "current")}
"""Method → the signals that it fits; rollouts fit positions."""
MADE = ("calibration*.usda", "calibration*.json", "calibrated*.usda", "stage_torch.usda")
"""What a calibration writes."""


def judge(session: Session, outcome: Outcome) -> Verdict:
    """Compare before with after, and leave the verdict in `verdict.json`.

    A calibration that is not better is taken back, unless the user forces it.
    """
    assert outcome.fit is not None, "there is something to judge"
    fitted = {of for name in outcome.fit.by_method for of in TELLS.get(name, ("position",))}
    errors = {
        "torque": outcome.torque_rmse(),
        "current": outcome.current_rmse(),
        "position": outcome.position_rmse(),
    }
    comparisons = tuple(
        Comparison(signal, of["nominal"], of["calibrated"], decides=signal in fitted)
        for signal, of in errors.items()
        if {"nominal", "calibrated"} <= set(of)
    )
    verdict = Verdict(outcome.fit.data.trajectory.joints, comparisons)
    settle(
        session,
        verdict,
        reasons=list(outcome.fit.reasons),
        judged_on=[j.data.recording.name for j in outcome.judged],
        whiteness={j.data.recording.name: residual_whiteness(j) for j in outcome.judged},
    )
    return verdict


def settle(session: Session, verdict: Verdict, **told: Any) -> None:
    """Leave a verdict, with what else is told of it; take a calibration back that is not better."""
    forced = session.config.force and not verdict.improved
    session.write_json(
        "verdict.json",
        {
            **verdict.to_dict(),
            "written": verdict.improved or forced,
            "forced": forced,
            **told,
        },
    )
    session.metrics["improved"] = verdict.improved
    if forced:
        session.note(f"written because of force=true, although {verdict.text}")
    elif not verdict.improved:
        _take_back(session.directory)


def refuse(verdict: Verdict, *, force: bool) -> None:
    """Raise NotImprovedError where a calibration was taken back."""
    if not verdict.improved and not force:
        raise NotImprovedError(
            f"the calibration is not written: {verdict.text}; force=true writes it all the same"
        )


def residual_whiteness(judged: Judged) -> dict[str, Any]:
    """Return signal → joint → whether the calibrated twin's held-out residual is white."""
    data, replayed = judged.data, judged.replays["calibrated"]
    stride = max(1, round(0.5 / (data.cutoff_hz * data.trajectory.dt_s)))
    pairs = {
        "torque": (replayed.kinematic and replayed.kinematic.tau, data.trajectory.tau),
        "current": (replayed.kinematic and replayed.kinematic.current, data.trajectory.current),
        "position": (replayed.dynamic and replayed.dynamic.q, data.trajectory.q),
    }
    return {
        signal: whiteness(
            lowpass(simulated - measured, data.trajectory.dt_s, data.cutoff_hz),
            data.heldout,
            data.trajectory.joints,
            stride=stride,
        )
        for signal, (simulated, measured) in pairs.items()
        if isinstance(simulated, np.ndarray) and measured is not None
    }


def _take_back(directory: Path) -> None:
    for pattern in MADE:
        for path in directory.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
