# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which triangle each pixel sees: the kernels that fill the visibility buffer.

An entry holds 1/z in its upper 32 bits and the triangle's number in its lower ones, so that the
largest entry is the nearest triangle, and of triangles at one depth the last. Edges are inclusive:
two triangles that share one leave no gap, and depth decides. Small triangles are tested in
undistorted pixels, by edge functions that start from the corner with the lower number, so that
both neighbours of an edge find the same value but for its sign. What is large, or crosses the
near plane, is put aside and tested by planes through the camera's centre, in float64 (Olano and
Greer, Triangle scan conversion using 2D homogeneous coordinates, Graphics Hardware 1997).
"""

import warp as wp

from generators.raster import lenses
from generators.raster.layout import Geometry, Target, Views
from generators.raster.views import HIDDEN, OUTSIDE

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

SMALL = wp.constant(48.0)
"""Pixels across a triangle that is done at once."""

SAMPLES = wp.constant(4)
"""Places at which a pixel at an edge is looked at."""

FAR_OUT = wp.constant(16384.0)
"""Pixels from the origin beyond which float32 is too coarse."""

GAP = wp.constant(wp.float64(-1e-4))
"""Pixels that a large triangle is widened by, to leave no gap to a small neighbour."""

TILE = wp.constant(lenses.TILE)
CELL = wp.constant(lenses.CELL)
_HIDDEN = wp.constant(wp.uint8(HIDDEN))
_OUTSIDE = wp.constant(wp.uint8(OUTSIDE))


@wp.func
def in_camera(views: Views, view: int, instance: int, p: wp.vec3) -> wp.vec3d:
    """Return a point of an instance in the camera's frame, m."""
    a = views.X_CS[view, instance, 0]
    b = views.X_CS[view, instance, 1]
    c = views.X_CS[view, instance, 2]
    q = wp.vec4d(wp.float64(p[0]), wp.float64(p[1]), wp.float64(p[2]), wp.float64(1.0))
    return wp.vec3d(wp.dot(a, q), wp.dot(b, q), wp.dot(c, q))


@wp.func
def write(target: Target, place: int, inverse_z: float, number: int, label: int):
    """Enter what a triangle shows at a place of the buffer."""
    depth = wp.uint64(wp.cast(inverse_z, wp.uint32))
    entry = (depth << wp.uint64(32)) | wp.uint64(number)
    if target.fine != 0:
        wp.atomic_max(target.samples, place, entry)
        return
    wp.atomic_max(target.seen, place, entry)
    if target.words > 0:
        word = (label - 1) // 64
        bit = wp.uint64(1) << wp.uint64(label - 1 - 64 * word)
        wp.atomic_or(target.cover, place * target.words + word, bit)


@wp.func
def place_of(sample: int) -> wp.vec2:
    """Return where in a pixel a sample lies: four places, no two in a row or a column."""
    x = wp.where(sample == 0, -0.125, wp.where(sample == 1, 0.375, 0.125))
    y = wp.where(sample == 0, -0.375, wp.where(sample == 1, -0.125, 0.375))
    if sample == 3:
        return wp.vec2(-0.375, 0.125)
    return wp.vec2(x, y)


@wp.func
def seen_at(views: Views, view: int, x: int, y: int, off: wp.vec2) -> wp.vec2:
    """Return the undistorted pixel that is seen off a pixel's centre."""
    if views.distorted == 0:
        return wp.vec2(float(x) + off[0], float(y) + off[1])
    here = views.rays[view, y * views.width + x]
    if off[0] == 0.0 and off[1] == 0.0:
        return here
    # A lens is smooth: inside a pixel it is as good as linear.
    i = wp.where(x + 1 < views.width, 1, -1)
    j = wp.where(y + 1 < views.height, 1, -1)
    across = views.rays[view, y * views.width + x + i] - here
    down = views.rays[view, (y + j) * views.width + x] - here
    return here + across * (off[0] * float(i)) + down * (off[1] * float(j))


