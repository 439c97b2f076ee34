"""The keys of camera and sensors, and the plain optics that they become."""

from dataclasses import dataclass, field

from conf.checks import between, pair
from envs.errors import ConfigError
from generators.camera import Lens, check_border
from generators.distortion import Distortion
from generators.distributions import Uniform
from generators.optics import Exposure, Optics, SensorRanges


@dataclass
class CameraConfig:
    """A calibrated camera, for pictures of images.width × images.height; the stage's without it.

    The centre of the top-left pixel is (0, 0). `distortion` is OpenCV's list: k1 k2 p1 p2 [k3 [k4
    k5 k6]]. An opening of aperture_m blurs what is not at focus_m (null: the middle of the
    picture), and a shutter that is open from shutter_s[0] to shutter_s[1] what moves.
    """

    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    distortion: list[float] = field(default_factory=list)
    aperture_m: float | None = None
    focus_m: float | None = None
    shutter_s: list[float] = field(default_factory=list)
    samples: int = 16

    def exposure(self) -> Exposure | None:
        """Return depth of field and motion blur, or None for the stage's own.

        Raises:
            ConfigError: The numbers make no exposure.
        """
        if self.aperture_m is not None:
            between("camera.aperture_m", self.aperture_m, 0.0, 1.0)
        if self.focus_m is not None:
            between("camera.focus_m", self.focus_m, 1e-3, 1e6)
        if self.shutter_s:
            pair("camera.shutter_s", self.shutter_s, -10.0, 10.0)
        between("camera.samples", self.samples, 2, 4096)
        if self.aperture_m is None and not self.shutter_s:
            if self.focus_m is not None:
                raise ConfigError("camera.focus_m needs camera.aperture_m")
            return None
        opened, closed = self.shutter_s or (0.0, 0.0)
        return Exposure(self.aperture_m or 0.0, self.focus_m, (opened, closed), self.samples)

    def lens(self, width: int, height: int) -> Lens | None:
        """Return it, or None for the stage's own.

        Raises:
            ConfigError: Only some of the numbers are given, or they make no camera.
        """
        fx, fy, cx, cy = self.fx, self.fy, self.cx, self.cy
        if fx is None or fy is None or cx is None or cy is None:
            if self.distortion or not fx is fy is cx is cy is None:
                raise ConfigError("camera needs all of fx, fy, cx and cy, or none of its keys")
            return None
        between("camera.fx", fx, 1.0, 1e6)
        between("camera.fy", fy, 1.0, 1e6)
        between("camera.cx", cx, 0.0, width - 1.0)
        between("camera.cy", cy, 0.0, height - 1.0)
        try:
            lens = Lens(fx, fy, cx, cy, Distortion.from_opencv(self.distortion))
            check_border(lens, width, height)
        except ConfigError as error:
            raise ConfigError(f"camera.distortion is {self.distortion}: {error}") from error
        return lens


@dataclass
class SensorConfig:
    """What sensors make of the pictures, see generators/sensor.py and depth_sensor.py.

    A pair is drawn uniformly between its two values, for each picture.
    """

    rgb: bool = False
    depth: bool = False
    full_well_e: list[float] = field(default_factory=lambda: [5000.0, 20000.0])
    read_noise_e: list[float] = field(default_factory=lambda: [2.0, 8.0])
    blur_px: list[float] = field(default_factory=lambda: [0.3, 0.8])
    vignetting: list[float] = field(default_factory=lambda: [0.0, 0.3])
    white_balance: list[float] = field(default_factory=lambda: [-0.08, 0.08])
    jpeg_quality: list[float] = field(default_factory=lambda: [75.0, 95.0])

    def ranges(self) -> SensorRanges | None:
        """Return the colour sensor, or None for an ideal one.

        Raises:
            ConfigError: A value is no [low, high], or makes no sensor.
        """
        limits = {
            "full_well_e": (1.0, 1e9),
            "read_noise_e": (0.0, 1e6),
            "blur_px": (0.0, 100.0),
            "vignetting": (0.0, 1.0),
            "white_balance": (-0.9, 2.0),
            "jpeg_quality": (0.0, 100.0),
        }
        drawn = {}
        for name, (lowest, highest) in limits.items():
            bounds = getattr(self, name)
            pair(f"sensor.{name}", bounds, lowest, highest)
            drawn[name] = Uniform(*bounds)
        return SensorRanges(**drawn) if self.rgb else None


def optics(camera: CameraConfig, sensor: SensorConfig, width: int, height: int) -> Optics:
    """Return lens, exposure and sensors for pictures of a size.

    Raises:
        ConfigError: One of them cannot be.
    """
    return Optics(camera.lens(width, height), camera.exposure(), sensor.ranges(), sensor.depth)
