"""The keys of camera and sensors: what they become, and what is refused by name."""

import pytest

from conf.imaging import CameraConfig, SensorConfig, optics
from envs.errors import ConfigError
from generators.camera import Lens
from generators.distortion import Distortion
from generators.distributions import Uniform
from generators.optics import Optics

SIZE = (640, 480)
FOLDED, BENT = [-1.0, 0.0, 0.0, 0.0], [-0.1, 0.02, 0.0, 0.0]


def calibrated(
    distortion: list[float], *, cx: float = 320.0, aperture_m: float | None = None
) -> CameraConfig:
    return CameraConfig(500.0, 501.0, cx, 240.0, distortion, aperture_m)


def test_without_a_word_the_stage_s_camera_is_taken() -> None:
    made = optics(CameraConfig(), SensorConfig(), *SIZE)
    assert made == Optics()


def test_keys_become_optics() -> None:
    camera = calibrated(BENT, aperture_m=0.01)
    camera.shutter_s = [-0.01, 0.01]
    made = optics(camera, SensorConfig(rgb=True, depth=True, blur_px=[0.1, 0.2]), *SIZE)
    assert made.lens == Lens(500, 501, 320, 240, Distortion(-0.1, 0.02))
    assert made.exposure is not None
    assert made.exposure.shutter_s == (-0.01, 0.01)
    assert made.exposure.aperture_m == 0.01
    assert made.sensor is not None
    assert made.sensor.blur_px == Uniform(0.1, 0.2)
    assert made.depth_sensor


@pytest.mark.parametrize(
    ("camera", "sensor", "message"),
    [
        (CameraConfig(fx=500.0), SensorConfig(), "all of fx, fy, cx and cy"),
        (CameraConfig(distortion=[0.1] * 4), SensorConfig(), "all of fx"),
        (calibrated(BENT, cx=700.0), SensorConfig(), "camera.cx is 700.0; allowed"),
        (calibrated(FOLDED), SensorConfig(), "folds the picture"),
        (CameraConfig(focus_m=1.0), SensorConfig(), "focus_m needs camera.aperture_m"),
        (CameraConfig(shutter_s=[0.1]), SensorConfig(), r"camera.shutter_s is \[0.1\]; allowed"),
        (
            CameraConfig(shutter_s=[0.1, 0.0]),
            SensorConfig(),
            r"camera.shutter_s is \[0.1, 0.0\]; allowed",
        ),
        (
            CameraConfig(),
            SensorConfig(blur_px=[2.0, 1.0]),
            r"sensor.blur_px is \[2.0, 1.0\]; allowed",
        ),
        (CameraConfig(), SensorConfig(blur_px=[2.0]), r"sensor.blur_px is \[2.0\]; allowed"),
        (CameraConfig(), SensorConfig(vignetting=[0.0, 1.1]), r"sensor.vignetting is \[0.0, 1.1\]"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(
    camera: CameraConfig, sensor: SensorConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        optics(camera, sensor, *SIZE)
