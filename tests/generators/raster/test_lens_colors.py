"""Colours through a lens that distorts: pixel by pixel, where a straight one has whole cells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.distortion import Distortion
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.cases import CASES, LENSES, Case, Size
from tests.generators.raster.random_scenes import random_scene
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
