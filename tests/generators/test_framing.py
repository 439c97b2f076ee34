"""Framing: all points are in the picture, as large as asked, whatever the lens."""

from dataclasses import replace

import numpy as np
import pytest

from generators.camera import Camera, Lens
from generators.distortion import Distortion
from generators.framing import framed, window
from generators.scenario import draw, prepare
from tests.generators import small_table

WIDE = Lens(150.0, 155.0, 97.0, 51.0, Distortion(-0.25, 0.08, 1e-3, -1e-3))
"""For pictures of 160×120: its axis is off the middle."""


def camera(lens: Lens) -> Camera:
    return Camera(
        lens.fx, lens.fy, lens.cx, lens.cy, 160, 120, np.eye(4), 0.05, 20.0, lens.distortion
    )


def test_the_window_of_a_pinhole_is_its_picture() -> None:
    low, high = window(camera(Lens(100.0, 50.0, 79.5, 39.5)))
    np.testing.assert_allclose(low, [-0.8, -0.8])
    np.testing.assert_allclose(high, [0.8, 1.6])


def test_the_window_of_a_bent_picture_lies_inside_it() -> None:
    seen = camera(WIDE)
    low, high = window(seen)
    slack = 1e-3  # the border is sampled at the pixels' corners, in between it bulges
    for x in np.linspace(low[0], high[0], 30):
        for y in (low[1], high[1]):
            (u, v), _ = seen.project(np.array([x, y, 1.0]))
            assert -0.5 - slack <= u <= 159.5 + slack
            assert -0.5 - slack <= v <= 119.5 + slack
    # It is the largest: the barrel's edges touch it in their middle.
    (u, _), _ = seen.project(np.array([high[0], 0.0, 1.0]))
    assert u == pytest.approx(159.5, abs=0.6)


@pytest.mark.parametrize("lens", [Lens(150.0, 155.0, 97.0, 51.0), WIDE])
@pytest.mark.parametrize("seed", range(4))
def test_points_fill_the_picture(lens: Lens, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-0.3, -0.4, 0.0], [0.5, 0.4, 0.8], (200, 3))
    back = rng.normal(0.0, 1.0, 3) + np.array([0.0, 0.0, 1.5])
    back /= np.linalg.norm(back)
    placed, middle = framed(
        camera(lens), points, back, roll_rad=0.1, fill=0.9, off_middle=np.zeros(2)
    )
    low, high = window(placed)
    p_C = (points - placed.X_WC[:3, 3]) @ placed.X_WC[:3, :3]
    slope = p_C[:, :2] / p_C[:, 2:]
    np.testing.assert_allclose(slope.min(axis=0) + slope.max(axis=0), low + high, atol=2e-3)
    share = np.ptp(slope, axis=0) / (high - low)
    assert share.max() == pytest.approx(0.9, abs=0.01)
    np.testing.assert_allclose(placed.X_WC[:3, 2], -back, atol=1e-12)
    # The middle that light is aimed at is seen in the middle.
    p_C = (middle - placed.X_WC[:3, 3]) @ placed.X_WC[:3, :3]
    np.testing.assert_allclose(p_C[:2] / p_C[2], (low + high) / 2, atol=1e-9)


def test_a_calibrated_lens_is_kept_as_it_is() -> None:
    studio = prepare(small_table.scene(), ("shoulder", "elbow"), WIDE)
    recording, ranges = small_table.recording(), small_table.ranges()
    for index in range(6):
        shown = draw(studio, recording, ranges, seed=3, index=index, size=(160, 120))
        assert shown.camera.lens == WIDE
    # It stands elsewhere than the stage's camera, and shows another robot pose each time.
    other = replace(studio, lens=None)
    zoomed = draw(other, recording, ranges, seed=3, index=5, size=(160, 120))
    assert zoomed.camera.lens != WIDE
    assert zoomed.lighting.sun == shown.lighting.sun
