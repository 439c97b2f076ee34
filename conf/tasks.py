"""What each task does, in order: the only place where telemetry, twin, fit and pictures meet.

What only a fit needs (torch, CMA-ES) is imported when one begins: the other tasks start at once.
"""

from dataclasses import replace
from pathlib import Path

from calibration.residuals import rmse
from calibration.truth import read_truth
from conf import looking, page, summary
from conf.auditing import rasterizer, validate
from conf.choosing import alone
from conf.currents import as_current, assume_gains, with_known_gains
from conf.doctor import doctor
from conf.exit_code import SALVAGED, WHOLE
from conf.judging import judge, refuse
from conf.outcome import Images, Judged, Outcome, Prepared, Replayed
from conf.preparing import prepare, prepare_all, rig
from conf.schema import Config, Method, Task
from conf.session import Session
from envs.errors import KinetwinError
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.quality_report import write_quality
from envs.telemetry.trajectory import Trajectory
from envs.telemetry.trajectory_file import write_trajectory
from envs.world.replay import replay_dynamic, replay_kinematic
from generators.generate import generate
from generators.preview import contact_sheet


def dispatch(config: Config, directory: Path) -> int:
    """Run a task in its claimed directory.

    Returns:
        The exit code: `SALVAGED` where a file of the recording was damaged.

    Raises:
        KinetwinError: The input cannot be used; a run that made nothing leaves nothing.
    """
    session = Session(config, directory)
    try:
        _TASKS[config.task](session)
    except (KinetwinError, OSError) as error:
        session.log("error", text=str(error))
        session.discard_if_empty()
        raise
    except KeyboardInterrupt:
        session.log("interrupted")
        gone = session.discard_if_empty()
        raise KeyboardInterrupt(
            "nothing was finished, and nothing is left behind"
            if gone
            else f"what was finished is kept in {directory}"
        ) from None
    for damage in session.damage:
        session.warn(f"salvaged: {damage}")
    return SALVAGED if session.damage else WHOLE


def _pipeline(session: Session) -> None:
    outcome = _before_and_after(session)
    verdict = judge(session, outcome)
    if not verdict.improved and not session.config.force:
        _finish(session, outcome)
    refuse(verdict, force=session.config.force)
    assert outcome.fit is not None, "it has just been made"
    images = make_images(session, outcome.fit.stage, outcome.data.trajectory)
    _finish(session, replace(outcome, images=images))


def _replay(session: Session) -> None:
    data = with_known_gains(session, prepare(session))
    label = "nominal" if session.config.layer is None else "calibrated"
    replays = {label: replay(session, data, data.scene, label)}
    _finish(session, Outcome(data, (Judged(data, replays),)))


def _calibrate(session: Session) -> None:
    chosen = alone(session.config)
    if chosen is not None:
        from conf import kinematics, servoing

        method, reason = chosen
        session.note(reason)
        make = servoing.calibrate if method is Method.servo else kinematics.calibrate
        make(session, reason)
        return
    outcome = _before_and_after(session)
    verdict = judge(session, outcome)
    _finish(session, outcome)
    refuse(verdict, force=session.config.force)


def _before_and_after(session: Session) -> Outcome:
    from conf.calibrating import calibrate, check_bodies, layer_for

    data = prepare_all(session)
    check_bodies(session, data.fitted[0])
    fits = session.config.method in (Method.auto, Method.torch)
    data = assume_gains(session, data, fits=fits)
    nominal = [replay(session, j, j.scene, "nominal") for j in data.judging]
    fit = calibrate(session, data.fitted)
    judged = []
    for other, before in zip(data.judging, nominal, strict=True):
        stage = fit.stage
        if other.robot != fit.data.robot or other.individual != fit.data.individual:
            name = f"calibrated_{other.recording.name}.usda"
            stage = rig(session, name, layer_for(session, fit, other), robot=other.robot)
        after = replay(session, other, read_stage(stage), "calibrated")
        judged.append(Judged(other, {"nominal": before, "calibrated": after}))
    return Outcome(data.own, tuple(judged), fit)


def _excite(session: Session) -> None:
    from conf.exciting import excite

    excite(session)


