"""Lens distortion against OpenCV and closed forms, and the limits of its inverse."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from envs.errors import ConfigError
from envs.frames import inverse
from envs.stage.looks import StageCamera
from generators.camera import Camera, border, look_at
from generators.distortion import Distortion

WEBCAM = (-0.28, 0.09, 1.2e-3, -8e-4, -0.01)
RATIONAL = (0.31, 0.12, -9e-4, 6e-4, 0.02, 0.62, 0.21, 0.05)


def camera(coefficients: tuple[float, ...], *, fx: float = 430.0) -> Camera:
    X = look_at(np.array([1.1, -0.7, 0.9]), np.array([0.1, 0.0, 0.2]), roll_rad=0.2)
    lens = Distortion.from_opencv(coefficients)
    return Camera(fx, fx + 6, 311.0, 246.5, 640, 480, X, 0.05, 10.0, lens)


@pytest.mark.parametrize("coefficients", [WEBCAM[:4], WEBCAM, RATIONAL])
def test_projection_is_opencv_s(coefficients: tuple[float, ...]) -> None:
    seen, rng = camera(coefficients), np.random.default_rng(1)
    uv = rng.uniform([0, 0], [639, 479], (500, 2))
    points = seen.unproject(uv, rng.uniform(0.2, 5, 500))
    X_CW = inverse(seen.X_WC)
    K = np.array([[seen.fx, 0, seen.cx], [0, seen.fy, seen.cy], [0, 0, 1]])
    expected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(X_CW[:3, :3])[0], X_CW[:3, 3], K, np.array(coefficients)
    )
    np.testing.assert_allclose(seen.project(points)[0], expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("coefficients", [WEBCAM, RATIONAL])
def test_undistortion_is_opencv_s(coefficients: tuple[float, ...]) -> None:
    seen = camera(coefficients)
    uv = np.stack(np.meshgrid(np.arange(0.0, 640, 25), np.arange(0.0, 480, 25)), axis=-1)
    K = np.array([[seen.fx, 0, seen.cx], [0, seen.fy, seen.cy], [0, 0, 1]])
    expected = cv2.undistortPoints(
        uv.reshape(-1, 1, 2),
        K,
        np.array(coefficients),
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-15),
    ).reshape(uv.shape)
    # OpenCV's fixed-point iteration stops where it no longer moves, ours at float64's precision.
    np.testing.assert_allclose(seen.slopes()[::25, ::25], expected, atol=1e-9)


def test_one_coefficient_by_hand() -> None:
    # r' = r + k1·r³ with k1 = 1/4, r = 2: 4; and r' = r/(1 + k4·r²) with k4 = −1/8: 4.
    np.testing.assert_allclose(Distortion(k1=0.25).undistort(np.array([0.0, 4.0])), [0, 2])
    np.testing.assert_allclose(Distortion(k4=-0.125).undistort(np.array([4.0, 0.0])), [2, 0])
    # At x = 0, p1 adds 3·y² to y, and p2 adds y² to x.
    np.testing.assert_allclose(
        Distortion(p1=0.1, p2=0.01).distort(np.array([0.0, 0.5])), [0.0025, 0.575]
    )


def test_the_valid_radius_is_where_the_radius_stops_growing() -> None:
    # r + k1·r³ grows up to r² = −1/(3·k1).
    assert Distortion(k1=-1 / 3).valid_radius == pytest.approx(1.0, abs=1e-12)
    # 1 + k4·r² is 0 at r² = −1/k4, and r/(1 + k4·r²) with k4 > 0 grows up to r² = 1/k4.
    assert Distortion(k4=-0.25).valid_radius == pytest.approx(2.0, abs=1e-12)
    assert Distortion(k4=0.25).valid_radius == pytest.approx(2.0, abs=1e-12)
    lens = Distortion(k1=-1 / 3)
    assert np.isnan(lens.distort(np.array([1.001, 0.0]))).all()
    assert np.isnan(lens.undistort(np.array([0.6667, 0.0]))).all()
    # Beside the fold the inverse is still exact: 0.999 − 0.999³/3.
    np.testing.assert_allclose(
        lens.undistort(np.array([0.999 - 0.999**3 / 3, 0.0])), [0.999, 0], atol=1e-9
    )


small = st.floats(-0.4, 0.4)
tiny = st.floats(-0.01, 0.01)


@given(k=st.tuples(small, small, tiny, tiny, small, small, small, small), x=small, y=small)
def test_undistorting_undoes_distorting(k: tuple[float, ...], x: float, y: float) -> None:
    lens = Distortion.from_opencv(k)
    # Where the picture is nearly folded, the inverse loses digits as any inverse does.
    assume(np.hypot(x, y) < 0.95 * lens.valid_radius)
    there = lens.distort(np.array([x, y]))
    assume(not np.isnan(there).any())
    np.testing.assert_allclose(lens.undistort(there), [x, y], atol=1e-11)


@pytest.mark.parametrize("coefficients", [WEBCAM, RATIONAL])
def test_rays_meet_their_pixels(coefficients: tuple[float, ...]) -> None:
    seen = camera(coefficients)
    ends = seen.X_WC[:3, 3] + 1.5 * seen.rays()
    uv, depth = seen.project(ends)
    np.testing.assert_allclose(depth, 1.5, atol=1e-12)
    pixels = np.stack(np.meshgrid(np.arange(640), np.arange(480)), axis=-1)
    np.testing.assert_allclose(uv, pixels, atol=1e-9)
    np.testing.assert_allclose(seen.unproject(pixels, depth), ends, atol=1e-12)


def test_what_the_model_does_not_reach_has_no_pixel() -> None:
    seen = camera(WEBCAM)
    aside = seen.X_WC[:3, 3] + seen.X_WC[:3, :3] @ np.array([40.0, 0.0, 1.0])
    uv, depth = seen.project(aside)
    assert depth == pytest.approx(1.0)
    assert np.isnan(uv).all()


def test_a_lens_that_folds_the_picture_over_is_refused() -> None:
    # k1 = −0.28 alone holds up to r' = 0.727: 313 pixels of the 329 to the right edge.
    with pytest.raises(ConfigError, match=r"folds the picture over.* of 640×480"):
        camera((-0.28, 0, 0, 0))
    assert not np.isnan(camera((-0.28, 0, 0, 0), fx=600.0).slopes()).any()
    with pytest.raises(ConfigError, match="3 numbers"):
        Distortion.from_opencv([0.1, 0.2, 0.3])
    with pytest.raises(ConfigError, match="finite"):
        Distortion(k1=float("nan"))


def test_the_border_is_the_corners_of_the_outer_pixels() -> None:
    edge = border(3, 2)
    assert {(-0.5, -0.5), (2.5, -0.5), (-0.5, 1.5), (2.5, 1.5), (1.5, 1.5), (2.5, 0.5)} <= {
        (u, v) for u, v in edge.tolist()
    }
    assert len(edge) == 2 * 4 + 2 * 3


def stage_camera(
    aperture_m: tuple[float, float] = (0.02, 0.015), offset_m: tuple[float, float] = (0.0, 0.0)
) -> StageCamera:
    return StageCamera("c", "/c", np.eye(4), 0.025, aperture_m, 0.1, 9.0, offset_m)


def test_apertures_and_their_offsets_become_intrinsics() -> None:
    made = Camera.from_stage(stage_camera(offset_m=(0.002, -0.003)), (640, 480))
    # 640 pixels over 20 mm are 32 a millimetre; the window moves right, so the axis moves left.
    assert made.intrinsics == pytest.approx((800, 800, 319.5 - 64, 239.5 - 96))
    # Apertures that nearly have the picture's aspect are a calibration: 480/15.1 and 640/20.
    made = Camera.from_stage(stage_camera((0.02, 0.0151)), (640, 480))
    assert made.intrinsics == pytest.approx((800, 0.025 / 0.0151 * 480, 319.5, 239.5))
    # Others are another film: pixels are square.
    made = Camera.from_stage(stage_camera((0.02, 0.02)), (640, 480))
    assert made.intrinsics == pytest.approx((800, 800, 319.5, 239.5))
