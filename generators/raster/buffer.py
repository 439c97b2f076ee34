"""The visibility buffer of a launch, and the launches that fill it; made once for each size."""

from collections.abc import Sequence
from typing import Any

import warp as wp

from generators.raster import cells, edges, large_triangles, small_triangles, visibility
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry, Target
from generators.raster.views import View, ViewBuffers

LANES_GPU = 64
"""Threads that share an item or a block of points on a GPU; on a CPU one does it all."""

WORKERS_GPU = (128, 256)
"""Large triangles that a GPU draws at once, and threads that share one."""


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
        target.cover = room(0, wp.uint64)
        target.aside = room(count * instances.triangles, wp.uint64)
        target.count = room(1, wp.int32)
        self.target = target
        edge = int(cells.CELL)
        in_cells, in_tiles = (-(-size[0] // e) * -(-size[1] // e) for e in (edge, 2 * edge))
        self.cells = wp.zeros((count, in_cells), dtype=wp.uint32, device=device)
        self.tiles = wp.zeros((count, in_tiles), dtype=wp.uint32, device=device)
        self._projected = room(count * instances.points, wp.vec3)
        # They are made when edges are first looked at more closely.
        target.edges = room(0, wp.uint8)
        target.edge_cells = wp.zeros((0, 0), dtype=wp.uint8, device=device)
        target.slots = room(0, wp.int32)
        target.samples = room(0, wp.uint64)
        self._count = count
        self._lanes = 1 if device == "cpu" else LANES_GPU
        self.shape = (count, *size)
        self.run = size[0] if device == "cpu" else 1

    def fill(self, shown: Sequence[View]) -> None:
        """Find what each pixel of each view sees."""
        self._buffers.fill(shown)
        self.target.fine = 0
        self.target.seen.zero_()
        # The picture keeps the last one's.
        self.target.cover = wp.zeros(
            len(self.target.seen) * self.target.words, dtype=wp.uint64, device=self.device
        )
        wp.launch(
            visibility.project,
            dim=(self._count, self._instances.blocks, self._lanes),
            inputs=[self._geometry, self.views, self._instances.points, self._lanes],
            outputs=[self._projected],
            device=self.device,
        )
        self._rasterize()

    def find_filled(self) -> None:
        """Find which cells and tiles of the pictures one triangle fills."""
        wp.launch(
            cells.find_filled,
            dim=self.tiles.shape,
            inputs=[self.views, self.target.seen],
            outputs=[self.cells, self.tiles],
            device=self.device,
        )

    def look_closer(self, depth: wp.array, smooth: wp.array) -> None:
        """Find what the samples of the pixels at edges see, for the views of the last `fill`.

        Args:
            depth: Of the pixels, m.
            smooth: Normals of the pixels.
        """
        target = self.target
        count, width, height = self.shape
        if len(target.slots) == 0:
            pixels = len(target.seen)
            across = -(-width // int(cells.CELL))
            target.edges = wp.empty(count * height * across, dtype=wp.uint8, device=self.device)
            target.edge_cells = wp.empty(self.cells.shape, dtype=wp.uint8, device=self.device)
            target.slots = wp.empty(pixels, dtype=wp.int32, device=self.device)
            target.samples = wp.empty(4 * pixels, dtype=wp.uint64, device=self.device)
        self.target.count.zero_()
        wp.launch(
            edges.find_edges,
            dim=self.cells.shape,
            inputs=[self._geometry, self.views, self.cells, depth, smooth, target],
            device=self.device,
        )
        target.fine = 1
        self._rasterize()

    def _rasterize(self) -> None:
        """Enter all triangles: the small ones, then those that were put aside."""
        self.target.count.zero_()
        wp.launch(
            small_triangles.rasterize,
            dim=(self._count, self._instances.items, self._lanes),
            inputs=[
                self._geometry,
                self.views,
                self._instances.points,
                self._lanes,
                self._projected,
                self.target,
            ],
            device=self.device,
        )
        workers, strips = (1, 1) if self.device == "cpu" else WORKERS_GPU
        wp.launch(
            large_triangles.rasterize_large,
            dim=(workers, strips),
            inputs=[self._geometry, self.views, self.target, workers, strips],
            device=self.device,
        )
