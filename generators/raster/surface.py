# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""What images say of surfaces at eight places of a picture."""

import warp as wp

from generators.raster.facet import NOTHING
from generators.raster.layout import Geometry, Image, Looks, Views
from generators.raster.look import NOBODY, Look, look_at
from generators.raster.reflection import Points
from generators.raster.rows import Colors, Places, Row
from generators.raster.sampled import Entries
from generators.raster.texturing import sampled

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 3})


@wp.struct
class Shown:
    """Where the images of eight places are read.

    Attributes:
        s: Texture coordinates; t: the same, upwards.
        per_pixel: How far they move from one pixel of the picture to the next.
        base: Number of the image of the colour, from 1 on, 0 for none; pattern: likewise.
    """

    s: Row
    t: Row
    per_pixel: Row
    base: Places
    pattern: Places


@wp.func_native("""
    wp::vec_t<8, wp::float32> steps;
    for (int k = 0; k < 8; ++k) {
        const float x = ray.data[0][k], y = ray.data[1][k], z = ray.data[2][k];
        const float along = facing.data[0][k] * x + facing.data[1][k] * y + facing.data[2][k] * z;
        const float slant = (along < 0.0f ? -along : along) / ::sqrtf(x * x + y * y + z * z);
        steps[k] = per_metre[k] * depth[k] * slope / ::sqrtf(slant > 0.1f ? slant : 0.1f);
    }
    return steps;
""")
def texture_steps(per_metre: Row, ray: Colors, depth: Row, facing: Colors, slope: float) -> Row:
    """Return how far a pixel moves the texture coordinates of triangles at eight places.

    Args:
        per_metre: How far a metre does.
        ray: Towards the places, of any length, in the world.
        depth: Of the places, m.
        facing: Unit normals of the triangles.
        slope: 1/fx.
    """
    ...


@wp.func
def colored(
    texels: wp.array(dtype=wp.uint64), images: wp.array(dtype=Image), shown: Shown, base: Colors
) -> Colors:
    """Return the colours of eight places, multiplied with what their images say of them."""
    color = base
    values = sampled(texels, images, shown.base, shown.s, shown.t, shown.per_pixel)
    for c in range(3):
        color[c] = wp.cw_mul(color[c], values[c])
    if wp.max(shown.pattern) > 0:
        values = sampled(texels, images, shown.pattern, shown.s, shown.t, shown.per_pixel)
        for c in range(3):
            color[c] = wp.cw_mul(color[c], values[c])
    return color


@wp.func
def bumped(geometry: Geometry, views: Views, view: int, look: Look, n: wp.vec3, m: wp.vec3):
    """Return the normal that a normal map's value m gives, from the tangents of the triangle."""
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
    # The image's t runs the way that keeps the texture the right way round, seen from either side.
    side = wp.dot(n, views.R_WS[view, look.instance] * wp.cross(p, q))
    other = wp.cross(n, tangent) * wp.sign(area) * wp.sign(side)
    return wp.normalize(tangent * m[0] + other * m[1] + n * m[2])


@wp.func
def surfaced(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    view: int,
    entries: Entries,
    shown: Shown,
    points: Points,
    emissive: Colors,
):
    """Return the surfaces of eight places and their own light, as images other than colours say.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        view: Which camera.
        entries: Of the visibility buffer.
        shown: Where the images are read.
        points: As they are without those images.
        emissive: The light that they give off, likewise.
    """
    told = points
    glow = emissive
    rough = Places()
    metallic = Places()
    emitting = Places()
    bumps = Places()
    look = Look()
    look.number = NOBODY
    for k in range(8):
        if entries[k] != NOTHING:
            number = wp.uint32(entries[k] & wp.uint64(0xFFFFFFFF))
            if number != look.number:
                look = look_at(geometry, looks, view, number)
            rough[k] = look.paint.roughness_image + 1
            metallic[k] = look.paint.metallic_image + 1
            emitting[k] = look.paint.emissive_image + 1
            bumps[k] = look.paint.normal_image + 1
    texels = looks.texels
    images = looks.images
    value = sampled(texels, images, rough, shown.s, shown.t, shown.per_pixel)
    other = sampled(texels, images, metallic, shown.s, shown.t, shown.per_pixel)
    light = sampled(texels, images, emitting, shown.s, shown.t, shown.per_pixel)
    bump = sampled(texels, images, bumps, shown.s, shown.t, shown.per_pixel)
    for c in range(3):
        glow[c] = wp.cw_mul(glow[c], light[c])
    for k in range(8):
        if rough[k] > 0:
            told.roughness[k] = wp.clamp(value[0, k], 0.06, 1.0)
        if metallic[k] > 0:
            told.metallic[k] = wp.clamp(other[0, k], 0.0, 1.0)
        if bumps[k] > 0:
            number = wp.uint32(entries[k] & wp.uint64(0xFFFFFFFF))
            if number != look.number:
                look = look_at(geometry, looks, view, number)
            n = wp.vec3(told.normal[0, k], told.normal[1, k], told.normal[2, k])
            m = wp.vec3(bump[0, k], bump[1, k], bump[2, k])
            turned = bumped(geometry, views, view, look, n, m)
            for c in range(3):
                told.normal[c, k] = turned[c]
    return told, glow
