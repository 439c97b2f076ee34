# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Large triangles into the visibility buffer, tile by tile, and those that cross the near plane.

They are tested by planes through the camera's centre, in float64 (Olano and Greer, Triangle scan
conversion using 2D homogeneous coordinates, Graphics Hardware 1997): nothing is clipped.
"""

import warp as wp

from generators.raster import lenses
from generators.raster.bent import fill_through
from generators.raster.layout import Geometry, Target, Views
from generators.raster.views import OUTSIDE
from generators.raster.visibility import (
    ACROSS_PX,
    DOWN_PX,
    in_camera,
    pixels_around,
    widened,
)

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

GAP = wp.constant(wp.float64(-1e-4))
"""Pixels that a large triangle is widened by, to leave no gap to a small neighbour."""

TILE = wp.constant(lenses.TILE)
_OUTSIDE = wp.constant(wp.uint8(OUTSIDE))


@wp.func
def plane(p: wp.vec3d, q: wp.vec3d, lens: wp.vec4d, sign: wp.float64) -> wp.vec3d:
    """Return the plane through the camera's centre and two points, as a line in pixels.

    Its value at (u, v, 1) is the distance from the line in undistorted pixels, positive on the
    side that `sign` says.
    """
    n = wp.cross(p, q)
    a = n[0] / lens[0]
    b = n[1] / lens[1]
    c = n[2] - a * lens[2] - b * lens[3]
    length = wp.sqrt(a * a + b * b)
    if length > wp.float64(0.0):
        return wp.vec3d(a, b, c) * (sign / length)
    return wp.vec3d(a, b, c) * (sign * wp.float64(1e300))


@wp.func
def highest(line: wp.vec3d, box: wp.vec4) -> wp.float64:
    """Return the largest value of a line's equation over a box."""
    u = wp.where(line[0] > wp.float64(0.0), box[1], box[0])
    v = wp.where(line[1] > wp.float64(0.0), box[3], box[2])
    return line[0] * wp.float64(u) + line[1] * wp.float64(v) + line[2]


@wp.func
def lowest(line: wp.vec3d, box: wp.vec4) -> wp.float64:
    """Return the least value of a line's equation over a box."""
    return -highest(-line, box)


@wp.func
def tiles_around(
    views: Views, view: int, a: wp.vec3d, b: wp.vec3d, c: wp.vec3d, near: wp.float64
) -> wp.vec4i:
    """Return the first and last column and row of the tiles in which a triangle can be seen."""
    box = wp.vec4(0.0, float(views.width - 1), 0.0, float(views.height - 1))
    if wp.min(a[2], wp.min(b[2], c[2])) > near:
        lens = views.lens[view]
        p = wp.vec3d(a[0] / a[2], b[0] / b[2], c[0] / c[2]) * lens[0]
        q = wp.vec3d(a[1] / a[2], b[1] / b[2], c[1] / c[2]) * lens[1]
        # A pixel more on each side, since float32 is coarse far from the picture.
        around = wp.vec4(
            float(wp.min(p) + lens[2]) - 1.0,
            float(wp.max(p) + lens[2]) + 1.0,
            float(wp.min(q) + lens[3]) - 1.0,
            float(wp.max(q) + lens[3]) + 1.0,
        )
        if views.distorted != 0:
            around = pixels_around(views, view, widened(around, views.margin[view]))
        box = wp.vec4(
            wp.max(around[0], box[0]),
            wp.min(around[1], box[1]),
            wp.max(around[2], box[2]),
            wp.min(around[3], box[3]),
        )
    if box[0] > box[1] or box[2] > box[3]:
        return wp.vec4i(0, -1, 0, -1)
    return wp.vec4i(
        int(box[0]) // TILE, int(box[1]) // TILE, int(box[2]) // TILE, int(box[3]) // TILE
    )


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    const int wide = 1;
#else
    const int wide = 8;
