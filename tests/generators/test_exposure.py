"""Depth of field against the thin lens, motion blur against speed times time, light's average."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from jaxtyping import Float

from envs.errors import ConfigError
from envs.frames import Pose, inverse, pose
from envs.stage.looks import StageCamera
from generators.camera import Camera, look_at
from generators.distortion import Distortion
from generators.exposure import expose, robot_poses, samples_of, seen_from
from generators.optics import Exposure
from generators.renderer import Frame, Part
from generators.scenario import Scenario, draw, prepare
from generators.srgb import to_linear
from tests.generators import small_table

STUDIO = prepare(small_table.scene(), ("shoulder", "elbow"))
RECORDING = small_table.recording()
SCENARIO = draw(STUDIO, RECORDING, small_table.ranges(), seed=1, index=2, size=(160, 120))
BALL = "ball"
WEBCAM = (-0.28, 0.09, 1.2e-3, -8e-4, -0.01)
RATIONAL = (0.31, 0.12, -9e-4, 6e-4, 0.02, 0.62, 0.21, 0.05)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def still(t_s: float) -> Mapping[str, Pose]:
    return {}


@dataclass(frozen=True)
class Dot:
    """A renderer of one white pixel, where the ball's middle is seen."""

    parts: tuple[Part, ...] = ()

    def render(self, scenario: Scenario, *, colors: bool = True) -> Frame:
        camera = scenario.camera
        rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
        (u, v), z = camera.project(scenario.poses[BALL][:3, 3])
        rgb[round(v), round(u)] = 255
        depth = np.full(rgb.shape[:2], z, np.float32)
        ids = np.zeros(rgb.shape[:2], np.int32)
        return Frame(rgb, depth, ids, ids, camera)

    def close(self) -> None:
        pass


def with_ball(depth_m: float) -> Scenario:
    """A scenario with a ball on the axis of a camera of 50 mm on film of 36 mm."""
    camera = Camera(
        960 * 50 / 36, 960 * 50 / 36, 480.0, 320.0, 960, 640,
        look_at(np.array([1.0, 0.4, 0.5]), np.zeros(3), roll_rad=0.3), 0.05, 50.0,
    )  # fmt: skip
    X_WB = pose(np.eye(3), camera.X_WC[:3, 3] + depth_m * camera.X_WC[:3, 2])
    return replace(SCENARIO, camera=camera, poses={BALL: X_WB})


@pytest.mark.parametrize("depth", [0.5, 0.9, 1.6, 4.0])
def test_the_blur_circle_is_the_thin_lens_s(depth: float) -> None:
    """On the film c = f²/(N(s − f))·|d − s|/d; the film stands at f·s/(s − f) then."""
    f, N, s = 0.05, 2.0, 1.2
    film_per_px = f * s / (s - f) / (960 * 50 / 36)  # fx is the film's distance in pixels
    c_px = f * f / (N * (s - f)) * abs(depth - s) / depth / film_per_px
    scenario = with_ball(depth)
    exposure = Exposure(aperture_m=f / N, focus_m=s, samples=400)
    seen = np.array(
        [
            sample.camera.project(sample.poses[BALL][:3, 3])[0]
            for sample in samples_of(scenario, exposure, still, rng())
        ]
    )
    offset = np.linalg.norm(seen - [480, 320], axis=1)
    # The outermost of 400 points on the spiral lies at √(399.5/400) of the radius.
    assert 2 * offset.max() / np.sqrt(399.5 / 400) == pytest.approx(c_px, rel=1e-9)
    np.testing.assert_allclose(seen.mean(axis=0), [480, 320], atol=0.01 * c_px)
    # A disc that is filled evenly has half of its points within 1/√2 of its radius.
    assert (offset < c_px / 2 / np.sqrt(2)).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("lens", [(), WEBCAM, RATIONAL])
def test_what_is_in_focus_does_not_move(lens: tuple[float, ...]) -> None:
    camera = replace(with_ball(1.0).camera, distortion=Distortion.from_opencv(lens))
    point = camera.unproject(np.array([123.0, 456.0]), np.array(0.8))
    moved = seen_from(camera, np.array([0.01, -0.02]), 0.8)
    np.testing.assert_allclose(moved.project(point)[0], [123, 456], atol=1e-9)
    assert np.linalg.norm(moved.X_WC[:3, 3] - camera.X_WC[:3, 3]) == pytest.approx(
        np.hypot(1, 2) / 100
    )


def opencv(camera: Camera, slopes: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Where OpenCV puts directions (x, y, 1) in the optical frame, with a camera's calibration."""
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    ahead = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=1)
    coefficients = np.array(camera.distortion.coefficients)
    uv: Float[np.ndarray, "n 2"] = cv2.projectPoints(
        ahead, np.zeros(3), np.zeros(3), K, coefficients
    )[0][:, 0]
    return uv


