"""Renderers that are wrong on purpose, each in one way: an audit that is worth anything fails."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from envs.stage.scene import Scene
from generators.raster.renderer import RasterRenderer
from generators.renderer import Frame
from generators.scenario import Scenario


class Shifted(RasterRenderer):
    """Samples at the corners of pixels, as TinyRenderer does."""

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        camera = scenario.camera
        moved = replace(camera, cx=camera.cx + 0.5, cy=camera.cy + 0.5)
        return replace(super().render(replace(scenario, camera=moved), **options), camera=camera)


class Far(RasterRenderer):
    """Its depth is a tenth of a millimetre too large."""

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        frame = super().render(scenario, **options)
        return replace(frame, depth_m=frame.depth_m + np.float32(1e-4))


class Tilted(RasterRenderer):
    """Its normals are a degree off."""

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        frame = super().render(scenario, **options)
        assert frame.normal_W is not None
        c, s = np.cos(np.radians(1.0)), np.sin(np.radians(1.0))
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
            [[1, 0, 0], [0, c, -s], [0, s, c]]
        )
        return replace(frame, normal_W=(frame.normal_W @ R.T).astype(np.float32))


class Blind(RasterRenderer):
    """Takes what it sees for all there is: hidden parts belong to no silhouette."""

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        frame = super().render(scenario, **options)
        assert frame.cover is not None
        seen = np.where(frame.instance_id > 0, 1 << np.maximum(frame.instance_id - 1, 0), 0)
        return replace(frame, cover=seen.astype(np.uint64)[..., None])


class Straight(RasterRenderer):
    """Knows no lens distortion."""

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        camera = scenario.camera
        pinhole = replace(camera, distortion=type(camera.distortion)())
        return replace(super().render(replace(scenario, camera=pinhole), **options), camera=camera)


class Leaky(RasterRenderer):
    """One pixel in the middle of the largest object belongs to nothing."""

    def __init__(self, scene: Scene, textures: Sequence[Path]) -> None:
        super().__init__(scene, textures)

    def render(self, scenario: Scenario, **options: bool) -> Frame:
        frame = super().render(scenario, **options)
        ids, part = frame.instance_id.copy(), frame.part_id.copy()
        things = [p.instance.id for p in self.parts if not p.instance.static]
        number = max(things, key=lambda i: int((ids == i).sum()))
        v, u = np.argwhere(ids == number)[(ids == number).sum() // 2]
        ids[v, u], part[v, u] = 0, -1
        return replace(frame, instance_id=ids, part_id=part)
