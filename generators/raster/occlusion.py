# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How open each point is to the sky: ambient occlusion from depth, at half the picture's size.

After McGuire et al., The Alchemy screen-space ambient obscurance algorithm, HPG 2011. Where one
triangle fills all that a point could be hidden by, which is most of a floor, nothing is looked up.
"""

import warp as wp

from generators.raster.cells import MIXED
from generators.raster.facet import ray_at
from generators.raster.layout import Views
from generators.raster.rows import Row

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

TILE = wp.constant(8)
"""Pixels of the half-size picture along the edge of a tile."""

TAPS = wp.constant(8)
RADIUS_M = wp.constant(0.12)
Places = wp.types.vector(length=8, dtype=wp.int32)

MOST_PIXELS = wp.constant(48.0)
"""Of the half-size picture, that a point looks away."""


@wp.func
def point(views: Views, view: int, depth: wp.array3d(dtype=wp.float32), x: int, y: int) -> wp.vec3:
    """Return the point in the camera that a pixel shows; far away where it shows nothing."""
    z = wp.min(depth[view, y, x], 1e4)
    uv = ray_at(views, view, x, y)
    slopes = views.slopes[view]
    return wp.vec3((uv[0] * slopes[0] - slopes[2]) * z, (uv[1] * slopes[1] - slopes[3]) * z, z)


@wp.func_native("""
    const float* const z_of = depth.data + view * width * height;
    const wp::vec2* const seen = rays.data + view * width * height;
    const wp::vec2* const taps = disc.data + turn * 8;
    float risen[8];
    for (int k = 0; k < 8; ++k) {
        int i = 2 * (x + (int)(radius * taps[k][0])), j = 2 * (y + (int)(radius * taps[k][1]));
        i = i < 0 ? 0 : (i < width - 1 ? i : width - 1);
        j = j < 0 ? 0 : (j < height - 1 ? j : height - 1);
        float u = (float)i, v = (float)j;
        if (distorted) {
            u = seen[j * width + i][0];
            v = seen[j * width + i][1];
        }
        const float far_z = z_of[j * width + i], z = far_z < 1e4f ? far_z : 1e4f;
        const float dx = (u * slopes[0] - slopes[2]) * z - p[0];
        const float dy = (v * slopes[1] - slopes[3]) * z - p[1], dz = z - p[2];
        const float square = dx * dx + dy * dy + dz * dz + 1e-6f;
        const float rise = (dx * n[0] + dy * n[1] + dz * n[2]) / ::sqrtf(square) - 0.08f;
        const float fade = 1.0f - square * (1.0f / (2.5f * 0.12f * 0.12f));
        risen[k] = rise > 0.0f && fade > 0.0f ? rise * fade : 0.0f;
    }
    float total = 0.0f;
    for (int k = 0; k < 8; ++k) total += risen[k];
    return total;
""")
def rises(
    depth: wp.array3d(dtype=wp.float32),
    rays: wp.array2d(dtype=wp.vec2),
    view: int,
    width: int,
    height: int,
    distorted: int,
    slopes: wp.vec4,
    x: int,
    y: int,
    p: wp.vec3,
    n: wp.vec3,
    radius: float,
    disc: wp.array2d(dtype=wp.vec2),
    turn: int,
) -> float:
    """Return how far the taps around a point rise over its surface, in sum.

    In C++ so that a CPU's compiler takes several taps in one go; see `Views` for what it reads.

    Args:
        depth: Of the pixels, m.
        rays: Undistorted pixels, where the lens distorts.
        view: Which camera.
        width: Of the picture; height: likewise.
        height: Of the picture.
        distorted: Whether the lens distorts.
        slopes: Of the lens.
        x: Of the point in the half-size picture; y likewise.
        y: Of the point.
        p: The point in the camera, m.
        n: Its normal there.
        radius: Within which it looks, in pixels of the half-size picture.
        disc: Taps in a disc of radius one, by turn.
        turn: Which of them.
    """
    ...


@wp.func_native("""
    const int whole = depth.shape[2];
    const float* const z_of = depth.data + view * depth.shape[1] * whole;
    const float* const part = hidden.data + view * width * height;
    float values[16], weights[16];
    for (int k = 0; k < 16; ++k) {
        const int i = x - 2 + k % 4, j = y - 2 + k / 4;
        const bool inside = i >= 0 && j >= 0 && i < width && j < height;
        const int a = inside ? i : x, b = inside ? j : y;
        const float away = z_of[2 * b * whole + 2 * a] - z, here = part[b * width + a];
        const bool same = inside && away < 0.03f * z && away > -0.03f * z;
        values[k] = same ? here : 0.0f;
        weights[k] = same ? 1.0f : 0.0f;
    }
    float total = 0.0f, count = 0.0f;
    for (int k = 0; k < 16; ++k) {
        total += values[k];
        count += weights[k];
    }
    return total / (count > 1.0f ? count : 1.0f);
