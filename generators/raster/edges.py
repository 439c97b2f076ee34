# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which pixels lie at an edge that can be seen: of something, of a paint, or of its shape."""

import warp as wp

from generators.raster.cells import CELL, MIXED
from generators.raster.layout import Geometry, Target, Views
from generators.raster.visibility import SAMPLES

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

CREASE = wp.constant(0.9)
"""Cosine between neighbouring normals below which there is an edge."""

STEP = wp.constant(0.05)
"""Of depth, as a share of it, above which there is one."""


@wp.func
def differs(
    geometry: Geometry,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    smooth: wp.array3d(dtype=wp.vec3),
    view: int,
    x: int,
    y: int,
    i: int,
    j: int,
) -> bool:
    """Return whether there is an edge between two neighbours."""
    width = depth.shape[2]
    start = view * depth.shape[1] * width
    a = seen[start + y * width + x]
    b = seen[start + j * width + i]
    if a == b:
        return False
    if a == wp.uint64(0) or b == wp.uint64(0):
        return True
    if (a ^ b) & wp.uint64(0xFFFFFFFF) == wp.uint64(0):
        return False
    item_a = int(a & wp.uint64(0xFFFFFFFF)) // 64
    item_b = int(b & wp.uint64(0xFFFFFFFF)) // 64
    if geometry.item_instance[item_a] != geometry.item_instance[item_b]:
        return True
    z = depth[view, y, x]
    if wp.abs(z - depth[view, j, i]) > STEP * z:
        return True
    return wp.dot(smooth[view, y, x], smooth[view, j, i]) < CREASE


@wp.func
def alone(
    numbers: wp.array2d(dtype=wp.uint32), view: int, column: int, row: int, across: int
) -> bool:
    """Return whether one triangle, or nothing, fills a cell and the four about it."""
    cell = row * across + column
    number = numbers[view, cell]
    down = numbers.shape[1] // across
    if number == MIXED:
        return False
    if column > 0 and numbers[view, cell - 1] != number:
        return False
    if column + 1 < across and numbers[view, cell + 1] != number:
        return False
    if row > 0 and numbers[view, cell - across] != number:
        return False
    return row + 1 == down or numbers[view, cell + across] == number


@wp.kernel
def find_edges(
    geometry: Geometry,
    views: Views,
    numbers: wp.array2d(dtype=wp.uint32),
    depth: wp.array3d(dtype=wp.float32),
    smooth: wp.array3d(dtype=wp.vec3),
    target: Target,
):
    """Mark the pixels of a cell that lie at an edge, and give each a slot with nothing in it."""
    view, cell = wp.tid()
    across = (views.width + CELL - 1) // CELL
    column = cell % across
    row = cell // across
    # Most of a picture: there no pixel need be looked at.
    calm = alone(numbers, view, column, row, across)
    any = wp.uint8(0)
    for y in range(row * CELL, wp.min(row * CELL + CELL, views.height)):
        marks = wp.uint8(0)
        if not calm:
            for x in range(column * CELL, wp.min(column * CELL + CELL, views.width)):
                edge = False
                if x > 0:
                    edge = differs(geometry, target.seen, depth, smooth, view, x, y, x - 1, y)
                if not edge and x + 1 < views.width:
                    edge = differs(geometry, target.seen, depth, smooth, view, x, y, x + 1, y)
                if not edge and y > 0:
                    edge = differs(geometry, target.seen, depth, smooth, view, x, y, x, y - 1)
                if not edge and y + 1 < views.height:
                    edge = differs(geometry, target.seen, depth, smooth, view, x, y, x, y + 1)
                if edge:
                    marks |= wp.uint8(1) << wp.uint8(x % CELL)
                    slot = wp.atomic_add(target.count, 0, 1)
                    for s in range(SAMPLES):
                        target.samples[slot * SAMPLES + s] = wp.uint64(0)
                    target.slots[(view * views.height + y) * views.width + x] = slot
        target.edges[(view * views.height + y) * across + column] = marks
        any |= marks
    target.edge_cells[view, cell] = any
