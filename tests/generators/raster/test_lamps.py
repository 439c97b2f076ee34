"""Pictures of a plate under the stage's lamps, against what the formulas say at each pixel."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from envs.frames import pose
from envs.stage.looks import Light, Material
from envs.stage.scene import Body, Scene, Shape
from generators.camera import Camera, look_at
from generators.lamps import facing_light, vector_irradiance
from generators.raster.renderer import RasterRenderer
from generators.raster.tables import developed
from generators.renderer import Frame
from generators.scenario import Scenario
from tests.generators.raster.random_scenes import LIGHTING, body, picture, scene_of

DULL = Material("dull", (1.0, 1.0, 1.0), roughness=1.0, ior=1.0)
"""Reflects by its colour alone."""

DOWN = pose(np.eye(3), np.array([0.1, -0.2, 0.8]))
BULB = Light("/bulb", "sphere", DOWN, 20.0, (1.0, 0.8, 0.6), radius_m=0.1)
PANEL = Light("/panel", "rect", DOWN, 1.0, (0.6, 0.8, 1.0), size_m=(0.5, 0.3))
SUN = Light("/sun", "distant", pose(np.eye(3), np.zeros(3)), 1.5, (1.0, 0.9, 0.8), angle_rad=0.0)


def plate(material: Material, *, height_m: float = 0.0, size_m: float = 1.0) -> Body:
    at = pose(np.eye(3), np.array([0.0, 0.0, height_m - 0.005]))
    box = Shape(f"/plate{height_m}", "box", at, (size_m, size_m, 0.01), None, material)
    return body(f"plate{height_m}", box)


def lit_by(lamps: Sequence[Light], *bodies: Body) -> tuple[Scenario, Frame]:
    """The bodies from above under lamps alone, in black surroundings."""
    scene: Scene = replace(scene_of(*bodies), lights=tuple(lamps))
    eye = look_at(np.array([0.0, 0.0, 3.0]), np.zeros(3))
    camera = Camera.with_view(eye, 0.3, (96, 96), near_m=0.1, far_m=10.0)
    black = (0.0, 0.0, 0.0)
    lighting = replace(LIGHTING, sky=black, ground=black, sun=(5.0, 5.0, 5.0), lamps=tuple(lamps))
    shown = replace(picture(scene, camera), lighting=lighting)
    return shown, RasterRenderer(scene, (), device="cpu", antialias=False).render(shown)


def expected_light(lamp: Light, p_W: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """What a white, dull surface that lies level gives back."""
    if lamp.kind == "rect":
        level: Float[np.ndarray, 3] = np.array(lamp.radiance) * vector_irradiance(lamp, p_W)[2]
        return level / np.pi
    toward = lamp.X_WL[:3, 2] if lamp.kind == "distant" else lamp.X_WL[:3, 3] - p_W
    given: Float[np.ndarray, 3] = facing_light(lamp, p_W) * toward[2] / np.linalg.norm(toward)
    return given


@pytest.mark.parametrize("lamps", [[BULB], [PANEL], [SUN], [BULB, PANEL, SUN]])
def test_a_plate_gives_back_what_the_formulas_say(lamps: list[Light]) -> None:
    shown, frame = lit_by(lamps, plate(DULL))
    pixels = np.stack(np.meshgrid(np.arange(0, 96, 5), np.arange(0, 96, 5)), -1).reshape(-1, 2)
    p_W = shown.camera.unproject(pixels.astype(float), frame.depth_m[pixels[:, 1], pixels[:, 0]])
    light = np.array([sum(expected_light(lamp, p) for lamp in lamps) for p in p_W])
    assert np.ptp(light, axis=0).max() > 0.05 or lamps == [SUN]
    rgb = frame.rgb[pixels[:, 1], pixels[:, 0]].astype(int)
    # Between a cell's corners light is interpolated: half a byte, and half for rounding.
    assert np.abs(rgb - developed(light)).max() <= 1


@pytest.mark.parametrize("lamp", [BULB, PANEL])
def test_a_shadow_lies_where_the_lamp_is_hidden(lamp: Light) -> None:
    small = plate(DULL, height_m=0.3, size_m=0.08)
    shown, frame = lit_by([lamp], plate(DULL), small)
    _, clear = lit_by([lamp], plate(DULL))
    lower = np.argwhere(frame.part_id == 0)
    p_W = shown.camera.unproject(lower[:, ::-1].astype(float), frame.depth_m[tuple(lower.T)])
    # Where the ray to the lamp's middle passes the height of the small plate.
    to = lamp.X_WL[:3, 3] - p_W
    passing = p_W + to * (0.295 / to[:, 2])[:, None]
    off = np.abs(passing[:, :2]).max(axis=1)
    lit = frame.rgb[tuple(lower.T)].astype(float).mean(axis=1)
    lit /= clear.rgb[tuple(lower.T)].astype(float).mean(axis=1)
    assert (off < 0.01).sum() > 4 and lit[off < 0.01].max() < 0.35
    # Beyond the soft edge of the lamp, as of things a fifth of a metre above, all is lit.
    assert (off > 0.12).sum() > 500 and lit[off > 0.12].min() > 0.99


def test_a_lamp_shows_in_a_smooth_plate_where_a_mirror_would_show_it() -> None:
    smooth = Material("smooth", (0.0, 0.0, 0.0), roughness=0.2, ior=1.5)
    bulb = replace(BULB, X_WL=pose(np.eye(3), np.array([0.2, 0.1, 0.8])), intensity=20.0)
    shown, frame = lit_by([bulb], plate(smooth))
    light = frame.rgb.astype(float).sum(axis=-1)
    bright = np.argwhere(light > 0.9 * light.max())
    found = shown.camera.unproject(bright[:, ::-1].astype(float), frame.depth_m[tuple(bright.T)])
    # The eye is at 3 m, the lamp at 0.8: the ray between them is parted as 3 to 0.8, and the lamp
    # seen as large as its image, and half as large again for the roughness.
    np.testing.assert_allclose(
        found[:, :2].mean(axis=0), np.array([0.2, 0.1]) * 3 / 3.8, atol=0.006
    )
    wide = np.ptp(found[:, :2], axis=0)
    image = 2 * bulb.radius_m * 3 / 3.8
    assert (wide > image).all() and (wide < 1.6 * image).all()


def test_a_rectangle_lights_no_one_behind_it() -> None:
    up = replace(PANEL, X_WL=pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 0.8])))
    _, frame = lit_by([up], plate(DULL))
    assert frame.rgb[frame.part_id == 0].max() == 0


def test_a_wall_beside_a_wide_lamp_is_lit() -> None:
    panel = replace(PANEL, X_WL=pose(np.eye(3), np.array([0.1, 0.0, 0.6])), size_m=(1.0, 1.0))
    # Standing beside the panel's light, and far below what widens the view of its shadow map.
    wall = body("wall", Shape("/wall", "box", np.eye(4), (0.1, 0.6, 0.6), None, DULL))
    scene = replace(scene_of(wall, plate(DULL, height_m=-1.5, size_m=2.5)), lights=(panel,))
    eye = look_at(np.array([1.5, 0.0, 0.0]), np.zeros(3))
    black = (0.0, 0.0, 0.0)
    shown = picture(scene, Camera.with_view(eye, 0.3, (64, 64), near_m=0.1, far_m=10.0))
    lighting = replace(LIGHTING, sky=black, ground=black, sun=black, lamps=(panel,))
    shown = replace(shown, lighting=lighting)
    frame = RasterRenderer(scene, (), device="cpu", antialias=False).render(shown)
    pixels = np.stack(np.meshgrid(np.arange(3, 64, 7), np.arange(3, 64, 7)), -1).reshape(-1, 2)
    p_W = shown.camera.unproject(pixels.astype(float), frame.depth_m[pixels[:, 1], pixels[:, 0]])
    given = np.array([vector_irradiance(panel, p)[0] for p in p_W])
    light = given[:, None] * np.array(panel.radiance) / np.pi
    rgb = frame.rgb[pixels[:, 1], pixels[:, 0]].astype(int)
    assert rgb.min() > 20 and np.abs(rgb - developed(light)).max() <= 1


@pytest.mark.parametrize("radius_m", [0.0, 0.05, 3.0])
def test_a_lamp_in_the_midst_of_things_draws_its_shadows(radius_m: float) -> None:
    middle = np.array([0.0, 0.0, 0.495])
    lamp = replace(BULB, X_WL=pose(np.eye(3), middle), radius_m=radius_m)
    shown, frame = lit_by([lamp], plate(DULL), plate(DULL, height_m=1.0))
    assert frame.part_id.max() == 1 and shown.lighting.lamps == (lamp,)
