# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How a facet looks: its paint, and what its images say at a pixel."""

import warp as wp

from generators.raster.facet import Facet, facet_of, ray_of, weights
from generators.raster.layout import Geometry, Looks, Paint, Views
from generators.raster.texturing import sample

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


@wp.struct
class Look:
    """What the pixels of a triangle have in common.

    Attributes:
        paint: Of its instance.
        per_metre: How far texture coordinates move on it; −1 where it has no image.
        facet: The last triangle that had an image; number: which, NOBODY before there is one.
    """

    paint: Paint
    per_metre: wp.float32
    facet: Facet
    number: wp.uint32


NOBODY = wp.constant(wp.uint32(0xFFFFFFFF))


@wp.func
def texture_scale(geometry: Geometry, facet: Facet) -> float:
    """Return how far texture coordinates move on a triangle, per metre."""
    t = 3 * facet.triangle
    p = geometry.corners[t + 1] - geometry.corners[t]
    q = geometry.corners[t + 2] - geometry.corners[t]
    a = geometry.uvs[t + 1] - geometry.uvs[t]
    b = geometry.uvs[t + 2] - geometry.uvs[t]
    area = wp.length(wp.cross(p, q))
    return wp.sqrt(wp.abs(a[0] * b[1] - a[1] * b[0]) / wp.max(area, 1e-20))


@wp.func
def look_at(
    geometry: Geometry, views: Views, looks: Looks, view: int, entry: wp.uint64, before: Look
) -> Look:
    """Return what the pixels of an entry's triangle have in common, from another look."""
    look = before
    number = wp.uint32(entry & wp.uint64(0xFFFFFFFF))
    paint = looks.paints[view, geometry.item_instance[int(number) // 64]]
    look.paint = paint
    look.per_metre = -1.0
    images = wp.max(wp.max(paint.base_image, paint.pattern_image), paint.emissive_image)
    images = wp.max(images, wp.max(paint.roughness_image, paint.metallic_image))
    if wp.max(images, paint.normal_image) >= 0:
        if number != before.number:
            look.facet = facet_of(geometry, views, view, entry)
            look.number = number
        look.per_metre = texture_scale(geometry, look.facet)
    return look


@wp.func
def texture_at(
    geometry: Geometry, views: Views, view: int, look: Look, uv: wp.vec2, z: float
) -> wp.vec3:
    """Return the texture coordinates at an undistorted pixel, and how far a pixel moves them."""
    facet = look.facet
    weight = weights(facet, uv, wp.float64(z))
    t = 3 * facet.triangle
    st = geometry.uvs[t] * weight[0] + geometry.uvs[t + 1] * weight[1]
    st = st + geometry.uvs[t + 2] * weight[2]
    v = wp.normalize(ray_of(views, view, uv))
    slant = wp.max(wp.abs(wp.dot(facet.normal_W, v)), 0.1)
    step = look.per_metre * z / (float(views.lens[view][0]) * wp.sqrt(slant))
    return wp.vec3(st[0], st[1], step)


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
    looks: Looks,
    facet: Facet,
    n: wp.vec3,
    number: int,
    uv: wp.vec2,
    step: float,
) -> wp.vec3:
    """Return the normal that a normal map gives, from the tangents of the triangle."""
    t = 3 * facet.triangle
    p = geometry.corners[t + 1] - geometry.corners[t]
    q = geometry.corners[t + 2] - geometry.corners[t]
    a = geometry.uvs[t + 1] - geometry.uvs[t]
    b = geometry.uvs[t + 2] - geometry.uvs[t]
    area = a[0] * b[1] - a[1] * b[0]
    if wp.abs(area) < 1e-20:
        return n
    tangent = facet.R_WS * ((p * b[1] - q * a[1]) / area)
    tangent = wp.normalize(tangent - n * wp.dot(n, tangent))
    # The image's t runs the way that keeps the texture the right way round.
    other = wp.cross(n, tangent) * wp.sign(area)
    m = sample(looks, number, uv, step)
    return wp.normalize(tangent * m[0] + other * m[1] + n * m[2])
