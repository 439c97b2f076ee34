# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Where one triangle fills a cell of the picture, much can be done once for all its pixels."""

import warp as wp

from generators.raster.layout import Views

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

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


@wp.func_native("""
    const wp::uint64* const entries = seen.data + first;
    const wp::uint64 number = entries[0] & 0xFFFFFFFFull, empty = entries[0] == 0;
    wp::uint64 other = 0;
    for (int j = 0; j < down; ++j) {
        const wp::uint64* const row = entries + j * width;
        if (across == 8)
            for (int i = 0; i < 8; ++i)
                other |= ((row[i] & 0xFFFFFFFFull) ^ number) | ((wp::uint64)(row[i] == 0) ^ empty);
        else
            for (int i = 0; i < across; ++i)
                other |= ((row[i] & 0xFFFFFFFFull) ^ number) | ((wp::uint64)(row[i] == 0) ^ empty);
    }
    return other == 0;
""")
def alike_within(
    seen: wp.array(dtype=wp.uint64), first: int, width: int, across: int, down: int
) -> bool:
    """Return whether some columns and rows of pixels show one triangle, or all of them nothing.

    Args:
        seen: The visibility buffer.
        first: Number of the first pixel.
        width: Of the picture.
        across: How many columns.
        down: How many rows.
    """
    ...


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
        place = start + y * views.width + x
        found = number_of(seen[place])
        wide = wp.min(CELL, views.width - x)
        if not alike_within(seen, place, views.width, wide, wp.min(CELL, views.height - y)):
            found = MIXED
        cells[view, row * cells_across + column] = found
        if c == 0:
            alike = found
        elif found != alike:
            alike = MIXED
    tiles[view, tile] = alike
