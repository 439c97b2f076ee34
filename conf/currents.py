"""Recordings of motor currents instead of efforts: the drive gains that turn one into the other."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from calibration.drive_gain import GIVEN_STD, Gains, first_gains
from conf.outcome import Prepared
from conf.preparing import Data
from conf.session import Session
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.filtering import motion
from envs.telemetry.trajectory import Trajectory
from envs.world.encoders import from_readings


def assume_gains(session: Session, data: Data, *, fits: bool) -> Data:
    """Return a run's recordings with the drive gains that a fit of their currents starts from.

    All take the gains of the one that is fitted: what is not given is started from its training
    part and the model, if its currents are what a method `fits`.

    Raises:
        CalibrationError: A current has the wrong sign, or never changes.
    """
    first = data.fitted[0]
    gains: Gains | None = None
    if fits and first.trajectory.current is not None:
        gains = _started(session, first)
    # What is one recording stays one.
    made = {id(p): p for p in (data.own, *data.fitted, *data.judging)}
    made = {key: _with(session, p, gains or known_gains(p)) for key, p in made.items()}
    return Data(
        made[id(data.own)],
        tuple(made[id(p)] for p in data.fitted),
        tuple(made[id(p)] for p in data.judging),
    )


def known_gains(data: Prepared) -> Gains | None:
    """Return the gains that the stage or the description tell; None where one is missing."""
    given, std = _given(data)
    return Gains(given, std) if (given > 0).all() else None


def with_known_gains(session: Session, data: Prepared) -> Prepared:
    """Return a recording with the gains that the stage or the description tell, if they do."""
    return _with(session, data, known_gains(data))


def as_current(scene: Scene, simulated: Trajectory, gains: Gains) -> Trajectory:
    """Return a simulated trajectory with the current that its torque takes in place of it.

    Args:
        scene: Its own drive gains speak first.
        simulated: With torque.
        gains: Of joints that the scene tells nothing of.
    """
    assert simulated.tau is not None, "a kinematic replay has it"
    own = np.array([scene.robot.joint(name).drive_gain for name in simulated.joints])
    gain = np.where(own > 0, own, gains.nominal)
    return replace(simulated, tau=None, current=simulated.tau / gain)


def _given(data: Prepared) -> tuple[Float[np.ndarray, "joint"], Float[np.ndarray, "joint"]]:
    """Return what is said of each gain, 0 where nothing is, and its relative deviation.

    What the description calls known comes first, then what the stage has, from an earlier
    calibration perhaps, then the rest of the description.
    """
    values, stds = [], []
    for name in data.trajectory.joints:
        own, said = data.scene.robot.joint(name).drive_gain, data.recording.drive_gains.get(name)
        if said is not None and (said.std == 0 or own == 0):
            values.append(said.value)
            stds.append(GIVEN_STD if said.std is None else said.std)
        else:
            values.append(own)
            stds.append(GIVEN_STD)
    return np.array(values), np.array(stds)


def _started(session: Session, data: Prepared) -> Gains:
    measured = _in_amperes(session, data)
    assert measured.motion is not None, "just made"
    scene, joints = data.scene, data.trajectory.joints
    given, std = _given(data)
    gains = first_gains(
        reduce_tree(scene.robot, joints, scene.gravity_mps2),
        [scene.robot.joint(name) for name in joints],
        measured.motion,
        measured.train,
        data.cutoff_hz,
        given,
        std,
    )
    started = [
        f"{j} {k:.3g}" for j, k, g in zip(joints, gains.nominal, given, strict=True) if not g
    ]
    if started:
        session.note(
            "drive gains that are not given (drive_gain of the current, N·m/A) start from the "
            f"model's torque over the measured current: {', '.join(started)}"
        )
    return gains


def _in_amperes(session: Session, data: Prepared) -> Prepared:
    """Return a recording whose motion has the current, A, where others have the torque."""
    measured = replace(data.trajectory, tau=data.trajectory.current)
    return replace(
        data,
        motion=motion(
            from_readings(data.scene.robot, measured),
            cutoff_hz=data.cutoff_hz,
            trim_s=session.config.calibration.trim_s,
        ),
    )


def _with(session: Session, data: Prepared, gains: Gains | None) -> Prepared:
    if data.trajectory.current is None or gains is None:
        return data
    measured = _in_amperes(session, data)
    assert measured.motion is not None, "just made"
    torque = replace(measured.motion, tau=measured.motion.tau * gains.nominal)
    return replace(measured, motion=torque, gains=gains)
