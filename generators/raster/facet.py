# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""One triangle as a camera sees it: what holds at any pixel of it, worked out once.

Along a row of a picture the same triangle is often met many times, so the kernels keep the facet
of the pixel before. 1/z, and the corners' weights over z, are linear in undistorted pixels.
"""

import warp as wp

from generators.raster.layout import Geometry, Views
from generators.raster.rows import Colors, Row
from generators.raster.visibility import in_camera

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

NOTHING = wp.constant(wp.uint64(0))
"""An entry of the visibility buffer where nothing is seen."""


@wp.struct
class Facet:
    """A triangle in a view.

    Attributes:
        instance: Whose it is; triangle: which, in the geometry's lists.
        over_z: 1/z at (u, v, 1), 1/m.
        second: Weight of the second corner over z; third: of the third.
        normal_W: Unit normal on the side that is seen.
        flat: Whether the mesh's normals are the same at its corners.
        smooth_W: That normal, on the side that is seen.
    """

    instance: wp.int32
    triangle: wp.int32
    over_z: wp.vec3d
    second: wp.vec3d
    third: wp.vec3d
    normal_W: wp.vec3
    flat: wp.int32
    smooth_W: wp.vec3


@wp.func
def in_pixels(n: wp.vec3d, lens: wp.vec4d, factor: wp.float64) -> wp.vec3d:
    """Return a linear form of the ray (x, y, 1) as one of the undistorted pixel (u, v, 1)."""
    a = n[0] * factor / lens[0]
    b = n[1] * factor / lens[1]
    return wp.vec3d(a, b, n[2] * factor - a * lens[2] - b * lens[3])


@wp.func
def on_side(n: wp.vec3, facing: wp.vec3) -> wp.vec3:
    """Return a normal with length one, on the side of another; that one where it has no length."""
    length = wp.length(n)
    if length < 1e-6:
        return facing
    return n * wp.where(wp.dot(n, facing) < 0.0, -1.0 / length, 1.0 / length)


@wp.func
def triangle_of(geometry: Geometry, number: wp.uint32) -> int:
    """Return which triangle, in the geometry's lists, a number of the visibility buffer is."""
    item = int(number) // 64
    return geometry.item_first[item] + int(number) % 64


@wp.func
def facet_of(geometry: Geometry, views: Views, view: int, number: wp.uint32) -> Facet:
    """Return the triangle of a number of the visibility buffer."""
    facet = Facet()
    instance = geometry.item_instance[int(number) // 64]
    t = triangle_of(geometry, number)
    a = in_camera(views, view, instance, geometry.corners[3 * t])
    b = in_camera(views, view, instance, geometry.corners[3 * t + 1]) - a
    c = in_camera(views, view, instance, geometry.corners[3 * t + 2]) - a
    n = wp.cross(b, c)
    volume = wp.dot(n, a)
    square = wp.dot(n, n)
    lens = views.lens[view]
    facet.instance = instance
    facet.triangle = t
    facet.over_z = in_pixels(n, lens, wp.float64(1.0) / volume)
    # The weight of a corner is the share of the plane through the camera and the opposite edge.
    facet.second = in_pixels(wp.cross(c, a), lens, wp.float64(1.0) / volume)
    facet.third = in_pixels(wp.cross(a, b), lens, wp.float64(1.0) / volume)
    scale = wp.float64(1.0) / wp.sqrt(square)
    if volume > wp.float64(0.0):
        scale = -scale
    R_WC = views.R_WC[view]
    unit = n * scale
    facet.normal_W = R_WC * wp.vec3(float(unit[0]), float(unit[1]), float(unit[2]))
    p = geometry.normals[3 * t]
    q = geometry.normals[3 * t + 1]
    r = geometry.normals[3 * t + 2]
    if p == q and q == r:
        facet.smooth_W = on_side(views.R_WS[view, instance] * p, facet.normal_W)
        facet.flat = 1
    return facet


@wp.func_native("""
#if !defined(__CUDA_ARCH__)
    for (int k = 0; k < count; ++k) {
        const int number = (int)(wp::uint32)entries.data[first + k];
        const int t = 3 * (item_first.data[number / 64] + number % 64);
        // 36 bytes, which may lie in two lines of the cache.
        __builtin_prefetch(corners.data + t);
        __builtin_prefetch(corners.data + t + 2);
        __builtin_prefetch(normals.data + t);
        __builtin_prefetch(normals.data + t + 2);
    }
#endif
""")
def fetch(
    entries: wp.array(dtype=wp.uint64),
    first: int,
    count: int,
    item_first: wp.array(dtype=wp.int32),
    corners: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
):
    """Have a CPU fetch the triangles of some entries while it works on what comes before.

    They lie all over the memory; to wait for each took a third of the time of what reads them.

    Args:
        entries: Of the visibility buffer.
        first: The first of them.
        count: How many follow one another.
        item_first: See `Geometry`, as for the next two.
        corners: Of the triangles.
        normals: At those corners.
    """
    ...


@wp.func
def value(form: wp.vec3d, uv: wp.vec2) -> wp.float64:
    """Return a linear form at an undistorted pixel."""
    return form[0] * wp.float64(uv[0]) + form[1] * wp.float64(uv[1]) + form[2]


@wp.func
def ray_at(views: Views, view: int, x: int, y: int) -> wp.vec2:
    """Return the undistorted pixel that a pixel sees."""
    if views.distorted != 0:
        return views.rays[view, y * views.width + x]
    return wp.vec2(float(x), float(y))


@wp.func
def ray_of(views: Views, view: int, uv: wp.vec2) -> wp.vec3:
    """Return the direction in the world along which depth grows by one."""
    slopes = views.slopes[view]
    x = uv[0] * slopes[0] - slopes[2]
    y = uv[1] * slopes[1] - slopes[3]
    return views.R_WC[view] * wp.vec3(x, y, 1.0)


@wp.func_native("""
    wp::mat_t<3, 8, wp::float32> rays;
    for (int k = 0; k < 8; ++k) {
        const float x = u[k] * slopes[0] - slopes[2], y = v[k] * slopes[1] - slopes[3];
        for (int n = 0; n < 3; ++n)
            rays.data[n][k] = R_WC.data[n][0] * x + R_WC.data[n][1] * y + R_WC.data[n][2];
    }
    return rays;
""")
def rays_of(slopes: wp.vec4, R_WC: wp.mat33, u: Row, v: Row) -> Colors:
    """Return what `ray_of` does at eight undistorted pixels; see `Views` for slopes and R_WC."""
    ...


@wp.func_native("""
    wp::mat_t<3, 8, wp::float32> places;
    for (int n = 0; n < 3; ++n)
        for (int k = 0; k < 8; ++k) places.data[n][k] = origin[n] + rays.data[n][k] * z[k];
    return places;
""")
def places_of(origin: wp.vec3, rays: Colors, z: Row) -> Colors:
    """Return the points at depths z (m) along eight rays from one origin."""
    ...
