"""`method=servo`: many runs of one servo, some of which are held out by what their files say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from calibration import plots
from calibration.layer import write_calibration
from calibration.report import Page
from calibration.result import CalibrationResult
from calibration.servo import fit_servo
from calibration.servo_runs import (
    EVERY,
    Firmware,
    Playback,
    ServoRun,
    replay_runs,
    servo_run,
)
from calibration.validation import Comparison, Verdict
from conf.judging import refuse, settle
from conf.page import parameter_table, provenance
from conf.preparing import rig
from conf.schema import Config, configuration_hash
from conf.session import STAGE, Session, versions
from conf.summary import values_of
from envs.errors import ConfigError
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.alignment import align
from envs.telemetry.read import read


def calibrate(session: Session, reason: str) -> None:
    """Identify the servo, write layer, JSON and report."""
    config = session.config
    with session.stage("stage", f"compose {config.robot} in {config.scene}"):
        stage = rig(session, STAGE)
        scene = read_stage(stage)
    train, heldout, sha256 = _read(session, scene)
    session.note(
        f"{len(train)} runs train and {len(heldout)} judge; the supply's voltage is the one that "
        "their metadata tell, no measured one is used"
    )
    with session.stage("calibrate_servo", "choose the law and fit it (CMA-ES)"):
        result = fit_servo(
            scene,
            train,
            heldout=heldout,
            seed=config.seed,
            provenance={
                "recording": config.recording.name,
                "data_sha256": sha256,
                "configuration_sha256": configuration_hash(config),
            },
        )
    result.write(session.directory / "calibration.json")
    layer = write_calibration(session.directory / "calibration.usda", stage, result)
    calibrated = read_stage(rig(session, "calibrated.usda", layer))
    with session.stage("replay", "replay the held-out runs in PyBullet, before and after"):
        played = {"nominal": replay_runs(scene, heldout)}
        played["calibrated"] = replay_runs(calibrated, heldout)
    with session.stage("report", "write the report"):
        _page(config, result, played, heldout).write(session.directory / "report.html")
    joints, judge = heldout[0].trajectory.joints, Playback(scene, heldout)
    before, error = (np.array([judge.misses(q).mean()]) for q in played.values())
    verdict = Verdict(joints, (Comparison("position", before, error, decides=True),))
    settle(session, verdict, reasons=[reason], judged_on=[run.name for run in heldout])
    session.metrics |= {
        "recording": config.recording.name,
        "reasons": [reason],
        "joints": list(joints),
        "versions": versions(),
        "parameters": values_of(result),
        **result.metrics,
    }
    session.write_json("metrics.json", session.metrics)
    session.console.print(
        f"held-out error of position, mean absolute: {error[0]:.4f} rad (nominal {before[0]:.4f}); "
        f"law: {result.metrics['law']}",
        soft_wrap=True,
    )
    refuse(verdict, force=config.force)
    for name, file in (("report", "report.html"), ("calibration", layer.name)):
        session.console.print(f"{name:<12} {session.directory / file}", soft_wrap=True)


def _read(session: Session, scene: Scene) -> tuple[list[ServoRun], list[ServoRun], dict[str, str]]:
    """Return the runs that train, those that judge, and the hashes of the files."""
    config, split = session.config, session.config.split()
    described, source = config.recording, config.recording.source()
    if described.servo is None or not described.runs:
        raise ConfigError(
            f"method servo needs recording.servo and recording.runs; recording '{described.name}' "
            "has not both"
        )
    if split.test is None or not split.test.metadata:
        raise ConfigError(
            "method servo needs to know which runs judge: recording.test={KEY: VALUE}, by what "
            f"their files say, such as recording.test={{{described.servo.gain}: 800}}"
        )
    firmware = Firmware(**vars(described.servo))
    joints = [j.name for j in scene.robot.joints if j.kind != "fixed"]
    train: list[ServoRun] = []
    heldout: list[ServoRun] = []
    sha256: dict[str, str] = {}
    with session.stage("read", f"read {len(described.runs)} runs") as report:
        for i, name in enumerate(described.runs):
            recording = read(replace(source, path=source.path.parent / name))
            run = servo_run(Path(name).stem, recording, align(recording, joints), firmware)
            sha256 |= recording.sha256
            if split.test.matches(recording.metadata):
                heldout.append(run)
            elif split.train is None or split.train.matches(recording.metadata):
                train.append(run)
            report(i + 1, len(described.runs))
    if not heldout:
        wanted = ", ".join(f"{key}={value}" for key, value in split.test.metadata.items())
        raise ConfigError(f"recording.test: none of the {len(described.runs)} runs has {wanted}")
    return train, heldout, sha256


def _page(
    config: Config,
    result: CalibrationResult,
    played: dict[str, Float[np.ndarray, "log sample"]],
    heldout: list[ServoRun],
) -> Page:
    joint = heldout[0].trajectory.joints[0]
    metrics = result.metrics
    page = Page(
        title="Calibration of a servo",
        lead=f"Robot {config.robot}, recording {config.recording.name}, joint {joint}: "
        f"{len(metrics['train_mae_rad_by_run'])} runs train, {len(heldout)} judge.",
    )
    page.cards(
        [
            (f"{metrics['heldout_mae_rad'][0]:.4f} rad", "held-out error of position, calibrated"),
            (f"{metrics['nominal_mae_rad'][0]:.4f} rad", "the same of the stage as it was"),
            (f"{metrics['train_mae_rad'][0]:.4f} rad", "error on the training runs"),
            (metrics["law"], "law that was chosen"),
        ]
    )
    page.section(
        "Measured against simulated",
        "Runs that no fit has seen, played in PyBullet from their first state and their commands "
        "alone. Errors are means of absolute values.",
    )
    errors = {**metrics["heldout_mae_rad_by_run"]}
    for i, run in enumerate(heldout):
        t_s = run.trajectory.t_s[::EVERY]
        series = {"measured": run.trajectory.q[::EVERY]}
        series |= {name: q[i, : len(t_s), None] for name, q in played.items()}
        page.text(f"{run.name}: {errors[run.name]:.4f} rad")
        page.image(plots.signals(t_s, series, [joint], unit="rad"), f"position in {run.name}")
    page.section(
        "Law",
        "Each law was fitted to a part of the training runs and judged on the others.",
    )
    page.table(
        ["law", "error on training runs left out, rad"],
        [[law, f"{e:.4f}"] for law, e in metrics["cross_validation_mae_rad"].items()],
        marks=[
            "good" if law == metrics["law"] else "" for law in metrics["cross_validation_mae_rad"]
        ],
    )
    parameter_table(
        page,
        result,
        "Standard deviations are from blocks of time. Tinted rows rest on the prior or on a bound, "
        "not on the data.",
    )
    page.section("Training runs", "Error of each.")
    page.table(
        ["run", "mean absolute error, rad"],
        [[name, f"{e:.4f}"] for name, e in metrics["train_mae_rad_by_run"].items()],
    )
    provenance(page, result.provenance["data_sha256"])
    return page
