# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light on what the visibility buffer holds: metallic-roughness surfaces under lamps and a sky."""

import warp as wp

from generators.raster.facet import (
    NOTHING,
    Facet,
    facet_of,
    ray_at,
    smooth_normal,
    value,
    weights,
)
from generators.raster.layout import Geometry, Lamp, Lights, Looks, Paint, Sky, Views
from generators.raster.occlusion import open_to_sky
from generators.raster.shadow import arriving
from generators.raster.sky import given_back, mirrored, seen_towards
from generators.raster.texturing import sample

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

STEPS = wp.constant(4095.0)
"""Of the table that gives a linear value its sRGB byte."""


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


@wp.func
def reflected(
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    a: float,
    n: wp.vec3,
    v: wp.vec3,
    l: wp.vec3,
    cosine: float,
    strength: wp.vec3,
) -> wp.vec3:
    """Return what a surface gives back of one lamp's light.

    GGX (Walter et al., Microfacet models for refraction through rough surfaces, EGSR 2007) with
    Smith's shadowing as approximated by Hammon (PBR diffuse lighting for GGX+Smith, GDC 2017) and
    Schlick's Fresnel term; Lambert below it.

    Args:
        base: Colour.
        metallic: 0 or 1, or between where the two meet.
        head_on: What is reflected head-on.
        a: Roughness squared.
        n: Normal.
        v: Unit vector to the camera.
        l: Unit vector to the lamp.
        cosine: n · l, above 0.
        strength: What a white surface that faces the lamp gives back.
    """
    h = wp.normalize(l + v)
    nh = wp.clamp(wp.dot(n, h), 0.0, 1.0)
    nv = wp.max(wp.abs(wp.dot(n, v)), 1e-3)
    vh = 1.0 - wp.clamp(wp.dot(v, h), 0.0, 1.0)
    square = a * a
    d = nh * nh * (square - 1.0) + 1.0
    smith = 0.5 / wp.max(2.0 * cosine * nv * (1.0 - a) + (cosine + nv) * a, 1e-4)
    fifth = vh * vh * vh * vh * vh
    fresnel = head_on * (1.0 - fifth) + wp.vec3(fifth, fifth, fifth)
    # D is taken times π, since the strength is an irradiance over π.
    mirror = fresnel * (square / (d * d) * smith)
    diffuse = wp.cw_mul(wp.vec3(1.0, 1.0, 1.0) - fresnel, base) * (1.0 - metallic)
    return wp.cw_mul(diffuse + mirror, strength) * cosine


@wp.func
def ambient(
    lights: Lights,
    sky: Sky,
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    rough: float,
    n: wp.vec3,
    v: wp.vec3,
) -> wp.vec3:
    """Return what a surface gives back of the sky's light.

    What a rough surface reflects is approximated after Karis, Physically based shading on mobile,
    Unreal Engine, 2014.
    """
    nv = wp.clamp(wp.abs(wp.dot(n, v)), 0.0, 1.0)
    x = 1.0 - rough
    y = 0.0425 - 0.0275 * rough
    z = 1.04 - 0.572 * rough
    w = 0.022 * rough - 0.04
    low = wp.min(x * x, wp.exp(-6.4323859 * nv)) * x + y
    scale = -1.04 * low + z
    offset = 1.04 * low + w
    r = n * (2.0 * wp.dot(n, v)) - v
    mirror = head_on * scale + wp.vec3(offset, offset, offset)
    diffuse = wp.cw_mul(wp.vec3(1.0, 1.0, 1.0) - mirror, base) * (1.0 - metallic)
    light = wp.cw_mul(diffuse, given_back(sky, n))
    return light + wp.cw_mul(mirror, mirrored(lights, sky, r, rough))