#endif
    for (int j = y; j < bottom; ++j)
    for (int i = x; i < right; i += wide) {
        const double v = (double)j;
        const double e_v = e[1] * v, f_v = f[1] * v, g_v = g[1] * v;
        const double z_v = depth[1] * v;
        wp::uint64 keys[wide];
        for (int k = 0; k < wide; ++k) {
            const double u = (double)(i + k), z_u = depth[0] * u, over_z = z_u + z_v + depth[2];
            union { float number; wp::uint32 bits; } near;
            near.number = (float)over_z;
            keys[k] = wp::uint64(near.bits) << 32 | wp::uint64(number);
        }
        if (!whole)
            for (int k = 0; k < wide; ++k) {
                const double u = (double)(i + k), z_u = depth[0] * u, over_z = z_u + z_v + depth[2];
                const double e_u = e[0] * u, f_u = f[0] * u, g_u = g[0] * u;
                const bool hit = (e_u + e_v + e[2] >= gap) & (f_u + f_v + f[2] >= gap)
                               & (g_u + g_v + g[2] >= gap) & (over_z >= least)
                               & (over_z <= most);
                keys[k] = hit ? keys[k] : 0;
            }
        wp::uint64* const first = seen.data + start + j * width + i;
        wp::uint64* const covers = cover.data + (start + j * width + i) * words + word;
        if (words == 1 && right - i >= wide) {
            for (int k = 0; k < wide; ++k) wp::atomic_max(first + k, keys[k]);
            for (int k = 0; k < wide; ++k) wp::atomic_or(covers + k, keys[k] ? bit : wp::uint64(0));
            continue;
        }
        for (int k = 0; k < wide && i + k < right; ++k) {
            wp::atomic_max(first + k, keys[k]);
            if (words > 0) wp::atomic_or(covers + k * words, keys[k] ? bit : wp::uint64(0));
        }
    }
""")
def fill_tile(
    seen: wp.array(dtype=wp.uint64),
    cover: wp.array(dtype=wp.uint64),
    words: int,
    word: int,
    bit: wp.uint64,
    start: int,
    width: int,
    x: int,
    right: int,
    y: int,
    bottom: int,
    e: wp.vec3d,
    f: wp.vec3d,
    g: wp.vec3d,
    depth: wp.vec3d,
    gap: wp.float64,
    least: wp.float64,
    most: wp.float64,
    whole: bool,
    number: wp.uint32,
):
    """Enter a triangle at the pixels of a tile that it covers; a CPU takes eight in one go.

    Args:
        seen: See `Target`, as for the next two.
        cover: A bit for each instance.
        words: Of each pixel there.
        word: Which of them is the triangle's; bit: in it.
        bit: The bit in it.
        start: First pixel of the view.
        width: Of the picture.
        x: First column; right: the one after the last.
        right: The column after the last.
        y: First row; bottom: the one after the last.
        bottom: The row after the last.
        e: One of the triangle's edges, see `plane`; f and g: the others.
        f: The second edge.
        g: The third.
        depth: 1/z at (u, v, 1).
        gap: `GAP`.
        least: 1/z of the far plane; most: of the near one.
        most: 1/z of the near plane.
        whole: Whether it covers all of the tile.
        number: Of the triangle.
    """
    ...


@wp.func_native("""
    for (int j = y; j < bottom; ++j) {
        int bits = edges.data[(rows + j) * across + x / 8];
        for (; bits != 0; bits &= bits - 1) {
#if defined(__CUDA_ARCH__)
            const int i = x + __ffs(bits) - 1;
#else
            const int i = x + __builtin_ctz(bits);
#endif
            wp::uint64* const held = samples.data + 4 * slots.data[(rows + j) * width + i];
            wp::uint64 keys[4];
            for (int s = 0; s < 4; ++s) {
                const double u = (double)((float)i + across_px[s]);
                const double v = (double)((float)j + down_px[s]);
                const double e_u = e[0] * u, f_u = f[0] * u, g_u = g[0] * u;
                const double e_v = e[1] * v, f_v = f[1] * v, g_v = g[1] * v;
                const double z_u = depth[0] * u, z_v = depth[1] * v, over_z = z_u + z_v + depth[2];
                const bool hit = (e_u + e_v + e[2] >= gap) & (f_u + f_v + f[2] >= gap)
                               & (g_u + g_v + g[2] >= gap) & (over_z >= least)
                               & (over_z <= most);
                union { float number; wp::uint32 bits; } near;
                near.number = (float)over_z;
                const wp::uint64 key = wp::uint64(near.bits) << 32 | wp::uint64(number);
                keys[s] = (hit | whole) ? key : 0;
            }
            for (int s = 0; s < 4; ++s) wp::atomic_max(held + s, keys[s]);
        }
    }
""")
def fill_samples(
    edges: wp.array(dtype=wp.uint8),
    slots: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
    rows: int,
    width: int,
    across: int,
    x: int,
    y: int,
    bottom: int,
    e: wp.vec3d,
    f: wp.vec3d,
    g: wp.vec3d,
    depth: wp.vec3d,
    gap: wp.float64,
    least: wp.float64,
    most: wp.float64,
    whole: bool,
    number: wp.uint32,
    across_px: wp.vec4,
    down_px: wp.vec4,
):
    """Enter a triangle at the samples of a tile's marked pixels, as `fill_tile` does at centres."""
    ...


