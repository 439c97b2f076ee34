"""Where the pixels of a distorting lens look, and tables that bound where a triangle can be seen.

Everything is in undistorted pixels, (fx·x + cx, fy·y + cy) of the direction (x, y, 1).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from generators.camera import Camera

TILE = 8
"""Pixels along the edge of a tile of the picture."""

CELL = 2.0
"""Undistorted pixels along the edge of a cell."""


@dataclass(frozen=True)
class LensTable:
    """A lens as the kernels read it.

    Attributes:
        rays: What each pixel sees; NaN where nothing.
        tiles: The least and the largest u, the least and the largest v of each tile's pixels.
        cells: The first and last column, the first and last row of the pixels that look into each
            cell; first > last where none does.
        origin: u and v at which the cells begin.
        grid: Number of cells along u and v.
    """

    rays: Float32[np.ndarray, "pixels 2"]
    tiles: Float32[np.ndarray, "tiles 4"]
    cells: Int32[np.ndarray, "cells 4"]
    origin: tuple[float, float]
    grid: tuple[int, int]


def lens_table(camera: Camera) -> LensTable:
    """Return the tables of a camera's lens."""
    height, width = camera.height, camera.width
    rays_C = camera.rays() @ camera.X_WC[:3, :3]
    u = (camera.fx * rays_C[..., 0] + camera.cx).astype(np.float32)
    v = (camera.fy * rays_C[..., 1] + camera.cy).astype(np.float32)
    u[~np.isfinite(v)] = np.nan
    v[~np.isfinite(u)] = np.nan
    origin = float(np.floor(np.nanmin(u))), float(np.floor(np.nanmin(v)))
    column, row = (np.floor((a - o) / CELL) for a, o in zip((u, v), origin, strict=True))
    grid = int(np.nanmax(column)) + 1, int(np.nanmax(row)) + 1
    seen = np.isfinite(u)
    cell = (row[seen] * grid[0] + column[seen]).astype(np.int64)
    y, x = np.nonzero(seen)
    cells = np.tile(np.array([width, -1, height, -1], np.int32), (grid[0] * grid[1], 1))
    for k, values in enumerate((x, x, y, y)):
        (np.minimum, np.maximum)[k % 2].at(cells[:, k], cell, values.astype(np.int32))
    tall, wide = -(-height // TILE), -(-width // TILE)
    ends = ((0, tall * TILE - height), (0, wide * TILE - width))
    bounds = []
    for values in (u, v):
        tiled = np.pad(values, ends, mode="edge").reshape(tall, TILE, wide, TILE)
        # A tile without any ray gets an empty range.
        low = np.where(np.isnan(tiled), np.inf, tiled).min(axis=(1, 3))
        high = np.where(np.isnan(tiled), -np.inf, tiled).max(axis=(1, 3))
        bounds += [low, high]
    return LensTable(
        rays=np.stack([u, v], axis=-1).reshape(-1, 2),
        tiles=np.stack(bounds, axis=-1).reshape(-1, 4).astype(np.float32),
        cells=cells,
        origin=origin,
        grid=grid,
    )
