"""Pictures through the opening of a lens that distorts, against cameras that are moved by hand."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Float

from envs.frames import Pose
from generators.camera import Camera, Lens, look_at
from generators.distortion import Distortion
from generators.exposure import expose, samples_of, seen_from
from generators.optics import Exposure
from generators.raster import views
from generators.raster.lenses import LensTable, lens_table
from generators.raster.renderer import RasterRenderer
from generators.scenario import Scenario
from generators.srgb import to_bytes, to_linear
from tests.generators.raster.cases import CASES, Case, Size
from tests.generators.raster.random_scenes import picture, random_scene
from tests.generators.raster.test_lens_colors import HARDLY
from tests.generators.raster.test_renderer import same
from tests.generators.raycast import away_from_edges, embree

BARREL = Distortion(k1=-0.28, k2=0.09, p1=1.2e-3, p2=-8e-4, k3=-0.01)
CUSHION = Distortion(k1=0.1, p1=-1e-3)
FOCUS_M = 0.8
WIDE = Exposure(aperture_m=0.2, focus_m=FOCUS_M, samples=8)


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(0))


def still(t_s: float) -> Mapping[str, Pose]:
    return {}


def through(lens: Distortion) -> tuple[RasterRenderer, Scenario]:
    """Things up to 0.6 m about the origin, from 1 m, through a lens of 72 degrees."""
    scene, _ = random_scene(4)
    X_WC = look_at(np.array([0.6, 0.6, 0.5]), np.zeros(3), roll_rad=0.4)
    camera = Camera(110.0, 112.0, 83.0, 57.5, 160, 120, X_WC, 0.05, 50.0, lens)
    return RasterRenderer(scene, (), device="cpu"), picture(scene, camera)


def slopes_by_opencv(camera: Camera, uv: Float[np.ndarray, "h w 2"]) -> Float[np.ndarray, "h w 2"]:
    """What pixels see through the middle of the lens."""
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-15)
    coefficients = np.array(camera.distortion.coefficients)
    flat = cv2.undistortPoints(uv.reshape(-1, 1, 2), K, coefficients, criteria=criteria)
    slopes: Float[np.ndarray, "h w 2"] = flat.reshape(uv.shape)
    return slopes


def places(camera: Camera, fine: int = 1) -> Float[np.ndarray, "h w 2"]:
    """Where the pixels lie, or the parts of each, so many along each side."""
    u, v = ((np.arange(fine * n) + 0.5) / fine - 0.5 for n in (camera.width, camera.height))
    return np.stack(np.meshgrid(u, v), axis=-1)


@pytest.mark.parametrize("lens", [BARREL, CUSHION])
def test_each_point_of_the_opening_sees_what_embree_does(lens: Distortion) -> None:
    pytest.importorskip("embreex", reason="embreex, the ray caster that judges, is not installed")
    renderer, shown = through(lens)
    camera = shown.camera
    slopes = slopes_by_opencv(camera, places(camera))
    R_WC, pixels, wrong = camera.X_WC[:3, :3], 0, 0
    for d in np.array([[0.1, 0.0], [-0.03, 0.09], [-0.05, -0.07], [0.0, 0.0]]):
        frame = renderer.render(replace(shown, camera=seen_from(camera, d, FOCUS_M)))
        X_WC = camera.X_WC.copy()
        X_WC[:3, 3] += R_WC @ [*d, 0.0]
        # Towards what the pixel sees in the plane in focus.
        ahead = np.concatenate([FOCUS_M * slopes - d, np.full((120, 160, 1), FOCUS_M)], axis=-1)
        judged = embree(
            renderer.parts,
            shown.poses,
            replace(camera, X_WC=X_WC),
            directions_W=ahead / FOCUS_M @ R_WC.T,
        )
        differs = judged.part != frame.part_id
        assert not (differs & away_from_edges(judged.part)).any()
        pixels, wrong = pixels + differs.size, wrong + differs.sum()
        right = (judged.part >= 0) & ~differs
        off = np.abs(judged.depth_m[right] - frame.depth_m[right])
        # As without an opening, see test_renderer.py.
        assert np.quantile(off, 0.99) < 5e-5
    assert wrong <= 2e-4 * pixels


def by_hand(
    renderer: RasterRenderer, shown: Scenario, eyes: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "h w 3"]:
    """A picture from straight, wide, fine ones: one for each point of the opening, remapped."""
    camera, fine = shown.camera, 4
    slopes = slopes_by_opencv(camera, places(camera, fine))
    reach = 0.1 + np.abs(eyes).max() / FOCUS_M
    low, high = slopes.min(axis=(0, 1)) - reach, slopes.max(axis=(0, 1)) + reach
    f = 3.0 * camera.fx
    (cx, cy), (width, height) = -f * low, np.ceil(f * (high - low)).astype(int)
    light = np.zeros((camera.height, camera.width, 3), np.float32)
    for d in eyes:
        X_WC = camera.X_WC.copy()
        X_WC[:3, 3] += X_WC[:3, :3] @ [*d, 0.0]
        pinhole = Camera(
            f, f, float(cx), float(cy), int(width), int(height), X_WC, camera.near_m, camera.far_m
        )
        straight = to_linear(renderer.render(replace(shown, camera=pinhole)).rgb)
        uv = (f * (slopes - d / FOCUS_M) + [cx, cy]).astype(np.float32)
        seen = cv2.remap(straight, uv[..., 0], uv[..., 1], cv2.INTER_LINEAR)
        light += seen.reshape(camera.height, fine, camera.width, fine, 3).mean(axis=(1, 3))
    return to_bytes(light / np.float32(len(eyes))).astype(float)


@pytest.mark.parametrize("lens", [BARREL, CUSHION])
def test_a_picture_is_the_mean_of_cameras_moved_by_hand(lens: Distortion) -> None:
    renderer, shown = through(lens)
    samples = samples_of(shown, WIDE, still, rng())
    moved = np.array([sample.camera.X_WC[:3, 3] - shown.camera.X_WC[:3, 3] for sample in samples])
    judged = by_hand(renderer, shown, moved @ shown.camera.X_WC[:3, :2])
    off = np.abs(expose(renderer, shown, WIDE, still, rng()).rgb - judged)
    # The two differ by how they smooth edges, as they do without an opening, where edges are sharp.
    sharp = renderer.render(shown).rgb
    usual = np.abs(sharp - by_hand(renderer, shown, np.zeros((1, 2))))
    assert off.mean() < usual.mean()
    assert np.quantile(off, 0.99) < np.quantile(usual, 0.99)
    # They show an opening, and one whose shear comes before the distortion and not after it.
    assert np.abs(sharp - judged).mean() > 5 * off.mean()
    light = np.zeros(sharp.shape, np.float32)
    for sample in samples:
        camera = sample.camera
        right, down = camera.shift_px
        late = replace(camera, cx=camera.cx + right, cy=camera.cy + down, shift_px=(0.0, 0.0))
        light += to_linear(renderer.render(replace(sample, camera=late)).rgb)
    assert np.abs(to_bytes(light / np.float32(len(samples))) - judged).mean() > 1.5 * off.mean()


@pytest.mark.parametrize("made", CASES)
def test_a_lens_that_hardly_distorts_blurs_as_a_straight_one_does(
    made: Callable[[Path, Size], Case], tmp_path: Path
) -> None:
    scene, textures, shown = made(tmp_path, (320, 240))
    renderer = RasterRenderer(scene, textures, device="cpu")
    for one in shown[:2]:
        straight, bent = (
            expose(
                renderer,
                replace(one, camera=replace(one.camera, distortion=lens)),
                Exposure(aperture_m=0.05, samples=4),
                still,
                rng(),
            )
            for lens in (Distortion(), HARDLY)
        )
        np.testing.assert_array_equal(straight.part_id, bent.part_id)
        apart = np.abs(straight.rgb.astype(int) - bent.rgb).max(axis=-1)
        # As without an opening, see test_lens_colors.py.
        assert (apart <= 1).mean() >= 0.999 and apart.max() <= 4


def test_labels_are_the_middle_s() -> None:
    renderer, shown = through(BARREL)
    frame, sharp = expose(renderer, shown, WIDE, still, rng()), renderer.render(shown)
    assert (frame.rgb != sharp.rgb).any()
    assert frame.camera is shown.camera
    assert same(replace(frame, rgb=sharp.rgb), sharp)


def test_several_points_of_the_opening_in_one_batch_show_what_each_shows_alone() -> None:
    renderer, shown = through(CUSHION)
    samples = samples_of(shown, replace(WIDE, samples=3), still, rng())
    alone = [renderer.render(sample) for sample in samples]
    assert all(map(same, renderer.render_batch(samples), alone))
    assert all(map(same, renderer.render_batch(samples[::-1]), alone[::-1]))


def test_the_lens_s_table_is_made_once_for_all_points_of_the_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renderer, shown = through(BARREL)
    made = []

    def counted(lens: Lens, width: int, height: int) -> LensTable:
        made.append(lens)
        return lens_table(lens, width, height)

    monkeypatch.setattr(views, "lens_table", counted)
    expose(renderer, shown, WIDE, still, rng())
    assert made == [shown.camera.lens]
