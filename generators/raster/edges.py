# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which pixels lie at an edge that can be seen: of something, of a paint, or of its shape."""

import warp as wp

from generators.raster.layout import Geometry, Views

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


@wp.kernel
def find_edges(
    geometry: Geometry,
    views: Views,
    run: int,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    smooth: wp.array3d(dtype=wp.vec3),
    slots: wp.array(dtype=wp.int32),
    count: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
):
    """Give each pixel at an edge a slot with nothing in it, and all others −1."""
    view, y, k = wp.tid()
    for x in range(k * run, wp.min(k * run + run, views.width)):
        edge = False
        if x > 0:
            edge = differs(geometry, seen, depth, smooth, view, x, y, x - 1, y)
        if not edge and x + 1 < views.width:
            edge = differs(geometry, seen, depth, smooth, view, x, y, x + 1, y)
        if not edge and y > 0:
            edge = differs(geometry, seen, depth, smooth, view, x, y, x, y - 1)
        if not edge and y + 1 < views.height:
            edge = differs(geometry, seen, depth, smooth, view, x, y, x, y + 1)
        slot = int(-1)
        if edge:
            slot = wp.atomic_add(count, 0, 1)
            for s in range(4):
                samples[slot * 4 + s] = wp.uint64(0)
        slots[(view * views.height + y) * views.width + x] = slot
