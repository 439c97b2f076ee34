"""The report of a run, section by section."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from calibration import plots, recording_plots
from calibration.report import Page
from calibration.result import CalibrationResult, Parameter
from conf.findings import grouped, row
from conf.judging import residual_whiteness
from conf.outcome import Calibrated, Images, Judged, Outcome, Prepared
from conf.schema import Config, Task
from conf.session import versions
from envs.telemetry.filtering import lowpass

_TITLES = {
    Task.pipeline: "From telemetry to training images",
    Task.replay: "Replay",
    Task.calibrate: "Calibration",
    Task.generate: "Labelled images",
}


def build(config: Config, outcome: Outcome) -> Page:
    """Return the page, complete."""
    data = outcome.data
    span_s = data.trajectory.t_s[-1] - data.trajectory.t_s[0]
    page = Page(
        title=_TITLES[config.task],
        lead=f"Robot {config.robot}, recording {data.recording.name} "
        f"({span_s:.1f} s, {len(data.trajectory.joints)} joints), scene {config.scene}.",
    )
    page.cards(_cards(outcome))
    _recording(page, data)
    for judged in outcome.judged:
        _replays(page, judged, other=judged.data is not data)
    if outcome.fit is not None:
        _parameters(page, outcome, outcome.fit)
    if outcome.images is not None:
        _images(page, outcome.images)
    _provenance(page, config, data)
    return page


def _cards(outcome: Outcome) -> list[tuple[str, str]]:
    cards = []
    for name, torque in outcome.torque_rmse().items():
        cards.append((f"{float(np.mean(torque)):.3f} N·m", f"held-out torque error, {name}"))
    for name, current in outcome.current_rmse().items():
        cards.append((f"{float(np.mean(current)):.3g} A", f"held-out current error, {name}"))
    for name, position in outcome.position_rmse().items():
        error = 1e3 * float(np.mean(position))
        cards.append((f"{error:.2f} mrad", f"held-out position error, {name}"))
    if outcome.fit is not None:
        parameters = outcome.fit.result.parameters
        known = sum(p.identifiable for p in parameters.values())
        cards.append((f"{known} of {len(parameters)}", "parameters that the data determine"))
        bad = len(outcome.fit.result.infeasible_links)
        cards.append((str(bad), "links with impossible inertias"))
    if outcome.images is not None:
        cards.append((str(outcome.images.made.images), "labelled images"))
    return cards


def _recording(page: Page, data: Prepared) -> None:
    recording, findings = data.recording, data.findings
    page.section("Recording", "What was found in it, and what was done about it.")
    head = ["finding", "where", "count", "first at, s", "what was done", "detail"]
    rows = grouped(findings)
    if rows:
        page.table(head, rows, text_columns=(0, 1, 4, 5))
    else:
        page.text("Nothing was wrong with it.")
    if len(rows) < len(findings):
        with page.folded(f"All {len(findings)} findings, joint by joint"):
            page.table(head, [row(f) for f in findings], text_columns=(0, 1, 4, 5))
    drawn = recording_plots.timeline(recording, findings)
    if drawn is not None:
        page.text("When it was found, and how many samples it concerns:")
        page.image(drawn, "findings over time")
    drawn = recording_plots.closer_look(recording, findings)
    if drawn is not None:
        page.text("A closer look at the first of each kind that shows in a signal:")
        page.image(drawn, "signals about the first finding of each kind")
    page.text(
        "The time between one sample and the next, in the order in which they were logged; "
        f"repeated and late stamps are drawn at {recording_plots.LEAST_STEP_MS:g} ms:"
    )
    page.image(recording_plots.sampling(recording), "time between samples")
    files = [[name, recording.protection.get(name, "unprotected")] for name in recording.sha256]
    page.table(["file", "what guards its bytes"], files, text_columns=(0, 1))


def _replays(page: Page, judged: Judged, *, other: bool) -> None:
    data, replays = judged.data, judged.replays
    joints, t_s = data.trajectory.joints, data.trajectory.t_s
    page.section(
        "Measured against simulated" + (f" on {data.recording.name}" if other else ""),
        "Errors are root mean squares over the held-out part, which no fit has seen.",
    )
    _error_table(page, judged)
    _whiteness(page, judged)
    if data.motion is not None:
        what, unit, gain = "torque", "N·m", np.ones(1)
        if data.gains is not None:
            what, unit, gain = "current", "A", data.gains.nominal
        felt = {"measured": data.motion.tau / gain}
        for name, replayed in replays.items():
            simulated = replayed.kinematic
            if simulated is None:
                continue
            taken = simulated.tau if data.gains is None else simulated.current
            if taken is not None:
                felt[name] = lowpass(taken, data.trajectory.dt_s, data.cutoff_hz)
        page.text(f"{what.title()} that the recorded motion takes, low-passed as the measured one:")
        drawn = plots.signals(
            t_s, felt, joints, unit=unit, heldout=data.judges, use=data.motion.use
        )
        page.image(drawn, f"{what}, measured and simulated")
    error = {
        name: 1e3 * (replayed.dynamic.q - data.trajectory.q)
        for name, replayed in replays.items()
        if replayed.dynamic is not None
    }
    if error:
        page.text("Position error of the twin that obeys the recorded commands (PyBullet):")
        measured = data.trajectory.measured
        drawn = plots.signals(t_s, error, joints, unit="mrad", heldout=data.judges, use=measured)
        page.image(drawn, "position error, nominal and calibrated")


def _whiteness(page: Page, judged: Judged) -> None:
    """Say which residuals still hold something that the twin does not explain."""
    told = residual_whiteness(judged) if "calibrated" in judged.replays else {}
    told = {signal: of for signal, of in told.items() if of}
    if not told:
        return
    page.text(
        "Whiteness of the calibrated twin's residual (Ljung–Box, ten lags of independent samples): "
        "a p-value below 0.05 says that something is left that the model does not explain, such "
        "as a friction that depends on load, or a flexible joint."
    )
    joints = judged.data.trajectory.joints
    rows = [[joint, *(f"{of[joint]['p']:.2g}" for of in told.values())] for joint in joints]
    page.table(["joint", *(f"p, {signal}" for signal in told)], rows)


def _error_table(page: Page, judged: Judged) -> None:
    head, columns = ["joint"], []
    for name, replayed in judged.replays.items():
        if replayed.torque_rmse is not None:
            head.append(f"torque, N·m ({name})")
            columns.append([f"{v:.4g}" for v in replayed.torque_rmse])
        if replayed.current_rmse is not None:
            head.append(f"current, A ({name})")
            columns.append([f"{v:.4g}" for v in replayed.current_rmse])
        if replayed.position_rmse is not None:
            head.append(f"position, mrad ({name})")
            columns.append([f"{1e3 * v:.4g}" for v in replayed.position_rmse])
    joints = judged.data.trajectory.joints
    page.table(head, [[joint, *(c[k] for c in columns)] for k, joint in enumerate(joints)])


def _parameters(page: Page, outcome: Outcome, fit: Calibrated) -> None:
    page.section(
        "Parameters",
        "Value ± standard deviation in SI, for each method. Tinted rows are not determined by "
        "this recording: their value rests on the model.",
    )
    torch = fit.by_method.get("torch")
    if torch is not None and torch.metrics.get("structure"):
        _structure(page, torch.metrics["structure"])
    if torch is not None and "identifiability" in torch.metrics:
        with page.folded("What this recording cannot tell"):
            for sentence in torch.metrics["identifiability"]["sentences"]:
                page.text(sentence)
    names = list(dict.fromkeys(name for r in fit.by_method.values() for name in r.parameters))
    # By field, then by joint: what a reader compares stands together.
    of_joints = sorted(
        (n for n in names if ".inertial." not in n), key=lambda n: n.split(".", 1)[1]
    )
    truth = {} if outcome.truth is None else outcome.truth.values
    held = [
        n for n in of_joints if all(was_held(r.parameters.get(n)) for r in fit.by_method.values())
    ]
    _parameter_table(page, fit, [n for n in of_joints if n not in held], truth)
    if held:
        with page.folded("What no method was to find: held where it was"):
            _parameter_table(page, fit, held, truth)
    with page.folded("Mass properties of the links"):
        _parameter_table(page, fit, [n for n in names if ".inertial." in n], {})


def _structure(page: Page, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Say which terms each joint's torque equation has, and why."""
    page.text(
        "Terms of each joint's torque equation, chosen by cross-validation within the training "
        "part: the plainest whose error on blocks that its fit has not seen (N·m or N, or the "
        "current times the nominal drive gain; geometric mean) is within one standard error of the "
        "best; what judges took no part."
    )
    page.table(
        ["joint", "chosen", "its error", "plainest", "best", "one standard error"],
        [
            [
                joint,
                of["chosen"],
                *(f"{x:.4g}" for x in _errors(of)),
                f"{100 * of['one_standard_error']:.2g} %",
            ]
            for joint, of in chosen.items()
            if of["blocks_rmse_nm"]
        ],
        text_columns=(0, 1),
    )
    candidates = list(next(iter(chosen.values()))["blocks_rmse_nm"])
    with page.folded("The error of every candidate"):
        rows = [
            [name, *(f"{of['blocks_rmse_nm'][name]:.4g}" for of in chosen.values())]
            for name in candidates
        ]
        page.table(["terms", *chosen], rows)


