"""Colour for a visibility buffer: the launches that light it, with what they work on."""

from collections.abc import Sequence

import numpy as np
import warp as wp
from jaxtyping import UInt8

from generators.raster import occlusion, shading
from generators.raster.buffer import VisibilityBuffer
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry
from generators.raster.lights import LightRig
from generators.raster.paints import Painter
from generators.renderer import Part
from generators.scenario import Scenario

STEPS = 4096
"""Entries of the table from linear values to sRGB bytes."""


class Shader:
    """Lights pictures of one scene; `count` of them in a launch, all of one size."""

    def __init__(
        self,
        parts: Sequence[Part],
        instances: Instances,
        geometry: Geometry,
        painter: Painter,
        buffer: VisibilityBuffer,
    ) -> None:
        count, width, height = buffer.shape
        self._geometry, self._painter, self._buffer = geometry, painter, buffer
        self._device = device = buffer.device
        self._rig = LightRig(parts, instances, geometry, count, device)
        tile = 2 * int(occlusion.TILE)
        self._tiles = (count, -(-width // tile) * -(-height // tile))
        half = (count, -(-height // 2), -(-width // 2))
        self._uniform = wp.zeros(self._tiles, dtype=wp.uint32, device=device)
        self._raw = wp.zeros(half, dtype=wp.float32, device=device)
        self._hidden = wp.zeros(half, dtype=wp.float32, device=device)
        self._to_srgb = wp.array(srgb_bytes(), dtype=wp.uint8, device=device)

    def shade(
        self, scenarios: Sequence[Scenario], depth: wp.array, normal: wp.array, rgb: wp.array
    ) -> None:
        """Write the colours of what the buffer holds."""
        views, seen, device = self._buffer.views, self._buffer.target.seen, self._device
        count, width, height = self._buffer.shape
        looks = self._painter.paint(scenarios)
        self._rig.set(scenarios)
        wp.launch(
            occlusion.find_uniform,
            dim=self._tiles,
            inputs=[views, seen, self._uniform],
            device=device,
        )
        wp.launch(
            occlusion.occlude,
            dim=self._tiles,
            inputs=[views, depth, normal, self._uniform, self._raw],
            device=device,
        )
        wp.launch(
            occlusion.blur,
            dim=self._raw.shape[:2],
            inputs=[views, depth, self._raw, self._hidden],
            device=device,
        )
        run = self._buffer.run
        wp.launch(
            shading.shade,
            dim=(count, height, -(-width // run)),
            inputs=[
                self._geometry,
                views,
                looks,
                self._rig.lights,
                run,
                seen,
                depth,
                self._hidden,
                self._to_srgb,
                rgb,
            ],
            device=device,
        )


def srgb_bytes() -> UInt8[np.ndarray, "steps"]:
    """Return the sRGB byte of each step from 0 to 1 (IEC 61966-2-1)."""
    x = np.linspace(0.0, 1.0, STEPS)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    table: UInt8[np.ndarray, steps] = np.rint(255 * srgb).astype(np.uint8)
    return table
