# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How open each point is to the sky: ambient occlusion from depth, at half the picture's size.

After McGuire et al., The Alchemy screen-space ambient obscurance algorithm, HPG 2011. Where one
triangle fills all that a point could be hidden by, which is most of a floor, nothing is looked up.
"""

import numpy as np
import warp as wp
from jaxtyping import Float

from generators.raster.cells import MIXED
from generators.raster.layout import Views
from generators.raster.rows import Places, Row
from generators.raster.tables import disc

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

TILE = wp.constant(8)
"""Pixels of the half-size picture along the edge of a tile."""

RADIUS_M = wp.constant(0.12)

MOST_PIXELS = wp.constant(48.0)
"""Of the half-size picture, that a point looks away."""


def discs() -> Float[np.ndarray, "4 8 16"]:
    """Return the eight taps by row: x of eight pixels and y of them; turned, so that no two agree.

    The pattern repeats after 4 x 4 pixels.
    """
    turned = np.array([disc(8, turn_rad=2 * np.pi * k / 16) for k in range(16)])
    by_row = turned.reshape(4, 4, 8, 2).transpose(1, 2, 3, 0)
    return np.tile(by_row, 2).reshape(4, 8, 16)


@wp.func_native("""
    const int wide = (width + 1) / 2, high = (height + 1) / 2;
    const float* const z_of = depth.data + view * width * height;
    const wp::vec3* const facing = normal.data + view * width * height + 2 * y * width;
    const wp::vec2* const seen = rays.data + view * width * height;
    const float* const near = coarse.data + (view * high + y) * wide + x;
    float* const out = hidden.data + (view * high + y) * wide + x;
    float total[8], most = 0.0f;
    const auto look = [&](const auto& lens) {
        float px[8], py[8], pz[8], nx[8], ny[8], nz[8], radius[8];
        for (int k = 0; k < 8; ++k) {
            const int i = 2 * (k < count ? x + k : x);
            const wp::vec2 uv = lens(i, 2 * y);
            const float far_z = near[k < count ? k : 0], z = far_z < 1e4f ? far_z : 1e4f;
            const float a = facing[i][0], b = facing[i][1], c = facing[i][2];
            px[k] = (uv[0] * slopes[0] - slopes[2]) * z;
            py[k] = (uv[1] * slopes[1] - slopes[3]) * z;
            pz[k] = z;
            nx[k] = R_WC.data[0][0] * a + R_WC.data[1][0] * b + R_WC.data[2][0] * c;
            ny[k] = R_WC.data[0][1] * a + R_WC.data[1][1] * b + R_WC.data[2][1] * c;
            nz[k] = R_WC.data[0][2] * a + R_WC.data[1][2] * b + R_WC.data[2][2] * c;
            const float wanted = reach / z;
            radius[k] = wanted < most_pixels ? wanted : most_pixels;
            total[k] = 0.0f;
        }
        for (int t = 0; t < 8; ++t) {
            // The disc is turned from pixel to pixel; the blur after this averages it away.
            const float* const tap = disc.data + ((y % 4) * 8 + t) * 16;
            for (int k = 0; k < 8; ++k) {
                int i = 2 * (x + k + (int)(radius[k] * tap[k]));
                int j = 2 * (y + (int)(radius[k] * tap[8 + k]));
                i = i < 0 ? 0 : (i < width - 1 ? i : width - 1);
                j = j < 0 ? 0 : (j < height - 1 ? j : height - 1);
                const wp::vec2 uv = lens(i, j);
                const float far_z = z_of[j * width + i], z = far_z < 1e4f ? far_z : 1e4f;
                const float dx = (uv[0] * slopes[0] - slopes[2]) * z - px[k];
                const float dy = (uv[1] * slopes[1] - slopes[3]) * z - py[k], dz = z - pz[k];
                const float square = dx * dx + dy * dy + dz * dz + 1e-6f;
                const float up = dx * nx[k] + dy * ny[k] + dz * nz[k];
                const float rise = up / ::sqrtf(square) - 0.08f;
                const float fade = 1.0f - square * (1.0f / (2.5f * 0.12f * 0.12f));
                total[k] += rise > 0.0f && fade > 0.0f ? rise * fade : 0.0f;
            }
        }
    };
    if (distorted)
        look([&](int i, int j) { return seen[j * width + i]; });
    else
        look([](int i, int j) { return wp::vec2((float)i, (float)j); });
    for (int k = 0; k < count; ++k) {
        const float risen = near[k] > 1e4f ? 0.0f : total[k];
        out[k] = (2.2f / 8.0f) * risen;
        most = risen > most ? risen : most;
    }
    return most;