@pytest.mark.parametrize("depth", [0.5, 1.2, 4.0])
@pytest.mark.parametrize("lens", [WEBCAM, RATIONAL])
def test_the_blur_circle_goes_through_the_distortion(lens: tuple[float, ...], depth: float) -> None:
    """In slopes it is the thin lens's disc, of radius aperture/2·|1/z − 1/focus|."""
    aperture, focus = 0.03, 1.2
    scenario = with_ball(depth)
    camera = replace(scenario.camera, distortion=Distortion.from_opencv(lens))
    # Towards a corner of the picture, where the lens bends most.
    off_axis = np.array([0.31, -0.19])
    p_W = camera.X_WC[:3, 3] + depth * camera.X_WC[:3, :3] @ [*off_axis, 1.0]
    scenario = replace(scenario, camera=camera, poses={BALL: pose(np.eye(3), p_W)})
    exposure = Exposure(aperture_m=aperture, focus_m=focus, samples=64)
    samples = samples_of(scenario, exposure, still, rng())
    seen = np.array([sample.camera.project(p_W)[0] for sample in samples])
    moved = np.array([sample.camera.X_WC[:3, 3] - camera.X_WC[:3, 3] for sample in samples])
    d = moved @ camera.X_WC[:3, :2]
    np.testing.assert_allclose(moved @ camera.X_WC[:3, 2], 0, atol=1e-12)
    assert 2 * np.linalg.norm(d, axis=1).max() / np.sqrt(63.5 / 64) == pytest.approx(aperture)
    disc = off_axis + d * (1 / focus - 1 / depth)
    radius = np.linalg.norm(disc - off_axis, axis=1).max() / np.sqrt(63.5 / 64)
    assert radius == pytest.approx(aperture / 2 * abs(1 / depth - 1 / focus))
    np.testing.assert_allclose(seen, opencv(camera, disc), atol=1e-9)
    # And back: what each of them shows at the pixel is the point, and no other.
    for sample, uv in zip(samples, seen, strict=True):
        np.testing.assert_allclose(sample.camera.unproject(uv, np.array(depth)), p_W, atol=1e-12)


def test_directions_through_the_rim_are_opencv_s_less_the_shear() -> None:
    camera = replace(with_ball(1.0).camera, distortion=Distortion.from_opencv(WEBCAM))
    eye, focus = np.array([0.01, -0.006]), 0.7
    moved = seen_from(camera, eye, focus)
    again = moved.seen_at(moved.slopes())
    grid = np.stack(np.meshgrid(np.arange(960.0), np.arange(640.0)), axis=-1)
    np.testing.assert_allclose(again, grid, atol=1e-9)
    uv = opencv(camera, (moved.slopes()[::40, ::40] + eye / focus).reshape(-1, 2))
    np.testing.assert_allclose(uv, grid[::40, ::40].reshape(-1, 2), atol=1e-9)
    np.testing.assert_allclose(
        moved.project(moved.X_WC[:3, 3] + 0.4 * moved.rays())[0], grid, atol=1e-9
    )


def test_a_distorting_lens_blurs_what_moves_too() -> None:
    scenario = with_ball(0.8)
    camera = replace(scenario.camera, distortion=Distortion.from_opencv(WEBCAM))
    velocity = camera.X_WC[:3, :3] @ [1.5, 0.5, -1.0]  # m/s

    def moving(t_s: float) -> Mapping[str, Pose]:
        X = scenario.poses[BALL].copy()
        X[:3, 3] += velocity * (t_s - scenario.t_s)
        return {BALL: X}

    exposure = Exposure(aperture_m=0.03, focus_m=1.2, shutter_s=(0.0, 0.1), samples=32)
    expected, times = [], []
    scenario = replace(scenario, camera=camera)
    for sample in samples_of(scenario, exposure, moving, rng()):
        X_CW = inverse(sample.camera.X_WC)
        p_C = X_CW[:3, :3] @ sample.poses[BALL][:3, 3] + X_CW[:3, 3]
        d = (sample.camera.X_WC[:3, 3] - camera.X_WC[:3, 3]) @ camera.X_WC[:3, :2]
        expected.append(p_C[:2] / p_C[2] + d / 1.2)
        times.append((sample.poses[BALL][:3, 3] - scenario.poses[BALL][:3, 3]) @ velocity / 3.5)
    # One instant in the middle of each thirty-second of the shutter's time.
    np.testing.assert_allclose(np.sort(times), 0.1 * (np.arange(32) + 0.5) / 32, atol=1e-12)
    lit = np.rint(opencv(camera, np.array(expected))).astype(int)
    picture = expose(Dot(), scenario, exposure, moving, rng()).rgb[..., 0]
    assert set(zip(*np.nonzero(picture), strict=True)) == {(v, u) for u, v in lit}
    assert len(np.unique(lit, axis=0)) == 32


