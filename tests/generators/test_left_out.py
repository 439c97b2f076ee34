"""What no picture will show is told."""

from dataclasses import replace

import numpy as np

from envs.stage.looks import Light, Material
from envs.stage.scene import Shape
from generators.left_out import left_out
from tests.generators.raster.random_scenes import body, scene_of


def test_lamps_beyond_the_fourth_and_clear_materials_are_told() -> None:
    glass = Material("glass", opacity=0.3)
    window = body("window", Shape("/w", "box", np.eye(4), (1, 1, 0.1), None, glass))
    lamp = Light("/lamp", "sphere", np.eye(4), 1.0, (1, 1, 1), radius_m=0.1)
    scene = replace(scene_of(window), lights=(lamp,) * 6)
    assert left_out(scene) == [
        "the stage has 6 lamps: the 4 that light a picture most are taken",
        "drawn solid, though not opaque: glass",
    ]
    assert left_out(replace(scene_of(), lights=(lamp,) * 4)) == []