""")
def rises(
    depth: wp.array3d(dtype=wp.float32),
    normal: wp.array3d(dtype=wp.vec3),
    coarse: wp.array3d(dtype=wp.float32),
    rays: wp.array2d(dtype=wp.vec2),
    view: int,
    width: int,
    height: int,
    distorted: int,
    slopes: wp.vec4,
    R_WC: wp.mat33,
    x: int,
    y: int,
    count: int,
    reach: float,
    most_pixels: float,
    disc: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
) -> float:
    """Write how much of the sky is hidden at pixels of a row of the half-size picture.

    Return the most by which the taps around one of them rise over its surface, in sum. In C++ so
    that a CPU's compiler takes eight pixels in one go; see `Views` for what it reads.

    Args:
        depth: Of the pixels, m.
        normal: Of the pixels, in the world.
        coarse: Depths of the half-size picture, m.
        rays: Undistorted pixels, where the lens distorts.
        view: Which camera.
        width: Of the picture; height: likewise.
        height: Of the picture.
        distorted: Whether the lens distorts.
        slopes: Of the lens.
        R_WC: Axes of the camera in the world.
        x: Of the first pixel in the half-size picture, a multiple of four.
        y: Its row.
        count: How many pixels, eight at most.
        reach: Pixels of the half-size picture that it looks away at a depth of 1 m.
        most_pixels: That it looks away at most.
        disc: Taps in a disc of radius one: x of eight pixels and y of them, by row and tap.
        hidden: Where it is written.
    """
    ...


@wp.func_native("""
    float* const out = blurred.data + (view * height + y) * width + x;
    const float* const part = hidden.data + view * width * height;
    const float* const z_of = coarse.data + view * width * height;
    float total[8], sum[8];
    for (int k = 0; k < 8; ++k) total[k] = sum[k] = 0.0f;
    const auto add = [&](const auto& place) {
        for (int j = y - 2; j < y + 2; ++j)
            for (int i = x - 2; i < x + 2; ++i)
                for (int k = 0; k < 8; ++k) {
                    const int own = y * width + (k < count ? x + k : x);
                    const bool inside = i + k >= 0 && j >= 0 && i + k < width && j < height;
                    const int at = place(i + k, j, inside, own);
                    const float z = z_of[own], away = z_of[at] - z, here = part[at];
                    const bool same = inside && away < 0.03f * z && away > -0.03f * z;
                    total[k] += same ? here : 0.0f;
                    sum[k] += same ? 1.0f : 0.0f;
                }
    };
    if (x >= 2 && y >= 2 && x + 8 < width && y + 1 < height)
        add([&](int i, int j, bool, int) { return j * width + i; });
    else
        add([&](int i, int j, bool inside, int own) { return inside ? j * width + i : own; });
    for (int k = 0; k < count; ++k) out[k] = total[k] / (sum[k] > 1.0f ? sum[k] : 1.0f);
""")
def mean_around(
    coarse: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    view: int,
    x: int,
    y: int,
    count: int,
    width: int,
    height: int,
    blurred: wp.array3d(dtype=wp.float32),
):
    """Write the means of the 4 × 4 pixels around each of `count` ones in a row, at its depth."""
    ...


@wp.kernel
def occlude(
    views: Views,
    depth: wp.array3d(dtype=wp.float32),
    normal: wp.array3d(dtype=wp.vec3),
    tiles: wp.array2d(dtype=wp.uint32),
    disc: wp.array3d(dtype=wp.float32),
    calm: wp.array2d(dtype=wp.int32),
    coarse: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
):
    """Write how much of the sky is hidden at each pixel of a tile of the half-size picture.

    `calm` says where it is nothing in the whole tile; `coarse` are the depths of that picture, m.
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
    x = column * TILE
    reach_1m = 0.5 * focal * RADIUS_M
    for y in range(row * TILE, y_end):
        for i in range(x, x_end):
            coarse[view, y, i] = depth[view, 2 * y, 2 * i]
            hidden[view, y, i] = 0.0
        if alike == MIXED:
            risen = rises(
                depth, normal, coarse, views.rays, view, views.width, views.height,
                views.distorted, views.slopes[view], views.R_WC[view], x, y, x_end - x,
                reach_1m, MOST_PIXELS, disc, hidden,
            )  # fmt: skip
            most = wp.max(most, risen)
    calm[view, tile] = wp.where(most == 0.0, 1, 0)


@wp.kernel
def blur(
    views: Views,
    calm: wp.array2d(dtype=wp.int32),
    coarse: wp.array3d(dtype=wp.float32),
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
    count = wp.min(TILE, width - column)
    for y in range(row, wp.min(row + TILE, height)):
        if still != 0:
            for x in range(column, column + count):
                blurred[view, y, x] = 0.0
        else:
            mean_around(coarse, hidden, view, column, y, count, width, height, blurred)


@wp.func_native("""
    const int wide = hidden.shape[2], high = hidden.shape[1];
    const float* const half = hidden.data + view * high * wide;
    const float* const z_of = coarse.data + view * high * wide;
    wp::vec_t<8, wp::float32> result;
    for (int k = 0; k < 8; ++k) {
        const int x = columns[k], y = lines[k], i = x / 2, j = y / 2;
        const int right = i + x % 2 < wide ? i + x % 2 : i;
        const int below = j + y % 2 < high ? j + y % 2 : j;
        const float a = z_of[j * wide + i] - z[k], b = z_of[j * wide + right] - z[k];
        const float c = z_of[below * wide + i] - z[k], d = z_of[below * wide + right] - z[k];
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
    coarse: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    view: int,
    columns: Places,
    lines: Places,
    z: Row,
) -> Row:
    """Return how much of the sky eight pixels see, from those of the half-size picture around.

    Those at another depth hardly count. A neighbour that is there twice changes no mean.

    Args:
        coarse: Depths at half the picture's size, m.
        hidden: How much of the sky is hidden there.
        view: Which camera.
        columns: Of the pixels, in the whole picture.
        lines: Their rows.
        z: Their depths, m.
    """
    ...
