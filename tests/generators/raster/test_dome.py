"""Light from a dome, as the kernels see it, against `generators.environment`."""

from dataclasses import replace

import numpy as np

from envs.frames import axis_angle, pose
from envs.stage.looks import Material
from envs.stage.scene import MASSLESS, Body, Scene, Shape
from generators.camera import Camera, look_at
from generators.distortion import Distortion
from generators.environment import Dome, irradiance, lookup
from generators.raster.renderer import RasterRenderer
from generators.scenario import Scenario
from generators.shading import Lighting
from generators.srgb import to_linear

TURN = axis_angle(np.array([0.6, 0.0, 0.8]), np.array(1.1))
WHITE = Material("white", (1.0, 1.0, 1.0), roughness=1.0)
MIRROR = Material("mirror", (1.0, 1.0, 1.0), roughness=0.0, metallic=1.0)


def smooth_dome() -> Dome:
    """A picture of few waves, brightest at one side, in axes of its own."""
    rows, columns = 48, 96
    longitude = np.pi - (np.arange(columns) + 0.5) * 2 * np.pi / columns
    latitude = (np.pi / 2 - (np.arange(rows) + 0.5) * np.pi / rows)[:, None]
    waves = [1.2 + np.cos(latitude) * np.cos(longitude + k) * (1 - 0.2 * k) for k in range(3)]
    return Dome.levelled(np.stack(waves, axis=-1).astype(np.float32), TURN)


def lighting(dome: Dome) -> Lighting:
    """No lamp, and a sky that a level white surface gives 0.25 of back."""
    dark = (0.0, 0.0, 0.0)
    return Lighting(
        np.array([0, 0, 1.0]), dark, (0.25, 0.25, 0.25), dark, dark, 0.01, np.zeros(3), dome
    )


def ball(material: Material) -> RasterRenderer:
    shape = Shape("/ball", "sphere", np.eye(4), (0.5,), None, material)
    body = Body("ball", "/ball", np.eye(4), MASSLESS, (shape,))
    return RasterRenderer(Scene((), (), (body,), (), (), np.zeros(3)), (), device="cpu")


def seen(renderer: RasterRenderer, back: np.ndarray, dome: Dome) -> tuple[np.ndarray, Camera]:
    """The picture of the ball from a side, as linear light."""
    camera = Camera(80.0, 80.0, 31.5, 23.5, 64, 48, look_at(3 * back, np.zeros(3)), 0.1, 10.0)
    camera = replace(camera, distortion=Distortion(k1=-0.08))
    poses = {"ball": pose(np.eye(3), np.zeros(3))}
    frame = renderer.render(Scenario(0, 0.0, np.zeros(0), poses, {}, lighting(dome), camera))
    return to_linear(frame.rgb), camera


def sides(count: int) -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(count, 3))
    unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def test_a_white_ball_gives_back_the_dome_s_irradiance() -> None:
    dome, renderer = smooth_dome(), ball(WHITE)
    for back in sides(8):
        light, _ = seen(renderer, back, dome)
        expected = 0.25 * irradiance(dome.coefficients, TURN.T @ back) / np.pi
        # The pixels about the middle: one and a half degrees of the ball; bytes are 1 % here.
        np.testing.assert_allclose(light[23:25, 31:33].mean(axis=(0, 1)), expected, rtol=0.02)


def test_a_mirror_shows_what_lies_behind_the_camera() -> None:
    dome, renderer = smooth_dome(), ball(MIRROR)
    for back in sides(4):
        light, _ = seen(renderer, back, dome)
        sharp = lookup(dome.radiance, TURN.T @ back)
        dull = irradiance(dome.coefficients, TURN.T @ back) / np.pi
        # The least roughness, 0.06, mixes 12 % of the dull into it; nothing is lost.
        expected = 0.25 * (0.88 * sharp + 0.12 * dull)
        np.testing.assert_allclose(light[23:25, 31:33].mean(axis=(0, 1)), expected, rtol=0.03)


def test_behind_everything_the_dome_is_seen_through_a_bent_lens() -> None:
    dome, renderer = smooth_dome(), ball(WHITE)
    for back in sides(4):
        light, camera = seen(renderer, back, dome)
        expected = 0.25 * lookup(dome.radiance, camera.rays() @ TURN)
        empty = np.ones((48, 64), bool)
        empty[8:40, 14:50] = False
        # A byte is up to 1 % of the light here, and the light above 0.6 is compressed.
        shown = empty & (expected.max(axis=-1) < 0.6)
        assert shown.sum() > 500
        np.testing.assert_allclose(light[shown], expected[shown], atol=0.004)


def test_another_dome_leaves_no_trace() -> None:
    renderer, back = ball(WHITE), sides(1)[0]
    first, _ = seen(renderer, back, smooth_dome())
    even = Dome.levelled(np.ones((8, 16, 3), np.float32), np.eye(3))
    light, _ = seen(renderer, back, even)
    np.testing.assert_allclose(light[0, 0], 0.25, atol=0.004)
    again, _ = seen(renderer, back, smooth_dome())
    np.testing.assert_array_equal(first, again)