def _errors(of: Mapping[str, Any]) -> tuple[float, float, float]:
    errors = of["blocks_rmse_nm"]
    return errors[of["chosen"]], next(iter(errors.values())), min(errors.values())


def was_held(parameter: Parameter | None) -> bool:
    """Whether a method left a value where it was: a term that the joint was not given, say."""
    return parameter is None or (parameter.std == 0 and not parameter.identifiable)


def as_text(parameter: Parameter | None) -> str:
    """Return value ± standard deviation; what was held has no deviation, which is not one of 0."""
    if parameter is None:
        return "–"
    return f"{parameter.value:.4g}" + (
        " (held)" if was_held(parameter) else f" ± {parameter.std:.2g}"
    )


def _parameter_table(
    page: Page, fit: Calibrated, names: Sequence[str], truth: dict[str, float]
) -> None:
    head = ["parameter", "unit", "nominal", *fit.by_method, *(["truth"] if truth else [])]
    rows, marks = [], []
    for name in names:
        found = [r.parameters.get(name) for r in fit.by_method.values()]
        first = next(p for p in found if p is not None)
        cells = [as_text(p) for p in found]
        if truth:
            cells.append(f"{truth[name]:.4g}" if name in truth else "–")
        rows.append([name, first.unit, f"{first.nominal:.4g}", *cells])
        marks.append("" if any(p is not None and p.identifiable for p in found) else "bad")
    page.table(head, rows, text_columns=(0, 1), marks=marks)


