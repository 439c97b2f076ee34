"""What stands between the scene and its pictures: lens, exposure, sensors; values only."""

from dataclasses import dataclass

import numpy as np

from envs.errors import ConfigError
from envs.stage.looks import StageCamera
from generators.camera import Lens
from generators.distributions import Distribution


@dataclass(frozen=True)
class Exposure:
    """How light is gathered for one picture.

    Attributes:
        aperture_m: Diameter of the lens's opening, the focal length over the f-number; 0: a point.
        focus_m: Distance along the axis at which things are sharp; None: that of what is shown.
        shutter_s: When it opens and closes, about the picture's time.
        samples: How many pictures are averaged.
    """

    aperture_m: float = 0.0
    focus_m: float | None = None
    shutter_s: tuple[float, float] = (0.0, 0.0)
    samples: int = 16

    def __post_init__(self) -> None:
        """Refuse what gathers no light, and samples that show nothing but themselves."""
        opened, closed = self.shutter_s
        focus = 1.0 if self.focus_m is None else self.focus_m
        if not (0 <= self.aperture_m <= 1 and 0 < focus < np.inf and -10 <= opened <= closed <= 10):
            raise ConfigError(
                "an exposure needs an aperture in 0..1 m, a focus > 0 m and a shutter that opens "
                f"before it closes, within 10 s; found {self.aperture_m} m, {self.focus_m} m and "
                f"{list(self.shutter_s)} s"
            )
        if not 2 <= self.samples <= 4096:
            raise ConfigError(f"an exposure takes 2 to 4096 samples, not {self.samples}")

    @staticmethod
    def from_stage(camera: StageCamera) -> "Exposure":
        """Return that of a stage's camera."""
        return Exposure(
            aperture_m=camera.focal_m / camera.f_stop if camera.f_stop > 0 else 0.0,
            focus_m=camera.focus_m if camera.f_stop > 0 else None,
            shutter_s=camera.shutter_s,
        )

    @property
    def blurs(self) -> bool:
        """Whether there is anything to average."""
        return self.aperture_m > 0 or self.shutter_s[0] < self.shutter_s[1]


@dataclass(frozen=True)
class SensorRanges:
    """One distribution per property of the sensor.

    Attributes:
        full_well_e: Electrons at white: the fewer, the noisier.
        read_noise_e: Standard deviation of the read-out, in electrons.
        blur_px: Standard deviation of the lens's point spread, in pixels.
        vignetting: Share of the light that is lost in the corner farthest from the axis.
        white_balance: How far the gains of red and blue are off, −0.1 is 10 % too little.
        jpeg_quality: 1..100; 0 writes no JPEG.
    """

    full_well_e: Distribution
    read_noise_e: Distribution
    blur_px: Distribution
    vignetting: Distribution
    white_balance: Distribution
    jpeg_quality: Distribution

    def draw(self, rng: np.random.Generator) -> "Sensor":
        """Return the sensor of one picture."""
        return Sensor(
            full_well_e=self.full_well_e.sample(rng),
            read_noise_e=self.read_noise_e.sample(rng),
            blur_px=self.blur_px.sample(rng),
            vignetting=self.vignetting.sample(rng),
            gains=(1 + self.white_balance.sample(rng), 1.0, 1 + self.white_balance.sample(rng)),
            jpeg_quality=round(self.jpeg_quality.sample(rng)),
        )


@dataclass(frozen=True)
class Sensor:
    """The sensor of one picture; see `SensorRanges`. `gains` are of red, green and blue."""

    full_well_e: float
    read_noise_e: float = 0.0
    blur_px: float = 0.0
    vignetting: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no sensor."""
        if not (
            1 <= self.full_well_e < np.inf
            and 0 <= self.read_noise_e < np.inf
            and 0 <= self.blur_px <= 100
            and 0 <= self.vignetting <= 1
            and 0 < min(self.gains) <= max(self.gains) < 10
            and 0 <= self.jpeg_quality <= 100
        ):
            raise ConfigError(
                "a sensor needs full_well_e ≥ 1, read_noise_e ≥ 0, blur_px in 0..100, vignetting "
                f"in 0..1, gains in 0..10 and jpeg_quality in 0..100; found {self}"
            )


@dataclass(frozen=True)
class Optics:
    """All of it.

    Attributes:
        lens: A calibrated one; None for that of the stage's camera.
        exposure: Depth of field and motion blur; None for those of the stage's camera.
        sensor: Of the colour pictures; None for an ideal one.
        depth_sensor: Whether a measured depth is written beside the exact one.
    """

    lens: Lens | None = None
    exposure: Exposure | None = None
    sensor: SensorRanges | None = None
    depth_sensor: bool = False


IDEAL = Optics()
"""The stage's camera with ideal sensors."""
