"""The XL330's logs, and logs that a servo with known parameters would have made."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from assets.catalog import ROBOT_STAGES
from calibration.servo_runs import STEP_S, Firmware, Playback, ServoRun, servo_run
from envs.stage.layers import write_rig
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.alignment import align
from envs.telemetry.read import read
from envs.telemetry.trajectory import Trajectory
from tests.envs.telemetry.tiny import shipped

COUNT = 4096 / (2 * np.pi) / (256 * 885)
FIRMWARE = Firmware("kp", COUNT, "vin")
TRUTH = np.array([0.42, 3.1, 0.4, 0.008, 0.002, 0.03, 0.12, 0.1, 0.8, 0.0015, 0.006, 0.02])


def pendulum(folder: Path) -> Scene:
    rig = write_rig(folder / "rig.usda", scene=None, robot=ROBOT_STAGES["xl330_pendulum"])
    return read_stage(rig)


def real_runs() -> list[ServoRun]:
    """Return all twelve logs; the test is skipped where they are missing."""
    source = shipped("xl330_pendulum")
    runs = []
    for path in sorted(source.path.parent.glob("*.json")):
        recording = read(replace(source, path=path))
        runs.append(servo_run(path.stem, recording, align(recording, ["pendulum"]), FIRMWARE))
    return runs


def written_run(
    command: np.ndarray, *, kp: float, supply_v: float = 7.4, q0: float = 0.0, on: bool = True
) -> ServoRun:
    """Return a run whose position is not yet known."""
    t_s = np.arange(len(command)) * STEP_S
    q = np.full((len(command), 1), q0)
    trajectory = Trajectory(t_s, ("pendulum",), q, q_command=command[:, None])
    return ServoRun(f"kp {kp}", kp * COUNT, supply_v, trajectory, np.full(len(command), on))


def played(scene: Scene, run: ServoRun, candidate: np.ndarray, noise: np.ndarray) -> ServoRun:
    """Return the run as a servo would have logged it, between the samples on a straight line."""
    q = Playback(scene, [run]).play(candidate[None])[0, 0]
    q = np.round((q + noise[: len(q)]) * 4096 / (2 * np.pi)) * 2 * np.pi / 4096
    t_s = run.trajectory.t_s
    full = np.interp(t_s, t_s[:: len(t_s) // len(q)][: len(q)], q)[:, None]
    return replace(run, trajectory=replace(run.trajectory, q=full))
