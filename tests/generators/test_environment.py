"""Light from all around: the picture's frame, look-ups, and irradiance against integration."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import sph_harm_y

from envs.errors import StageError
from envs.stage.looks import Light
from generators.environment import (
    Dome,
    directions,
    harmonics,
    irradiance,
    irradiance_harmonics,
    load,
    lookup,
    solid_angles,
    stage_dome,
)


def brute_force(radiance: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Integrate radiance times cosine over the half sphere, pixel by pixel."""
    rows, columns, _ = radiance.shape
    cosine = np.maximum(directions(rows, columns) @ normal, 0)
    total: np.ndarray = np.einsum("rc,rck->k", cosine * solid_angles(rows, columns), radiance)
    return total


def some_normals(count: int = 40) -> np.ndarray:
    normals = np.random.default_rng(0).normal(size=(count, 3))
    unit: np.ndarray = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return unit


def test_pixels_cover_the_sphere() -> None:
    assert solid_angles(8, 20).sum() * 20 == pytest.approx(4 * np.pi)
    d = directions(64, 128)
    np.testing.assert_allclose(np.linalg.norm(d, axis=-1), 1)
    # The first row looks up; the middle is +x; a quarter from the left is +y.
    assert d[0, :, 2].min() > 0.999
    np.testing.assert_allclose(d[31:33, 63:65].mean(axis=(0, 1)), [1, 0, 0], atol=2e-3)
    np.testing.assert_allclose(d[31:33, 31:33].mean(axis=(0, 1)), [0, 1, 0], atol=2e-3)


def test_a_lookup_finds_each_pixel_and_goes_around() -> None:
    radiance = np.random.default_rng(1).random((16, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(lookup(radiance, 3 * directions(16, 32)), radiance, atol=1e-6)
    # Straight behind lie the last and the first column, half and half.
    behind = lookup(radiance, np.array([-1.0, 0.0, np.tan(np.pi / 32)]))
    np.testing.assert_allclose(behind, (radiance[7, 0] + radiance[7, -1]) / 2, atol=1e-6)


@given(st.floats(-np.pi, np.pi), st.floats(-1.4, 1.4))
def test_a_smooth_picture_is_looked_up_smoothly(longitude: float, latitude: float) -> None:
    smooth = (1 + directions(128, 256) @ np.array([0.3, -0.5, 0.2]))[..., None] * np.ones(3)
    d = np.array(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ]
    )
    found = lookup(smooth.astype(np.float32), d)
    # A straight line misses a curve by at most step²/8.
    np.testing.assert_allclose(found, 1 + d @ [0.3, -0.5, 0.2], atol=(np.pi / 128) ** 2 / 4)


def test_harmonics_are_scipy_s() -> None:
    d = some_normals()
    polar, azimuth = np.arccos(d[:, 2]), np.arctan2(d[:, 1], d[:, 0])
    expected = []
    for n in range(3):
        for m in range(-n, n + 1):
            Y = sph_harm_y(n, abs(m), polar, azimuth)
            part = Y.real if m >= 0 else Y.imag
            expected.append(part * (np.sqrt(2) * (-1) ** m if m else 1))
    np.testing.assert_allclose(harmonics(d), np.stack(expected, axis=1), atol=1e-12)


def test_irradiance_is_exact_for_light_of_order_two() -> None:
    coefficients = np.random.default_rng(2).normal(size=(9, 3)) * 0.1
    radiance = (1 + harmonics(directions(256, 512)) @ coefficients).astype(np.float32)
    found = irradiance(irradiance_harmonics(radiance), some_normals())
    expected = [brute_force(radiance, n) for n in some_normals()]
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    # Light that is 1 from everywhere gives π.
    even = irradiance_harmonics(np.ones((64, 128, 3), np.float32))
    np.testing.assert_allclose(irradiance(even, some_normals()), np.pi, rtol=1e-3)


def test_irradiance_of_a_window_is_near_that_of_integration() -> None:
    """A bright patch, the hardest of lights: Ramamoorthi and Hanrahan bound the error by 9 %."""
    radiance = np.full((64, 128, 3), 0.2, np.float32)
    radiance[20:32, 40:60] = 5.0
    found = irradiance(irradiance_harmonics(radiance), some_normals(400))
    expected = np.array([brute_force(radiance, n) for n in some_normals(400)])
    error = np.abs(found - expected) / expected.max()
    assert error.max() < 0.09
    assert error.mean() < 0.03


def test_images_become_linear_radiance(tmp_path: Path) -> None:
    rgb = np.array([[[255, 128, 0]]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    np.testing.assert_allclose(load(tmp_path / "a.png"), [[[1, 0.21586, 0]]], atol=1e-5)
    bright = np.array([[[8.0, 2.0, 0.5]]], np.float32)
    cv2.imwrite(str(tmp_path / "a.hdr"), bright[..., ::-1])
    np.testing.assert_allclose(load(tmp_path / "a.hdr"), bright, rtol=1e-2)
    cv2.imwrite(str(tmp_path / "grey.png"), rgb[..., 0])
    with pytest.raises(StageError, match=r"grey\.png: no colour image that can be read as a dome"):
        load(tmp_path / "grey.png")


def test_a_dome_is_levelled_in_the_world() -> None:
    """A dome that is bright on its own +x only, turned so that this looks up."""
    radiance = np.zeros((32, 64, 3), np.float32)
    radiance[:, 16:48] = (2.0, 4.0, 6.0)
    up = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    dome = Dome.levelled(radiance, up)
    E = irradiance(dome.coefficients, up.T @ np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(E / np.pi, [0.5, 1.0, 1.5], rtol=1e-6)
    # Half of the sky is bright, and order 2 takes that for what it is but for 1 %.
    np.testing.assert_allclose(dome.radiance[16, 32], [0.5, 1.0, 1.5], rtol=0.02)
    with pytest.raises(StageError, match="no light"):
        Dome.levelled(np.zeros((8, 16, 3), np.float32), np.eye(3))


def test_the_stage_s_image_becomes_its_dome(tmp_path: Path) -> None:
    image = np.full((600, 1200, 3), 0.25, np.float32)
    cv2.imwrite(str(tmp_path / "a.hdr"), image)
    plain = Light("/sky", "dome", np.eye(4), 1.0, (1.0, 1.0, 1.0))
    assert stage_dome([plain]) is None
    X = np.eye(4)
    X[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    found = stage_dome(
        [plain, Light("/s", "dome", X, 9.0, (1.0, 0.5, 0.5), texture=tmp_path / "a.hdr")]
    )
    assert found is not None
    np.testing.assert_array_equal(found.R_WD, X[:3, :3])
    assert found.radiance.shape == (512, 1024, 3)
    np.testing.assert_allclose(found.radiance[0, 0], [1.5, 0.75, 0.75], rtol=1e-3)