def test_without_a_distance_the_middle_of_the_picture_is_sharp() -> None:
    exposure = Exposure(aperture_m=0.01, samples=8)
    seen = [
        sample.camera.project(SCENARIO.lighting.focus_W)[0]
        for sample in samples_of(SCENARIO, exposure, still, rng())
    ]
    np.testing.assert_allclose(seen, [seen[0]] * 8, atol=1e-9)


def test_a_streak_is_as_long_as_speed_times_shutter() -> None:
    scenario = with_ball(2.0)
    velocity = 1.5 * scenario.camera.X_WC[:3, 0]  # m/s, to the right

    def moving(t_s: float) -> Mapping[str, Pose]:
        X = scenario.poses[BALL].copy()
        X[:3, 3] += velocity * (t_s - scenario.t_s)
        return {BALL: X}

    exposure = Exposure(shutter_s=(-0.01, 0.03), samples=64)
    picture = expose(Dot(), scenario, exposure, moving, rng()).rgb
    (row,) = set(np.nonzero(picture[..., 0])[0].tolist())
    columns = np.flatnonzero(picture[row, :, 0])
    # 1.5 m/s · 0.04 s at 2 m; 63/64 of it between the first and the last of the instants.
    length = scenario.camera.fx * 1.5 * 0.04 / 2.0 * 63 / 64
    assert columns[-1] - columns[0] == pytest.approx(length, abs=1)
    assert columns[0] == pytest.approx(480 - length * 64 / 63 / 4, abs=1.1)


def test_light_is_averaged_linearly_and_labels_are_the_middle_s() -> None:
    scenario = with_ball(0.6)
    exposure = Exposure(aperture_m=0.02, focus_m=1.2, samples=32)
    frame = expose(Dot(), scenario, exposure, still, rng())
    light = to_linear(frame.rgb)[..., 0]
    # Each sample gives a thirty-second of white; bytes are as fine as 1/100 of that.
    assert light.sum() == pytest.approx(1, abs=0.02)
    assert (light > 0).sum() > 20
    assert frame.camera is scenario.camera
    assert (frame.depth_m == np.float32(0.6)).all()


def test_equal_streams_give_equal_pictures() -> None:
    scenario = with_ball(0.6)
    exposure = Exposure(aperture_m=0.02, focus_m=1.2, samples=8)
    one, again, other = (expose(Dot(), scenario, exposure, still, rng(s)).rgb for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    sharp = expose(Dot(), scenario, Exposure(), still, rng())
    np.testing.assert_array_equal(sharp.rgb, Dot().render(scenario).rgb)


def test_the_robot_moves_in_straight_lines_between_samples() -> None:
    at = robot_poses(STUDIO, RECORDING)
    # 10 ms apart: the tool's way over half of it is half of its way, to second order.
    before, middle, after = (at(t)["tool"][:3, 3] for t in (1.0, 1.005, 1.01))
    np.testing.assert_allclose(middle, (before + after) / 2, atol=2e-4)
    assert np.linalg.norm(after - before) > 2e-3
    np.testing.assert_allclose(at(-1.0)["tool"], at(0.0)["tool"])
    # The gap of the fourth second is crossed, not invented.
    assert np.isfinite(at(3.5)["tool"]).all()


def test_a_stage_s_camera_has_its_opening_and_its_shutter() -> None:
    bare = StageCamera("c", "/c", np.eye(4), 0.05, (0.036, 0.024), 0.1, 9.0)
    assert not Exposure.from_stage(bare).blurs
    lens = replace(bare, f_stop=2.0, focus_m=1.5, shutter_s=(-0.01, 0.0))
    made = Exposure.from_stage(lens)
    assert (made.aperture_m, made.focus_m, made.shutter_s) == (0.025, 1.5, (-0.01, 0.0))


@pytest.mark.parametrize(
    "wrong", [(-0.1, None, (0.0, 0.0), 8), (0.0, 0.0, (0.0, 0.0), 8), (0.0, None, (1.0, 0.0), 8),
              (0.0, None, (0.0, 0.0), 1)]
)  # fmt: skip
def test_exposures_that_cannot_be_are_refused(
    wrong: tuple[float, float | None, tuple[float, float], int],
) -> None:
    with pytest.raises(ConfigError, match="an exposure"):
        Exposure(*wrong)
