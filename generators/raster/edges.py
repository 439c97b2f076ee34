# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which pixels lie at an edge that can be seen: of something, of a paint, or of its shape."""

import warp as wp

from generators.raster.cells import CELL, MIXED
from generators.raster.layout import Geometry, Target, Views
from generators.raster.scan import lowest_bit
from generators.raster.visibility import SAMPLES

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

CREASE = wp.constant(0.9)
"""Cosine between neighbouring normals below which there is an edge."""

STEP = wp.constant(0.05)
"""Of depth, as a share of it, above which there is one."""


@wp.func_native("""
    const int width = depth.shape[2], height = depth.shape[1];
    const auto edge = [&](int p, int q) {
        const wp::uint64 a = seen.data[p], b = seen.data[q];
        const wp::uint32 one = (wp::uint32)a, other = (wp::uint32)b;
        const float z = depth.data[p], away = z - depth.data[q];
        const float* const n = &smooth.data[p][0];
        const float* const m = &smooth.data[q][0];
        const float cosine = n[0] * m[0] + n[1] * m[1] + n[2] * m[2];
        const bool things = item_instance.data[one / 64] != item_instance.data[other / 64];
        const bool shape = (away > step * z) | (away < -step * z) | (cosine < crease);
        const bool nothing = (a == 0) | (b == 0);
        return (int)((a != b) & (nothing | ((one != other) & (things | shape))));
    };
    const int first = (view * height + y) * width + x;
    const int up = y > 0 ? -width : 0, down = y + 1 < height ? width : 0;
    int found[8];
    if (x > 0 && x + 8 < width)
        for (int k = 0; k < 8; ++k) {
            const int p = first + k;
            found[k] = edge(p, p - 1) | edge(p, p + 1) | edge(p, p + up) | edge(p, p + down);
        }
    else
        for (int k = 0; k < 8; ++k) {
            // Beside the picture lies what is at its border.
            const int p = first + (x + k < width ? k : 0);
            const int left = x + k > 0 ? -1 : 0, right = x + k + 1 < width ? 1 : 0;
            const int any = edge(p, p + left) | edge(p, p + right) | edge(p, p + up);
            found[k] = x + k < width ? any | edge(p, p + down) : 0;
        }
    int bits = 0;
    for (int k = 0; k < 8; ++k) bits |= found[k] << k;
    return bits;
""")
def edges_in_row(
    item_instance: wp.array(dtype=wp.int32),
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    smooth: wp.array3d(dtype=wp.vec3),
    view: int,
    x: int,
    y: int,
    step: float,
    crease: float,
) -> int:
    """Return which of eight pixels of a row differ from one of their four neighbours: bit k.

    In C++ so that a CPU's compiler takes the eight in one go.

    Args:
        item_instance: See `Geometry`.
        seen: The visibility buffer.
        depth: Of the pixels, m.
        smooth: Their normals.
        view: Which camera.
        x: The first of them.
        y: Their row.
        step: `STEP`.
        crease: `CREASE`.
    """
    ...


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
    any = int(0)
    for y in range(row * CELL, wp.min(row * CELL + CELL, views.height)):
        marks = int(0)
        if not calm:
            marks = edges_in_row(
                geometry.item_instance, target.seen, depth, smooth, view, column * CELL, y,
                STEP, CREASE,
            )  # fmt: skip
        rest = marks
        while rest != 0:
            x = column * CELL + lowest_bit(rest)
            rest &= rest - 1
            slot = wp.atomic_add(target.count, 0, 1)
            for s in range(SAMPLES):
                target.samples[slot * SAMPLES + s] = wp.uint64(0)
            target.slots[(view * views.height + y) * views.width + x] = slot
        target.edges[(view * views.height + y) * across + column] = wp.uint8(marks)
        any |= marks
    target.edge_cells[view, cell] = wp.uint8(any)
