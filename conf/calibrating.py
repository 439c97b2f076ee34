"""The calibration task: which methods, in what order, and the layer of what they found."""

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration import torque_fit
from calibration.checkpoint import NAME as GENERATIONS
from calibration.evolution import fit_cmaes
from calibration.gradient import fit_torque
from calibration.layer import for_another, write_calibration
from calibration.result import CalibrationResult, combine
from calibration.shooting import fit_lm
from calibration.unknowns import groups_of, held_by
from calibration.validation import blocked_folds
from conf.choosing import choose
from conf.outcome import Calibrated, Prepared
from conf.preparing import rig
from conf.schema import Loss, Method, configuration_hash
from conf.session import Report, Session
from envs.errors import CalibrationError
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.filtering import reach_s

MISFIT = 2.0
"""In noise levels: what parameters that are merely a little off do not explain."""


def calibrate(session: Session, fitted: tuple[Prepared, ...]) -> Calibrated:
    """Identify by the method asked for, and write what was found as a layer.

    With `auto` the rollouts start from the stage with the torque level's layer, if there is one:
    inertias, Stribeck's excess and offsets stay as it has them, the rest is searched from its
    values.

    Raises:
        CalibrationError: The recording lacks what the method needs.
    """
    if len(fitted) > 1:
        raise CalibrationError(
            f"one recording can be fitted; recording.train names {len(fitted)}: "
            + ", ".join(f.recording.name for f in fitted)
        )
    data = fitted[0]
    methods, reason = choose(session.config, data)
    session.note(reason)
    provenance = {
        "recording": data.recording.name,
        "data_sha256": dict(data.recording.sha256),
        "configuration_sha256": configuration_hash(session.config),
    }
    begun_s = _cpu_s()
    found: dict[str, CalibrationResult] = {}
    scene = data.scene
    if Method.torch in methods:
        found["torch"] = _torque(session, data, provenance)
        if len(methods) > 1:
            layer = write_calibration(
                session.directory / "calibration_torch.usda", data.stage, found["torch"]
            )
            scene = read_stage(rig(session, "stage_torch.usda", layer, robot=data.robot))
    if Method.lm in methods:
        found["lm"] = _least_squares(session, data, scene, provenance)
    if Method.cmaes in methods:
        found["cmaes"] = _evolution(session, data, scene, provenance)
    cpu_s = _cpu_s() - begun_s
    if Method.torch in methods and session.config.calibration.folds:
        session.metrics["folds_rmse_nm"] = _folds(session, data)
    for name, result in found.items():
        result.write(session.directory / f"calibration_{name}.json")
    result = combine(*found.values()) if len(found) == 2 else next(iter(found.values()))
    result.write(session.directory / "calibration.json")
    layer = write_calibration(session.directory / "calibration.usda", data.stage, result)
    stage = rig(session, "calibrated.usda", layer, robot=data.robot)
    return Calibrated(data, found, result, layer, stage, (reason,), cpu_s)


def check_bodies(session: Session, data: Prepared) -> None:
    """Look for the bodies that the configuration names, before minutes of replays.

    Raises:
        CalibrationError: One of them does not move, or has no mass.
    """
    options = session.config.calibration
    if options.payload is None and not options.inertias:
        return
    robot = data.scene.robot
    tree = reduce_tree(robot, data.trajectory.joints, data.scene.gravity_mps2)
    groups_of(tree, robot, options.inertias)
    if options.payload is not None:
        held_by(tree, options.payload)


def layer_for(session: Session, fit: Calibrated, judged: Prepared) -> Path:
    """Return the layer for the robot that judges: without what is another individual's own."""
    if judged.individual == fit.data.individual:
        return fit.layer
    session.note(
        f"{judged.recording.name} is of another robot than {fit.data.recording.name}: torque "
        "offsets, springs, sensor lags and encoder offsets are left with the one they were found on"
    )
    path = session.directory / f"calibration_{judged.recording.name}.usda"
    return write_calibration(path, judged.stage, for_another(fit.result))