def _generate(session: Session) -> None:
    data = prepare(session)
    if session.config.layer is None:
        session.note("no layer=FILE.usda is given: the images show the nominal, uncalibrated twin")
    images = make_images(session, data.stage, data.trajectory)
    _finish(session, Outcome(data, images=images))


def _validate(session: Session) -> None:
    data = prepare(session)
    validate(session, data.scene, data.trajectory, rasterizer(session))


def _finish(session: Session, outcome: Outcome) -> None:
    """Leave metrics and report, and say where everything is."""
    truth = session.config.recording.truth
    if truth and outcome.fit is not None:
        outcome = replace(outcome, truth=read_truth(Path(truth)))
    session.metrics.update(summary.metrics(outcome))
    for data in outcome.recordings:
        chosen = data is outcome.data
        folder = session.directory if chosen else session.directory / data.recording.name
        folder.mkdir(exist_ok=True)
        write_quality(folder, data.recording, data.findings)
        write_trajectory(folder / "trajectory.parquet", data.trajectory)
    with session.stage("report", "write the report"):
        page.build(session.config, outcome).write(session.directory / "report.html")
    session.write_json("metrics.json", session.metrics)
    summary.show(session, outcome)


_TASKS = {
    Task.pipeline: _pipeline,
    Task.replay: _replay,
    Task.calibrate: _calibrate,
    Task.generate: _generate,
    Task.excite: _excite,
    Task["import"]: looking.import_urdf,
    Task.inspect: looking.inspect,
    Task.validate: _validate,
    Task.doctor: doctor,
}


def replay(session: Session, data: Prepared, scene: Scene, label: str) -> Replayed:
    """Play the recording back both ways and measure the error on the held-out part."""
    cutoff_hz = data.cutoff_hz
    kinematic = dynamic = kinematic_error = dynamic_error = None
    with session.stage(f"replay_{label}", f"replay on the {label} twin") as report:
        if data.trajectory.tau is not None or data.gains is not None:
            kinematic = replay_kinematic(scene, data.trajectory, cutoff_hz=cutoff_hz)
            if data.gains is not None:
                kinematic = as_current(scene, kinematic, data.gains)
            kinematic_error = rmse(
                kinematic, data.trajectory, use=data.heldout, cutoff_hz=cutoff_hz
            )
            asked_hz = session.config.calibration.cutoff_hz
            if cutoff_hz < asked_hz:
                at_asked = rmse(
                    kinematic,
                    data.trajectory,
                    use=data.heldout,
                    cutoff_hz=cutoff_hz,
                    measured_cutoff_hz=asked_hz,
                )
                off, unit = (at_asked.tau, "nm") if data.gains is None else (at_asked.current, "a")
                assert off is not None, "both sides have a torque, or a current"
                of = session.metrics.setdefault(f"rmse_{unit}_at_asked_cutoff", {})
                of.setdefault(data.recording.name, {})[label] = off.tolist()
        if data.trajectory.q_command is not None:
            dynamic = replay_dynamic(
                scene,
                data.trajectory,
                contacts=session.config.calibration.contacts,
                progress=report,
            )
            dynamic_error = rmse(dynamic, data.trajectory, use=data.heldout)
    if kinematic is None:
        session.note(
            "no effort was recorded: torques are not compared"
            if data.trajectory.current is None
            else f"the currents of {data.recording.name} are not compared: no drive gains are "
            "known; give drive_gain in its description, or a layer=FILE.usda that has them"
        )
    if dynamic is None:
        session.note("no command was recorded: the dynamic replay is left out")
    return Replayed(kinematic, dynamic, kinematic_error, dynamic_error)


def make_images(session: Session, stage: Path, trajectory: Trajectory) -> Images:
    """Render the data set and the contact sheet."""
    options = session.config.images
    with session.stage("images", "render labelled images") as report:
        made = generate(
            stage,
            trajectory,
            session.directory / "images",
            images=options.count,
            seed=session.config.seed,
            width=options.width,
            height=options.height,
            workers=session.config.workers,
            ranges=session.config.randomization.ranges(),
            optics=session.config.optics(),
            labels=options.labels,
            device=session.config.device.name,
            progress=report,
            note=session.note,
        )
        preview = session.directory / "preview.png"
        contact_sheet(made.out, preview)
    return Images(made, preview)