def _images(page: Page, images: Images) -> None:
    page.section("Images", f"{images.made.images} images; some of them with labels drawn over.")
    page.image(images.preview.read_bytes(), "contact sheet with label overlays")
    page.table(
        ["class", "annotations"], [[name, str(n)] for name, n in images.made.annotations.items()]
    )


def parameter_table(page: Page, result: CalibrationResult, words: str) -> None:
    """Add what one method found; what the data do not tell is tinted."""
    page.section("Parameters", words)
    page.table(
        ["parameter", "value", "standard deviation", "stage", "unit"],
        [
            [name, f"{p.value:.5g}", f"{p.std:.2g}", f"{p.nominal:.5g}", p.unit]
            for name, p in result.parameters.items()
        ],
        text_columns=(0, 4),
        marks=["" if p.identifiable else "bad" for p in result.parameters.values()],
    )


def provenance(page: Page, sha256: Mapping[str, str]) -> None:
    """Add the hashes of the files and the versions of the libraries."""
    page.section("Provenance", "All that is needed to make this again.")
    rows = [[f"sha256 of {name}", digest] for name, digest in sha256.items()]
    rows += [[name, number] for name, number in versions().items()]
    page.table(["what", "value"], rows, text_columns=(0, 1))


def _provenance(page: Page, config: Config, data: Prepared) -> None:
    provenance(page, data.recording.sha256)
    page.preformatted(OmegaConf.to_yaml(OmegaConf.structured(config)))
