"""Every key of the configuration: its type, its default and what it may be.

The YAML groups beside this file only choose values. Hydra checks names and types against these
dataclasses; `__post_init__` checks ranges. `typed` gives the tasks plain objects, so that no code
below `conf/` sees OmegaConf.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf

from assets import catalog
from conf.checks import between, pair
from conf.imaging import CameraConfig, SensorConfig, optics
from conf.split import Split, part
from conf.telemetry import RecordingConfig
from envs.errors import ConfigError, unknown
from envs.telemetry.source import UNITS
from generators.labels.conventions import Label
from generators.optics import Optics
from generators.ranges import LIMITS, Ranges

ROOT = Path(__file__).resolve().parents[1]


Task = Enum(
    "Task",
    [
        "pipeline",
        "replay",
        "calibrate",
        "generate",
        "excite",
        "import",
        "inspect",
        "validate",
        "doctor",
    ],
)
"""What a run does; `pipeline` is replay, calibrate and generate in order."""


class Device(Enum):
    """What draws: `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Method(Enum):
    """How parameters are identified; `auto` takes what the recording has the signals for."""

    auto = "auto"
    torch = "torch"
    lm = "lm"
    cmaes = "cmaes"
    servo = "servo"
    kinematics = "kinematics"


class Engine(Enum):
    """Whose rollouts CMA-ES tries its candidates on: the fast twin's, or PyBullet's own."""

    twin = "twin"
    bullet = "bullet"


Loss = Enum("Loss", ["huber", "squares"])
"""How torque residuals count: huber bends to no outlier, squares is plain least squares."""

Fitted = Enum("Fitted", ["coulomb", "viscous", "armature", "stiffness", "damping", "delay_s"])
"""What rollouts fit of a joint: `calibration.segments.FITTED`, which `--help` need not load."""


@dataclass
class CalibrationConfig:
    """The identification; `train_fraction` holds where the recording does not say what trains."""

    train_fraction: float = 0.7
    folds: int = 0
    cutoff_hz: float = 10.0
    trim_s: float = 0.3
    loss: Loss = Loss.huber
    cmaes_generations: int = 30
    cmaes_candidates: int = 12
    cmaes_engine: Engine = Engine.twin
    shared: list[Fitted] = field(default_factory=list)
    geometry: bool = False
    inertias: list[str] = field(default_factory=list)
    payload: str | None = None
    contacts: bool = False
    contact_friction: list[str] = field(default_factory=list)
    contact_mass: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse what no fit could use."""
        if (self.contact_friction or self.contact_mass) and not self.contacts:
            raise ConfigError(
                "calibration.contact_friction and calibration.contact_mass need "
                "calibration.contacts=true"
            )
        between("calibration.train_fraction", self.train_fraction, 0.1, 0.95)
        if self.folds and not 2 <= self.folds <= 20:
            raise ConfigError(f"calibration.folds is {self.folds}; allowed: 2 to 20, or 0 for none")
        between("calibration.cutoff_hz", self.cutoff_hz, 0.5, 100.0)
        between("calibration.trim_s", self.trim_s, 0.0, 10.0)
        between("calibration.cmaes_generations", self.cmaes_generations, 1, 10_000)
        between("calibration.cmaes_candidates", self.cmaes_candidates, 4, 1024)


@dataclass
class ExcitationConfig:
    """A trajectory to record for a calibration: one period of a Fourier series, and its limits."""

    period_s: float = 10.0
    harmonics: int = 5
    rate_hz: float = 100.0
    acceleration: float = 8.0
    margin_m: float = 0.02
    evaluations: int = 800

    def __post_init__(self) -> None:
        """Refuse what no robot could follow."""
        between("excitation.period_s", self.period_s, 1.0, 120.0)
        between("excitation.harmonics", self.harmonics, 2, 20)
        between("excitation.rate_hz", self.rate_hz, 10.0, 4000.0)
        between("excitation.acceleration", self.acceleration, 0.01, 1000.0)
        between("excitation.margin_m", self.margin_m, 0.0, 0.09)
        between("excitation.evaluations", self.evaluations, 16, 100_000)


@dataclass
class ImagesConfig:
    """The data set: how many images, how large, with a file of which labels for each."""

    count: int = 64
    width: int = 640
    height: int = 480
    labels: list[Label] = field(default_factory=lambda: [Label.depth, Label.instance])

    def __post_init__(self) -> None:
        """Refuse an image nobody can use."""
        between("images.count", self.count, 1, 10_000_000)
        between("images.width", self.width, 16, 4096)
        between("images.height", self.height, 16, 4096)
        if len(set(self.labels)) != len(self.labels):
            found = ", ".join(label.name for label in self.labels)
            raise ConfigError(f"images.labels must name each label once; found [{found}]")


@dataclass
class RandomizationConfig:
    """What varies from picture to picture; a pair is drawn uniformly between its two values."""

    object_count: list[float] = MISSING
    object_radius_m: list[float] = MISSING
    object_azimuth_deg: list[float] = MISSING
    robot_lightness: list[float] = MISSING
    camera_azimuth_deg: list[float] = MISSING
    camera_elevation_deg: list[float] = MISSING
    camera_zoom: list[float] = MISSING
    camera_fill: list[float] = MISSING
    camera_roll_deg: list[float] = MISSING
    light_azimuth_deg: list[float] = MISSING
    light_elevation_deg: list[float] = MISSING
    light_temperature_k: list[float] = MISSING
    light_sun: list[float] = MISSING
    light_sky: list[float] = MISSING
    light_penumbra_m: list[float] = MISSING
    light_dome_share: float = MISSING
    light_lamp_share: float = MISSING
    object_clearance_m: float = MISSING
    texture_share: float = MISSING

    def __post_init__(self) -> None:
        """Refuse anything that is not a pair in order, or no number."""
        for name, (lowest, highest) in LIMITS.items():
            value = getattr(self, name)
            check = pair if isinstance(value, list) else between
            check(f"randomization.{name}", value, lowest, highest)

    def ranges(self) -> Ranges:
        """Return what the generator takes."""
        return Ranges.from_bounds(asdict(self))


@dataclass
class Config:
    """One run."""

    task: Task = Task.pipeline
    method: Method = Method.auto
    force: bool = False
    resume: str | None = None
    robot: str = MISSING
    scene: str = MISSING
    layer: str | None = None
    stage: str | None = None
    asset_root: str | None = None
    urdf: str | None = None
    name: str | None = None
    package_roots: list[str] = field(default_factory=list)
    fixed_base: bool = True
    seed: int = 0
    workers: int = 2
    device: Device = Device.auto
    recordings_dir: str = MISSING
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    excitation: ExcitationConfig = field(default_factory=ExcitationConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    randomization: RandomizationConfig = MISSING
    recording: RecordingConfig = MISSING

    def __post_init__(self) -> None:
        """Refuse names that are not in the catalogue and numbers out of range."""
        robots = catalog.robot_names()
        if not self.robot:
            raise ConfigError("no robot is named: give robot=NAME, or 'robot' in the recording")
        if self.robot not in robots:
            raise ConfigError(unknown("robot", self.robot, robots, where="the catalogue"))
        if self.scene not in catalog.SCENES:
            raise ConfigError(unknown("scene", self.scene, catalog.SCENES, where="the catalogue"))
        self._check_recording()
        self.optics()
        self._check_split()
        self._check_contacts()
        between("seed", self.seed, 0, 2**63 - 1)
        between("workers", self.workers, 1, 256)

    def optics(self) -> Optics:
        """Return lens, exposure and sensors.

        Raises:
            ConfigError: One of them cannot be.
        """
        return optics(self.camera, self.sensor, self.images.width, self.images.height)

    def _check_recording(self) -> None:
        marker, wanted = self.recording.marker, self.method is Method.kinematics
        if self.recording.servo is not None:
            self.recording.servo.check()
        if marker is None:
            self.recording.source()
            if wanted:
                raise ConfigError(
                    f"method kinematics needs measured poses of a marker: recording "
                    f"'{self.recording.name}' has no 'marker' (docs/calibration.md)"
                )
            return
        marker.check()
        if self.recording.streams or self.recording.format != "csv":
            raise ConfigError("a recording with a 'marker' is a table: format csv, and no streams")
        if self.task is not Task.calibrate or not (wanted or self.method is Method.auto):
            raise ConfigError(
                f"recording '{self.recording.name}' holds poses of a marker, which only "
                "task=calibrate with method=kinematics or method=auto can use"
            )

    def _check_split(self) -> None:
        by_metadata = [p for p in (self.split().train, self.split().test) if p and p.metadata]
        runs = self.method is Method.servo
        runs |= self.method is Method.auto and self.recording.servo is not None
        if by_metadata and not runs:
            raise ConfigError(
                f"recording.train and recording.test choose by metadata with method=servo only, "
                f"not with method={self.method.name}"
            )

    def _check_contacts(self) -> None:
        fits = self.task in (Task.calibrate, Task.pipeline)
        engine = self.calibration.cmaes_engine
        if not (self.calibration.contacts and fits):
            return
        if self.method is not Method.cmaes or engine is not Engine.bullet:
            raise ConfigError(
                "calibration.contacts needs method=cmaes and calibration.cmaes_engine=bullet, "
                f"since PyBullet alone knows contacts; found method={self.method.name} and "
                f"calibration.cmaes_engine={engine.name}"
            )

    def split(self) -> Split:
        """Return what trains and what judges.

        Raises:
            ConfigError: A span or a name is not one.
        """
        return Split(
            train=part("recording.train", self.recording.train),
            test=part("recording.test", self.recording.test),
            train_fraction=self.calibration.train_fraction,
        )


def register() -> None:
    """Make the schema and our resolvers known to Hydra."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("root", lambda: str(ROOT), replace=True)
    OmegaConf.register_new_resolver("name_of", lambda choice: choice.name, replace=True)
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


def typed(composed: DictConfig) -> Config:
    """Return the composed configuration as plain dataclasses, every value checked.

    Raises:
        ConfigError: A value is not filled in or out of range, or a name is unknown.
    """
    own = OmegaConf.masked_copy(composed, ours(composed))
    # missing_keys would resolve interpolations first, and stumble over one to a missing value.
    lacking = [_open(key) for key in _unfilled(OmegaConf.to_container(own, resolve=False))]
    if lacking:
        raise ConfigError(f"not filled in (???): {'; '.join(lacking)}")
    plain = OmegaConf.to_container(own, resolve=True)
    # Plain values merged into the bare schema: a key that `+key=value` smuggled in is refused.
    config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    if not isinstance(config, Config):
        raise ConfigError("the configuration was composed without conf/schema.py")
    return config


def named_recording(config: Config, name: str) -> RecordingConfig:
    """Return another recording by its name in conf/recording, or that of an adopted file.

    It is read from the same folder, and is of the same robot where it names none.

    Raises:
        HydraException: There is none of that name; the message lists what there is.
        ConfigError: Its description is not right.
    """
    loader = GlobalHydra.instance().config_loader()
    composed = loader.load_configuration("config", [f"recording={name}"], run_mode=RunMode.RUN)
    composed.recordings_dir = config.recordings_dir
    composed.task, composed.method = config.task, config.method
    if not OmegaConf.select(composed, "recording.robot"):
        # Another log of a user's own robot need not name it again.
        composed.recording.robot = config.robot
    return typed(composed).recording


def _unfilled(value: Any, prefix: str = "") -> list[str]:
    """Return the keys within nested values that are still ???."""
    if isinstance(value, dict):
        return [k for name, v in value.items() for k in _unfilled(v, f"{prefix}.{name}")]
    return [prefix.removeprefix(".")] if value == "???" else []


def _open(key: str) -> str:
    """Return a key that lacks its value, with what is allowed where that is a short list."""
    *_, signal, last = ("", *key.split("."))
    allowed: Iterable[str] = ()
    if key in ("robot", "recording.robot"):
        allowed = catalog.robot_names()
    elif last == "unit":
        allowed = next((units for name, units in UNITS.items() if name == signal), ())
    return f"{key} (one of: {', '.join(allowed)})" if allowed else key


def ours(composed: DictConfig) -> list[str]:
    """Return the top-level keys which are not Hydra's own."""
    return [str(key) for key in composed if key != "hydra"]


def run_directory() -> Path:
    """Return the directory that Hydra made for this run."""
    return Path(HydraConfig.get().runtime.output_dir)


def configuration_hash(config: Config) -> str:
    """Return what tells one configuration from another."""
    return hashlib.sha256(repr(config).encode()).hexdigest()
