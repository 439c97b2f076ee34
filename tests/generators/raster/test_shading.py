"""Light on plates and boxes whose colours are known."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.errors import StageError
from envs.frames import pose
from envs.stage.looks import Material, Texture
from envs.stage.scene import Body, Scene, Shape
from generators.camera import Camera, look_at
from generators.raster.renderer import RasterRenderer
from generators.raster.tables import developed
from generators.scenario import Scenario
from tests.generators.raster.random_scenes import LIGHTING, body, picture, scene_of

DULL = Material("dull", (0.4, 0.2, 0.1), roughness=1.0, ior=1.0)
"""Reflects by its colour alone."""


def plate(material: Material, *, height_m: float = 0.0, size_m: float = 1.0) -> Body:
    at = pose(np.eye(3), np.array([0.0, 0.0, height_m - 0.005]))
    box = Shape(f"/plate{height_m}", "box", at, (size_m, size_m, 0.01), None, material)
    return body(f"plate{height_m}", box)


def from_above(scene: Scene, *, size: tuple[int, int] = (96, 96)) -> Scenario:
    eye = look_at(np.array([0.0, 0.0, 3.0]), np.zeros(3))
    camera = Camera.with_view(eye, 0.3, size, near_m=0.1, far_m=10.0)
    dark = replace(LIGHTING, sky=(0.0, 0.0, 0.0), ground=(0.0, 0.0, 0.0))
    return replace(picture(scene, camera), lighting=dark)


def colors(scene: Scene, shown: Scenario, *, antialias: bool = True) -> np.ndarray:
    return RasterRenderer(scene, (), device="cpu", antialias=antialias).render(shown).rgb


def test_a_dull_plate_gives_back_what_lambert_says() -> None:
    scene = scene_of(plate(DULL))
    shown = from_above(scene)
    light = np.array(DULL.base_color) * shown.lighting.sun * shown.lighting.direction_W[2]
    rgb = colors(scene, shown)
    assert np.abs(rgb[40:56, 40:56].astype(int) - developed(light)).max() <= 1
    sky = replace(shown.lighting, sun=(0.0, 0.0, 0.0), sky=(0.7, 0.6, 0.5))
    rgb = colors(scene, replace(shown, lighting=sky))
    expected = developed(np.array(DULL.base_color) * sky.sky)
    assert np.abs(rgb[40:56, 40:56].astype(int) - expected).max() <= 1


def test_a_shadow_lies_where_the_light_is_cut_off() -> None:
    scene = scene_of(plate(DULL), plate(DULL, height_m=0.2, size_m=0.1))
    shown = from_above(scene)
    frame = RasterRenderer(scene, (), device="cpu").render(shown)
    camera, toward = shown.camera, shown.lighting.direction_W
    lower = np.argwhere(frame.part_id == 0)
    p_W = camera.unproject(lower[:, ::-1].astype(float), frame.depth_m[tuple(lower.T)])
    along = p_W + toward * (0.195 / toward[2])
    inside = np.abs(along[:, :2]).max(axis=1)
    lit = frame.rgb[tuple(lower.T)].astype(int).max(axis=1)
    # The soft edge is a centimetre to each side; a texel of the map less than one.
    assert lit[inside < 0.03].max() <= 1 and (inside < 0.03).sum() > 30
    assert lit[inside > 0.075].min() >= lit.max() - 1 and (inside > 0.075).sum() > 1000
    assert ((lit > 5) & (lit < lit.max() - 5)).sum() > 20


def test_an_image_lies_on_a_plate_the_right_way_up(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0], image[0, 1], image[1, 0], image[1, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    image = image.repeat(16, axis=0).repeat(16, axis=1)
    cv2.imwrite(str(tmp_path / "four.png"), image[..., ::-1])
    texture = Texture(tmp_path / "four.png", color_space="sRGB", wrap=("clamp", "clamp"))
    # A box's texture coordinates are metres over 0.5 m, from its middle: it is made to fill 0..1.
    texture = replace(texture, uv_transform=((0.5, 0.0, 0.5), (0.0, 0.5, 0.5)))
    painted = replace(DULL, base_color_texture=texture)
    scene = scene_of(plate(painted))
    shown = from_above(scene)
    sky = replace(shown.lighting, sun=(0.0, 0.0, 0.0), sky=(0.5, 0.5, 0.5))
    rgb = colors(scene, replace(shown, lighting=sky))
    # The camera's up is +y: s runs to the right, t upwards, and an image's first row is its upper.
    for (row, column), channel in {(28, 28): 0, (28, 68): 1, (68, 28): 2}.items():
        pixel = rgb[row, column]
        assert pixel.argmax() == channel and np.sort(pixel)[1] < 4, (row, column, pixel)
    assert (rgb[68, 68] == developed(np.full(3, 0.5))).all()


def test_edges_are_a_mean_and_insides_are_not_touched() -> None:
    scene = scene_of(plate(replace(DULL, base_color=(0.9, 0.9, 0.9)), size_m=0.6))
    shown = from_above(scene)
    turned = pose(np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]), np.zeros(3))
    shown = replace(shown, poses=dict.fromkeys(shown.poses, turned))
    smooth, hard = colors(scene, shown), colors(scene, shown, antialias=False)
    differs = (smooth != hard).any(axis=-1)
    values = np.unique(hard[..., 0])
    assert len(values) == 2
    assert ((smooth[differs][:, 0] > values[0]) & (smooth[differs][:, 0] < values[1])).all()
    # About the outline's length, in pixels.
    assert 150 < differs.sum() < 400


def test_a_missing_image_is_named() -> None:
    lost = Texture(Path("/nowhere/paint.png"))
    scene = scene_of(plate(replace(DULL, base_color_texture=lost)))
    with pytest.raises(StageError, match=r"/nowhere/paint\.png: the image cannot be read"):
        RasterRenderer(scene, (), device="cpu")
