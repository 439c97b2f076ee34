"""The depth camera's noise: moments on a wall, jumps at edges, and what is not measured."""

from dataclasses import replace

import numpy as np
import pytest

from envs.errors import ConfigError
from envs.frames import axis_angle, pose
from generators.camera import Camera
from generators.depth_sensor import (
    DISPARITY_STEP_PER_M,
    axial_noise_m,
    lateral_noise_px,
    measured_depth,
)
from generators.renderer import Frame


def wall(distance_m: float, slant_deg: float = 0.0, *, width: int = 160) -> Frame:
    """A plane through (0, 0, distance), turned about y, seen by a camera with a narrow view."""
    camera = Camera(
        3000.0, 3000.0, width / 2 - 0.5, 59.5, width, 120, pose(np.eye(3), np.zeros(3)), 0.05, 50.0
    )
    normal = axis_angle(np.array([0, 1.0, 0]), np.radians(slant_deg)) @ np.array([0, 0, -1.0])
    depth = normal[2] * distance_m / (camera.rays() @ normal)
    nothing = np.zeros((120, width, 3), np.uint8)
    ones = np.ones((120, width), np.int32)
    normals = np.broadcast_to(normal, (120, width, 3)).astype(np.float32)
    return Frame(nothing, depth.astype(np.float32), ones, ones, camera, normals)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_formulas_at_the_paper_s_values() -> None:
    # 1.2 mm at 0.4 m; 0.0012 + 0.0019·2.6² at 3 m.
    assert axial_noise_m(np.array(0.4), np.array(0.0)) == pytest.approx(0.0012)
    assert axial_noise_m(np.array(3.0), np.array(0.1)) == pytest.approx(0.014044)
    # At 45 degrees θ/(π/2 − θ) is 1, at 60 degrees 2.
    assert axial_noise_m(np.array(1.0), np.array(np.pi / 4)) == pytest.approx(0.001984)
    assert lateral_noise_px(np.array(np.pi / 3)) == pytest.approx(0.87)


@pytest.mark.parametrize(("distance", "slant"), [(0.8, 0), (2.0, 0), (3.5, 0), (1.5, 60)])
def test_deviation_on_a_wall(distance: float, slant: float) -> None:
    frame = wall(distance, slant)
    error = (measured_depth(frame, rng()) - frame.depth_m).astype(float)
    sigma = axial_noise_m(np.array(distance), np.radians(np.array(float(slant))))
    step = DISPARITY_STEP_PER_M * distance**2
    expected = np.sqrt(sigma**2 + step**2 / 12)
    # 19 200 samples: four standard errors are 2 %; the rest is depth that varies over the wall.
    assert error.std() == pytest.approx(expected, rel=0.04)
    assert abs(error.mean()) < 5 * expected / np.sqrt(error.size) + step**2 / distance


def test_depth_comes_in_steps_of_disparity() -> None:
    measured = measured_depth(wall(2.0), rng())
    steps = 1 / measured.astype(float) / DISPARITY_STEP_PER_M
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)


def test_edges_are_ragged_by_about_a_pixel() -> None:
    """A near part on the left half; its edge moves to and fro from row to row."""
    frame = wall(2.0)
    depth, part = frame.depth_m.copy(), frame.part_id.copy()
    depth[:, :80], part[:, :80] = 1.0, 2
    measured = measured_depth(replace(frame, depth_m=depth, part_id=part), rng())
    wrong = (measured < 1.5) != (depth < 1.5)
    assert not wrong[:, :75].any()
    assert not wrong[:, 85:].any()
    # A pixel n away from the edge takes the other side's depth with probability 1 − Φ((n − ½)/σ).
    share = wrong.mean(axis=0)
    assert share[79] == pytest.approx(0.266, abs=0.12)
    assert share[80] == pytest.approx(0.266, abs=0.12)
    assert share[78] < share[79]


def test_what_is_aslant_near_far_or_nothing_is_not_measured() -> None:
    assert np.isinf(measured_depth(wall(1.0, 84), rng())).all()
    assert np.isfinite(measured_depth(wall(1.0, 75), rng())).all()
    assert np.isinf(measured_depth(wall(0.3), rng())).all()
    assert np.isinf(measured_depth(wall(6.0), rng())).all()
    empty = replace(
        wall(1.0),
        depth_m=np.full((120, 160), np.inf, np.float32),
        normal_W=np.zeros((120, 160, 3), np.float32),
    )
    assert np.isinf(measured_depth(empty, rng())).all()


def test_the_exact_depth_is_left_as_it_is_and_streams_decide() -> None:
    frame = wall(1.0)
    before = frame.depth_m.copy()
    first, again = measured_depth(frame, rng(3)), measured_depth(frame, rng(3))
    np.testing.assert_array_equal(first, again)
    assert (first != measured_depth(frame, rng(4))).any()
    np.testing.assert_array_equal(frame.depth_m, before)


def test_a_renderer_without_normals_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs normals"):
        measured_depth(replace(wall(1.0), normal_W=None), rng())
