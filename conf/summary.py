"""What a run leaves for programs, metrics.json, and for the eye, one screen of text."""

from typing import Any

from rich.table import Table

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
    for name, replayed in outcome.replays.items():
        key = "heldout" if name == "calibrated" else name
        if replayed.torque_rmse is not None:
            figures[f"{key}_rmse_nm"] = replayed.torque_rmse.tolist()
        if replayed.position_rmse is not None:
            figures[f"{key}_rmse_rad"] = replayed.position_rmse.tolist()
    if outcome.fit is not None:
        figures["infeasible_links"] = len(outcome.fit.result.infeasible_links)
        figures["methods"] = {
            name: {
                "metrics": dict(result.metrics),
                "parameters": {
                    key: {"value": p.value, "std": p.std, "identifiable": p.identifiable}
                    for key, p in result.parameters.items()
                },
            }
            for name, result in outcome.fit.by_method.items()
        }
        if outcome.truth is not None:
            figures["errors_against_truth"] = {
                name: outcome.truth.errors(result) for name, result in outcome.fit.by_method.items()
            }
    if outcome.images is not None:
        figures["images"] = outcome.images.made.images
        figures["annotations"] = outcome.images.made.annotations
    return figures


def show(session: Session, outcome: Outcome) -> None:
    """Print the held-out errors and where everything is."""
    table = Table(title="held-out part of the recording", title_justify="left", box=None)
    table.add_column("")
    for joint in outcome.data.trajectory.joints:
        table.add_column(joint.rsplit("_", 1)[-1], justify="right")
    for name, replayed in outcome.replays.items():
        if replayed.torque_rmse is not None:
            cells = [f"{v:.3f}" for v in replayed.torque_rmse]
            table.add_row(f"N·m, {name}", *cells)
    for name, replayed in outcome.replays.items():
        if replayed.position_rmse is not None:
            cells = [f"{1e3 * v:.2f}" for v in replayed.position_rmse]
            table.add_row(f"mrad, {name}", *cells)
    if table.row_count:
        session.console.print(table)
    made = {"report": session.directory / "report.html"}
    if outcome.fit is not None:
        made["calibration"] = outcome.fit.layer
    if outcome.images is not None:
        made["images"] = outcome.images.made.out
        made["preview"] = outcome.images.preview
    made["metrics"] = session.directory / "metrics.json"
    for name, path in made.items():
        session.console.print(f"{name:<12} {path}", soft_wrap=True)
