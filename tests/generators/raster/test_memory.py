"""Thousands of pictures take no more memory than the first ones."""

import os
import resource
from pathlib import Path

import pytest

from generators.raster.renderer import RasterRenderer
from tests.generators.raster.random_scenes import random_scene


def resident_mb() -> float:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_five_thousand_pictures() -> None:
    scenes = [random_scene(seed, size=(96, 72)) for seed in range(2)]
    renderers = [RasterRenderer(scene, (), device="cpu") for scene, _ in scenes]

    def draw(count: int) -> None:
        for k in range(count):
            renderers[k % 2].render(scenes[k % 2][1], colors=k % 3 != 0)

    draw(200)
    before, peak = resident_mb(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    draw(5000)
    assert resident_mb() - before < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - peak < 20
