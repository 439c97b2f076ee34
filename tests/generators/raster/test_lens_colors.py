"""Colours through a lens that distorts: pixel by pixel, where a straight one has whole cells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.frames import from_quaternion, pose
from envs.stage.looks import Material
from envs.stage.scene import Shape
from generators.camera import Camera, look_at
from generators.distortion import Distortion
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.cases import CASES, LENSES, Case, Size
from tests.generators.raster.random_scenes import (
    LIGHTING,
    body,
    bumpy,
    picture,
    random_scene,
    scene_of,
)
from tests.generators.raster.test_renderer import same

HARDLY = Distortion(k1=1e-9)


@pytest.mark.parametrize("made", CASES)
def test_a_lens_that_hardly_distorts_shows_the_same_colors(
    made: Callable[[Path, Size], Case], tmp_path: Path
) -> None:
    scene, textures, shown = made(tmp_path, (320, 240))
    renderer = RasterRenderer(scene, textures, device="cpu")
    for one in shown:
        straight = replace(one, camera=replace(one.camera, distortion=Distortion()))
        bent = replace(one, camera=replace(one.camera, distortion=HARDLY))
        a, b = renderer.render(straight), renderer.render(bent)
        np.testing.assert_array_equal(a.part_id, b.part_id)
        apart = np.abs(a.rgb.astype(int) - b.rgb).max(axis=-1)
        # A cell's light is interpolated, and its images' copies fit its middle.
        assert (apart <= 1).mean() >= 0.999 and apart.max() <= 4


@pytest.mark.parametrize("lens", LENSES)
def test_colors_are_the_same_bytes_again(lens: Distortion) -> None:
    scene, shown = random_scene(4, size=(320, 240))
    shown = replace(shown, camera=replace(shown.camera, distortion=lens))
    first = RasterRenderer(scene, (), device="cpu").render(shown)
    # Another picture in between leaves other bytes in the memory that is used again.
    renderer = RasterRenderer(scene, (), device="cpu")
    renderer.render(replace(shown, poses={}))
    assert same(first, renderer.render(shown)) and same(first, renderer.render(shown))


WIDE = Distortion(k4=0.3)
"""Towards the corners of the pictures below, pixels look four times as far apart as in the middle.
"""


@pytest.mark.parametrize("lens", [Distortion(), WIDE])
def test_edges_between_things_that_shine_alike_cannot_be_seen(lens: Distortion) -> None:
    rng = np.random.default_rng(3)
    shines = Material("shines", roughness=1.0, ior=1.0, emissive=(0.5, 0.5, 0.5))
    # Of 20 000 small triangles, all around and partly behind one another.
    blob = Shape("/blob", "mesh", np.eye(4), (), bumpy(rng, subdivisions=5), shines)
    bodies = []
    for k in range(30):
        away = np.array([*rng.normal(size=2), 1.0])
        away *= rng.uniform(0.5, 1.0) / np.linalg.norm(away)
        bodies.append(body(f"blob{k}", blob, X_WB=pose(from_quaternion(rng.normal(size=4)), away)))
    scene, ahead = scene_of(*bodies), look_at(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    camera = Camera(113.0, 113.0, 79.5, 59.5, 160, 120, ahead, 0.05, 50.0, lens)
    black = (0.0, 0.0, 0.0)
    lighting = replace(LIGHTING, sky=black, ground=black, sun=black, backdrop=black)
    shown = replace(picture(scene, camera), lighting=lighting)
    frame = RasterRenderer(scene, (), device="cpu").render(shown)
    # Each pixel as 8 × 8 of them, of which none shows the black behind everything.
    fine = replace(
        camera, fx=904.0, fy=904.0, cx=8 * 79.5 + 3.5, cy=8 * 59.5 + 3.5, width=1280, height=960
    )
    closely = RasterRenderer(scene, (), device="cpu").render(
        replace(shown, camera=fine), colors=False
    )
    solid = (closely.part_id >= 0).reshape(120, 8, 160, 8).all(axis=(1, 3))
    several = np.ptp(closely.part_id.reshape(120, 8, 160, 8), axis=(1, 3)) > 0
    assert (solid & several).sum() > 500
    assert np.ptp(frame.rgb[solid]) == 0


def test_straight_and_distorting_lenses_in_one_batch_show_what_each_shows_alone() -> None:
    scene, shown = random_scene(4, size=(160, 120))
    several = [replace(shown, camera=replace(shown.camera, distortion=k)) for k in LENSES]
    renderer = RasterRenderer(scene, (), device="cpu")
    alone = [renderer.render(one) for one in several]
    assert all(map(same, renderer.render_batch(several), alone))
    assert all(map(same, renderer.render_batch(several[::-1]), alone[::-1]))


@pytest.mark.parametrize("size", [(1, 64), (64, 1)])
def test_a_line_of_pixels_through_a_bent_lens_shows_what_a_straight_one_does(size: Size) -> None:
    # Edges lie across the line; along it only do samples look beside the centres.
    shines = Material("shines", roughness=1.0, ior=1.0, emissive=(0.5, 0.5, 0.5))
    bar = (0.083, 4.0, 0.01) if size[1] == 1 else (4.0, 0.083, 0.01)
    scene = scene_of(body("bar", Shape("/bar", "box", np.eye(4), bar, None, shines)))
    above = look_at(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    camera = Camera.with_view(above, 0.4 * size[0] / 64, size, near_m=0.05, far_m=5.0)
    black = (0.0, 0.0, 0.0)
    lighting = replace(LIGHTING, sky=black, ground=black, sun=black, backdrop=black)
    shown = replace(picture(scene, camera), lighting=lighting)
    bent = replace(shown, camera=replace(camera, distortion=HARDLY))
    renderer = RasterRenderer(scene, (), device="cpu")
    straight, through = renderer.render(shown).rgb, renderer.render(bent).rgb
    assert len(np.unique(straight)) > 2
    np.testing.assert_array_equal(straight, through)
