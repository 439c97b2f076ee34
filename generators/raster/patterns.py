# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How the images of one triangle lie in a picture, and what they make of rows of its pixels."""

import warp as wp

from generators.raster.cells import CELL
from generators.raster.facet import Facet, ray_at, ray_of, value
from generators.raster.layout import Geometry, Image, Looks, Paint, Views
from generators.raster.look import Look
from generators.raster.rows import Colors, Row, repeated
from generators.raster.texturing import level_of

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

AHEAD = wp.constant(Row(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
"""How many pixels each of a row lies ahead of its first."""


@wp.func
def plain_image(looks: Looks, number: int) -> bool:
    """Return whether `repeated` reads an image; so it does where there is none."""
    if number < 0:
        return True
    image = looks.images[number]
    return image.wrap_s == 0 and image.wrap_t == 0 and image.channel < 0


@wp.func
def colored_only(looks: Looks, paint: Paint) -> bool:
    """Return whether images change the colour of a paint alone; light needs none of them then."""
    other = wp.max(wp.max(paint.roughness_image, paint.metallic_image), paint.normal_image)
    if wp.max(other, paint.emissive_image) >= 0:
        return False
    if paint.metallic > 0.0 and wp.max(paint.base_image, paint.pattern_image) >= 0:
        return False
    return plain_image(looks, paint.base_image) and plain_image(looks, paint.pattern_image)


@wp.struct
class Pattern:
    """How the images of one triangle lie in the picture.

    Attributes:
        s_form: Texture coordinate s over z at (u, v, 1); t_form: t over z.
        base: The copy of the base image that fits; pattern: that of the pattern.
    """

    s_form: wp.vec3d
    t_form: wp.vec3d
    base: Image
    pattern: Image


@wp.func
def pattern_of(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    view: int,
    look: Look,
    facet: Facet,
    uv: wp.vec2,
    z: float,
) -> Pattern:
    """Return how the images of a triangle lie around an undistorted pixel with depth z."""
    result = Pattern()
    # Texture coordinates over z are linear in the picture, as 1/z is.
    c = 3 * facet.triangle
    a = geometry.uvs[c]
    b = geometry.uvs[c + 1] - a
    d = geometry.uvs[c + 2] - a
    s_form = facet.over_z * wp.float64(a[0]) + facet.second * wp.float64(b[0])
    result.s_form = s_form + facet.third * wp.float64(d[0])
    t_form = facet.over_z * wp.float64(a[1]) + facet.second * wp.float64(b[1])
    result.t_form = t_form + facet.third * wp.float64(d[1])
    ray = ray_of(views, view, uv)
    # See `texture_steps`.
    slant = wp.max(wp.abs(wp.dot(facet.normal_W, wp.normalize(ray))), 0.1)
    step = geometry.per_metre[look.triangle] * z * views.slopes[view][0] / wp.sqrt(slant)
    result.base = level_of(looks, wp.max(look.paint.base_image, 0), step)
    result.pattern = level_of(looks, wp.max(look.paint.pattern_image, 0), step)
    return result


@wp.func
def patterned(
    views: Views,
    looks: Looks,
    view: int,
    paint: Paint,
    pattern: Pattern,
    left: int,
    y: int,
    z: Row,
) -> Colors:
    """Return by what the images of a paint multiply the colours of eight pixels of a row."""
    s = Row()
    t = Row()
    if views.distorted == 0:
        uv = wp.vec2(float(left), float(y))
        s_step = float(pattern.s_form[0])
        t_step = float(pattern.t_form[0])
        s = wp.cw_mul(AHEAD * s_step + Row(float(value(pattern.s_form, uv))), z)
        t = wp.cw_mul(AHEAD * t_step + Row(float(value(pattern.t_form, uv))), z)
    else:
        for k in range(CELL):
            uv = ray_at(views, view, left + k, y)
            s[k] = float(value(pattern.s_form, uv)) * z[k]
            t[k] = float(value(pattern.t_form, uv)) * z[k]
    if paint.base_image < 0:
        return repeated(looks.texels, pattern.pattern, s, t)
    color = repeated(looks.texels, pattern.base, s, t)
    if paint.pattern_image >= 0:
        color = wp.cw_mul(color, repeated(looks.texels, pattern.pattern, s, t))
    return color
