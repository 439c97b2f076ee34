"""The pinhole camera against hand computation, and its pixel convention."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigError
from envs.stage.looks import StageCamera
from generators.camera import Camera, look_at


def camera(X_WC: np.ndarray | None = None) -> Camera:
    X = np.eye(4) if X_WC is None else X_WC
    return Camera(100.0, 110.0, 31.5, 23.5, 64, 48, X, near_m=0.1, far_m=10.0)


def test_projection_by_hand() -> None:
    uv, depth = camera().project(np.array([[0.2, -0.1, 2.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    # u = 100 · 0.2 / 2 + 31.5, v = 110 · (−0.1) / 2 + 23.5
    np.testing.assert_allclose(uv[0], [41.5, 18.0])
    np.testing.assert_allclose(uv[1], [31.5, 23.5])
    np.testing.assert_allclose(depth, [2.0, 1.0, -1.0])


def test_camera_in_the_world_by_hand() -> None:
    # Stands at x = 3 and looks towards the origin: right is +y, down is −z.
    seen = camera(look_at(np.array([3.0, 0.0, 0.0]), np.zeros(3)))
    uv, depth = seen.project(np.array([1.0, 0.2, 0.1]))
    np.testing.assert_allclose(depth, 2.0)
    np.testing.assert_allclose(uv, [31.5 + 100 * 0.1, 23.5 - 110 * 0.05])


def test_field_of_view_reaches_from_edge_to_edge() -> None:
    focal = 0.01 / np.tan(np.radians(30))
    lens = StageCamera("c", "/c", np.eye(4), float(focal), (0.02, 0.01), near_m=0.1, far_m=9.0)
    made = Camera.from_stage(lens, (64, 48))
    assert (made.cx, made.cy) == (31.5, 23.5)
    assert made.fx == made.fy
    # The outer edge of the last column lies half a pixel beyond its centre.
    edge = np.array([np.tan(np.radians(30)), 0.0, 1.0])
    np.testing.assert_allclose(made.project(edge)[0][0], 63.5)
    np.testing.assert_allclose(made.project(-edge * [1, 1, -1])[0][0], -0.5)


@given(st.floats(-5, 70), st.floats(-5, 50), st.floats(0.1, 9), st.floats(-3, 3))
def test_unprojecting_undoes_projecting(u: float, v: float, depth: float, roll: float) -> None:
    seen = camera(look_at(np.array([1.0, 2.0, 1.5]), np.array([0.1, 0.0, 0.3]), roll_rad=roll))
    point = seen.unproject(np.array([u, v]), np.array(depth))
    uv, z = seen.project(point)
    np.testing.assert_allclose([*uv, z], [u, v, depth], atol=1e-9)


def test_rays_go_through_pixel_centres_and_grow_in_depth_by_one() -> None:
    seen = camera(look_at(np.array([1.0, 2.0, 1.5]), np.array([0.1, 0.0, 0.3])))
    ends = seen.X_WC[:3, 3] + 2.5 * seen.rays()
    uv, depth = seen.project(ends)
    np.testing.assert_allclose(depth, 2.5)
    np.testing.assert_allclose(uv[7, 11], [11, 7], atol=1e-9)


def test_look_at_is_upright_and_turns_clockwise() -> None:
    eye, target = np.array([2.0, 1.0, 1.0]), np.array([0.0, 0.0, 0.5])
    X = look_at(eye, target)
    np.testing.assert_allclose(X[:3, :3].T @ X[:3, :3], np.eye(3), atol=1e-12)
    assert np.linalg.det(X[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(np.cross(X[:3, 2], target - eye), 0, atol=1e-12)
    assert X[2, 0] == pytest.approx(0.0)
    assert X[2, 1] < 0
    # Turned clockwise by 90 degrees, the camera's right is what was down.
    np.testing.assert_allclose(
        look_at(eye, target, roll_rad=np.pi / 2)[:3, 0], X[:3, 1], atol=1e-12
    )
    down = look_at(np.array([0, 0, 2.0]), np.zeros(3))
    np.testing.assert_allclose(down[:3, 1], [0, -1, 0], atol=1e-12)


def test_impossible_cameras_are_refused() -> None:
    with pytest.raises(ConfigError, match="0×48"):
        Camera(1.0, 1.0, 0.0, 0.0, 0, 48, np.eye(4), 0.1, 1.0)
    with pytest.raises(ConfigError, match="near < far"):
        Camera(1.0, 1.0, 0.0, 0.0, 64, 48, np.eye(4), 1.0, 0.5)
    with pytest.raises(ConfigError, match="field of view"):
        Camera.with_view(np.eye(4), np.pi, (64, 48), near_m=0.1, far_m=1.0)
    with pytest.raises(ConfigError, match="point it stands on"):
        look_at(np.zeros(3), np.zeros(3))