@wp.kernel
def project(
    geometry: Geometry, views: Views, points: int, lanes: int, projected: wp.array(dtype=wp.vec3)
):
    """Write u, v (undistorted pixels) and 1/z of all points that may be in view."""
    view, block, lane = wp.tid()
    instance = geometry.block_instance[block]
    if views.state[view, instance] == _HIDDEN:
        return
    a = views.X_CS[view, instance, 0]
    b = views.X_CS[view, instance, 1]
    c = views.X_CS[view, instance, 2]
    lens = views.lens[view]
    fx = float(lens[0])
    fy = float(lens[1])
    cx = float(lens[2])
    cy = float(lens[3])
    ax, ay, az, aw = float(a[0]), float(a[1]), float(a[2]), float(a[3])
    bx, by, bz, bw = float(b[0]), float(b[1]), float(b[2]), float(b[3])
    gx, gy, gz, gw = float(c[0]), float(c[1]), float(c[2]), float(c[3])
    shift = view * points + geometry.shift[instance]
    end = geometry.block_end[block]
    i = geometry.block_first[block] + lane
    while i < end:
        p = geometry.points[i]
        over_z = 1.0 / (gx * p[0] + gy * p[1] + gz * p[2] + gw)
        x = (ax * p[0] + ay * p[1] + az * p[2] + aw) * over_z
        y = (bx * p[0] + by * p[1] + bz * p[2] + bw) * over_z
        projected[shift + i] = wp.vec3(fx * x + cx, fy * y + cy, over_z)
        i += lanes


@wp.func
def turned_away(views: Views, view: int, instance: int, sphere: wp.vec4, cone: wp.vec4) -> bool:
    """Return whether a cluster cannot be seen: all of it faces away, or it is off the picture."""
    m = in_camera(views, view, instance, wp.vec3(sphere[0], sphere[1], sphere[2]))
    x = float(m[0])
    y = float(m[1])
    z = float(m[2])
    radius = sphere[3]
    if z + radius < views.reach[view][0] or z - radius > views.reach[view][1]:
        return True
    low = views.low[view]
    high = views.high[view]
    # Each side of the picture is a plane through the camera's centre.
    if (
        low[0] * z - x > radius * low[2]
        or x - high[0] * z > radius * high[2]
        or low[1] * z - y > radius * low[3]
        or y - high[1] * z > radius * high[3]
    ):
        return True
    if cone[3] < 1.5 and views.state[view, instance] == _OUTSIDE:
        a = views.X_CS[view, instance, 0]
        b = views.X_CS[view, instance, 1]
        c = views.X_CS[view, instance, 2]
        n = wp.vec4d(wp.float64(cone[0]), wp.float64(cone[1]), wp.float64(cone[2]), wp.float64(0.0))
        along = x * float(wp.dot(a, n)) + y * float(wp.dot(b, n)) + z * float(wp.dot(c, n))
        return along >= cone[3] * wp.sqrt(x * x + y * y + z * z) + radius
    return False


@wp.func
def pixels_around(views: Views, view: int, box: wp.vec4) -> wp.vec4:
    """Return the first and last column and row of the pixels that look into a box of (u, v)."""
    grid = views.grid[view]
    first_u = wp.max(int(wp.floor((box[0] - grid[0]) / CELL)), 0)
    last_u = wp.min(int(wp.floor((box[1] - grid[0]) / CELL)), int(grid[2]) - 1)
    first_v = wp.max(int(wp.floor((box[2] - grid[1]) / CELL)), 0)
    last_v = wp.min(int(wp.floor((box[3] - grid[1]) / CELL)), int(grid[3]) - 1)
    found = wp.vec4(1e9, -1.0, 1e9, -1.0)
    for j in range(first_v, last_v + 1):
        for i in range(first_u, last_u + 1):
            cell = views.cells[view, j * int(grid[2]) + i]
            found = wp.vec4(
                wp.min(found[0], float(cell[0])),
                wp.max(found[1], float(cell[1])),
                wp.min(found[2], float(cell[2])),
                wp.max(found[3], float(cell[3])),
            )
    return found


@wp.func
def put_aside(target: Target, view: int, number: int):
    """Leave a triangle to the pass for large ones."""
    slot = wp.atomic_add(target.count, 0, 1)
    target.aside[slot] = (wp.uint64(view) << wp.uint64(32)) | wp.uint64(number)


