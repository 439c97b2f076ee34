"""What each task does, in order: the only place where telemetry, twin, fit and pictures meet."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from assets import catalog
from calibration.evolution import fit_rollouts
from calibration.gradient import fit_torque
from calibration.layer import write_calibration
from calibration.residuals import rmse
from calibration.result import CalibrationResult, combine
from calibration.truth import read_truth
from conf import looking, page, summary
from conf.outcome import Calibrated, Images, Outcome, Prepared, Replayed
from conf.schema import Config, Method, Task
from conf.session import STAGE, Session
from envs.errors import CalibrationError, KinetwinError
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.alignment import align
from envs.telemetry.expected import Limits
from envs.telemetry.filtering import motion
from envs.telemetry.quality import check
from envs.telemetry.quality_report import write_quality
from envs.telemetry.read import read
from envs.telemetry.trajectory import Trajectory
from envs.world.replay import replay_dynamic, replay_kinematic
from generators.generate import generate
from generators.preview import contact_sheet

MISFIT = 2.0
"""In noise levels: what parameters that are merely a little off do not explain."""


def dispatch(config: Config, directory: Path) -> None:
    """Run a task in its claimed directory.

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


def _pipeline(session: Session) -> None:
    outcome = _before_and_after(session)
    assert outcome.fit is not None, "it has just been made"
    images = make_images(session, outcome.fit.stage, outcome.data.trajectory)
    _finish(session, replace(outcome, images=images))


def _replay(session: Session) -> None:
    data = prepare(session)
    if session.config.layer is None:
        outcome = Outcome(data, nominal=replay(session, data, data.scene, "nominal"))
    else:
        outcome = Outcome(data, calibrated=replay(session, data, data.scene, "calibrated"))
    _finish(session, outcome)


def _calibrate(session: Session) -> None:
    _finish(session, _before_and_after(session))


def _before_and_after(session: Session) -> Outcome:
    data = prepare(session)
    nominal = replay(session, data, data.scene, "nominal")
    fit = calibrate(session, data)
    calibrated = replay(session, data, read_stage(fit.stage), "calibrated")
    return Outcome(data, nominal, calibrated, fit)


def _generate(session: Session) -> None:
    data = prepare(session)
    if session.config.layer is None:
        session.note("no layer=FILE.usda is given: the images show the nominal, uncalibrated twin")
    images = make_images(session, data.stage, data.trajectory)
    _finish(session, Outcome(data, images=images))


def _finish(session: Session, outcome: Outcome) -> None:
    """Leave metrics and report, and say where everything is."""
    truth = session.config.recording.truth
    if truth and outcome.fit is not None:
        outcome = replace(outcome, truth=read_truth(Path(truth)))
    session.metrics.update(summary.metrics(outcome))
    write_quality(session.directory, outcome.data.recording, outcome.data.findings)
    with session.stage("report", "write the report"):
        page.build(session.config, outcome).write(session.directory / "report.html")
    session.write_json("metrics.json", session.metrics)
    summary.show(session, outcome)


_TASKS = {
    Task.pipeline: _pipeline,
    Task.replay: _replay,
    Task.calibrate: _calibrate,
    Task.generate: _generate,
    Task["import"]: looking.import_urdf,
    Task.inspect: looking.inspect,
}


def prepare(session: Session) -> Prepared:
    """Read and check the recording, put it on one clock, and compose the stage it is about."""
    config = session.config
    with session.stage("read", "read the recording"):
        recording = read(config.recording.source())
    with session.stage("stage", f"compose {config.robot} in {config.scene}"):
        stage = _rig(session, STAGE)
        scene = read_stage(stage)
    joints = [j for j in scene.robot.joints if j.kind != "fixed"]
    with session.stage("check", "check it and put it on one clock"):
        limits = {
            j.name: Limits(j.lower, j.upper, j.velocity_limit, j.effort_limit) for j in joints
        }
        findings = check(recording, limits=limits)
        trajectory = align(recording, [j.name for j in joints])
    options = config.calibration
    start_s, end_s = float(trajectory.t_s[0]), float(trajectory.t_s[-1])
    return Prepared(
        recording=recording,
        findings=findings,
        trajectory=trajectory,
        stage=stage,
        scene=scene,
        train_end_s=start_s + options.train_fraction * (end_s - start_s),
        cutoff_hz=options.cutoff_hz,
        motion=None
        if trajectory.tau is None
        else motion(trajectory, cutoff_hz=options.cutoff_hz, trim_s=options.trim_s),
    )


