# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Small triangles into the visibility buffer, at once: nearly all of them.

`scan` says how they are tested, and `bent` how where the lens distorts.
"""

import warp as wp

from generators.raster.bent import box_through, enter_through
from generators.raster.cells import CELL
from generators.raster.layout import Geometry, Target, Views
from generators.raster.scan import (
    box_of,
    enter,
    enter_samples,
    looked_over,
    lowest_bit,
    pixels_of,
    shape_of,
)
from generators.raster.views import HIDDEN, OUTSIDE
from generators.raster.visibility import (
    ACROSS_PX,
    DOWN_PX,
    in_camera,
    pixels_around,
    put_aside,
    widened,
)

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

SMALL = wp.constant(48.0)
"""Pixels across a triangle that is done at once."""

FAR_OUT = wp.constant(16384.0)
"""Pixels from the origin beyond which float32 is too coarse."""

BATCH = wp.constant(16)
"""Triangles that a CPU looks over at once."""

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


@wp.func
def near_an_edge(views: Views, target: Target, view: int, instance: int, sphere: wp.vec4) -> bool:
    """Return whether a cluster may cover a pixel that is marked as lying at an edge."""
    m = in_camera(views, view, instance, wp.vec3(sphere[0], sphere[1], sphere[2]))
    x = float(m[0])
    y = float(m[1])
    z = float(m[2])
    r = sphere[3]
    near = z - r
    if near <= views.reach[view][0]:
        return True
    far = z + r
    lens = views.lens[view]
    fx = float(lens[0])
    fy = float(lens[1])
    cx = float(lens[2])
    cy = float(lens[3])
    # The largest x/z is had at the nearest z where x is positive, at the farthest where it is not.
    box = wp.vec4(
        fx * (x - r) / wp.where(x > r, far, near) + cx,
        fx * (x + r) / wp.where(x > -r, near, far) + cx,
        fy * (y - r) / wp.where(y > r, far, near) + cy,
        fy * (y + r) / wp.where(y > -r, near, far) + cy,
    )
    if views.distorted != 0:
        box = pixels_around(views, view, widened(box, views.margin[view]))
    # A pixel more for where samples lie.
    last = wp.vec2(float(views.width - 1), float(views.height - 1))
    column = int(wp.max(box[0] - 1.0, 0.0)) // CELL
    last_column = int(wp.min(box[1] + 1.0, last[0])) // CELL
    row = int(wp.max(box[2] - 1.0, 0.0)) // CELL
    last_row = int(wp.min(box[3] + 1.0, last[1])) // CELL
    across = (views.width + CELL - 1) // CELL
    for j in range(row, last_row + 1):
        for i in range(column, last_column + 1):
            if target.edge_cells[view, j * across + i] != wp.uint8(0):
                return True
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
    sphere = geometry.sphere[cluster]
    if turned_away(views, view, instance, sphere, cone):
        return
    if target.fine != 0 and not near_an_edge(views, target, view, instance, sphere):
        return
    one_sided = cone[3] < 1.5 and state == _OUTSIDE
    nearest = 1.0 / views.reach[view][0]
    farthest = 1.0 / views.reach[view][1]
    label = geometry.label[instance]
    right = float(views.width - 1)
    bottom = float(views.height - 1)
    # Samples lie off the centres of their pixels.
    reach = wp.where(target.fine != 0 and views.distorted == 0, 0.375, 0.0)
    margin = wp.where(target.fine != 0, views.margin[view], 0.0)
    shift = view * points + geometry.shift[instance] + geometry.cluster_points[cluster]
    first = geometry.cluster_first[cluster]
    end = geometry.cluster_end[cluster]
    distorted = views.distorted != 0
    word = (label - 1) // 64
    bit = wp.uint64(1) << wp.uint64(label - 1 - 64 * word)
    rows = view * views.height
    across = (views.width + CELL - 1) // CELL
    batch = wp.where(lanes == 1, BATCH, 1)
    start = first + lane * batch
    while start < end:
        found = looked_over(
            geometry.triangles, projected, shift, start, end, not one_sided, distorted,
            nearest, farthest, reach, right, bottom, SMALL, FAR_OUT, target.edges, rows, across,
        )  # fmt: skip
        aside = (found >> 16) & 0xFFFF
        while aside != 0:
            put_aside(target, view, item * 64 + (start + lowest_bit(aside) - first))
            aside &= aside - 1
        begin = start
        start += lanes * batch
        drawn = found & 0xFFFF
        while drawn != 0:
            t = begin + lowest_bit(drawn)
            drawn &= drawn - 1
            number = item * 64 + (t - first)
            corner = geometry.triangles[t]
            i = wp.where(corner[0] < 0, -1 - corner[0], corner[0])
            a = projected[shift + i]
            b = projected[shift + corner[1]]
            c = projected[shift + corner[2]]
            if distorted:
                box = box_through(
                    views.cells, view, views.grid[view], widened(box_of(a, b, c), margin),
                    target.fine, target.edges, rows, across,
                )  # fmt: skip
                if box[0] <= box[1]:
                    enter_through(
                        views.rays, view, views.width, views.height, box, shape_of(a, b, c),
                        farthest, wp.uint32(number), target.fine, target.seen, target.cover,
                        target.words, word, bit, target.edges, target.slots, target.samples, across,
                        ACROSS_PX, DOWN_PX,
                    )  # fmt: skip
                continue
            box = pixels_of(box_of(a, b, c), reach, right, bottom)
            shape = shape_of(a, b, c)
            if target.fine == 0:
                enter(
                    target.seen, target.cover, target.words, word, bit, view * target.pixels,
                    views.width, box, shape, farthest, wp.uint32(number),
                )  # fmt: skip
            else:
                enter_samples(
                    target.edges, target.slots, target.samples, rows, views.width,
                    across, box, shape, farthest, wp.uint32(number), ACROSS_PX, DOWN_PX,
                )  # fmt: skip