@wp.kernel
def rasterize(
    geometry: Geometry,
    views: Views,
    points: int,
    lanes: int,
    projected: wp.array(dtype=wp.vec3),
    target: Target,
):
    """Enter all small triangles of each item, and put the others aside."""
    view, item, lane = wp.tid()
    instance = geometry.item_instance[item]
    state = views.state[view, instance]
    if state == _HIDDEN:
        return
    cluster = geometry.item_cluster[item]
    cone = geometry.cone[cluster]
    if turned_away(views, view, instance, geometry.sphere[cluster], cone):
        return
    one_sided = cone[3] < 1.5 and state == _OUTSIDE
    nearest = 1.0 / views.reach[view][0]
    farthest = 1.0 / views.reach[view][1]
    label = geometry.label[instance]
    right = float(views.width - 1)
    bottom = float(views.height - 1)
    # Samples lie off the centres of their pixels; with distortion, a pixel sees more or less.
    reach = wp.where(target.fine != 0, wp.where(views.distorted != 0, 1.0, 0.375), 0.0)
    shift = view * points + geometry.shift[instance] + geometry.cluster_points[cluster]
    first = geometry.cluster_first[cluster]
    t = first + lane
    end = geometry.cluster_end[cluster]
    while t < end:
        corner = geometry.triangles[t]
        number = item * 64 + (t - first)
        t += lanes
        i = corner[0]
        turn = 1.0
        if i < 0:
            i = -1 - i
            turn = -1.0
        a = projected[shift + i]
        b = projected[shift + corner[1]]
        c = projected[shift + corner[2]]
        least = wp.min(a[2], wp.min(b[2], c[2]))
        most = wp.max(a[2], wp.max(b[2], c[2]))
        # A corner behind the camera has a negative 1/z; beyond the far plane all are small.
        if least <= 0.0 or most > nearest:
            put_aside(target, view, number)
            continue
        if most < farthest:
            continue
        left = wp.min(a[0], wp.min(b[0], c[0]))
        rightmost = wp.max(a[0], wp.max(b[0], c[0]))
        top = wp.min(a[1], wp.min(b[1], c[1]))
        lowest = wp.max(a[1], wp.max(b[1], c[1]))
        if wp.max(wp.max(-left, rightmost), wp.max(-top, lowest)) > FAR_OUT:
            put_aside(target, view, number)
            continue
        large = rightmost - left >= SMALL or lowest - top >= SMALL
        box = wp.vec4(left, rightmost, top, lowest)
        if views.distorted != 0 and not large:
            box = pixels_around(views, view, box)
        x_first = int(wp.ceil(wp.max(box[0] - reach, 0.0)))
        x_last = int(wp.floor(wp.min(box[1] + reach, right)))
        y_first = int(wp.ceil(wp.max(box[2] - reach, 0.0)))
        y_last = int(wp.floor(wp.min(box[3] + reach, bottom)))
        if not large and (x_first > x_last or y_first > y_last):
            continue
        ux = b[0] - a[0]
        uy = b[1] - a[1]
        vx = c[0] - a[0]
        vy = c[1] - a[1]
        # The rows of a picture go down, so what faces the camera turns the other way.
        area = uy * vx - ux * vy
        if area == 0.0 or (one_sided and area * turn < 0.0):
            continue
        if large:
            put_aside(target, view, number)
            continue
        # Times the area's sign, so that all three are positive inside.
        sign = wp.sign(area)
        e = wp.vec4(a[0], a[1], sign * ux, sign * uy)
        f = wp.vec4(b[0], b[1], sign * (c[0] - b[0]), sign * (c[1] - b[1]))
        g = wp.vec4(a[0], a[1], -sign * vx, -sign * vy)
        gain = -1.0 / area
        db = (b[2] - a[2]) * gain
        dc = (c[2] - a[2]) * gain
        slope_x = db * vy - dc * uy
        slope_y = dc * ux - db * vx
        for y in range(y_first, y_last + 1):
            for x in range(x_first, x_last + 1):
                place = view * target.pixels + y * views.width + x
                samples = int(1)
                if target.fine != 0:
                    place = target.slots[place] * SAMPLES
                    samples = wp.where(place < 0, 0, SAMPLES)
                for k in range(samples):
                    u = float(x)
                    v = float(y)
                    if target.fine != 0:
                        uv = seen_at(views, view, x, y, place_of(k))
                        u = uv[0]
                        v = uv[1]
                    elif views.distorted != 0:
                        uv = views.rays[view, y * views.width + x]
                        u = uv[0]
                        v = uv[1]
                    in_e = e[3] * (u - e[0]) - e[2] * (v - e[1])
                    in_f = f[3] * (u - f[0]) - f[2] * (v - f[1])
                    in_g = g[3] * (u - g[0]) - g[2] * (v - g[1])
                    if in_e >= 0.0 and in_f >= 0.0 and in_g >= 0.0:
                        over_z = a[2] + slope_x * (u - a[0]) + slope_y * (v - a[1])
                        over_z = wp.clamp(over_z, least, most)
                        if over_z >= farthest:
                            write(target, place + k, over_z, number, label)


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
            around = pixels_around(views, view, around)
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


