# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How open each point is to the sky: ambient occlusion from depth, at half the picture's size.

After McGuire et al., The Alchemy screen-space ambient obscurance algorithm, HPG 2011. Where one
triangle fills all that a point could be hidden by, which is most of a floor, nothing is looked up.
"""

import warp as wp

from generators.raster.facet import ray_at
from generators.raster.layout import Views

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

TILE = wp.constant(8)
"""Pixels of the half-size picture along the edge of a tile."""

TAPS = wp.constant(10)
RADIUS_M = wp.constant(0.12)
MOST_PIXELS = wp.constant(48.0)
"""Of the half-size picture, that a point looks away."""

MIXED = wp.constant(wp.uint32(0xFFFFFFFF))
EMPTY = wp.constant(wp.uint32(0xFFFFFFFE))


@wp.func
def point(views: Views, view: int, depth: wp.array3d(dtype=wp.float32), x: int, y: int) -> wp.vec3:
    """Return the point in the camera that a pixel shows; far away where it shows nothing."""
    z = wp.min(depth[view, y, x], 1e4)
    uv = ray_at(views, view, x, y)
    lens = views.lens[view]
    return wp.vec3(
        (uv[0] - float(lens[2])) / float(lens[0]) * z,
        (uv[1] - float(lens[3])) / float(lens[1]) * z,
        z,
    )


@wp.func
def number_of(entry: wp.uint64) -> wp.uint32:
    """Return the triangle of an entry; a number of its own where nothing is seen."""
    if entry == wp.uint64(0):
        return EMPTY
    return wp.uint32(entry & wp.uint64(0xFFFFFFFF))


@wp.kernel
def find_uniform(views: Views, seen: wp.array(dtype=wp.uint64), tiles: wp.array2d(dtype=wp.uint32)):
    """Write the triangle that fills each tile; MIXED where there are several."""
    view, tile = wp.tid()
    wide = 2 * TILE
    across = (views.width + wide - 1) // wide
    x = (tile % across) * wide
    y = (tile // across) * wide
    start = view * views.width * views.height
    first = number_of(seen[start + y * views.width + x])
    for j in range(y, wp.min(y + wide, views.height)):
        for i in range(x, wp.min(x + wide, views.width)):
            if number_of(seen[start + j * views.width + i]) != first:
                tiles[view, tile] = MIXED
                return
    tiles[view, tile] = first


@wp.kernel
def occlude(
    views: Views,
    depth: wp.array3d(dtype=wp.float32),
    normal: wp.array3d(dtype=wp.vec3),
    tiles: wp.array2d(dtype=wp.uint32),
    disc: wp.array2d(dtype=wp.vec2),
    calm: wp.array2d(dtype=wp.int32),
    hidden: wp.array3d(dtype=wp.float32),
):
    """Write how much of the sky is hidden at each pixel of a tile of the half-size picture."""
    view, tile = wp.tid()
    across = (views.width + 2 * TILE - 1) // (2 * TILE)
    down = (views.height + 2 * TILE - 1) // (2 * TILE)
    column = tile % across
    row = tile // across
    x_end = wp.min((column + 1) * TILE, (views.width + 1) // 2)
    y_end = wp.min((row + 1) * TILE, (views.height + 1) // 2)
    focal = float(views.lens[view][0])
    nearest = float(1e30)
    for y in range(row * TILE, y_end):
        for x in range(column * TILE, x_end):
            nearest = wp.min(nearest, depth[view, 2 * y, 2 * x])
    reach = wp.min(0.5 * focal * RADIUS_M / nearest, MOST_PIXELS)
    around = int(wp.ceil(reach / float(TILE)))
    alike = tiles[view, tile]
    for j in range(wp.max(row - around, 0), wp.min(row + around + 1, down)):
        for i in range(wp.max(column - around, 0), wp.min(column + around + 1, across)):
            if tiles[view, j * across + i] != alike:
                alike = MIXED
    calm[view, tile] = wp.where(alike != MIXED, 1, 0)
    R_CW = wp.transpose(views.R_WC[view])
    for y in range(row * TILE, y_end):
        for x in range(column * TILE, x_end):
            z = depth[view, 2 * y, 2 * x]
            if alike != MIXED or z > 1e4:
                hidden[view, y, x] = 0.0
                continue
            p = point(views, view, depth, 2 * x, 2 * y)
            n = R_CW * normal[view, 2 * y, 2 * x]
            radius = wp.min(0.5 * focal * RADIUS_M / z, MOST_PIXELS)
            # The disc is turned from pixel to pixel; the blur after this averages it away.
            turn = (x % 4) * 4 + y % 4
            total = float(0.0)
            for k in range(TAPS):
                i = wp.clamp(2 * (x + int(radius * disc[turn, k][0])), 0, views.width - 1)
                j = wp.clamp(2 * (y + int(radius * disc[turn, k][1])), 0, views.height - 1)
                to = point(views, view, depth, i, j) - p
                square = wp.dot(to, to) + 1e-6
                rise = wp.dot(to, n) / wp.sqrt(square)
                fade = wp.max(1.0 - square / (2.5 * RADIUS_M * RADIUS_M), 0.0)
                total += wp.max(rise - 0.08, 0.0) * fade
            hidden[view, y, x] = 2.2 / float(TAPS) * total


@wp.kernel
def blur(
    views: Views,
    depth: wp.array3d(dtype=wp.float32),
    calm: wp.array2d(dtype=wp.int32),
    hidden: wp.array3d(dtype=wp.float32),
    blurred: wp.array3d(dtype=wp.float32),
):
    """Average, in each tile, the 4 × 4 pixels over which the pattern repeats, of one surface."""
    view, tile = wp.tid()
    width = (views.width + 1) // 2
    height = (views.height + 1) // 2
    across = (views.width + 2 * TILE - 1) // (2 * TILE)
    column = (tile % across) * TILE
    row = (tile // across) * TILE
    for y in range(row, wp.min(row + TILE, height)):
        for x in range(column, wp.min(column + TILE, width)):
            if calm[view, tile] != 0:
                blurred[view, y, x] = 0.0
                continue
            z = depth[view, 2 * y, 2 * x]
            total = float(0.0)
            count = float(0.0)
            for j in range(wp.max(y - 2, 0), wp.min(y + 2, height)):
                for i in range(wp.max(x - 2, 0), wp.min(x + 2, width)):
                    if wp.abs(depth[view, 2 * j, 2 * i] - z) < 0.03 * z:
                        total += hidden[view, j, i]
                        count += 1.0
            blurred[view, y, x] = total / wp.max(count, 1.0)


@wp.func
def open_to_sky(
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    view: int,
    x: int,
    y: int,
    z: float,
) -> float:
    """Return how much of the sky a pixel of the whole picture sees, from those of its surface."""
    total = float(0.0)
    weights = float(0.0)
    for j in range(y // 2, wp.min(y // 2 + 1 + y % 2, hidden.shape[1])):
        for i in range(x // 2, wp.min(x // 2 + 1 + x % 2, hidden.shape[2])):
            away = wp.abs(depth[view, 2 * j, 2 * i] - z)
            weight = wp.where(away < 0.03 * z, 1.0, 1e-3)
            total += hidden[view, j, i] * weight
            weights += weight
    return wp.clamp(1.0 - total / weights, 0.0, 1.0)
