# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which pixels of a distorting lens a triangle covers: each is tested where it looks.

In C++ as in `scan` and `large_triangles`, whose tests these are: what Warp makes of such loops
takes several times as long.
"""

import warp as wp

from generators.raster import lenses
from generators.raster.scan import Small

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})


_AROUND = """
    // First and last column and row of the pixels that look into a box of undistorted pixels.
    const auto around = [](const float* box, const auto* table, const wp::vec4& grid) {
        const int wide = (int)grid[2], high = (int)grid[3];
        int ends[4];
        for (int k = 0; k < 4; ++k)
            ends[k] = (int)::floorf((box[k] - grid[k / 2]) / CELL_PX);
        const int first_u = ends[0] > 0 ? ends[0] : 0, first_v = ends[2] > 0 ? ends[2] : 0;
        const int last_u = ends[1] < wide - 1 ? ends[1] : wide - 1;
        const int last_v = ends[3] < high - 1 ? ends[3] : high - 1;
        int x0 = 1 << 30, x1 = -1, y0 = 1 << 30, y1 = -1;
        for (int j = first_v; j <= last_v; ++j)
            for (int i = first_u; i <= last_u; ++i) {
                const auto& cell = table[j * wide + i];
                x0 = cell[0] < x0 ? cell[0] : x0;
                x1 = cell[1] > x1 ? cell[1] : x1;
                y0 = cell[2] < y0 ? cell[2] : y0;
                y1 = cell[3] > y1 ? cell[3] : y1;
            }
        return wp::vec_t<4, wp::int32>(x0, x1, y0, y1);
    };
    const wp::vec_t<4, wp::int32>* const table = cells.data + view * cells.shape[1];
""".replace("CELL_PX", f"{lenses.CELL}f")


@wp.func_native(
    _AROUND
    + """
    const float sides[4] = {box[0], box[1], box[2], box[3]};
    return around(sides, table, grid);
"""
)
def pixels_through(
    cells: wp.array2d(dtype=wp.vec4i), view: int, grid: wp.vec4, box: wp.vec4
) -> wp.vec4i:
    """Return the first and last column and row of the pixels that look into a box of (u, v).

    Args:
        cells: See `LensTable`, of each view.
        view: Which camera.
        grid: Its cells' origin and number.
        box: Least and largest u, least and largest v.
    """
    ...


@wp.func_native(
    _AROUND
    + """
    const float sides[4] = {box[0], box[1], box[2], box[3]};
    const wp::vec_t<4, wp::int32> seen = around(sides, table, grid);
    const int x0 = seen[0], y0 = seen[2], y1 = seen[3];
    int x1 = seen[1];
    if (fine != 0 && x0 <= x1) {
        const int first = x0 / 8, last = x1 / 8;
        const int begin = 255 << (x0 % 8), end = 255 >> (7 - x1 % 8);
        int marks = 0;
        for (int y = y0; y <= y1 && marks == 0; ++y)
            for (int i = first; i <= last; ++i)
                marks |= edges.data[(rows + y) * across + i] & (i == first ? begin : 255)
                       & (i == last ? end : 255);
        if (marks == 0) x1 = x0 - 1;
    }
    return wp::vec_t<4, wp::int32>(x0, x1, y0, y1);
"""
)
def box_through(
    cells: wp.array2d(dtype=wp.vec4i),
    view: int,
    grid: wp.vec4,
    box: wp.vec4,
    fine: int,
    edges: wp.array(dtype=wp.uint8),
    rows: int,
    across: int,
) -> wp.vec4i:
    """Return the first and last column and row of the pixels that may see a projected triangle.

    The first column is beyond the last where there are none, or none of them is marked.

    Args:
        cells: See `LensTable`, of each view; grid: where they begin, and how many there are.
        view: Which camera.
        grid: Its cells' origin and number.
        box: Around the triangle, in undistorted pixels, and as far as a pixel's samples may look.
        fine: Whether samples are looked at; then only marked pixels count.
        edges: See `Target`.
        rows: First row of the picture in them.
        across: Entries of a row.
    """
    ...


_ENTER = """
    for (int y = box[2]; y <= box[3]; ++y) {
        if (fine == 0) {
            for (int x = box[0]; x <= box[1]; ++x) {
                const int place = y * width + x;
                const wp::uint64 entry = key(seen_at[place][0], seen_at[place][1]);
                if (entry == 0) continue;
                const int pixel = view * width * height + place;
                wp::atomic_max(seen.data + pixel, entry);
                if (words > 0) wp::atomic_or(cover.data + pixel * words + word, bit);
            }
            continue;
        }
        const int row = view * height + y;
        // A lone pixel has no neighbour.
        const int j = y + 1 < height ? 1 : (y > 0 ? -1 : 0);
        for (int x = box[0]; x <= box[1]; ++x) {
            if (((edges.data[row * across + x / 8] >> (x % 8)) & 1) == 0) continue;
            const int i = x + 1 < width ? 1 : (x > 0 ? -1 : 0);
            const wp::vec2 here = seen_at[y * width + x];
            const wp::vec2 over = seen_at[y * width + x + i] - here;
            const wp::vec2 down = seen_at[(y + j) * width + x] - here;
            wp::uint64* const held = samples.data + 4 * slots.data[row * width + x];
            for (int s = 0; s < 4; ++s) {
                const float p = across_px[s] * (float)i, q = down_px[s] * (float)j;
                const float u = here[0] + over[0] * p + down[0] * q;
                const float v = here[1] + over[1] * p + down[1] * q;
                // Nothing is less than what is there.
                wp::atomic_max(held + s, key(u, v));
            }
        }
    }