@wp.func
def lit_by(
    lights: Lights,
    lamp: Lamp,
    p_W: wp.vec3,
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    a: float,
    n: wp.vec3,
    v: wp.vec3,
) -> wp.vec3:
    """Return what a surface at p_W gives back of a lamp's light, shadows included."""
    light = wp.vec3()
    if lamp.kind == 0:
        cosine = wp.dot(n, lamp.toward_W)
        if cosine <= 0.0:
            return light
        light = reflected(base, metallic, head_on, a, n, v, lamp.toward_W, cosine, lamp.strength)
    else:
        cosine = float(0.0)
        samples = wp.where(lamp.kind == 2, 4, 1)
        for k in range(samples):
            at = lamp.at_W
            if lamp.kind == 2:
                at += lamp.across_W * (float(k % 2) - 0.5) + lamp.along_W * (float(k // 2) - 0.5)
            to = at - p_W
            distance = wp.length(to)
            l = to / distance
            facing = wp.dot(n, l)
            if lamp.kind == 2:
                share = wp.max(-wp.dot(l, lamp.toward_W), 0.0) / 4.0
            else:
                share = 1.0
            if facing > 0.0 and share > 0.0:
                cosine = wp.max(cosine, facing)
                strength = lamp.strength * (share / (distance * distance))
                light += reflected(base, metallic, head_on, a, n, v, l, facing, strength)
        if cosine == 0.0:
            return light
    if lamp.map >= 0:
        light *= arriving(lights, lamp, p_W, cosine)
    return light


@wp.func
def radiance(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    view: int,
    facet: Facet,
    paint: Paint,
    per_metre: float,
    uv: wp.vec2,
    exposed: float,
) -> wp.vec3:
    """Return the linear RGB that comes from a facet at an undistorted pixel.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        lights: Lamps and sky.
        view: Which camera.
        facet: What is seen.
        paint: Of its instance.
        per_metre: What `texture_scale` returns for it.
        uv: Where it is seen.
        exposed: How much of the sky the point sees.
    """
    sky = lights.skies[view]
    z_exact = wp.float64(1.0) / value(facet.over_z, uv)
    z = float(z_exact)
    lens = views.lens[view]
    ray = views.R_WC[view] * wp.vec3(
        (uv[0] - float(lens[2])) / float(lens[0]), (uv[1] - float(lens[3])) / float(lens[1]), 1.0
    )
    p_W = views.p_WC[view] + ray * z
    away_x = p_W[0] - sky.focus_W[0]
    away_y = p_W[1] - sky.focus_W[1]
    away = wp.sqrt(away_x * away_x + away_y * away_y)
    fade = wp.clamp((away - sky.fade_m[0]) / (sky.fade_m[1] - sky.fade_m[0]), 0.0, 1.0)
    if fade == 1.0:
        return sky.backdrop
    v = -wp.normalize(ray)
    weight = weights(facet, uv, z_exact)
    n = smooth_normal(geometry, facet, weight)
    base = paint.base
    rough = paint.roughness
    metallic = paint.metallic
    emissive = paint.emissive
    if per_metre >= 0.0:
        t = 3 * facet.triangle
        st = geometry.uvs[t] * weight[0] + geometry.uvs[t + 1] * weight[1]
        st = st + geometry.uvs[t + 2] * weight[2]
        slant = wp.max(wp.abs(wp.dot(facet.normal_W, v)), 0.1)
        step = per_metre * z / (float(lens[0]) * wp.sqrt(slant))
        if paint.base_image >= 0:
            m = sample(looks, paint.base_image, st, step)
            base = wp.cw_mul(base, wp.vec3(m[0], m[1], m[2]))
        if paint.pattern_image >= 0:
            m = sample(looks, paint.pattern_image, st, step)
            base = wp.cw_mul(base, wp.vec3(m[0], m[1], m[2]))
        if paint.roughness_image >= 0:
            rough = sample(looks, paint.roughness_image, st, step)[0]
        if paint.metallic_image >= 0:
            metallic = sample(looks, paint.metallic_image, st, step)[0]
        if paint.emissive_image >= 0:
            m = sample(looks, paint.emissive_image, st, step)
            emissive = wp.cw_mul(emissive, wp.vec3(m[0], m[1], m[2]))
        if paint.normal_image >= 0:
            n = bumped(geometry, looks, facet, n, paint.normal_image, st, step)
    rough = wp.clamp(rough, 0.06, 1.0)
    metallic = wp.clamp(metallic, 0.0, 1.0)
    head_on = paint.reflection * (1.0 - metallic) + base * metallic
    light = ambient(lights, sky, base, metallic, head_on, rough, n, v) * exposed + emissive
    for k in range(sky.lamps):
        light += lit_by(
            lights, lights.lamps[view, k], p_W, base, metallic, head_on, rough * rough, n, v
        )
    return light * (sky.exposure * (1.0 - fade)) + sky.backdrop * fade


@wp.func
def developed(light: wp.vec3, to_srgb: wp.array(dtype=wp.uint8)) -> wp.vec3ub:
    """Return sRGB bytes; above 0.6 the light is compressed, so that it never burns out."""
    soft = wp.vec3()
    for k in range(3):
        x = wp.max(light[k], 0.0)
        if x > 0.6:
            x = 0.6 + 0.4 * (1.0 - wp.exp((0.6 - x) / 0.4))
        soft[k] = x
    return wp.vec3ub(
        to_srgb[int(soft[0] * STEPS + 0.5)],
        to_srgb[int(soft[1] * STEPS + 0.5)],
        to_srgb[int(soft[2] * STEPS + 0.5)],
    )


@wp.func
def texture_step(geometry: Geometry, facet: Facet, paint: Paint) -> float:
    """Return `texture_scale` where a paint has an image; else −1, and none is looked up."""
    images = wp.max(wp.max(paint.base_image, paint.pattern_image), paint.emissive_image)
    images = wp.max(
        wp.max(images, paint.normal_image), wp.max(paint.roughness_image, paint.metallic_image)
    )
    if images < 0:
        return -1.0
    return texture_scale(geometry, facet)


@wp.kernel
def shade(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    run: int,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    to_srgb: wp.array(dtype=wp.uint8),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colour at the centres of `run` pixels of a row."""
    view, y, k = wp.tid()
    start = (view * views.height + y) * views.width
    before = NOTHING
    facet = Facet()
    paint = Paint()
    per_metre = float(-1.0)
    backdrop = developed(lights.skies[view].backdrop, to_srgb)
    for x in range(k * run, wp.min(k * run + run, views.width)):
        entry = seen[start + x]
        if entry == NOTHING:
            rgb[view, y, x] = backdrop
            if lights.skies[view].dome >= 0:
                uv = ray_at(views, view, x, y)
                lens = views.lens[view]
                ray = wp.vec3(
                    (uv[0] - float(lens[2])) / float(lens[0]),
                    (uv[1] - float(lens[3])) / float(lens[1]),
                    1.0,
                )
                sky = lights.skies[view]
                light = seen_towards(lights, sky, views.R_WC[view] * ray) * sky.exposure
                rgb[view, y, x] = developed(light, to_srgb)
            continue
        number = entry & wp.uint64(0xFFFFFFFF)
        if number != before:
            facet = facet_of(geometry, views, view, entry)
            paint = looks.paints[view, facet.instance]
            per_metre = texture_step(geometry, facet, paint)
            before = number
        exposed = open_to_sky(depth, hidden, view, x, y, depth[view, y, x])
        light = radiance(
            geometry,
            views,
            looks,
            lights,
            view,
            facet,
            paint,
            per_metre,
            ray_at(views, view, x, y),
            exposed,
        )
        rgb[view, y, x] = developed(light, to_srgb)
