# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How a facet looks: its paint, and what its images say at a pixel."""

import warp as wp

from generators.raster.facet import triangle_of
from generators.raster.layout import Geometry, Looks, Paint, Views
from generators.raster.texturing import sample

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


NOBODY = wp.constant(wp.uint32(0xFFFFFFFF))
"""A number that no triangle has."""


@wp.struct
class Look:
    """What the pixels of a triangle have in common.

    Attributes:
        number: Of the triangle, in the visibility buffer.
        instance: Whose it is; paint: how that looks.
        triangle: In the geometry's lists, where it has an image; else −1.
    """

    number: wp.uint32
    instance: wp.int32
    paint: Paint
    triangle: wp.int32


@wp.func
def look_at(geometry: Geometry, looks: Looks, view: int, number: wp.uint32) -> Look:
    """Return how a triangle looks."""
    look = Look()
    look.number = number
    look.instance = geometry.item_instance[int(number) // 64]
    paint = looks.paints[view, look.instance]
    look.paint = paint
    look.triangle = -1
    images = wp.max(wp.max(paint.base_image, paint.pattern_image), paint.emissive_image)
    images = wp.max(images, wp.max(paint.roughness_image, paint.metallic_image))
    if wp.max(images, paint.normal_image) >= 0:
        look.triangle = triangle_of(geometry, number)
    return look


@wp.func
def texture_step(
    geometry: Geometry,
    views: Views,
    view: int,
    triangle: int,
    ray: wp.vec3,
    z: float,
    facing_W: wp.vec3,
) -> float:
    """Return how far a pixel moves the texture coordinates of a triangle.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        view: Which camera.
        triangle: Which triangle.
        ray: Towards the point, of any length, in the world.
        z: Depth of the point, m.
        facing_W: Unit normal of the triangle.
    """
    slant = wp.max(wp.abs(wp.dot(facing_W, wp.normalize(ray))), 0.1)
    return geometry.per_metre[triangle] * z * views.slopes[view][0] / wp.sqrt(slant)


@wp.func
def color_at(looks: Looks, paint: Paint, at: wp.vec3) -> wp.vec3:
    """Return by what the images of a paint multiply its colour."""
    color = wp.vec3(1.0, 1.0, 1.0)
    st = wp.vec2(at[0], at[1])
    if paint.base_image >= 0:
        m = sample(looks, paint.base_image, st, at[2])
        color = wp.vec3(m[0], m[1], m[2])
    if paint.pattern_image >= 0:
        m = sample(looks, paint.pattern_image, st, at[2])
        color = wp.cw_mul(color, wp.vec3(m[0], m[1], m[2]))
    return color


@wp.func
def bumped(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    view: int,
    look: Look,
    n: wp.vec3,
    uv: wp.vec2,
    step: float,
) -> wp.vec3:
    """Return the normal that a normal map gives, from the tangents of the triangle."""
    t = 3 * look.triangle
    p = geometry.corners[t + 1] - geometry.corners[t]
    q = geometry.corners[t + 2] - geometry.corners[t]
    a = geometry.uvs[t + 1] - geometry.uvs[t]
    b = geometry.uvs[t + 2] - geometry.uvs[t]
    area = a[0] * b[1] - a[1] * b[0]
    if wp.abs(area) < 1e-20:
        return n
    tangent = views.R_WS[view, look.instance] * ((p * b[1] - q * a[1]) / area)
    tangent = wp.normalize(tangent - n * wp.dot(n, tangent))
    # The image's t runs the way that keeps the texture the right way round.
    other = wp.cross(n, tangent) * wp.sign(area)
    m = sample(looks, look.paint.normal_image, uv, step)
    return wp.normalize(tangent * m[0] + other * m[1] + n * m[2])