def _torque(session: Session, data: Prepared, provenance: Mapping[str, Any]) -> CalibrationResult:
    assert data.motion is not None, "checked by choose"
    with session.stage("calibrate_torch", "identify from torque (torch)") as report:
        result = fit_torque(
            data.scene,
            data.motion,
            train=data.train,
            heldout=data.heldout if data.judges.any() else None,
            cutoff_hz=data.cutoff_hz,
            loss=_loss(session),
            gains=data.gains,
            provenance=provenance,
            progress=report,
        )
    for joint, choice in result.metrics["structure"].items():
        session.note(f"{joint}: {choice['chosen']}")
    for sentence in result.metrics["identifiability"]["sentences"]:
        if "cannot be told apart" not in sentence and "at a bound" not in sentence:
            session.note(sentence)
    return result


def _loss(session: Session) -> torque_fit.Loss:
    return "huber" if session.config.calibration.loss is Loss.huber else "squares"


def _folds(session: Session, data: Prepared) -> list[list[float]]:
    """Return the held-out torque errors (N·m or N, per joint) of each fold of the training part."""
    assert data.motion is not None, "checked by choose"
    reach = math.ceil(reach_s(data.cutoff_hz) / data.trajectory.dt_s)
    errors = []
    folds = blocked_folds(data.train, session.config.calibration.folds, reach)
    with session.stage("folds", "cross-validate in blocks of time") as report:
        for k, (train, heldout) in enumerate(folds):
            result = fit_torque(
                data.scene,
                data.motion,
                train=train,
                heldout=heldout,
                cutoff_hz=data.cutoff_hz,
                loss=_loss(session),
                gains=data.gains,
                progress=_part_of(report, k, len(folds)),
            )
            errors.append(result.metrics["heldout_rmse_nm"])
    return errors


def _part_of(report: Report, k: int, parts: int) -> Report:
    """Return what reports the k-th of several parts of one length."""
    return lambda done, total: report(k * total + done, parts * total)


def _least_squares(
    session: Session, data: Prepared, scene: Scene, provenance: Mapping[str, Any]
) -> CalibrationResult:
    config = session.config
    with session.stage("calibrate_lm", "fit by rollouts (least squares)") as report:
        result = fit_lm(
            scene,
            data.training,
            shared=[field.name for field in config.calibration.shared],
            inertias=config.calibration.inertias,
            payload=config.calibration.payload,
            workers=config.workers,
            provenance=provenance,
            progress=report,
        )
    _tell(session, result)
    return result


def _evolution(
    session: Session, data: Prepared, scene: Scene, provenance: Mapping[str, Any]
) -> CalibrationResult:
    config, kept = session.config, session.directory / GENERATIONS
    if config.resume is not None:
        shutil.copyfile(Path(config.resume) / GENERATIONS, kept)
    with session.stage("calibrate_cmaes", "search by rollouts (CMA-ES)") as report:
        result = fit_cmaes(
            scene,
            data.training,
            seed=config.seed,
            workers=config.workers,
            engine=config.calibration.cmaes_engine.value,
            contacts=config.calibration.contacts,
            friction=config.calibration.contact_friction,
            mass=config.calibration.contact_mass,
            generations=config.calibration.cmaes_generations,
            candidates=config.calibration.cmaes_candidates,
            checkpoint=kept,
            provenance=provenance,
            progress=report,
        )
    _tell(session, result)
    return result


def _tell(session: Session, result: CalibrationResult) -> None:
    """Say where the twin's drive cannot be the robot's, and what the recording does not tell."""
    miss = np.sqrt(result.metrics["cost"])
    if miss.max() > MISFIT:
        session.note(
            f"the rollouts miss the measurement by {miss.min():.1f} to {miss.max():.1f} times its "
            "noise: this robot's controller is more than a position drive, or its inertias are "
            "not the stage's; stiffness, damping and delay are then effective values, good for "
            "replaying"
        )
    for words in (*result.metrics["untold"], *result.metrics["doubts"]):
        session.note(words)
    session.note(
        "a delay is from a command's stamp to a state's: an offset between the two clocks is in "
        "it, and no motion tells one from the other"
    )


def _cpu_s() -> float:
    """Return the processor time of this process and of its workers that have ended, s."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
