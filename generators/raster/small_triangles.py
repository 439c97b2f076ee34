# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Small triangles into the visibility buffer, at once: nearly all of them.

They are tested in undistorted pixels, by edge functions that start from the corner with the lower
number, so that both neighbours of an edge find the same value but for its sign.
"""

import warp as wp

from generators.raster.layout import Geometry, Target, Views
from generators.raster.views import HIDDEN, OUTSIDE
from generators.raster.visibility import (
    SAMPLES,
    in_camera,
    pixels_around,
    place_of,
    put_aside,
    seen_at,
    write,
)

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

SMALL = wp.constant(48.0)
"""Pixels across a triangle that is done at once."""

FAR_OUT = wp.constant(16384.0)
"""Pixels from the origin beyond which float32 is too coarse."""

_HIDDEN = wp.constant(wp.uint8(HIDDEN))
_OUTSIDE = wp.constant(wp.uint8(OUTSIDE))


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
