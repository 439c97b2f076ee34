"""CPU and GPU draw the same; skipped where there is no GPU."""

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.raster.device import choose
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.random_scenes import random_scene


def test_cpu_and_gpu_agree() -> None:
    try:
        choose("cuda")
    except ConfigError as error:
        pytest.skip(str(error))
    scene, shown = random_scene(4, size=(640, 480))
    a = RasterRenderer(scene, (), device="cpu").render(shown)
    b = RasterRenderer(scene, (), device="cuda").render(shown)
    assert (a.part_id == b.part_id).mean() >= 0.9999
    assert (a.instance_id == b.instance_id).mean() >= 0.9999
    assert a.cover is not None and b.cover is not None
    assert (a.cover == b.cover).mean() >= 0.9999
    apart = np.abs(a.rgb.astype(int) - b.rgb).max(axis=-1)
    assert (apart <= 1).mean() >= 0.999
    both = (a.part_id == b.part_id) & (a.part_id >= 0)
    np.testing.assert_allclose(a.depth_m[both], b.depth_m[both], rtol=1e-5)
