"""What the stages of a run hand on to one another, and in the end to the report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation

from calibration.drive_gain import Gains
from calibration.residuals import Errors
from calibration.result import CalibrationResult
from calibration.truth import Truth
from envs.stage.scene import Scene
from envs.telemetry.filtering import Motion, reach_s
from envs.telemetry.quality import Finding
from envs.telemetry.recording import Recording
from envs.telemetry.trajectory import Trajectory
from generators.generate import Summary


@dataclass(frozen=True)
class Prepared:
    """A recording on one clock, and the stage it is about.

    Attributes:
        stage: Root layer of the scene with the robot, before any calibration.
        motion: Low-passed motion and torque; None without measured effort, or current with gains.
        gains: By whose nominal values the motion's torque is a measured current.
        trains: Instants to fit.
        judges: Instants that no fit may see.
        individual: Which robot of its make it is.
    """

    recording: Recording
    findings: tuple[Finding, ...]
    trajectory: Trajectory
    robot: str
    stage: Path
    scene: Scene
    cutoff_hz: float
    motion: Motion | None
    trains: Bool[np.ndarray, "time"]
    judges: Bool[np.ndarray, "time"]
    individual: str = ""
    gains: Gains | None = None

    @property
    def train(self) -> Bool[np.ndarray, "time"]:
        """The samples to fit; the filter does not carry the held-out part into them."""
        reach = math.ceil(reach_s(self.cutoff_hz) / self.trajectory.dt_s)
        clear = ~binary_dilation(self.judges, np.ones(2 * reach + 1))
        return np.asarray(self._use & self.trains & clear)

    @property
    def heldout(self) -> Bool[np.ndarray, "time"]:
        """The samples that judge: measured, and not of the training part."""
        return np.asarray(self._use & self.judges)

    @property
    def _use(self) -> Bool[np.ndarray, "time"]:
        return self.trajectory.measured if self.motion is None else self.motion.use

    @property
    def training(self) -> Trajectory:
        """The trajectory up to its last training sample, all others counted as not measured."""
        end = int(np.flatnonzero(self.trains)[-1]) + 1
        whole = replace(self.trajectory, valid=self.trajectory.measured & self.trains)
        return whole.span(-np.inf, float(self.trajectory.t_s[end - 1]) + 0.5 * whole.dt_s)


@dataclass(frozen=True)
class Replayed:
    """A recording played back on one stage, and how far that is from the held-out part.

    Attributes:
        kinematic: The recorded motion imposed; None without measured effort or current.
        dynamic: The recorded commands obeyed; None without commands.
    """

    kinematic: Trajectory | None
    dynamic: Trajectory | None
    kinematic_error: Errors | None
    dynamic_error: Errors | None

    @property
    def torque_rmse(self) -> np.ndarray | None:
        """Error of the torque that the recorded motion takes, per joint, N·m or N."""
        return None if self.kinematic_error is None else self.kinematic_error.tau

    @property
    def current_rmse(self) -> np.ndarray | None:
        """Error of the current that the recorded motion takes, per joint, A."""
        return None if self.kinematic_error is None else self.kinematic_error.current

    @property
    def position_rmse(self) -> np.ndarray | None:
        """Error of the motion that the recorded commands give, per joint, rad or m."""
        return None if self.dynamic_error is None else self.dynamic_error.q

    @property
    def position_mae(self) -> np.ndarray | None:
        """The same as a mean of absolute values."""
        return None if self.dynamic_error is None else self.dynamic_error.q_mae


@dataclass(frozen=True)
class Calibrated:
    """What the methods found, each and together, and the stage with the layer of it on top.

    Attributes:
        data: The recording that was fitted.
        reasons: Why these methods, and not others.
        cpu_s: Processor time of all fits, that of worker processes included.
    """

    data: Prepared
    by_method: dict[str, CalibrationResult]
    result: CalibrationResult
    layer: Path
    stage: Path
    reasons: tuple[str, ...]
    cpu_s: float


@dataclass(frozen=True)
class Images:
    """A data set and the contact sheet of it."""

    made: Summary
    preview: Path


@dataclass(frozen=True)
class Judged:
    """A recording that judges, and what the twin makes of it: "nominal", "calibrated" or both."""

    data: Prepared
    replays: Mapping[str, Replayed]


@dataclass(frozen=True)
class Outcome:
    """All that a run made; None, or nothing, for what its task does not make.

    Attributes:
        data: The chosen recording.
        judged: The recordings that judge; the chosen one alone where no other is named.
        fit: The calibration itself.
        truth: Of a simulated recording.
    """

    data: Prepared
    judged: tuple[Judged, ...] = ()
    fit: Calibrated | None = None
    images: Images | None = None
    truth: Truth | None = None

    @property
    def recordings(self) -> list[Prepared]:
        """The recordings of the run, each once: the chosen one, what was fitted, what judged."""
        found = {self.data.recording.name: self.data}
        fitted = [] if self.fit is None else [self.fit.data]
        for data in (*fitted, *(judged.data for judged in self.judged)):
            found.setdefault(data.recording.name, data)
        return list(found.values())

    def torque_rmse(self) -> dict[str, Float[np.ndarray, "joint"]]:
        """Return the held-out torque error of each replay over all that judge, N·m or N."""
        return self._pooled("torque_rmse", 2)

    def current_rmse(self) -> dict[str, Float[np.ndarray, "joint"]]:
        """Return the held-out error of the current of each replay over all that judge, A."""
        return self._pooled("current_rmse", 2)

    def position_rmse(self) -> dict[str, Float[np.ndarray, "joint"]]:
        """Return the held-out position error of each replay over all that judge, rad or m."""
        return self._pooled("position_rmse", 2)

    def position_mae(self) -> dict[str, Float[np.ndarray, "joint"]]:
        """Return the same as a mean of absolute values."""
        return self._pooled("position_mae", 1)

    def _pooled(self, of: str, power: int) -> dict[str, Float[np.ndarray, "joint"]]:
        pooled = {}
        for name in dict.fromkeys(name for j in self.judged for name in j.replays):
            errors = [getattr(j.replays[name], of) for j in self.judged]
            if any(error is None for error in errors):
                continue
            samples = [j.data.heldout.sum() for j in self.judged]
            mean = np.average(np.array(errors) ** power, axis=0, weights=samples)
            pooled[name] = np.asarray(mean ** (1 / power))
        return pooled
