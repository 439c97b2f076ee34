# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light on what the visibility buffer holds: surfaces under lamps and a sky."""

import warp as wp

from generators.raster import tables
from generators.raster.facet import NOTHING, ray_at, ray_of, value
from generators.raster.layout import Geometry, Image, Lights, Looks, Paint, Views
from generators.raster.look import Look, bumped, color_at, look_at, texture_at
from generators.raster.occlusion import CELL, EMPTY, open_to_sky
from generators.raster.reflection import Light, ambient, lit_by, mixed
from generators.raster.rows import Colors, Row, develop, repeated
from generators.raster.shadow import in_map, settled
from generators.raster.sky import seen_towards
from generators.raster.texturing import level_of, sample

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

LIGHT_RANGE = wp.constant(float(tables.LIGHT_RANGE))
STEPS = wp.constant(float(tables.STEPS))


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
    z: float,
    n_W: wp.vec3,
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
        z: Its depth there, m.
        n_W: The mesh's own normal there.
        exposed: How much of the sky the point sees.
        images: Whether the images of its colour are looked up; else white stands for them.
    """
    result = Light()
    ray = ray_of(views, view, uv)
    p_W = views.p_WC[view] + ray * z
    focus = lights.skies[view].focus_W
    fade_m = lights.skies[view].fade_m
    backdrop = lights.skies[view].backdrop
    away_x = p_W[0] - focus[0]
    away_y = p_W[1] - focus[1]
    square = away_x * away_x + away_y * away_y
    fade = float(0.0)
    if square > fade_m[0] * fade_m[0]:
        fade = wp.min((wp.sqrt(square) - fade_m[0]) / (fade_m[1] - fade_m[0]), 1.0)
        if fade == 1.0:
            result.mirror = backdrop
            return result
    v = -wp.normalize(ray)
    n = n_W
    base = look.paint.base
    rough = look.paint.roughness
    metallic = look.paint.metallic
    emissive = look.paint.emissive
    if images and look.per_metre >= 0.0:
        at = texture_at(geometry, views, view, look, uv, z)
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
            n = bumped(geometry, looks, look.facet, n, look.paint.normal_image, st, at[2])
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
def plain_image(looks: Looks, number: int) -> bool:
    """Return whether `repeated` reads an image; so it does where there is none."""
    if number < 0:
        return True
    image = looks.images[number]
    return image.wrap_s == 0 and image.wrap_t == 0 and image.channel < 0


@wp.func
def calm_light(
    views: Views,
    looks: Looks,
    lights: Lights,
    view: int,
    paint: Paint,
    depth: wp.array3d(dtype=wp.float32),
    normal_W: wp.vec3,
    left: int,
    top: int,
) -> bool:
    """Return whether light may be interpolated over a cell that one triangle fills.

    So it is where images change its colour alone, and no lamp has a shadow's edge in it.
    """
    if not (plain_image(looks, paint.base_image) and plain_image(looks, paint.pattern_image)):
        return False
    other = wp.max(wp.max(paint.roughness_image, paint.metallic_image), paint.normal_image)
    if wp.max(other, paint.emissive_image) >= 0:
        return False
    if paint.metallic > 0.0 and wp.max(paint.base_image, paint.pattern_image) >= 0:
        return False
    for k in range(lights.skies[view].lamps):
        lamp = lights.lamps[view, k]
        if lamp.map >= 0:
            corners = wp.matrix(shape=(4, 3), dtype=wp.float32)
            for c in range(4):
                x = left + (CELL - 1) * (c % 2)
                y = top + (CELL - 1) * (c // 2)
                ray = ray_of(views, view, ray_at(views, view, x, y))
                p_W = views.p_WC[view] + ray * depth[view, y, x]
                corners[c] = in_map(lights, lamp, p_W, wp.dot(normal_W, lamp.toward_W))
            if not settled(lights, lamp, corners[0], corners[1], corners[2], corners[3]):
                return False
    return True


@wp.func
def between_knots(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    view: int,
    cell: int,
    left: int,
    top: int,
    look: Look,
    depth: wp.array3d(dtype=wp.float32),
    knots: wp.array3d(dtype=Light),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colours of a cell that one triangle fills, from the light at its corners."""
    facet = look.facet
    paint = look.paint
    s_form = wp.vec3d()
    t_form = wp.vec3d()
    base = Image()
    pattern = Image()
    if look.per_metre >= 0.0:
        # Texture coordinates over z are linear in the picture too.
        c = 3 * facet.triangle
        a = geometry.uvs[c]
        b = geometry.uvs[c + 1] - a
        d = geometry.uvs[c + 2] - a
        s_form = facet.over_z * wp.float64(a[0]) + facet.second * wp.float64(b[0])
        s_form = s_form + facet.third * wp.float64(d[0])
        t_form = facet.over_z * wp.float64(a[1]) + facet.second * wp.float64(b[1])
        t_form = t_form + facet.third * wp.float64(d[1])
        middle = ray_at(views, view, left + CELL // 2, top + CELL // 2)
        z = depth[view, top + CELL // 2, left + CELL // 2]
        step = texture_at(geometry, views, view, look, middle, z)[2]
        base = level_of(looks, wp.max(paint.base_image, 0), step)
        pattern = level_of(looks, wp.max(paint.pattern_image, 0), step)
    part = 1.0 / float(CELL - 1)
    along = Row()
    for x in range(CELL):
        along[x] = part * float(x)
    for y in range(CELL):
        down = part * float(y)
        first = mixed(knots[view, cell, 0], knots[view, cell, 2], down)
        last = mixed(knots[view, cell, 1], knots[view, cell, 3], down)
        color = Colors()
        mirror = Colors()
        for n in range(3):
            color[n] = along * (last.diffuse[n] - first.diffuse[n]) + Row(first.diffuse[n])
            mirror[n] = along * (last.mirror[n] - first.mirror[n]) + Row(first.mirror[n])
        if look.per_metre >= 0.0:
            s = Row()
            t = Row()
            for x in range(CELL):
                uv = ray_at(views, view, left + x, top + y)
                z = depth[view, top + y, left + x]
                s[x] = float(value(s_form, uv)) * z
                t[x] = float(value(t_form, uv)) * z
            if paint.base_image >= 0:
                color = wp.cw_mul(color, repeated(looks.texels, base, s, t))
            if paint.pattern_image >= 0:
                color = wp.cw_mul(color, repeated(looks.texels, pattern, s, t))
        start = (view * views.height + top + y) * views.width + left
        develop(color + mirror, looks.to_srgb, STEPS / LIGHT_RANGE, STEPS, start, rgb)


@wp.kernel
def shade(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    normal: wp.array3d(dtype=wp.vec3),
    smooth: wp.array3d(dtype=wp.vec3),
    hidden: wp.array3d(dtype=wp.float32),
    filled: wp.array2d(dtype=wp.uint32),
    knots: wp.array3d(dtype=Light),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colour at the centres of a cell's pixels.

    Where one triangle fills the cell, and light allows it, light is worked out at its corners.
    """
    view, cell = wp.tid()
    across = (views.width + CELL - 1) // CELL
    left = (cell % across) * CELL
    top = (cell // across) * CELL
    right = wp.min(left + CELL, views.width)
    bottom = wp.min(top + CELL, views.height)
    if filled[view, cell] == EMPTY and lights.skies[view].dome < 0:
        plain = developed(lights.skies[view].backdrop, looks.to_srgb)
        for j in range(top, bottom):
            for i in range(left, right):
                rgb[view, j, i] = plain
        return
    start = view * views.width * views.height
    before = NOTHING
    look = Look()
    knotted = False
    if filled[view, cell] < EMPTY and left + CELL == right and top + CELL == bottom:
        entry = seen[start + top * views.width + left]
        look = look_at(geometry, views, looks, view, entry)
        before = entry & wp.uint64(0xFFFFFFFF)
        facing = normal[view, top, left]
        knotted = calm_light(views, looks, lights, view, look.paint, depth, facing, left, top)
    wide = right - left
    count = wp.where(knotted, 4, wide * (bottom - top))
    # One place where light is worked out: what is called from several is not inlined.
    for p in range(count):
        i = left + p % wide
        j = top + p // wide
        if knotted:
            i = left + (p % 2) * (CELL - 1)
            j = top + (p // 2) * (CELL - 1)
        entry = seen[start + j * views.width + i]
        if entry == NOTHING:
            light_behind = behind(lights, views, view, ray_at(views, view, i, j))
            rgb[view, j, i] = developed(light_behind, looks.to_srgb)
            continue
        number = entry & wp.uint64(0xFFFFFFFF)
        if number != before:
            look = look_at(geometry, views, looks, view, entry)
            before = number
        z = depth[view, j, i]
        exposed = open_to_sky(depth, hidden, view, i, j, z)
        uv = ray_at(views, view, i, j)
        n = smooth[view, j, i]
        light = light_at(geometry, views, looks, lights, view, look, uv, z, n, exposed, not knotted)
        if knotted:
            knots[view, cell, p] = light
        else:
            rgb[view, j, i] = developed(light.diffuse + light.mirror, looks.to_srgb)
    if knotted:
        between_knots(geometry, views, looks, view, cell, left, top, look, depth, knots, rgb)