def replay(session: Session, data: Prepared, scene: Scene, label: str) -> Replayed:
    """Play the recording back both ways and measure the error on the held-out part."""
    cutoff_hz = session.config.calibration.cutoff_hz
    kinematic = dynamic = kinematic_error = dynamic_error = None
    with session.stage(f"replay_{label}", f"replay on the {label} twin") as report:
        if data.trajectory.tau is not None:
            kinematic = replay_kinematic(scene, data.trajectory, cutoff_hz=cutoff_hz)
            kinematic_error = rmse(
                kinematic, data.trajectory, use=data.heldout, cutoff_hz=cutoff_hz
            )
        if data.trajectory.q_command is not None:
            dynamic = replay_dynamic(scene, data.trajectory, progress=report)
            dynamic_error = rmse(dynamic, data.trajectory, use=data.heldout)
    if kinematic is None:
        session.note("no effort was recorded: torques are not compared")
    if dynamic is None:
        session.note("no command was recorded: the dynamic replay is left out")
    return Replayed(kinematic, dynamic, kinematic_error, dynamic_error)


def calibrate(session: Session, data: Prepared) -> Calibrated:
    """Identify by each method asked for, and write what they found together as a layer.

    The rollouts start from the stage with the torque level's layer, if there is one: inertias,
    Stribeck's excess and offsets stay as it has them, the rest is searched from its values.
    """
    methods = _possible(session, data)
    provenance = {
        "recording": data.recording.name,
        "data_sha256": dict(data.recording.sha256),
        "configuration_sha256": _configuration_hash(session.config),
    }
    found: dict[str, CalibrationResult] = {}
    scene = data.scene
    if Method.torch in methods:
        assert data.motion is not None, "checked by _possible"
        with session.stage("calibrate_torch", "identify from torque (torch)"):
            found["torch"] = fit_torque(
                data.scene,
                data.motion,
                train=data.train,
                heldout=data.heldout,
                cutoff_hz=data.cutoff_hz,
                provenance=provenance,
            )
            layer = write_calibration(
                session.directory / "calibration_torch.usda", data.stage, found["torch"]
            )
            scene = read_stage(_rig(session, "stage_torch.usda", layer))
    if Method.cmaes in methods:
        with session.stage("calibrate_cmaes", "search by rollouts (CMA-ES)") as report:
            found["cmaes"] = fit_rollouts(
                scene,
                data.trajectory,
                train_end_s=data.train_end_s,
                seed=session.config.seed,
                workers=session.config.workers,
                generations=session.config.calibration.cmaes_generations,
                candidates=session.config.calibration.cmaes_candidates,
                provenance=provenance,
                progress=report,
            )
        _tell_misfit(session, found["cmaes"])
    for name, result in found.items():
        result.write(session.directory / f"calibration_{name}.json")
    result = (
        combine(found["torch"], found["cmaes"]) if len(found) == 2 else next(iter(found.values()))
    )
    result.write(session.directory / "calibration.json")
    layer = write_calibration(session.directory / "calibration.usda", data.stage, result)
    return Calibrated(found, result, layer, _rig(session, "calibrated.usda", layer))


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
            lens=session.config.camera.lens(options.width, options.height),
            progress=report,
        )
        preview = session.directory / "preview.png"
        contact_sheet(made.out, preview)
    return Images(made, preview)


def _possible(session: Session, data: Prepared) -> list[Method]:
    """Return the methods that the recording has the signals for; tell of those it has not."""
    lacks = {
        Method.torch: "measured effort" if data.motion is None else "",
        Method.cmaes: "recorded commands" if data.trajectory.q_command is None else "",
    }
    methods = session.config.calibration.methods
    for method in methods:
        if lacks[method]:
            session.note(f"method {method.name} is left out: it needs {lacks[method]}")
    possible = [method for method in methods if not lacks[method]]
    if not possible:
        needs = "; ".join(f"{m.name} needs {lacks[m]}" for m in methods)
        raise CalibrationError(f"recording '{data.recording.name}' cannot calibrate: {needs}")
    return possible


def _tell_misfit(session: Session, result: CalibrationResult) -> None:
    """Say where the twin's drive cannot be the robot's: it misses by more than the noise."""
    miss = np.sqrt(result.metrics["cost"])
    if miss.max() > MISFIT:
        session.note(
            f"the rollouts miss the measurement by {miss.min():.1f} to {miss.max():.1f} times its "
            "noise: this robot's controller is more than a position drive, so its gains and "
            "delay are effective values, good for replaying, not for reading"
        )


def _rig(session: Session, name: str, *layers: Path) -> Path:
    """Write the scene with the robot, the user's layer, and calibration layers on top of it."""
    config = session.config
    given = [] if config.layer is None else [Path(config.layer)]
    return write_rig(
        session.directory / name,
        scene=catalog.SCENES[config.scene],
        robot=robot_asset(config.robot),
        sublayers=[*layers, *given],
    )


def _configuration_hash(config: Config) -> str:
    return hashlib.sha256(repr(config).encode()).hexdigest()
