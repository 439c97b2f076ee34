"""The renderer that stands on PyBullet's software rasteriser."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from envs.errors import ConfigError
from envs.stage.looks import Material
from envs.stage.scene import Scene
from envs.world.tiny_renderer import Paint, TinyRenderer
from generators.renderer import Frame, Part, parts_of
from generators.scenario import FLOORS, Look, Scenario
from generators.shading import Surface, shade, shadow_camera

SHADOW_RADIUS_M = 1.7
"""Around the focus of the light: a table with its robot."""

SHADOW_SIZE = 720
"""Of the light's picture, in pixels: 5 mm each."""


class BaselineRenderer:
    """Draws colours and labels without light, and lights the picture afterwards."""

    def __init__(self, scene: Scene, textures: Sequence[Path]) -> None:
        self._parts = parts_of(scene)
        self._textures = tuple(textures)
        self._rasterizer = TinyRenderer([part.body for part in self._parts])
        self._ground = {p.body.name for p in self._parts if p.body.label in FLOORS}
        # The last entry is for −1, where nothing is seen.
        self._instance_of = np.array([p.instance.id for p in self._parts] + [0], np.int32)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All bodies of the scene."""
        return self._parts

    def close(self) -> None:
        """Give the physics client back."""
        self._rasterizer.close()

    def render(self, scenario: Scenario, *, colors: bool = True) -> Frame:
        """Draw one scenario: its colours, its light, and what the light sees.

        Raises:
            ConfigError: The lens is distorted, which PyBullet's renderer cannot draw.
        """
        camera, lighting = scenario.camera, scenario.lighting
        if camera.distortion.present:
            raise ConfigError("PyBullet's renderer cannot draw lens distortion")
        paints = {part.body.name: self._paints(part, scenario) for part in self._parts}
        light = shadow_camera(lighting, radius_m=SHADOW_RADIUS_M, size=SHADOW_SIZE)
        # The ground throws no shadow on anything, and would fill most of the light's picture.
        standing = {k: v for k, v in scenario.poses.items() if k not in self._ground}
        self._rasterizer.arrange(standing, paints)
        shadow = self._rasterizer.capture(
            light.X_WC, light.intrinsics, (light.width, light.height), (light.near_m, light.far_m)
        )
        self._rasterizer.arrange(scenario.poses, paints)
        fx, fy, cx, cy = camera.intrinsics
        width, height, planes = camera.width, camera.height, (camera.near_m, camera.far_m)
        seen = self._rasterizer.capture(camera.X_WC, camera.intrinsics, (width, height), planes)
        # Half a pixel to the right and down: the first sample is the upper left corner.
        corners = self._rasterizer.capture(
            camera.X_WC, (fx, fy, cx + 0.5, cy + 0.5), (width + 1, height + 1), planes
        )
        lit = self._rasterizer.capture(
            camera.X_WC,
            camera.intrinsics,
            (width, height),
            planes,
            light_W=lighting.direction_W,
        )
        brightest = np.maximum(seen.rgb.max(axis=-1), 1).astype(np.float32)
        surface = Surface(
            albedo=seen.rgb,
            body=seen.body,
            depth_m=seen.depth_m,
            cosine=lit.rgb.max(axis=-1) / brightest,
            corner_albedo=corners.rgb,
            corner_body=corners.body,
            shadow_camera=light,
            shadow_depth_m=shadow.depth_m,
        )
        return Frame(
            rgb=shade(surface, camera, lighting) if colors else np.zeros_like(seen.rgb),
            depth_m=seen.depth_m,
            part_id=seen.body,
            instance_id=self._instance_of[seen.body],
            camera=camera,
        )

    def photograph(self, scenario: Scenario) -> UInt8[np.ndarray, "h w 3"]:
        """Return what PyBullet itself makes of a scenario, with its light and its shadows."""
        camera, lighting = scenario.camera, scenario.lighting
        paints = {part.body.name: self._paints(part, scenario) for part in self._parts}
        self._rasterizer.arrange(scenario.poses, paints)
        return self._rasterizer.photograph(
            camera.X_WC,
            camera.intrinsics,
            (camera.width, camera.height),
            (camera.near_m, camera.far_m),
            lighting.direction_W,
        )

    def _paints(self, part: Part, scenario: Scenario) -> list[Paint]:
        """Return the paint of each visual: its material, changed as the scenario says."""
        look = scenario.looks.get(part.body.name, Look())
        paints = []
        for shape in part.body.visuals:
            material = shape.material or Material("default")
            color, image = material.base_color, None
            if material.base_color_texture is not None:
                image = material.base_color_texture.path
                color = material.base_color_texture.scale[:3]
            if look.color is not None:
                color, image = look.color, None
            if look.texture is not None:
                image = self._textures[look.texture]
            (r, g, b), (tint_r, tint_g, tint_b) = color, look.tint
            paints.append(Paint((r * tint_r, g * tint_g, b * tint_b), image))
        return paints
