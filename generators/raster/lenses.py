"""Where the pixels of a distorting lens look, and tables that bound where a triangle can be seen.

Everything is in undistorted pixels, (fx·x + cx, fy·y + cy) of the direction (x, y, 1).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from generators.camera import Lens, lens_slopes

TILE = 8
"""Pixels along the edge of a tile of the picture."""

CELL = 2.0
"""Undistorted pixels along the edge of a cell."""


@dataclass(frozen=True)
class LensTable:
    """A lens as the kernels read it.

    Attributes:
        rays: What each pixel sees.
        tiles: The least and the largest u, the least and the largest v of each tile's pixels.
        cells: The first and last column, the first and last row of the pixels that look into each
            cell; first > last where none does.
        origin: u and v at which the cells begin.
        grid: Number of cells along u and v.
        margin: How far from what a pixel's centre sees another place in it may look, at most.
    """

    rays: Float32[np.ndarray, "pixels 2"]
    tiles: Float32[np.ndarray, "tiles 4"]
    cells: Int32[np.ndarray, "cells 4"]
    origin: tuple[float, float]
    grid: tuple[int, int]
    margin: float


def lens_table(lens: Lens, width: int, height: int) -> LensTable:
    """Return the tables of a lens; they hold for any shift of what is seen through it."""
    slopes = lens_slopes(lens, width, height)
    u = (lens.fx * slopes[..., 0] + lens.cx).astype(np.float32)
    v = (lens.fy * slopes[..., 1] + lens.cy).astype(np.float32)
    origin = float(np.floor(u.min())), float(np.floor(v.min()))
    column, row = (np.floor((a - o) / CELL) for a, o in zip((u, v), origin, strict=True))
    grid = int(column.max()) + 1, int(row.max()) + 1
    cell = (row * grid[0] + column).astype(np.int64).ravel()
    cells = np.tile(np.array([width, -1, height, -1], np.int32), (grid[0] * grid[1], 1))
    for k, values in enumerate(np.indices((height, width), np.int32)[::-1]):
        np.minimum.at(cells[:, 2 * k], cell, values.ravel())
        np.maximum.at(cells[:, 2 * k + 1], cell, values.ravel())
    tall, wide = -(-height // TILE), -(-width // TILE)
    ends = ((0, tall * TILE - height), (0, wide * TILE - width))
    tiled = [np.pad(a, ends, mode="edge").reshape(tall, TILE, wide, TILE) for a in (u, v)]
    bounds = [bound(a, axis=(1, 3)) for a in tiled for bound in (np.min, np.max)]
    return LensTable(
        rays=np.stack([u, v], axis=-1).reshape(-1, 2),
        tiles=np.stack(bounds, axis=-1).reshape(-1, 4),
        cells=cells,
        origin=origin,
        grid=grid,
        margin=max(_margin(u), _margin(v)),
    )


def _margin(seen: Float32[np.ndarray, "h w"]) -> float:
    """Return half of the farthest that a step to the next column and row leads."""
    steps = (np.abs(np.diff(seen, axis=k)).max(initial=0.0) for k in (0, 1))
    return float(sum(steps)) / 2
