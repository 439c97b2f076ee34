"""`method=kinematics`: zero offsets and joint frames from measured poses of a marker."""

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from calibration import plots
from calibration.kinematics import fit_kinematics, stage_errors
from calibration.layer import write_calibration
from calibration.markers import POSITION, Marker, read_markers
from calibration.report import Page
from calibration.result import CalibrationResult
from calibration.validation import Comparison, Verdict
from conf.judging import refuse, settle
from conf.page import parameter_table, provenance
from conf.preparing import rig
from conf.schema import configuration_hash, named_recording
from conf.session import STAGE, Session, versions
from conf.summary import values_of
from conf.telemetry import ANGLES, LENGTHS, MarkerConfig, RecordingConfig
from envs.errors import CalibrationError, ConfigError
from envs.stage.reader import read_stage
from envs.stage.scene import Scene

Distances = dict[str, Float[np.ndarray, "pose"]]
"""Kind and unit → how far each held-out pose is from what was measured."""
SHOWN = {"m": (1e3, "mm"), "rad": (1e3, "mrad"), "px": (1.0, "px")}
"""Unit → factor and unit to show it in."""


def calibrate(session: Session, reason: str) -> None:
    """Identify offsets, and with `calibration.geometry` frames; write layer, JSON and report."""
    config = session.config
    with session.stage("stage", f"compose {config.robot} in {config.scene}"):
        stage = rig(session, STAGE)
        scene = read_stage(stage)
    with session.stage("read", f"read poses of {config.recording.name}"):
        train, heldout, joints, sha256 = _measured(session, scene)
    assert config.recording.marker is not None, "checked by the schema"
    body = config.recording.marker.body
    with session.stage("calibrate_kinematics", "fit offsets and frames (torch)"):
        result = fit_kinematics(
            scene,
            joints,
            train,
            heldout=heldout,
            body=body,
            geometry=config.calibration.geometry,
            provenance={
                "recording": config.recording.name,
                "data_sha256": sha256,
                "configuration_sha256": configuration_hash(config),
            },
        )
    for words in result.metrics["unknown"]:
        session.note(words)
    result.write(session.directory / "calibration.json")
    layer = write_calibration(session.directory / "calibration.usda", stage, result)
    calibrated = read_stage(rig(session, "calibrated.usda", layer))
    # Measured on what the layer says, not on what the fit thinks that it found.
    errors = {
        name: stage_errors(s, joints, train, heldout, body)
        for name, s in (("nominal", scene), ("calibrated", calibrated))
    }
    verdict = _verdict(body, errors)
    with session.stage("report", "write the report"):
        page = _page(session, result, errors, body, (len(train.q), len(heldout.q)))
        page.write(session.directory / "report.html")
    settle(session, verdict, reasons=[reason], judged_on=[f"{len(heldout.q)} poses"])
    session.metrics |= {
        "recording": config.recording.name,
        "joints": list(joints),
        "reasons": [reason],
        "versions": versions(),
        "parameters": values_of(result),
        **{f"{k}_poses": len(m.q) for k, m in (("train", train), ("heldout", heldout))},
        **{
            f"{'heldout' if name == 'calibrated' else name}_rms_{kind}": _rms(d)
            for name, found in errors.items()
            for kind, d in found.items()
        },
        **{k: result.metrics[k] for k in ("rank", "unknown")},
    }
    session.write_json("metrics.json", session.metrics)
    told = "; ".join(
        f"{_shown(kind, _rms(d))} (nominal {_shown(kind, _rms(errors['nominal'][kind]))})"
        for kind, d in errors["calibrated"].items()
    )
    session.console.print(f"held-out error, root mean square: {told}", soft_wrap=True)
    refuse(verdict, force=config.force)
    for name, file in (("report", "report.html"), ("calibration", layer.name)):
        session.console.print(f"{name:<12} {session.directory / file}", soft_wrap=True)