@wp.kernel
def rasterize_large(geometry: Geometry, views: Views, target: Target, workers: int, strips: int):
    """Enter the triangles that were put aside; each one's tiles are dealt out to some threads."""
    worker, strip = wp.tid()
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    across = (views.width + TILE - 1) // TILE
    order = worker
    while order < target.count[0]:
        entry = target.aside[order]
        order += workers
        view = int(entry >> wp.uint64(32))
        number = int(entry & wp.uint64(0xFFFFFFFF))
        item = number // 64
        instance = geometry.item_instance[item]
        cluster = geometry.item_cluster[item]
        t = geometry.cluster_first[cluster] + number % 64
        a = in_camera(views, view, instance, geometry.corners[3 * t])
        b = in_camera(views, view, instance, geometry.corners[3 * t + 1])
        c = in_camera(views, view, instance, geometry.corners[3 * t + 2])
        most = one / wp.float64(views.reach[view][0])
        least = one / wp.float64(views.reach[view][1])
        normal = wp.cross(b - a, c - a)
        # Positive where the triangle is seen from behind.
        volume = wp.dot(normal, a)
        if volume == zero or wp.max(a[2], wp.max(b[2], c[2])) * most < one:
            continue
        one_sided = geometry.cone[cluster][3] < 1.5 and views.state[view, instance] == _OUTSIDE
        if volume > zero and one_sided:
            continue
        around = tiles_around(views, view, a, b, c, one / most)
        wide = around[1] - around[0] + 1
        count = wide * (around[3] - around[2] + 1)
        tile = strip
        if tile >= count:
            continue
        sign = wp.where(volume > zero, one, -one)
        lens = views.lens[view]
        e = plane(a, b, lens, sign)
        f = plane(b, c, lens, sign)
        g = plane(c, a, lens, sign)
        # 1/z is linear in the picture: normal · ray / volume.
        iu = normal[0] / (volume * lens[0])
        iv = normal[1] / (volume * lens[1])
        depth = wp.vec3d(iu, iv, normal[2] / volume - iu * lens[2] - iv * lens[3])
        label = geometry.label[instance]
        word = (label - 1) // 64
        bit = wp.uint64(1) << wp.uint64(label - 1 - 64 * word)
        while tile < count:
            column = around[0] + tile % wide
            row = around[2] + tile // wide
            x = column * TILE
            y = row * TILE
            box = wp.vec4(float(x), float(x + TILE - 1), float(y), float(y + TILE - 1))
            if views.distorted != 0:
                box = views.tiles[view, row * across + column]
            if target.fine != 0:
                box = widened(box, views.margin[view])
            tile += strips
            if target.fine != 0 and target.edge_cells[view, row * across + column] == wp.uint8(0):
                continue
            if (
                highest(e, box) < GAP
                or highest(f, box) < GAP
                or highest(g, box) < GAP
                or highest(depth, box) < least
            ):
                continue
            whole = (
                lowest(e, box) >= GAP
                and lowest(f, box) >= GAP
                and lowest(g, box) >= GAP
                and lowest(depth, box) >= least
                and highest(depth, box) <= most
            )
            bottom = wp.min(y + TILE, views.height)
            if target.fine == 0 and views.distorted == 0:
                fill_tile(
                    target.seen, target.cover, target.words, word, bit, view * target.pixels,
                    views.width, x, wp.min(x + TILE, views.width), y, bottom, e, f, g, depth, GAP,
                    least, most, whole, wp.uint32(number),
                )  # fmt: skip
                continue
            if views.distorted == 0:
                fill_samples(
                    target.edges, target.slots, target.samples, view * views.height, views.width,
                    across, x, y, bottom, e, f, g, depth, GAP, least, most, whole,
                    wp.uint32(number), ACROSS_PX, DOWN_PX,
                )  # fmt: skip
                continue
            last = wp.min(x + TILE, views.width) - 1
            fill_through(
                views.rays, view, views.width, views.height, wp.vec4i(x, last, y, bottom - 1),
                e, f, g, depth, GAP, least, most, whole, wp.uint32(number), target.fine,
                target.seen, target.cover, target.words, word, bit, target.edges, target.slots,
                target.samples, across, ACROSS_PX, DOWN_PX,
            )  # fmt: skip
