# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Where one triangle fills a cell of the picture, much can be done once for all its pixels."""

import warp as wp

from generators.raster.layout import Views

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

CELL = wp.constant(8)
"""Pixels along the edge of a cell; two cells by two make a tile."""

MIXED = wp.constant(wp.uint32(0xFFFFFFFF))
"""The number of no triangle: for what several fill."""

EMPTY = wp.constant(wp.uint32(0xFFFFFFFE))
"""The number of no triangle: for where nothing is."""


@wp.func
def number_of(entry: wp.uint64) -> wp.uint32:
    """Return the triangle of an entry; a number of its own where nothing is seen."""
    if entry == wp.uint64(0):
        return EMPTY
    return wp.uint32(entry & wp.uint64(0xFFFFFFFF))


@wp.kernel
def find_filled(
    views: Views,
    seen: wp.array(dtype=wp.uint64),
    cells: wp.array2d(dtype=wp.uint32),
    tiles: wp.array2d(dtype=wp.uint32),
):
    """Write the triangle that fills each tile, and each cell; MIXED where there are several."""
    view, tile = wp.tid()
    across = (views.width + 2 * CELL - 1) // (2 * CELL)
    cells_across = (views.width + CELL - 1) // CELL
    start = view * views.width * views.height
    alike = MIXED
    for c in range(4):
        column = 2 * (tile % across) + c % 2
        row = 2 * (tile // across) + c // 2
        x = column * CELL
        y = row * CELL
        if x >= views.width or y >= views.height:
            continue
        first = number_of(seen[start + y * views.width + x])
        found = first
        for j in range(y, wp.min(y + CELL, views.height)):
            for i in range(x, wp.min(x + CELL, views.width)):
                if number_of(seen[start + j * views.width + i]) != first:
                    found = MIXED
            if found == MIXED:
                break
        cells[view, row * cells_across + column] = found
        if c == 0:
            alike = found
        elif found != alike:
            alike = MIXED
    tiles[view, tile] = alike
