"""What the stages of a run hand on to one another, and in the end to the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

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
    """What every task starts from: the recording on one clock, and the stage it is about.

    Attributes:
        train_end_s: The held-out part begins here.
        motion: Low-passed motion and torque; None without measured effort.
    """

    recording: Recording
    findings: tuple[Finding, ...]
    trajectory: Trajectory
    stage: Path
    scene: Scene
    train_end_s: float
    cutoff_hz: float
    motion: Motion | None

    @property
    def train(self) -> Bool[np.ndarray, "time"]:
        """The samples to fit; the filter does not carry the held-out part into them."""
        use = self.trajectory.measured if self.motion is None else self.motion.use
        return use & (self.trajectory.t_s < self.train_end_s - reach_s(self.cutoff_hz))

    @property
    def heldout(self) -> Bool[np.ndarray, "time"]:
        """The samples that judge: measured, and recorded after the training part."""
        use = self.trajectory.measured if self.motion is None else self.motion.use
        return use & (self.trajectory.t_s >= self.train_end_s)


@dataclass(frozen=True)
class Replayed:
    """A recording played back on one stage, and how far that is from the held-out part.

    Attributes:
        kinematic: The recorded motion imposed; None without measured effort.
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
    def position_rmse(self) -> np.ndarray | None:
        """Error of the motion that the recorded commands give, per joint, rad or m."""
        return None if self.dynamic_error is None else self.dynamic_error.q


@dataclass(frozen=True)
class Calibrated:
    """What the methods found, each and together, and the stage with the layer of it on top."""

    by_method: dict[str, CalibrationResult]
    result: CalibrationResult
    layer: Path
    stage: Path


@dataclass(frozen=True)
class Images:
    """A data set and the contact sheet of it."""

    made: Summary
    preview: Path


@dataclass(frozen=True)
class Outcome:
    """All that a run made; None for what its task does not make.

    Attributes:
        nominal: Replay on the twin as it was.
        calibrated: Replay on the twin with a calibration layer.
        fit: The calibration itself.
        truth: Of a simulated recording.
    """

    data: Prepared
    nominal: Replayed | None = None
    calibrated: Replayed | None = None
    fit: Calibrated | None = None
    images: Images | None = None
    truth: Truth | None = None

    @property
    def replays(self) -> dict[str, Replayed]:
        """The replays that were made, by name."""
        made = {"nominal": self.nominal, "calibrated": self.calibrated}
        return {name: replayed for name, replayed in made.items() if replayed is not None}
