# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which pixels a small triangle covers: the loops, in C++ so that a CPU takes several in one go.

They are tested in undistorted pixels, by edge functions that start from the corner with the lower
number, so that both neighbours of an edge find the same value but for its sign.
"""

import warp as wp

Small = wp.types.matrix(shape=(5, 4), dtype=wp.float32)
"""A triangle made ready to test places against, see `shape_of`."""


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    const int batch = 1;
#else
    const int batch = 16;
#endif
    const wp::vec3* const at = projected.data + shift;
    int kinds[batch], boxes[4][batch];
    for (int k = 0; k < batch; ++k) {
        const int t = first + k < end ? first + k : end - 1;
        const int i = triangles.data[t][0], j = triangles.data[t][1], l = triangles.data[t][2];
        const int h = i < 0 ? -1 - i : i;
        const float ax = at[h][0], bx = at[j][0], cx = at[l][0];
        const float ay = at[h][1], by = at[j][1], cy = at[l][1];
        const float az = at[h][2], bz = at[j][2], cz = at[l][2];
        float least = az < bz ? az : bz, most = az > bz ? az : bz;
        float left = ax < bx ? ax : bx, right = ax > bx ? ax : bx;
        float top = ay < by ? ay : by, low = ay > by ? ay : by;
        least = least < cz ? least : cz;
        most = most > cz ? most : cz;
        left = left < cx ? left : cx;
        right = right > cx ? right : cx;
        top = top < cy ? top : cy;
        low = low > cy ? low : cy;
        // A corner behind the camera has a negative 1/z; beyond the far plane all are small.
        const bool cut = (least <= 0.0f) | (most > nearest);
        const bool near = !(most < farthest);
        const bool out = (left < -far_out) | (right > far_out) | (top < -far_out) | (low > far_out);
        const bool large = (right - left >= small) | (low - top >= small);
        const float x0 = ::ceilf(left - reach > 0.0f ? left - reach : 0.0f);
        const float x1 = ::floorf(right + reach < last_x ? right + reach : last_x);
        const float y0 = ::ceilf(top - reach > 0.0f ? top - reach : 0.0f);
        const float y1 = ::floorf(low + reach < last_y ? low + reach : last_y);
        const bool hit = anywhere | ((x0 <= x1) & (y0 <= y1));
        const float ux = bx - ax, uy = by - ay, vx = cx - ax, vy = cy - ay;
        const float wx = cx - bx, wy = cy - by;
        const float p = uy * vx, q = ux * vy;
        const bool front = i < 0 ? p < q : p > q;
        const bool shown = (p != q) & (front | two_sided);
        // Most are seen at one pixel or two: where at neither, as `enter` would find, nowhere.
        const float sign = p < q ? -1.0f : 1.0f;
        const float x0a = (x0 - ax) * (sign * uy), y0a = (y0 - ay) * (sign * ux);
        const float x0b = (x0 - bx) * (sign * wy), y0b = (y0 - by) * (sign * wx);
        const float x0c = (x0 - ax) * (-sign * vy), y0c = (y0 - ay) * (-sign * vx);
        const float x1a = (x1 - ax) * (sign * uy), y1a = (y1 - ay) * (sign * ux);
        const float x1b = (x1 - bx) * (sign * wy), y1b = (y1 - by) * (sign * wx);
        const float x1c = (x1 - ax) * (-sign * vy), y1c = (y1 - ay) * (-sign * vx);
        const bool at_first = (x0a >= y0a) & (x0b >= y0b) & (x0c >= y0c);
        const bool at_last = (x1a >= y1a) & (x1b >= y1b) & (x1c >= y1c);
        const bool several = x1 - x0 + y1 - y0 > 1.0f;
        const bool some = at_first | at_last | several | (reach > 0.0f) | anywhere;
        const bool drawn = !cut & near & !out & !large & hit & shown & some;
        const bool aside = cut | (near & (out | (large & shown)));
        kinds[k] = first + k < end ? (drawn ? 1 : 0) | (aside ? 65536 : 0) : 0;
        boxes[0][k] = (int)x0;
        boxes[1][k] = (int)x1;
        boxes[2][k] = (int)y0;
        boxes[3][k] = (int)y1;
    }
    if (reach > 0.0f && !anywhere)
        for (int k = 0; k < batch; ++k) {
            if (kinds[k] != 1) continue;
            const int i = boxes[0][k] / 8, last = boxes[1][k] / 8;
            const int begin = 255 << (boxes[0][k] % 8), stop = 255 >> (7 - boxes[1][k] % 8);
            int marks = 0;
            for (int y = boxes[2][k]; y <= boxes[3][k]; ++y) {
                const wp::uint8* const row = edges.data + (rows + y) * across;
                if (i == last) marks |= row[i] & begin & stop;
                else {
                    marks |= (row[i] & begin) | (row[last] & stop);
                    for (int j = i + 1; j < last; ++j) marks |= row[j];
                }
            }
            kinds[k] = marks != 0 ? 1 : 0;
        }
    int bits = 0;
    for (int k = 0; k < batch; ++k) bits |= kinds[k] << k;
    return bits;
""")
def looked_over(
    triangles: wp.array(dtype=wp.vec3i),
    projected: wp.array(dtype=wp.vec3),
    shift: int,
    first: int,
    end: int,
    two_sided: bool,
    anywhere: bool,
    nearest: float,
    farthest: float,
    reach: float,
    last_x: float,
    last_y: float,
    small: float,
    far_out: float,
    edges: wp.array(dtype=wp.uint8),
    rows: int,
    across: int,
) -> int:
    """Return which triangles of a batch may show at a pixel: bit k; put them aside: bit 16 + k.

    Most are turned away or lie between the pixels' centres. In C++ so that a CPU's compiler looks
    at 16 in one go; on a GPU a batch is one.

    Args:
        triangles: Of all meshes.
        projected: u, v and 1/z of all points.
        shift: Where those of this mesh begin.
        first: The batch's first triangle.
        end: Where the cluster's triangles end.
        two_sided: Whether those that are turned away show too.
        anywhere: Whether boxes say nothing, as under a lens that distorts.
        nearest: 1/z of the near plane; farthest: of the far one.
        farthest: 1/z of the far plane.
        reach: How far from a pixel's centre its samples lie.
        last_x: Last column of the picture; last_y: its last row.
        last_y: Last row of the picture.
        small: `SMALL`; far_out: `FAR_OUT`.
        far_out: `FAR_OUT`.
        edges: See `Target`; where samples are looked at, only marked pixels count.
        rows: First row of the picture in them; across: entries of a row.
        across: Entries of a row.
    """
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __ffs(bits) - 1;
#else
    return __builtin_ctz(bits);
