"""The visibility buffer of a launch, and the launches that fill it; made once for each size."""

from collections.abc import Sequence
from typing import Any

import warp as wp

from generators.raster import visibility
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry, Target
from generators.raster.views import View, ViewBuffers

LANES_GPU = 64
"""Threads that share an item or a block of points on a GPU; on a CPU one does it all."""

WORKERS_GPU = 512


class VisibilityBuffer:
    """Fills `target.seen`, and `target.cover` where it is asked for, for so many views."""

    def __init__(
        self,
        instances: Instances,
        geometry: Geometry,
        count: int,
        size: tuple[int, int],
        device: str,
        *,
        words: int = 0,
    ) -> None:
        self._buffers = ViewBuffers(instances, count, size, device)
        self.views = self._buffers.views
        self._geometry, self._instances, self.device = geometry, instances, device
        pixels = size[0] * size[1]
        target = Target()
        target.pixels, target.words = pixels, words

        def room(length: int, dtype: Any) -> wp.array:
            return wp.zeros(length, dtype=dtype, device=device)

        target.seen = room(count * pixels, wp.uint64)
        target.cover = room(count * pixels * words, wp.uint64)
        target.aside = room(count * instances.triangles, wp.uint64)
        target.count = room(1, wp.int32)
        self.target = target
        self._projected = room(count * instances.points, wp.vec3)
        self._count = count
        self.shape = (count, *size)
        self.run = size[0] if device == "cpu" else 1

    def fill(self, shown: Sequence[View]) -> None:
        """Find what each pixel of each view sees."""
        self._buffers.fill(shown)
        self.target.seen.zero_()
        self.target.cover.zero_()
        self.target.count.zero_()
        cpu = self.device == "cpu"
        lanes = 1 if cpu else LANES_GPU
        points = self._instances.points
        wp.launch(
            visibility.project,
            dim=(self._count, self._instances.blocks, lanes),
            inputs=[self._geometry, self.views, points, lanes, self._projected],
            device=self.device,
        )
        wp.launch(
            visibility.rasterize,
            dim=(self._count, self._instances.items, lanes),
            inputs=[self._geometry, self.views, points, lanes, self._projected, self.target],
            device=self.device,
        )
        workers, strips = (1, 1) if cpu else (WORKERS_GPU, 64)
        wp.launch(
            visibility.rasterize_large,
            dim=(workers, strips),
            inputs=[self._geometry, self.views, self.target, workers, strips],
            device=self.device,
        )
