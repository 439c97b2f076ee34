# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light on what the visibility buffer holds: surfaces under lamps and a sky."""

import warp as wp

from generators.raster import tables
from generators.raster.facet import NOTHING, ray_at, ray_of, smooth_normal, value, weights
from generators.raster.layout import Geometry, Lights, Looks, Views
from generators.raster.look import Look, bumped, color_at, look_at, texture_at
from generators.raster.occlusion import EMPTY, open_to_sky
from generators.raster.reflection import Light, ambient, lit_by, mixed
from generators.raster.shadow import in_map, settled
from generators.raster.sky import seen_towards
from generators.raster.texturing import sample

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

LIGHT_RANGE = wp.constant(float(tables.LIGHT_RANGE))
STEPS = wp.constant(float(tables.STEPS))

TILE = wp.constant(16)
"""Pixels along the edge of a tile, as in `occlusion`."""

CELL = wp.constant(5)
"""Pixels between which light on a large triangle is interpolated, where it has no shadow's edge."""


@wp.func
def behind(lights: Lights, views: Views, view: int, uv: wp.vec2) -> wp.vec3:
    """Return what is seen where nothing is: the dome, or the backdrop."""
    if lights.skies[view].dome < 0:
        return lights.skies[view].backdrop
    ray = ray_of(views, view, uv)
    return seen_towards(lights, view, ray) * lights.skies[view].exposure


@wp.func
def light_at(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    view: int,
    look: Look,
    uv: wp.vec2,
    exposed: float,
    images: bool,
) -> Light:
    """Return the light that comes from a facet at an undistorted pixel.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        lights: Lamps and sky.
        view: Which camera.
        look: What is seen.
        uv: Where it is seen.
        exposed: How much of the sky the point sees.
        images: Whether the images of its colour are looked up; else white stands for them.
    """
    result = Light()
    facet = look.facet
    z_exact = wp.float64(1.0) / value(facet.over_z, uv)
    z = float(z_exact)
    ray = ray_of(views, view, uv)
    p_W = views.p_WC[view] + ray * z
    focus = lights.skies[view].focus_W
    fade_m = lights.skies[view].fade_m
    backdrop = lights.skies[view].backdrop
    away_x = p_W[0] - focus[0]
    away_y = p_W[1] - focus[1]
    away = wp.sqrt(away_x * away_x + away_y * away_y)
    fade = wp.clamp((away - fade_m[0]) / (fade_m[1] - fade_m[0]), 0.0, 1.0)
    if fade == 1.0:
        result.mirror = backdrop
        return result
    v = -wp.normalize(ray)
    n = smooth_normal(geometry, facet, weights(facet, uv, z_exact))
    base = look.paint.base
    rough = look.paint.roughness
    metallic = look.paint.metallic
    emissive = look.paint.emissive
    if images and look.per_metre >= 0.0:
        at = texture_at(geometry, views, view, look, uv)
        st = wp.vec2(at[0], at[1])
        base = wp.cw_mul(base, color_at(looks, look.paint, at))
        if look.paint.roughness_image >= 0:
            rough = sample(looks, look.paint.roughness_image, st, at[2])[0]
        if look.paint.metallic_image >= 0:
            metallic = sample(looks, look.paint.metallic_image, st, at[2])[0]
        if look.paint.emissive_image >= 0:
            m = sample(looks, look.paint.emissive_image, st, at[2])
            emissive = wp.cw_mul(emissive, wp.vec3(m[0], m[1], m[2]))
        if look.paint.normal_image >= 0:
            n = bumped(geometry, looks, facet, n, look.paint.normal_image, st, at[2])
    rough = wp.clamp(rough, 0.06, 1.0)
    metallic = wp.clamp(metallic, 0.0, 1.0)
    head_on = look.paint.reflection * (1.0 - metallic) + base * metallic
    sky = ambient(lights, view, base, metallic, head_on, rough, n, v)
    diffuse = sky.diffuse * exposed
    mirror = sky.mirror * exposed + emissive
    for k in range(lights.skies[view].lamps):
        lamp = lights.lamps[view, k]
        one = lit_by(lights, lamp, p_W, base, metallic, head_on, rough * rough, n, v)
        diffuse += one.diffuse
        mirror += one.mirror
    strength = lights.skies[view].exposure * (1.0 - fade)
    result.diffuse = diffuse * strength
    result.mirror = mirror * strength + backdrop * fade
    return result


@wp.func
def developed(light: wp.vec3, to_srgb: wp.array(dtype=wp.uint8)) -> wp.vec3ub:
    """Return the sRGB bytes of linear light."""
    scale = STEPS / LIGHT_RANGE
    return wp.vec3ub(
        to_srgb[int(wp.clamp(light[0] * scale, 0.0, STEPS) + 0.5)],
        to_srgb[int(wp.clamp(light[1] * scale, 0.0, STEPS) + 0.5)],
        to_srgb[int(wp.clamp(light[2] * scale, 0.0, STEPS) + 0.5)],
    )