def _measured(
    session: Session, scene: Scene
) -> tuple[Marker, Marker, tuple[str, ...], dict[str, str]]:
    """Return what trains and what judges, the joints, and the hashes of the files."""
    config, split = session.config, session.config.split()
    marker, joints, sha256 = _table(config.recording, scene)
    if split.trains_on:
        raise ConfigError(
            "method kinematics fits the recording itself: recording.train may name rows of it, "
            "recording.test rows or other recordings"
        )
    n = len(marker.q)
    if split.judged_on:
        if len(split.judged_on) > 1:
            raise ConfigError("method kinematics is judged by one other recording, not by several")
        other = named_recording(config, split.judged_on[0])
        if other.marker is None:
            raise ConfigError(f"recording.test: '{other.name}' holds no poses of a marker")
        heldout, others, more = _table(other, scene)
        if others != joints or heldout.kinds != marker.kinds:
            raise CalibrationError(
                f"recordings '{config.recording.name}' and '{other.name}' must have the same "
                "joints and measure the same"
            )
        rows = np.arange(n, dtype=float)
        train = marker
        if split.train is not None:
            train = marker.part(np.flatnonzero(split.train.covers(rows)))
        return train, heldout, joints, sha256 | more
    if split.train is None and split.test is None:
        # Poses are often taken along a grid: a part of the list would be a part of the room.
        order = np.random.default_rng(config.seed).permutation(n)
        cut = round(split.train_fraction * n)
        return marker.part(np.sort(order[:cut])), marker.part(np.sort(order[cut:])), joints, sha256
    trains, judges = split.within(np.arange(n, dtype=float))
    train, heldout = (marker.part(np.flatnonzero(chosen)) for chosen in (trains, judges))
    return train, heldout, joints, sha256


def _table(
    described: RecordingConfig, scene: Scene
) -> tuple[Marker, tuple[str, ...], dict[str, str]]:
    """Return the measurements of a recording, its joints, and the hash of its file."""
    marker, path = described.marker, Path(described.path)
    assert marker is not None, "checked by the caller"
    movable = [j for j in scene.robot.joints if j.kind != "fixed"]
    length = LENGTHS[marker.length_unit]
    factors = {
        j.name: length if j.kind == "prismatic" else ANGLES[marker.angle_unit] for j in movable
    }
    found, joints = read_markers(
        path,
        [j.name for j in movable],
        marker.intrinsics or None,
        names=_names(described, marker),
        factors=factors | dict.fromkeys(POSITION, length),
        ignore=marker.ignore,
    )
    return found, joints, {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def _names(described: RecordingConfig, marker: MarkerConfig) -> dict[str, str]:
    """Return the table's names of columns → joints and parts of a pose."""
    return {k: v for k, v in described.joint_names.items() if v} | marker.columns


def _rms(distances: Float[np.ndarray, "pose"]) -> float:
    return float(np.sqrt((distances**2).mean()))


def _verdict(body: str, errors: dict[str, Distances]) -> Verdict:
    comparisons = tuple(
        Comparison(
            kind.rpartition("_")[0],
            np.array([_rms(errors["nominal"][kind])]),
            np.array([_rms(distances)]),
            decides=True,
        )
        for kind, distances in errors["calibrated"].items()
    )
    return Verdict((body,), comparisons)


def _shown(kind: str, value: float) -> str:
    what, _, unit = kind.rpartition("_")
    factor, shown = SHOWN[unit]
    return f"{what} {factor * value:.4g} {shown}"


def _page(
    session: Session,
    result: CalibrationResult,
    errors: dict[str, Distances],
    body: str,
    poses: tuple[int, int],
) -> Page:
    config = session.config
    page = Page(
        title="Calibration of kinematics",
        lead=f"Robot {config.robot}, recording {config.recording.name}, a marker on {body}: "
        f"{poses[0]} poses train, {poses[1]} judge.",
    )
    page.cards(
        [
            (
                _shown(kind, _rms(found[kind])).partition(" ")[2],
                f"held-out {kind.partition('_')[0]} error, {name}",
            )
            for name, found in errors.items()
            for kind in found
        ]
    )
    page.section(
        "Held-out poses",
        "How far the marker is from where it was measured, in poses that no fit has seen. Where "
        "camera and marker are is fitted to the training poses, for the stage as it was as well.",
    )
    for kind in errors["nominal"]:
        what, _, unit = kind.rpartition("_")
        factor, shown = SHOWN[unit]
        drawn = plots.poses({n: factor * d[kind] for n, d in errors.items()}, f"{what}, {shown}")
        page.image(drawn, f"{what} error of each held-out pose")
    if result.metrics["unknown"]:
        page.section("What these poses leave open", "It stays where the stage has it.")
        for words in result.metrics["unknown"]:
            page.text(f"{words}.")
    parameter_table(
        page,
        result,
        "Offsets are what encoders read too little; frames are screws that move a joint in its "
        "parent. Tinted rows rest on the stage, not on the data.",
    )
    provenance(page, result.provenance["data_sha256"])
    return page