#endif
""")
def lowest_bit(bits: int) -> int:
    """Return the number of the lowest bit that is set; there is one."""
    ...


@wp.func_native("""
    const float left = a[0] < b[0] ? a[0] : b[0], right = a[0] > b[0] ? a[0] : b[0];
    const float top = a[1] < b[1] ? a[1] : b[1], low = a[1] > b[1] ? a[1] : b[1];
    return wp::vec4(left < c[0] ? left : c[0], right > c[0] ? right : c[0],
                    top < c[1] ? top : c[1], low > c[1] ? low : c[1]);
""")
def box_of(a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec4:
    """Return the least and the largest u, the least and the largest v of three points."""
    ...


@wp.func_native("""
    const float x0 = box[0] - reach, x1 = box[1] + reach;
    const float y0 = box[2] - reach, y1 = box[3] + reach;
    return wp::vec_t<4, wp::int32>((int)::ceilf(x0 > 0.0f ? x0 : 0.0f),
                                   (int)::floorf(x1 < last_x ? x1 : last_x),
                                   (int)::ceilf(y0 > 0.0f ? y0 : 0.0f),
                                   (int)::floorf(y1 < last_y ? y1 : last_y));
""")
def pixels_of(box: wp.vec4, reach: float, last_x: float, last_y: float) -> wp.vec4i:
    """Return the first and last column and row of the pixels whose centres a box reaches."""
    ...


@wp.func_native("""
    const float ux = b[0] - a[0], uy = b[1] - a[1], vx = c[0] - a[0], vy = c[1] - a[1];
    const float p = uy * vx, q = ux * vy;
    // The rows of a picture go down, so what faces the camera has a negative area.
    const float area = p - q, gain = -1.0f / area;
    // Times the area's sign, so that all three are positive inside.
    const float sign = area < 0.0f ? -1.0f : 1.0f;
    const float db = (b[2] - a[2]) * gain, dc = (c[2] - a[2]) * gain;
    const float xb = db * vy, xc = dc * uy, yc = dc * ux, yb = db * vx;
    const float low = a[2] < b[2] ? a[2] : b[2], high = a[2] > b[2] ? a[2] : b[2];
    wp::mat_t<5, 4, wp::float32> shape;
    const float rows[5][4] = {
        {a[0], a[1], sign * ux, sign * uy},
        {b[0], b[1], sign * (c[0] - b[0]), sign * (c[1] - b[1])},
        {a[0], a[1], -sign * vx, -sign * vy},
        {xb - xc, yc - yb, a[2], 0.0f},
        {low < c[2] ? low : c[2], high > c[2] ? high : c[2], 0.0f, 0.0f},
    };
    for (int j = 0; j < 5; ++j)
        for (int i = 0; i < 4; ++i) shape.data[j][i] = rows[j][i];
    return shape;
""")
def shape_of(a: wp.vec3, b: wp.vec3, c: wp.vec3) -> Small:
    """Return what tests places against a projected triangle; its corners in ascending order.

    Its rows: for each edge where it begins and which way it leads, so that the inside is on the
    side that `enter` asks for; how 1/z changes with u and v, and the first corner's; its least
    and largest.
    """
    ...


@wp.func_native("""
    const float* const e = shape.data[0];
    const float* const f = shape.data[1];
    const float* const g = shape.data[2];
    const float* const slope = shape.data[3];
    const float least = shape.data[4][0], most = shape.data[4][1];
    const int x_first = box[0], x_last = box[1], y_first = box[2], y_last = box[3];
