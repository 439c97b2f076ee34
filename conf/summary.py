"""What a run leaves for programs, metrics.json, and for the eye, one screen of text."""

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from calibration.plots import short_names
from calibration.result import CalibrationResult
from conf.outcome import Outcome
from conf.session import Session, versions


def metrics(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of a run; lists are in the order of `joints`."""
    data = outcome.data
    figures: dict[str, Any] = {
        "joints": list(data.trajectory.joints),
        "recording": data.recording.name,
        "findings": {f"{f.kind}: {f.channel}": f.count for f in data.findings},
        "versions": versions(),
    }
    errors = {
        "rmse_nm": outcome.torque_rmse(),
        "rmse_a": outcome.current_rmse(),
        "rmse_rad": outcome.position_rmse(),
        "mae_rad": outcome.position_mae(),
    }
    for kind, replays in errors.items():
        for name, values in replays.items():
            key = "heldout" if name == "calibrated" else name
            figures[f"{key}_{kind}"] = values.tolist()
    figures["judged_on"] = [judged.data.recording.name for judged in outcome.judged]
    fit = outcome.fit
    if fit is not None:
        figures["infeasible_links"] = len(fit.result.infeasible_links)
        figures["rollouts"] = sum(r.metrics.get("rollouts", 0) for r in fit.by_method.values())
        figures["fit_cpu_s"] = fit.cpu_s
        figures["reasons"] = list(fit.reasons)
        figures["parameters"] = values_of(fit.result)
        figures["methods"] = {
            name: {"metrics": dict(result.metrics), "parameters": values_of(result)}
            for name, result in fit.by_method.items()
        }
        if outcome.truth is not None:
            figures["errors_against_truth"] = {
                name: outcome.truth.errors(result) for name, result in fit.by_method.items()
            }
    if outcome.images is not None:
        figures["images"] = outcome.images.made.images
        figures["annotations"] = outcome.images.made.annotations
    return figures


def values_of(result: CalibrationResult) -> dict[str, dict[str, Any]]:
    """Return parameter → value, deviation and interval, as `metrics.json` has them."""
    return {
        key: {
            "value": p.value,
            "std": p.std,
            "identifiable": p.identifiable,
            # No interval is claimed for what rests on the model.
            "interval95": [p.value - 1.96 * p.std, p.value + 1.96 * p.std]
            if p.identifiable
            else None,
        }
        for key, p in result.parameters.items()
    }


def _heldout(outcome: Outcome) -> str:
    """Return what judges, in words."""
    others = [j.data.recording.name for j in outcome.judged if j.data is not outcome.data]
    return ", ".join(others) or "the part of the recording that no fit has seen"


def table(outcome: Outcome, width: int) -> Table | None:
    """Return the held-out errors: a column for each joint, or a row where that is too wide.

    Args:
        outcome: Of the run.
        width: Of the console, characters.

    Returns:
        None where nothing was judged.
    """
    joints = short_names(outcome.data.trajectory.joints)
    of = {
        **{f"N·m, {n}": [f"{v:.3f}" for v in e] for n, e in outcome.torque_rmse().items()},
        **{f"A, {n}": [f"{v:.4f}" for v in e] for n, e in outcome.current_rmse().items()},
        **{f"mrad, {n}": [f"{1e3 * v:.2f}" for v in e] for n, e in outcome.position_rmse().items()},
    }
    if not of:
        return None
    title = f"held out: {_heldout(outcome)}"
    wide = Table("", title=title, title_justify="left", box=None)
    for joint in joints:
        wide.add_column(joint, justify="right", no_wrap=True)
    for name, row in of.items():
        wide.add_row(name, *row)
    # Measured where nothing has to give way: a table squeezes its columns before it is too wide.
    roomy = Console(width=10_000)
    if Measurement.get(roomy, roomy.options, wide).maximum <= width:
        return wide
    tall = Table("", title=title, title_justify="left", box=None)
    for name in of:
        tall.add_column(name, justify="right")
    for joint, *row in zip(joints, *of.values(), strict=True):
        tall.add_row(joint, *row)
    return tall


def show(session: Session, outcome: Outcome) -> None:
    """Print the held-out errors and where everything is."""
    errors = table(outcome, session.console.width)
    if errors is not None:
        session.console.print(errors)
    made = {"report": session.directory / "report.html"}
    if outcome.fit is not None:
        made["verdict"] = session.directory / "verdict.json"
    if outcome.fit is not None and outcome.fit.layer.exists():
        made["calibration"] = outcome.fit.layer
    if outcome.images is not None:
        made["images"] = outcome.images.made.out
        made["preview"] = outcome.images.preview
    made["metrics"] = session.directory / "metrics.json"
    for name, path in made.items():
        session.console.print(f"{name:<12} {path}", soft_wrap=True)