"""
"""Enters at the pixels of `box`, or at the samples of those that are marked, what `key` says."""


@wp.func_native(
    """
    const float* const e = shape.data[0];
    const float* const f = shape.data[1];
    const float* const g = shape.data[2];
    const float* const slope = shape.data[3];
    const float least = shape.data[4][0], most = shape.data[4][1];
    const wp::vec2* const seen_at = rays.data + view * width * height;
    const auto key = [&](float u, float v) {
        const bool hit = (e[3] * (u - e[0]) - e[2] * (v - e[1]) >= 0.0f)
                       & (f[3] * (u - f[0]) - f[2] * (v - f[1]) >= 0.0f)
                       & (g[3] * (u - g[0]) - g[2] * (v - g[1]) >= 0.0f);
        const float sum = slope[2] + slope[0] * (u - e[0]) + slope[1] * (v - e[1]);
        const float high = sum < least ? least : sum;
        union { float number; wp::uint32 bits; } depth;
        depth.number = high > most ? most : high;
        const wp::uint64 entry = wp::uint64(depth.bits) << 32 | wp::uint64(number);
        return (hit & (depth.number >= farthest)) ? entry : wp::uint64(0);
    };
"""
    + _ENTER
)
def enter_through(
    rays: wp.array2d(dtype=wp.vec2),
    view: int,
    width: int,
    height: int,
    box: wp.vec4i,
    shape: Small,
    farthest: float,
    number: wp.uint32,
    fine: int,
    seen: wp.array(dtype=wp.uint64),
    cover: wp.array(dtype=wp.uint64),
    words: int,
    word: int,
    bit: wp.uint64,
    edges: wp.array(dtype=wp.uint8),
    slots: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
    across: int,
    across_px: wp.vec4,
    down_px: wp.vec4,
):
    """Enter a triangle at the pixels of a box that see it, or at the samples of the marked ones.

    What a sample sees follows from its pixel's neighbours: in a pixel a lens is as good as linear.

    Args:
        rays: Undistorted pixels that the pixels of each view see.
        view: Which camera.
        width: Of the picture; height: likewise.
        height: Of the picture.
        box: First and last column, first and last row.
        shape: The triangle, see `shape_of`.
        farthest: 1/z of the far plane.
        number: Of the triangle.
        fine: Whether samples are looked at.
        seen: See `Target`, as for the next two.
        cover: A bit for each instance.
        words: Of each pixel there.
        word: Which of them is the triangle's.
        bit: The bit in it.
        edges: See `Target`, as for the next two.
        slots: Where a marked pixel's samples are.
        samples: What they see.
        across: Entries of a row of edges.
        across_px: Where in a pixel its samples lie.
        down_px: The same, downwards.
    """
    ...


@wp.func_native(
    """
    const wp::vec2* const seen_at = rays.data + view * width * height;
    const auto key = [&](float x, float y) {
        const double u = (double)x, v = (double)y;
        const double over_z = depth[0] * u + depth[1] * v + depth[2];
        const bool hit = (e[0] * u + e[1] * v + e[2] >= gap) & (f[0] * u + f[1] * v + f[2] >= gap)
                       & (g[0] * u + g[1] * v + g[2] >= gap) & (over_z >= least)
                       & (over_z <= most);
        union { float number; wp::uint32 bits; } near;
        near.number = (float)over_z;
        const wp::uint64 entry = wp::uint64(near.bits) << 32 | wp::uint64(number);
        return (hit | whole) ? entry : wp::uint64(0);
    };
"""
    + _ENTER
)
def fill_through(
    rays: wp.array2d(dtype=wp.vec2),
    view: int,
    width: int,
    height: int,
    box: wp.vec4i,
    e: wp.vec3d,
    f: wp.vec3d,
    g: wp.vec3d,
    depth: wp.vec3d,
    gap: wp.float64,
    least: wp.float64,
    most: wp.float64,
    whole: bool,
    number: wp.uint32,
    fine: int,
    seen: wp.array(dtype=wp.uint64),
    cover: wp.array(dtype=wp.uint64),
    words: int,
    word: int,
    bit: wp.uint64,
    edges: wp.array(dtype=wp.uint8),
    slots: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
    across: int,
    across_px: wp.vec4,
    down_px: wp.vec4,
):
    """Enter a large triangle at the pixels of a tile that see it, or at their samples.

    Args:
        rays: See `enter_through`, as for the next four.
        view: Which camera.
        width: Of the picture.
        height: Of the picture.
        box: First and last column, first and last row.
        e: One of the triangle's edges, as `large_triangles.plane` has it.
        f: The second edge.
        g: The third.
        depth: 1/z at (u, v, 1).
        gap: How far beyond its edges it reaches, in pixels, below 0.
        least: 1/z of the far plane.
        most: 1/z of the near plane.
        whole: Whether it covers all of the tile.
        number: Of the triangle.
        fine: See `enter_through`, as for all that follow.
        seen: The visibility buffer.
        cover: A bit for each instance.
        words: Of each pixel there.
        word: Which of them is the triangle's.
        bit: The bit in it.
        edges: Marked pixels.
        slots: Where a marked pixel's samples are.
        samples: What they see.
        across: Entries of a row of edges.
        across_px: Where in a pixel its samples lie.
        down_px: The same, downwards.
    """
    ...