#if defined(__CUDA_ARCH__)
    const int edge = 1;
#else
    const int edge = 4;
#endif
    for (int top = y_first; top <= y_last; top += edge)
    for (int left = x_first; left <= x_last; left += edge) {
        float depths[edge * edge];
        int inside[edge * edge];
        for (int k = 0; k < edge * edge; ++k) {
            const int x = left + k % edge, y = top + k / edge;
            const float u = (float)x, v = (float)y;
            const float e_u = e[3] * (u - e[0]), e_v = e[2] * (v - e[1]);
            const float f_u = f[3] * (u - f[0]), f_v = f[2] * (v - f[1]);
            const float g_u = g[3] * (u - g[0]), g_v = g[2] * (v - g[1]);
            const float z_u = slope[0] * (u - e[0]), z_v = slope[1] * (v - e[1]);
            const float sum = slope[2] + z_u + z_v, high = sum < least ? least : sum;
            const float over_z = high > most ? most : high;
            const bool hit = (e_u >= e_v) & (f_u >= f_v) & (g_u >= g_v) & (over_z >= farthest);
            depths[k] = over_z;
            inside[k] = (hit & (x <= x_last) & (y <= y_last)) ? 1 << k : 0;
        }
        int bits = 0;
        for (int k = 0; k < edge * edge; ++k) bits |= inside[k];
        for (; bits != 0; bits &= bits - 1) {
#if defined(__CUDA_ARCH__)
            const int k = 0;
#else
            const int k = __builtin_ctz(bits);
#endif
            const int place = start + (top + k / edge) * width + left + k % edge;
            union { float number; wp::uint32 bits; } depth;
            depth.number = depths[k];
            wp::atomic_max(seen.data + place, wp::uint64(depth.bits) << 32 | wp::uint64(number));
            if (words > 0) wp::atomic_or(cover.data + place * words + word, bit);
        }
    }
""")
def enter(
    seen: wp.array(dtype=wp.uint64),
    cover: wp.array(dtype=wp.uint64),
    words: int,
    word: int,
    bit: wp.uint64,
    start: int,
    width: int,
    box: wp.vec4i,
    shape: Small,
    farthest: float,
    number: wp.uint32,
):
    """Enter a triangle at the centres of the pixels of a box that lie in it, without distortion.

    What `rasterize` does at a place, for 16 pixels in one go on a CPU.
    """
    ...


@wp.func_native("""
    const float* const e = shape.data[0];
    const float* const f = shape.data[1];
    const float* const g = shape.data[2];
    const float* const slope = shape.data[3];
    const float least = shape.data[4][0], most = shape.data[4][1];
    const int x_first = box[0], x_last = box[1], y_first = box[2], y_last = box[3];
    const int first = x_first / 8, last = x_last / 8;
    const int begin = 255 << (x_first % 8), end = 255 >> (7 - x_last % 8);
    for (int y = y_first; y <= y_last; ++y)
    for (int i = first; i <= last; ++i) {
        int bits = edges.data[(start + y) * across + i];
        bits &= (i == first ? begin : 255) & (i == last ? end : 255);
        for (; bits != 0; bits &= bits - 1) {
#if defined(__CUDA_ARCH__)
            const int x = 8 * i + __ffs(bits) - 1;
#else
            const int x = 8 * i + __builtin_ctz(bits);
#endif
            wp::uint64* const held = samples.data + 4 * slots.data[(start + y) * width + x];
            wp::uint64 keys[4];
            for (int s = 0; s < 4; ++s) {
                const float u = (float)x + across_px[s], v = (float)y + down_px[s];
                const float e_u = e[3] * (u - e[0]), e_v = e[2] * (v - e[1]);
                const float f_u = f[3] * (u - f[0]), f_v = f[2] * (v - f[1]);
                const float g_u = g[3] * (u - g[0]), g_v = g[2] * (v - g[1]);
                const float z_u = slope[0] * (u - e[0]), z_v = slope[1] * (v - e[1]);
                const float sum = slope[2] + z_u + z_v, high = sum < least ? least : sum;
                union { float number; wp::uint32 bits; } depth;
                depth.number = high > most ? most : high;
                const bool near = depth.number >= farthest;
                const bool hit = (e_u >= e_v) & (f_u >= f_v) & (g_u >= g_v) & near;
                const wp::uint64 key = wp::uint64(depth.bits) << 32 | wp::uint64(number);
                keys[s] = hit ? key : 0;
            }
            // Nothing is less than what is there.
            for (int s = 0; s < 4; ++s) wp::atomic_max(held + s, keys[s]);
        }
    }
""")
def enter_samples(
    edges: wp.array(dtype=wp.uint8),
    slots: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
    start: int,
    width: int,
    across: int,
    box: wp.vec4i,
    shape: Small,
    farthest: float,
    number: wp.uint32,
    across_px: wp.vec4,
    down_px: wp.vec4,
):
    """Enter a triangle at the samples of those pixels of a box that are marked, as `enter` does."""
    ...
