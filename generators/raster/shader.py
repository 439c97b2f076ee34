"""Colour for a visibility buffer: the launches that light it, with what they work on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp

from generators.raster import cells, occlusion, shading, smoothing
from generators.raster.buffer import VisibilityBuffer
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry
from generators.raster.lights import LightRig
from generators.raster.paints import Painter
from generators.raster.tables import STEPS, srgb_bytes
from generators.renderer import Part
from generators.scenario import Scenario


class Shader:
    """Lights pictures of one scene; `count` of them in a launch, all of one size."""

    def __init__(
        self,
        parts: Sequence[Part],
        geometry: Geometry,
        casters: tuple[Instances, Geometry],
        painter: Painter,
        buffer: VisibilityBuffer,
        lamps: int,
    ) -> None:
        count, width, height = buffer.shape
        self._geometry, self._painter, self._buffer = geometry, painter, buffer
        self._device = device = buffer.device
        self._rig = LightRig(parts, casters, count, lamps, device)
        half = (count, -(-height // 2), -(-width // 2))
        self._common: list[Any] = []
        tiles = buffer.tiles.shape
        self._calm = wp.zeros(tiles, dtype=wp.int32, device=device)
        self._quiet = wp.zeros(tiles, dtype=wp.int32, device=device)
        self._raw = wp.zeros(half, dtype=wp.float32, device=device)
        self._coarse = wp.zeros(half, dtype=wp.float32, device=device)
        self._hidden = wp.zeros(half, dtype=wp.float32, device=device)
        self._disc = wp.array(occlusion.discs(), dtype=wp.float32, device=device)
        soft = np.linspace(0.0, 1.0, STEPS + 1)
        self._soft_to_srgb = wp.array(srgb_bytes(soft), dtype=wp.uint8, device=device)

    def shade(
        self,
        scenarios: Sequence[Scenario],
        depth: wp.array,
        normal: wp.array,
        smooth: wp.array,
        shares: wp.array,
        rgb: wp.array,
    ) -> None:
        """Write the colours of what the buffer holds, at the pixels' centres.

        Args:
            scenarios: Those that the buffer was filled with.
            depth: Of the pixels, m.
            normal: Of their triangles, in the world.
            smooth: The meshes' own normals, in the world.
            shares: Weights of their triangles' second and third corner.
            rgb: Where the colours go.
        """
        views, target, device = self._buffer.views, self._buffer.target, self._device
        looks = self._painter.paint(scenarios)
        self._rig.set(scenarios)
        wp.launch(
            occlusion.occlude,
            dim=self._buffer.tiles.shape,
            inputs=[views, depth, normal, self._buffer.tiles, self._disc],
            outputs=[self._calm, self._coarse, self._raw],
            device=device,
        )
        wp.launch(
            occlusion.blur,
            dim=self._buffer.tiles.shape,
            inputs=[views, self._calm, self._coarse, self._raw],
            outputs=[self._hidden, self._quiet],
            device=device,
        )
        self._common = [self._geometry, views, looks, self._rig.lights]
        tile = 2 * int(cells.CELL)
        rows = tile if device == "cpu" else 1
        wp.launch(
            shading.shade,
            dim=(*self._buffer.tiles.shape, tile // rows),
            inputs=[
                *self._common,
                target.seen,
                depth,
                normal,
                smooth,
                shares,
                self._coarse,
                self._hidden,
                self._quiet,
                self._buffer.cells,
                rows,
            ],
            outputs=[rgb],
            device=device,
        )

    def smooth(self, depth: wp.array, smooth: wp.array, rgb: wp.array) -> None:
        """Smooth the edges of the pictures that `shade` has just lit.

        Args:
            depth: Of the pixels, m.
            smooth: The meshes' own normals, in the world.
            rgb: Their colours.
        """
        self._buffer.look_closer(depth, smooth)
        (count, width, height), run = self._buffer.shape, self._buffer.run
        target = self._buffer.target
        wp.launch(
            smoothing.smooth_edges,
            dim=(count, height, -(-width // run)),
            inputs=[*self._common, run, target, self._coarse, self._hidden],
            outputs=[self._soft_to_srgb, rgb],
            device=self._device,
        )