@wp.func
def fill_tile(
    target: Target,
    views: Views,
    view: int,
    x: int,
    y: int,
    depth: wp.vec3d,
    number: int,
    label: int,
):
    """Enter a triangle at all pixels of a tile that it fills."""
    word = (label - 1) // 64
    bit = wp.uint64(1) << wp.uint64(label - 1 - 64 * word)
    for j in range(y, wp.min(y + TILE, views.height)):
        start = view * target.pixels + j * views.width
        row = depth[1] * wp.float64(j) + depth[2]
        for i in range(x, wp.min(x + TILE, views.width)):
            over_z = float(row + depth[0] * wp.float64(i))
            key = wp.uint64(wp.cast(over_z, wp.uint32)) << wp.uint64(32)
            wp.atomic_max(target.seen, start + i, key | wp.uint64(number))
            if target.words > 0:
                wp.atomic_or(target.cover, (start + i) * target.words + word, bit)


@wp.kernel
def rasterize_large(geometry: Geometry, views: Views, target: Target, workers: int, strips: int):
    """Enter the triangles that were put aside, tile by tile, each row of tiles by one thread."""
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
        around = tiles_around(views, view, a, b, c, one / most)
        wide = around[1] - around[0] + 1
        tile = strip * wide
        while tile < wide * (around[3] - around[2] + 1):
            column = around[0] + tile % wide
            row = around[2] + tile // wide
            x = column * TILE
            y = row * TILE
            box = wp.vec4(float(x), float(x + TILE - 1), float(y), float(y + TILE - 1))
            if views.distorted != 0:
                box = views.tiles[view, row * across + column]
            if target.fine != 0:
                box = box + wp.vec4(-1.0, 1.0, -1.0, 1.0)
            tile += 1
            if tile % wide == 0:
                tile += (strips - 1) * wide
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
            if whole and target.fine == 0 and views.distorted == 0:
                fill_tile(target, views, view, x, y, depth, number, label)
                continue
            for pixel_y in range(y, wp.min(y + TILE, views.height)):
                for pixel_x in range(x, wp.min(x + TILE, views.width)):
                    pixel = pixel_y * views.width + pixel_x
                    place = view * target.pixels + pixel
                    samples = int(1)
                    if target.fine != 0:
                        place = target.slots[place] * SAMPLES
                        samples = wp.where(place < 0, 0, SAMPLES)
                    for k in range(samples):
                        u = wp.float64(pixel_x)
                        v = wp.float64(pixel_y)
                        if target.fine != 0:
                            uv = seen_at(views, view, pixel_x, pixel_y, place_of(k))
                            u = wp.float64(uv[0])
                            v = wp.float64(uv[1])
                        elif views.distorted != 0:
                            uv = views.rays[view, pixel]
                            u = wp.float64(uv[0])
                            v = wp.float64(uv[1])
                        over_z = depth[0] * u + depth[1] * v + depth[2]
                        if whole or (
                            e[0] * u + e[1] * v + e[2] >= GAP
                            and f[0] * u + f[1] * v + f[2] >= GAP
                            and g[0] * u + g[1] * v + g[2] >= GAP
                            and over_z >= least
                            and over_z <= most
                        ):
                            write(target, place + k, float(over_z), number, label)
