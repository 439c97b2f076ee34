"""How everything looks in a picture: the stage's materials, changed as the scenario says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp

from envs.stage.looks import Material
from generators.raster.geometry import Instances
from generators.raster.images import ImageList, pattern, record_type
from generators.raster.layout import Looks, Paint
from generators.raster.tables import LIGHT_RANGE, STEPS, developed
from generators.raster.views import Mirror
from generators.renderer import Part
from generators.scenario import Look, Scenario

DEFAULT = Material("default")


class Painter:
    """Holds the images of a scene, and gives each picture its paints."""

    def __init__(
        self,
        parts: Sequence[Part],
        instances: Instances,
        patterns: Sequence[Path],
        device: str,
    ) -> None:
        self._device = device
        images = ImageList()
        self._bodies = [parts[p].body.name for p in instances.part]
        self._patterns = [images.number(pattern(path)) for path in patterns]
        self._plain = np.zeros(len(instances.part), record_type(Paint))
        for record, shape in zip(self._plain, instances.shapes, strict=True):
            _describe(record, shape.material or DEFAULT, images)
        self._texels, self._images = images.upload(device)
        light = np.linspace(0.0, LIGHT_RANGE, STEPS + 1)
        self._srgb = wp.array(developed(light), dtype=wp.uint8, device=device)
        self._mirror: Mirror | None = None

    def paint(self, scenarios: Sequence[Scenario]) -> Looks:
        """Return what the kernels look colours up in, for the pictures of one launch."""
        shape = (len(scenarios), len(self._plain))
        if self._mirror is None or self._mirror.values.shape != shape:
            self._mirror = Mirror(shape, Paint, self._device)
        for paints, scenario in zip(self._mirror.values, scenarios, strict=True):
            paints[:] = self._plain
            for record, body in zip(paints, self._bodies, strict=True):
                look = scenario.looks.get(body)
                if look is not None:
                    self._change(record, look)
        self._mirror.push()
        looks = Looks()
        looks.texels, looks.images = self._texels, self._images
        looks.paints, looks.to_srgb = self._mirror.array, self._srgb
        return looks

    def _change(self, record: Any, look: Look) -> None:
        """Paint over a material."""
        if look.color is not None:
            record["base"], record["base_image"] = look.color, -1
        if look.texture is not None:
            record["pattern_image"] = self._patterns[look.texture]
        record["base"] *= look.tint


def _describe(record: Any, material: Material, images: ImageList) -> None:
    """Write a material down as the kernels read it."""
    if material.specular_color is None:
        reflection = ((1 - material.ior) / (1 + material.ior)) ** 2
        record["reflection"] = reflection
        record["metallic"] = material.metallic
    else:
        record["reflection"] = material.specular_color
    record["base"] = material.base_color if material.base_color_texture is None else 1.0
    record["emissive"] = material.emissive if material.emissive_texture is None else 1.0
    record["roughness"] = material.roughness
    record["base_image"] = images.number(material.base_color_texture)
    record["pattern_image"] = -1
    record["roughness_image"] = images.number(material.roughness_texture)
    record["metallic_image"] = images.number(material.metallic_texture)
    record["emissive_image"] = images.number(material.emissive_texture)
    record["normal_image"] = images.number(material.normal_texture)
