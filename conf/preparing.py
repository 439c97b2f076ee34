"""Read the recordings of a run, put each on one clock, and compose the stage that it is about."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assets import catalog
from conf.findings import doubts
from conf.outcome import Prepared
from conf.schema import named_recording
from conf.session import STAGE, Session
from conf.starting import start_path, write_start
from conf.telemetry import RecordingConfig
from envs.errors import RecordingError
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.telemetry.alignment import align
from envs.telemetry.expected import Limits
from envs.telemetry.filtering import motion
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.recording import Recording
from envs.telemetry.synchrony import synchronise
from envs.world.encoders import from_readings

SAMPLES_PER_PERIOD = 8
"""Of the highest frequency that is used: linear interpolation then takes (π/8)²/3 = 5 % off it."""


@dataclass(frozen=True)
class Data:
    """The recordings of a run: `own` is the chosen one, and may fit, judge, both or neither."""

    own: Prepared
    fitted: tuple[Prepared, ...]
    judging: tuple[Prepared, ...]


def prepare_all(session: Session) -> Data:
    """Prepare the chosen recording, and those that `recording.train` and `recording.test` name.

    Raises:
        RecordingError: The recordings cannot be judged together.
    """
    own, split = prepare(session), session.config.split()
    fitted = tuple(_other(session, name, trains=True) for name in split.trains_on) or (own,)
    judging = tuple(_other(session, name, trains=False) for name in split.judged_on) or (own,)
    names = list({id(p): p.recording.name for p in (own, *fitted, *judging)}.values())
    for name in names:
        if names.count(name) > 1:
            raise RecordingError(
                f"two recordings of the run are called '{name}': give one of them another 'name'"
            )
    for other in (*fitted, *judging):
        if other.trajectory.joints != fitted[0].trajectory.joints:
            raise RecordingError(
                f"recordings '{fitted[0].recording.name}' and '{other.recording.name}' must have "
                f"the same joints; found {', '.join(fitted[0].trajectory.joints)} and "
                f"{', '.join(other.trajectory.joints)}"
            )
    return Data(own, fitted, judging)


def prepare(session: Session) -> Prepared:
    """Prepare the chosen recording."""
    config = session.config
    prepared = _prepare(session, config.recording, config.robot, STAGE)
    trains, judges = config.split().within(prepared.trajectory.t_s)
    return replace(prepared, trains=trains, judges=judges)


def rig(session: Session, name: str, *layers: Path, robot: str | None = None) -> Path:
    """Write the scene with a robot, the user's layer, and calibration layers on top of it."""
    config = session.config
    given = [] if config.layer is None else [Path(config.layer)]
    start = start_path(session, robot or config.robot)
    return write_rig(
        session.directory / name,
        scene=catalog.SCENES[config.scene],
        robot=robot_asset(robot or config.robot),
        sublayers=[*layers, *given, *([start] if start.is_file() else [])],
    )


def _other(session: Session, name: str, *, trains: bool) -> Prepared:
    """Prepare a recording by its name, all of it to fit or all of it to judge by."""
    described = named_recording(session.config, name)
    prepared = _prepare(session, described, described.robot, f"stage_{name}.usda")
    every = np.ones(len(prepared.trajectory.t_s), bool)
    return replace(prepared, trains=every & trains, judges=every & (not trains))


def _prepare(session: Session, described: RecordingConfig, robot: str, stage_name: str) -> Prepared:
    config, options = session.config, session.config.calibration
    of = "" if stage_name == STAGE else f"_{described.name}"
    with session.stage(f"read{of}", f"read recording {described.name}"):
        recording = synchronise(read(described.source()))
        session.damage += recording.damage
    with session.stage(f"stage{of}", f"compose {robot} in {config.scene}"):
        stage = rig(session, stage_name, robot=robot)
        scene = read_stage(stage)
    joints = [j for j in scene.robot.joints if j.kind != "fixed"]
    with session.stage(f"check{of}", "check it and put it on one clock"):
        limits = {
            j.name: Limits(
                j.lower - j.encoder_offset,
                j.upper - j.encoder_offset,
                j.velocity_limit,
                j.effort_limit,
            )
            for j in joints
        }
        findings = check(recording, joints=list(limits), limits=limits)
        trajectory = align(recording, [j.name for j in joints])
    for doubt in doubts(findings):
        session.note(f"{described.name}: {doubt}")
    rate_hz = slowest_rate_hz(recording)
    cutoff_hz = min(options.cutoff_hz, rate_hz / SAMPLES_PER_PERIOD)
    if cutoff_hz < options.cutoff_hz:
        session.note(
            f"{described.name} has {rate_hz:.3g} samples a second: it is low-passed at "
            f"{cutoff_hz:.3g} Hz instead of {options.cutoff_hz:g}, above which interpolation "
            "takes more than a twentieth off a signal"
        )
    if trajectory.q_command is not None and write_start(
        session, robot, stage, scene, trajectory.joints
    ):
        stage = rig(session, stage_name, robot=robot)
        scene = read_stage(stage)
    none = np.zeros(len(trajectory.t_s), bool)
    return Prepared(
        recording=recording,
        findings=findings,
        trajectory=trajectory,
        robot=robot,
        stage=stage,
        scene=scene,
        cutoff_hz=cutoff_hz,
        motion=None
        if trajectory.tau is None
        else motion(
            from_readings(scene.robot, trajectory), cutoff_hz=cutoff_hz, trim_s=options.trim_s
        ),
        trains=none,
        judges=none,
        individual=described.individual,
    )


def slowest_rate_hz(recording: Recording) -> float:
    """Return the samples a second of the slowest stream of measured positions or efforts.

    Currents stand in for efforts that were not logged.
    """
    effort = any("effort" in stream.signals for stream in recording.streams)
    felt = "effort" if effort else "current"
    steps_ns = [
        float(np.median(np.diff(stream.t_ns)))
        for stream in recording.streams
        if {"position", felt} & set(stream.signals) and len(stream.t_ns) > 1
    ]
    return 1e9 / max(1.0, *steps_ns) if steps_ns else np.inf
