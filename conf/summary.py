"""What a run leaves for people and for programs: metrics.json, report.html and a screen of text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf
from rich.table import Table

from calibration import plots
from calibration.report import Page
from calibration.residuals import Errors
from calibration.truth import Truth, read_truth
from conf.schema import Task
from conf.session import Session, versions
from envs.telemetry.filtering import lowpass

if TYPE_CHECKING:
    from conf.tasks import Calibrated, Images, Prepared, Replayed

_TITLES = {
    Task.pipeline: "From telemetry to training images",
    Task.replay: "Replay",
    Task.calibrate: "Calibration",
    Task.generate: "Labelled images",
}


def finish(
    session: Session,
    data: "Prepared",
    *,
    before: "Replayed | None" = None,
    after: "Replayed | None" = None,
    calibrated: "Calibrated | None" = None,
    images: "Images | None" = None,
) -> None:
    """Write metrics and report, and print where everything is.

    Args:
        session: The run.
        data: What it started from.
        before: Replay on the nominal twin.
        after: Replay on the calibrated twin.
        calibrated: What was identified.
        images: What was rendered.
    """
    named = session.config.recording.truth
    truth = read_truth(Path(named)) if named else None
    metrics = session.metrics
    metrics.update(_metrics(data, before, after, calibrated, images, truth))
    with session.stage("report", "write the report"):
        page = _page(session, data, before, after, calibrated, images, truth)
        page.write(session.directory / "report.html")
    session.write_json("metrics.json", metrics)
    _print(session, data, before, after, calibrated, images)


def _metrics(
    data: "Prepared",
    before: "Replayed | None",
    after: "Replayed | None",
    calibrated: "Calibrated | None",
    images: "Images | None",
    truth: Truth | None,
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "joints": list(data.trajectory.joints),
        "recording": data.recording.name,
        "findings": {f"{f.kind}: {f.channel}": f.count for f in data.findings},
        "versions": versions(),
    }
    for name, replayed in (("nominal", before), ("heldout", after)):
        if replayed is None:
            continue
        if replayed.kinematic_error is not None and replayed.kinematic_error.tau is not None:
            metrics[f"{name}_rmse_nm"] = replayed.kinematic_error.tau.tolist()
        if replayed.dynamic_error is not None:
            metrics[f"{name}_rmse_rad"] = replayed.dynamic_error.q.tolist()
    if calibrated is not None:
        metrics["infeasible_links"] = len(calibrated.result.infeasible_links)
        metrics["methods"] = {
            name: {
                "metrics": dict(result.metrics),
                "parameters": {
                    key: {"value": p.value, "std": p.std, "identifiable": p.identifiable}
                    for key, p in result.parameters.items()
                },
            }
            for name, result in calibrated.by_method.items()
        }
        if truth is not None:
            metrics["errors_against_truth"] = {
                name: truth.errors(result) for name, result in calibrated.by_method.items()
            }
    if images is not None:
        metrics["images"] = images.made.images
        metrics["annotations"] = images.made.annotations
    return metrics


def _page(
    session: Session,
    data: "Prepared",
    before: "Replayed | None",
    after: "Replayed | None",
    calibrated: "Calibrated | None",
    images: "Images | None",
    truth: Truth | None,
) -> Page:
    config = session.config
    span_s = data.trajectory.t_s[-1] - data.trajectory.t_s[0]
    page = Page(
        title=_TITLES[config.task],
        lead=f"Robot {config.robot}, recording {data.recording.name} "
        f"({span_s:.1f} s, {len(data.trajectory.joints)} joints), scene {config.scene}.",
    )
    page.cards(_cards(before, after, calibrated, images))
    _recording_section(page, data)
    if before is not None or after is not None:
        _replay_section(page, data, before, after)
    if calibrated is not None:
        _parameter_section(page, calibrated, truth)
    if images is not None:
        page.section("Images", f"{images.made.images} images; labels are drawn over some of them.")
        page.image(images.preview.read_bytes(), "contact sheet with label overlays")
        counts = [[name, str(n)] for name, n in images.made.annotations.items()]
        page.table(["class", "annotations"], counts)
    _provenance_section(page, session, data)
    return page


def _cards(
    before: "Replayed | None",
    after: "Replayed | None",
    calibrated: "Calibrated | None",
    images: "Images | None",
) -> list[tuple[str, str]]:
    cards = []
    for replayed, label in ((before, "nominal"), (after, "calibrated")):
        if replayed is None:
            continue
        if replayed.kinematic_error is not None and replayed.kinematic_error.tau is not None:
            error = float(np.mean(replayed.kinematic_error.tau))
            cards.append((f"{error:.3f} N·m", f"held-out torque error, {label}"))
        if replayed.dynamic_error is not None:
            error = 1e3 * float(np.mean(replayed.dynamic_error.q))
            cards.append((f"{error:.2f} mrad", f"held-out position error, {label}"))
    if calibrated is not None:
        count = len(calibrated.result.parameters)
        known = sum(p.identifiable for p in calibrated.result.parameters.values())
        cards.append((f"{known} of {count}", "parameters that the data determine"))
        bad = len(calibrated.result.infeasible_links)
        cards.append((str(bad), "links that no matter could have"))
    if images is not None:
        cards.append((str(images.made.images), "labelled images"))
    return cards


def _recording_section(page: Page, data: "Prepared") -> None:
    page.section("Recording", "What was found in it, and what was done about it.")
    rows = [
        [f.kind, f.channel, str(f.count), f"{f.first_s:.3f}", f.action, f.detail]
        for f in data.findings
    ]
    if rows:
        head = ["finding", "where", "count", "first at, s", "what was done", "detail"]
        page.table(head, rows, text_columns=(0, 1, 4, 5))
    else:
        page.text("Nothing was wrong with it.")
    page.image(
        plots.sampling({s.name: s.t_ns for s in data.recording.streams}), "time between samples"
    )


def _replay_section(
    page: Page, data: "Prepared", before: "Replayed | None", after: "Replayed | None"
) -> None:
    replays = {"nominal": before, "calibrated": after}
    joints, t_s = data.trajectory.joints, data.trajectory.t_s
    page.section(
        "Measured against simulated",
        "Errors are root mean squares over the held-out part, which no fit has seen.",
    )
    _error_table(page, joints, before, after)
    if data.motion is not None:
        dt_s = data.trajectory.dt_s
        torque = {"measured": data.motion.tau}
        for label, replayed in replays.items():
            if replayed is not None and replayed.kinematic is not None:
                assert replayed.kinematic.tau is not None, "a kinematic replay has torque"
                torque[label] = lowpass(replayed.kinematic.tau, dt_s, data.cutoff_hz)
        page.text("Torque that the recorded motion takes, low-passed as the measured one:")
        drawn = plots.signals(
            t_s, torque, joints, unit="N·m", train_end_s=data.train_end_s, use=data.motion.use
        )
        page.image(drawn, "torque, measured and simulated")
    error = {
        label: 1e3 * (replayed.dynamic.q - data.trajectory.q)
        for label, replayed in replays.items()
        if replayed is not None and replayed.dynamic is not None
    }
    if error:
        page.text("Position error of the twin that obeys the recorded commands (PyBullet):")
        drawn = plots.signals(
            t_s,
            error,
            joints,
            unit="mrad",
            train_end_s=data.train_end_s,
            use=data.trajectory.measured,
        )
        page.image(drawn, "position error, nominal and calibrated")


def _error_table(
    page: Page, joints: Sequence[str], before: "Replayed | None", after: "Replayed | None"
) -> None:
    def cell(errors: Errors | None, field: str, joint: int, scale: float) -> str:
        values = None if errors is None else getattr(errors, field)
        return "–" if values is None else f"{scale * values[joint]:.4g}"

    head = ["joint"]
    columns: list[tuple[Errors | None, str, float]] = []
    for replayed, label in ((before, "nominal"), (after, "calibrated")):
        if replayed is not None:
            head += [f"torque, N·m ({label})", f"position, mrad ({label})"]
            columns += [
                (replayed.kinematic_error, "tau", 1.0),
                (replayed.dynamic_error, "q", 1e3),
            ]
    rows = [
        [joint, *(cell(errors, field, k, scale) for errors, field, scale in columns)]
        for k, joint in enumerate(joints)
    ]
    page.table(head, rows)


def _parameter_section(page: Page, calibrated: "Calibrated", truth: Truth | None) -> None:
    page.section(
        "Parameters",
        "Value ± standard deviation in SI, for each method. Tinted rows are not determined by "
        "this recording: their value rests on the model.",
    )
    names = list(dict.fromkeys(k for r in calibrated.by_method.values() for k in r.parameters))
    # By field, then by joint: what a reader compares stands together.
    joint = sorted((n for n in names if ".inertial." not in n), key=lambda n: n.split(".", 1)[1])
    _parameter_table(page, calibrated, joint, truth)
    with page.folded("Mass properties of the links"):
        _parameter_table(page, calibrated, [n for n in names if ".inertial." in n], None)


def _parameter_table(
    page: Page, calibrated: "Calibrated", names: Sequence[str], truth: Truth | None
) -> None:
    head = ["parameter", "unit", "nominal", *calibrated.by_method]
    rows, marks = [], []
    for name in names:
        found = [r.parameters.get(name) for r in calibrated.by_method.values()]
        first = next(p for p in found if p is not None)
        cells = ["–" if p is None else f"{p.value:.4g} ± {p.std:.2g}" for p in found]
        true = [] if truth is None else [_true(truth, name)]
        rows.append([name, first.unit, f"{first.nominal:.4g}", *cells, *true])
        marks.append("" if any(p is not None and p.identifiable for p in found) else "bad")
    page.table(
        [*head, *([] if truth is None else ["truth"])], rows, text_columns=(0, 1), marks=marks
    )


def _true(truth: Truth, name: str) -> str:
    return f"{truth.values[name]:.4g}" if name in truth.values else "–"


def _provenance_section(page: Page, session: Session, data: "Prepared") -> None:
    page.section("Provenance", "All that is needed to make this again.")
    rows = [[f"sha256 of {name}", digest] for name, digest in data.recording.sha256.items()]
    rows += [[name, number] for name, number in versions().items()]
    page.table(["what", "value"], rows, text_columns=(0, 1))
    page.preformatted(OmegaConf.to_yaml(OmegaConf.structured(session.config)))


def _print(
    session: Session,
    data: "Prepared",
    before: "Replayed | None",
    after: "Replayed | None",
    calibrated: "Calibrated | None",
    images: "Images | None",
) -> None:
    joints = data.trajectory.joints
    rows: list[tuple[str, Iterable[float], str]] = []
    for replayed, label in ((before, "nominal"), (after, "calibrated")):
        if replayed is None:
            continue
        if replayed.kinematic_error is not None and replayed.kinematic_error.tau is not None:
            rows.append((f"torque error, N·m, {label}", replayed.kinematic_error.tau, ".3f"))
        if replayed.dynamic_error is not None:
            rows.append((f"position error, mrad, {label}", 1e3 * replayed.dynamic_error.q, ".2f"))
    if rows:
        table = Table(title="held-out part of the recording", title_justify="left", box=None)
        table.add_column("")
        for joint in joints:
            table.add_column(joint.rsplit("_", 1)[-1], justify="right")
        for name, values, form in rows:
            table.add_row(name, *(format(v, form) for v in values))
        session.console.print(table)
    where = session.directory
    session.console.print(f"report       {where / 'report.html'}", soft_wrap=True)
    if calibrated is not None:
        session.console.print(f"calibration  {calibrated.layer}", soft_wrap=True)
    if images is not None:
        session.console.print(f"images       {images.made.out}", soft_wrap=True)
    session.console.print(f"metrics      {where / 'metrics.json'}", soft_wrap=True)
