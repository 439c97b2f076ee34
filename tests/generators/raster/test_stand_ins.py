"""Shadows of the coarser meshes against those of the meshes themselves."""

from pathlib import Path

import numpy as np
import pytest

from generators.raster import geometry
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.cases import tabletop


def test_stand_ins_throw_the_same_shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, textures, shown = tabletop(tmp_path, (320, 240))

    def pictures() -> np.ndarray:
        renderer = RasterRenderer(scene, textures, device="cpu", antialias=False)
        return np.array([renderer.render(one).rgb for one in shown]).astype(int)

    coarse = pictures()
    monkeypatch.setattr(geometry, "coarser", lambda mesh: mesh)
    apart = np.abs(pictures() - coarse).max(axis=-1)
    assert 0 < (apart > 4).mean() < 1e-3 and apart.max() < 25
