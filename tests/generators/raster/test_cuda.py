"""CPU and GPU draw the same; skipped where there is no GPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.raster.device import choose
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.cases import CASES, Case, Size, tabletop
from tests.generators.raster.test_renderer import same

SIZE = (640, 480)
LABELS = ("depth_m", "part_id", "instance_id", "normal_W", "smooth_normal_W", "cover")


@pytest.fixture(autouse=True)
def gpu() -> None:
    """Skip where there is none."""
    try:
        choose("cuda")
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("made", CASES)
def test_cpu_and_gpu_agree(made: Callable[[Path, Size], Case], tmp_path: Path) -> None:
    scene, textures, shown = made(tmp_path, SIZE)
    on_cpu = RasterRenderer(scene, textures, device="cpu")
    on_gpu = RasterRenderer(scene, textures, device="cuda")
    for one in shown:
        a, b = on_cpu.render(one), on_gpu.render(one)
        for name in LABELS:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
        # All bytes were the same on an H200; where light is developed, another may round otherwise.
        apart = np.abs(a.rgb.astype(int) - b.rgb).max(axis=-1)
        assert apart.max() <= 1 and (apart == 0).mean() >= 0.999


def test_a_gpu_draws_the_same_bytes_again_alone_or_in_company(tmp_path: Path) -> None:
    scene, textures, shown = tabletop(tmp_path, SIZE)
    renderer = RasterRenderer(scene, textures, device="cuda")
    alone = [renderer.render(one) for one in shown]
    again = RasterRenderer(scene, textures, device="cuda").render_batch(shown[::-1])[::-1]
    assert all(same(a, b) for a, b in zip(alone, again, strict=True))
    assert not same(alone[0], alone[1])