@wp.func
def calm_light(
    geometry: Geometry,
    views: Views,
    lights: Lights,
    view: int,
    look: Look,
    x: int,
    y: int,
    far: int,
) -> bool:
    """Return whether light may be interpolated over a tile that one triangle fills.

    So it is where images change its colour alone, and no lamp has a shadow's edge in it.
    """
    paint = look.paint
    other = wp.max(wp.max(paint.roughness_image, paint.metallic_image), paint.normal_image)
    if wp.max(other, paint.emissive_image) >= 0:
        return False
    if paint.metallic > 0.0 and wp.max(paint.base_image, paint.pattern_image) >= 0:
        return False
    n = look.facet.normal_W
    for k in range(lights.skies[view].lamps):
        lamp = lights.lamps[view, k]
        if lamp.map >= 0:
            corners = wp.matrix(shape=(4, 3), dtype=wp.float32)
            for c in range(4):
                uv = ray_at(views, view, x + far * (c % 2), y + far * (c // 2))
                z = float(wp.float64(1.0) / value(look.facet.over_z, uv))
                p_W = views.p_WC[view] + ray_of(views, view, uv) * z
                corners[c] = in_map(lights, lamp, p_W, wp.dot(n, lamp.toward_W))
            if not settled(lights, lamp, corners[0], corners[1], corners[2], corners[3]):
                return False
    return True


@wp.kernel
def shade(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    uniform: wp.array2d(dtype=wp.uint32),
    knots: wp.array3d(dtype=Light),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colour at the centres of a third of a tile's pixels.

    Where one triangle fills the tile, and light allows it, that is worked out at knots: four in a
    row, above and below.
    """
    view, tile, third = wp.tid()
    across = (views.width + TILE - 1) // TILE
    left = (tile % across) * TILE
    top = (tile // across) * TILE
    right = wp.min(left + TILE, views.width)
    y = top + third * CELL
    bottom = wp.min(y + CELL + third // 2, views.height)
    start = view * views.width * views.height
    before = NOTHING
    look = Look()
    knotted = False
    whole = left + TILE <= views.width and top + TILE <= views.height
    if uniform[view, tile] < EMPTY and whole:
        entry = seen[start + top * views.width + left]
        look = look_at(geometry, views, looks, view, entry)
        before = entry & wp.uint64(0xFFFFFFFF)
        knotted = calm_light(geometry, views, lights, view, look, left, top, TILE - 1)
    wide = right - left
    count = wp.where(knotted, 8, wide * (bottom - y))
    # One place where light is worked out: what is called from several is not inlined.
    for p in range(count):
        i = left + p % wide
        j = y + p // wide
        if knotted:
            i = left + (p % 4) * CELL
            j = y + (p // 4) * CELL
        entry = seen[start + j * views.width + i]
        if entry == NOTHING:
            light_behind = behind(lights, views, view, ray_at(views, view, i, j))
            rgb[view, j, i] = developed(light_behind, looks.to_srgb)
            continue
        number = entry & wp.uint64(0xFFFFFFFF)
        if number != before:
            look = look_at(geometry, views, looks, view, entry)
            before = number
        exposed = open_to_sky(depth, hidden, view, i, j, depth[view, j, i])
        uv = ray_at(views, view, i, j)
        light = light_at(geometry, views, looks, lights, view, look, uv, exposed, not knotted)
        if knotted:
            knots[view, 3 * tile + third, p] = light
        else:
            rgb[view, j, i] = developed(light.diffuse + light.mirror, looks.to_srgb)
    if not knotted:
        return
    row = 3 * tile + third
    s_form = wp.vec3d()
    t_form = wp.vec3d()
    step = float(0.0)
    if look.per_metre >= 0.0:
        # Texture coordinates over z are linear in the picture too.
        c = 3 * look.facet.triangle
        a = geometry.uvs[c]
        b = geometry.uvs[c + 1] - a
        d = geometry.uvs[c + 2] - a
        facet = look.facet
        s_form = facet.over_z * wp.float64(a[0]) + facet.second * wp.float64(b[0])
        s_form = s_form + facet.third * wp.float64(d[0])
        t_form = facet.over_z * wp.float64(a[1]) + facet.second * wp.float64(b[1])
        t_form = t_form + facet.third * wp.float64(d[1])
        middle = ray_at(views, view, left + TILE // 2, top + TILE // 2)
        step = texture_at(geometry, views, view, look, middle)[2]
    for j in range(y, bottom):
        down = float(j - y) / float(CELL)
        for i in range(left, right):
            k = wp.min((i - left) // CELL, 2)
            along_row = float(i - left - k * CELL) / float(CELL)
            above = mixed(knots[view, row, k], knots[view, row, k + 1], along_row)
            below = mixed(knots[view, row, k + 4], knots[view, row, k + 5], along_row)
            light = mixed(above, below, down)
            color = light.diffuse
            if look.per_metre >= 0.0:
                uv = ray_at(views, view, i, j)
                z = float(wp.float64(1.0) / value(look.facet.over_z, uv))
                s = float(value(s_form, uv)) * z
                t = float(value(t_form, uv)) * z
                color = wp.cw_mul(color, color_at(looks, look.paint, wp.vec3(s, t, step)))
            rgb[view, j, i] = developed(color + light.mirror, looks.to_srgb)