""")
def mean_around(
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    view: int,
    x: int,
    y: int,
    width: int,
    height: int,
    z: float,
) -> float:
    """Return the mean of the 4 × 4 pixels of the half-size picture around one, at its depth."""
    ...


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
    """Write how much of the sky is hidden at each pixel of a tile of the half-size picture.

    `calm` says where it is nothing in the whole tile.
    """
    view, tile = wp.tid()
    across = (views.width + 2 * TILE - 1) // (2 * TILE)
    down = (views.height + 2 * TILE - 1) // (2 * TILE)
    column = tile % across
    row = tile // across
    x_end = wp.min((column + 1) * TILE, (views.width + 1) // 2)
    y_end = wp.min((row + 1) * TILE, (views.height + 1) // 2)
    focal = float(views.lens[view][0])
    alike = tiles[view, tile]
    if alike != MIXED:
        # 1/z is linear on a triangle: the nearest of its points is at a corner of the tile.
        right = wp.min((column + 1) * 2 * TILE, views.width) - 1
        bottom = wp.min((row + 1) * 2 * TILE, views.height) - 1
        upper = wp.min(
            depth[view, row * 2 * TILE, column * 2 * TILE], depth[view, row * 2 * TILE, right]
        )
        lower = wp.min(depth[view, bottom, column * 2 * TILE], depth[view, bottom, right])
        reach = wp.min(0.5 * focal * RADIUS_M / wp.min(upper, lower), MOST_PIXELS)
        around = int(wp.ceil(reach / float(TILE)))
        for j in range(wp.max(row - around, 0), wp.min(row + around + 1, down)):
            for i in range(wp.max(column - around, 0), wp.min(column + around + 1, across)):
                if tiles[view, j * across + i] != alike:
                    alike = MIXED
    most = float(0.0)
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
            total = rises(
                depth, views.rays, view, views.width, views.height, views.distorted,
                views.slopes[view], x, y, p, n, radius, disc, turn,
            )  # fmt: skip
            hidden[view, y, x] = 2.2 / float(TAPS) * total
            most = wp.max(most, total)
    calm[view, tile] = wp.where(most == 0.0, 1, 0)


@wp.kernel
def blur(
    views: Views,
    depth: wp.array3d(dtype=wp.float32),
    calm: wp.array2d(dtype=wp.int32),
    hidden: wp.array3d(dtype=wp.float32),
    blurred: wp.array3d(dtype=wp.float32),
    quiet: wp.array2d(dtype=wp.int32),
):
    """Average, in each tile, the 4 × 4 pixels over which the pattern repeats, of one surface.

    `quiet` says where nothing is hidden in the tile, nor in those around it.
    """
    view, tile = wp.tid()
    width = (views.width + 1) // 2
    height = (views.height + 1) // 2
    across = (views.width + 2 * TILE - 1) // (2 * TILE)
    down = (views.height + 2 * TILE - 1) // (2 * TILE)
    still = int(1)
    for j in range(wp.max(tile // across - 1, 0), wp.min(tile // across + 2, down)):
        for i in range(wp.max(tile % across - 1, 0), wp.min(tile % across + 2, across)):
            still = wp.min(still, calm[view, j * across + i])
    quiet[view, tile] = still
    column = (tile % across) * TILE
    row = (tile // across) * TILE
    for y in range(row, wp.min(row + TILE, height)):
        for x in range(column, wp.min(column + TILE, width)):
            if still != 0:
                blurred[view, y, x] = 0.0
                continue
            z = depth[view, 2 * y, 2 * x]
            blurred[view, y, x] = mean_around(depth, hidden, view, x, y, width, height, z)


@wp.func_native("""
    const int wide = hidden.shape[2], high = hidden.shape[1], whole = depth.shape[2];
    const float* const half = hidden.data + view * high * wide;
    const float* const full = depth.data + view * depth.shape[1] * whole;
    wp::vec_t<8, wp::float32> result;
    for (int k = 0; k < 8; ++k) {
        const int x = columns[k], y = lines[k], i = x / 2, j = y / 2;
        const int right = i + x % 2 < wide ? i + x % 2 : i;
        const int below = j + y % 2 < high ? j + y % 2 : j;
        const float a = full[2 * j * whole + 2 * i] - z[k];
        const float b = full[2 * j * whole + 2 * right] - z[k];
        const float c = full[2 * below * whole + 2 * i] - z[k];
        const float d = full[2 * below * whole + 2 * right] - z[k];
        const float near = 0.03f * z[k];
        const float wa = a < near && a > -near ? 1.0f : 1e-3f;
        const float wb = b < near && b > -near ? 1.0f : 1e-3f;
        const float wc = c < near && c > -near ? 1.0f : 1e-3f;
        const float wd = d < near && d > -near ? 1.0f : 1e-3f;
        const float total = wa * half[j * wide + i] + wb * half[j * wide + right]
                          + wc * half[below * wide + i] + wd * half[below * wide + right];
        const float open = 1.0f - total / (wa + wb + wc + wd);
        result[k] = open > 0.0f ? open : 0.0f;
    }
    return result;
""")
def open_to_sky(
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    view: int,
    columns: Places,
    lines: Places,
    z: Row,
) -> Row:
    """Return how much of the sky eight pixels see, from those of the half-size picture around.

    Those at another depth hardly count. A neighbour that is there twice changes no mean.

    Args:
        depth: Of the pixels, m.
        hidden: How much of the sky is hidden, at half the picture's size.
        view: Which camera.
        columns: Of the pixels, in the whole picture.
        lines: Their rows.
        z: Their depths, m.
    """
    ...
