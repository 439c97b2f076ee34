# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Which triangle each pixel sees: what all kernels share that fill the visibility buffer.

An entry holds 1/z in its upper 32 bits and the triangle's number in its lower ones, so that the
largest entry is the nearest triangle, and of triangles at one depth the last. Edges are inclusive:
two triangles that share one leave no gap, and depth decides. `small_triangles` enters most of them;
it puts aside for `large_triangles` what is large or crosses the near plane.
"""

import warp as wp

from generators.raster.bent import pixels_through
from generators.raster.layout import Geometry, Target, Views
from generators.raster.views import HIDDEN

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

SAMPLES = wp.constant(4)
"""Places at which a pixel at an edge is looked at."""

_HIDDEN = wp.constant(wp.uint8(HIDDEN))


@wp.func
def in_camera(views: Views, view: int, instance: int, p: wp.vec3) -> wp.vec3d:
    """Return a point of an instance in the camera's frame, m."""
    a = views.X_CS[view, instance, 0]
    b = views.X_CS[view, instance, 1]
    c = views.X_CS[view, instance, 2]
    q = wp.vec4d(wp.float64(p[0]), wp.float64(p[1]), wp.float64(p[2]), wp.float64(1.0))
    return wp.vec3d(wp.dot(a, q), wp.dot(b, q), wp.dot(c, q))


ACROSS_PX = wp.constant(wp.vec4(-0.125, 0.375, 0.125, -0.375))
"""Where in a pixel its samples lie: four places, no two in a row or a column."""

DOWN_PX = wp.constant(wp.vec4(-0.375, -0.125, 0.375, 0.125))
"""The same, downwards."""


@wp.func
def place_of(sample: int) -> wp.vec2:
    """Return where in a pixel a sample lies."""
    return wp.vec2(ACROSS_PX[sample], DOWN_PX[sample])


@wp.func
def seen_at(views: Views, view: int, x: int, y: int, off: wp.vec2) -> wp.vec2:
    """Return the undistorted pixel that is seen off a pixel's centre."""
    if views.distorted == 0:
        return wp.vec2(float(x) + off[0], float(y) + off[1])
    here = views.rays[view, y * views.width + x]
    if off[0] == 0.0 and off[1] == 0.0:
        return here
    # A lens is smooth: inside a pixel it is as good as linear. A lone pixel has no neighbour.
    i = wp.where(x + 1 < views.width, 1, wp.where(x > 0, -1, 0))
    j = wp.where(y + 1 < views.height, 1, wp.where(y > 0, -1, 0))
    across = views.rays[view, y * views.width + x + i] - here
    down = views.rays[view, (y + j) * views.width + x] - here
    return here + across * (off[0] * float(i)) + down * (off[1] * float(j))


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    const int step = lanes;
#else
    const int step = 1;
#endif
    const wp::vec3* const from = points.data;
    wp::vec3* const to = projected.data + shift;
    for (int i = first; i < end; i += step) {
        const float x = from[i][0], y = from[i][1], z = from[i][2];
        const float ax = a[0] * x, ay = a[1] * y, az = a[2] * z;
        const float bx = b[0] * x, by = b[1] * y, bz = b[2] * z;
        const float cx = c[0] * x, cy = c[1] * y, cz = c[2] * z;
        const float over_z = 1.0f / (cx + cy + cz + c[3]);
        const float u = lens[0] * ((ax + ay + az + a[3]) * over_z);
        const float v = lens[1] * ((bx + by + bz + b[3]) * over_z);
        to[i][0] = u + lens[2];
        to[i][1] = v + lens[3];
        to[i][2] = over_z;
    }
""")
def project_block(
    points: wp.array(dtype=wp.vec3),
    first: int,
    end: int,
    lanes: int,
    a: wp.vec4,
    b: wp.vec4,
    c: wp.vec4,
    lens: wp.vec4,
    shift: int,
    projected: wp.array(dtype=wp.vec3),
):
    """Write u, v and 1/z of some points of an instance; a CPU takes several in one go.

    Args:
        points: Of all meshes.
        first: The first of them.
        end: The one after the last.
        lanes: Threads of a GPU that share them; a CPU's takes them all.
        a: First row of the instance's pose in the camera; b, c: the others.
        b: The second row.
        c: The third row.
        lens: fx, fy, cx, cy.
        shift: From a point to its projection.
        projected: Where they go.
    """
    ...


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
    project_block(
        geometry.points,
        geometry.block_first[block] + lane,
        geometry.block_end[block],
        lanes,
        wp.vec4(float(a[0]), float(a[1]), float(a[2]), float(a[3])),
        wp.vec4(float(b[0]), float(b[1]), float(b[2]), float(b[3])),
        wp.vec4(float(c[0]), float(c[1]), float(c[2]), float(c[3])),
        wp.vec4(float(lens[0]), float(lens[1]), float(lens[2]), float(lens[3])),
        view * points + geometry.shift[instance],
        projected,
    )


@wp.func
def pixels_around(views: Views, view: int, box: wp.vec4) -> wp.vec4:
    """Return the first and last column and row of the pixels that look into a box of (u, v)."""
    found = pixels_through(views.cells, view, views.grid[view], box)
    return wp.vec4(float(found[0]), float(found[1]), float(found[2]), float(found[3]))


@wp.func
def widened(box: wp.vec4, by: float) -> wp.vec4:
    """Return a box that reaches farther to all sides."""
    return box + wp.vec4(-by, by, -by, by)


@wp.func
def put_aside(target: Target, view: int, number: int):
    """Leave a triangle to the pass for large ones."""
    slot = wp.atomic_add(target.count, 0, 1)
    target.aside[slot] = (wp.uint64(view) << wp.uint64(32)) | wp.uint64(number)
