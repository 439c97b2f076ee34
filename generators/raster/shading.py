# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light on what the visibility buffer holds: surfaces under lamps and a sky."""

import warp as wp

from generators.raster import tables
from generators.raster.facet import NOTHING, ray_at, ray_of, value
from generators.raster.layout import Geometry, Image, Lights, Looks, Paint, Views
from generators.raster.look import Look, bumped, color_at, look_at, texture_at
from generators.raster.occlusion import CELL, EMPTY, open_to_sky
from generators.raster.reflection import Light, Points, under_lamp, under_sky
from generators.raster.rows import Colors, Row, develop, repeated
from generators.raster.shadow import arriving, in_map, settled
from generators.raster.sky import given_back, mirrored, seen_towards
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


Entries = wp.types.vector(length=8, dtype=wp.uint64)


@wp.struct
class Surface:
    """How a triangle looks at one point; see `Paint` and `Points`."""

    normal: wp.vec3
    base: wp.vec3
    emissive: wp.vec3
    roughness: wp.float32
    metallic: wp.float32


@wp.func
def surface_at(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    view: int,
    look: Look,
    uv: wp.vec2,
    z: float,
    n_W: wp.vec3,
    images: bool,
) -> Surface:
    """Return how a triangle looks at an undistorted pixel.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        view: Which camera.
        look: What is seen.
        uv: Where it is seen.
        z: Its depth there, m.
        n_W: The mesh's own normal there.
        images: Whether its images are looked up; else white stands for them.
    """
    surface = Surface()
    surface.normal = n_W
    base = look.paint.base
    rough = look.paint.roughness
    metallic = look.paint.metallic
    surface.emissive = look.paint.emissive
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
            surface.emissive = wp.cw_mul(look.paint.emissive, wp.vec3(m[0], m[1], m[2]))
        if look.paint.normal_image >= 0:
            surface.normal = bumped(
                geometry, looks, look.facet, n_W, look.paint.normal_image, st, at[2]
            )
    surface.base = base
    surface.roughness = wp.clamp(rough, 0.06, 1.0)
    surface.metallic = wp.clamp(metallic, 0.0, 1.0)
    return surface


@wp.func
def lit(lights: Lights, view: int, points: Points, p_W: Colors) -> Light:
    """Return what eight points, which lie at p_W (m), give back of all light."""
    sky = lights.skies[view]
    diffuse = Colors()
    mirror = Colors()
    if sky.dome >= 0:
        for k in range(8):
            n = wp.vec3(points.normal[0, k], points.normal[1, k], points.normal[2, k])
            ray = wp.vec3(points.ray[0, k], points.ray[1, k], points.ray[2, k])
            v = -wp.normalize(ray)
            given = given_back(lights, view, n)
            r = n * (2.0 * wp.dot(n, v)) - v
            shown = mirrored(lights, view, r, points.roughness[k])
            for c in range(3):
                diffuse[c, k] = given[c]
                mirror[c, k] = shown[c]
    light = under_sky(points, sky, diffuse, mirror)
    for index in range(sky.lamps):
        lamp = lights.lamps[view, index]
        toward = Colors()
        strength = Colors()
        for c in range(3):
            toward[c] = Row(lamp.toward_W[c])
            strength[c] = Row(lamp.strength[c])
        if lamp.map >= 0:
            for k in range(8):
                n = wp.vec3(points.normal[0, k], points.normal[1, k], points.normal[2, k])
                cosine = wp.dot(n, lamp.toward_W)
                if cosine > 0.0:
                    at = wp.vec3(p_W[0, k], p_W[1, k], p_W[2, k])
                    part = arriving(lights, lamp, at, cosine)
                    for c in range(3):
                        strength[c, k] = part * lamp.strength[c]
        light += under_lamp(points, toward, strength)
    return light


@wp.func
def light_from(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    view: int,
    known: wp.uint64,
    known_look: Look,
    entries: Entries,
    u: Row,
    v: Row,
    z: Row,
    normal: Colors,
    exposed: Row,
    images: bool,
) -> Light:
    """Return the light that comes from what is seen at eight places of a picture.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        lights: Lamps and sky.
        view: Which camera.
        known: An entry that `known_look` is of.
        known_look: What is seen there.
        entries: Of the visibility buffer.
        u: Undistorted pixels, from left to right.
        v: The same, downwards.
        z: Depth, m.
        normal: The mesh's own normals, in the world.
        exposed: How much of the sky each sees.
        images: Whether the images of colours are looked up; else white stands for them.
    """
    look = known_look
    before = known & wp.uint64(0xFFFFFFFF)
    points = Points()
    points.exposed = exposed
    p_W = Colors()
    emissive = Colors()
    fade = Row()
    origin = views.p_WC[view]
    focus = lights.skies[view].focus_W
    fade_m = lights.skies[view].fade_m
    backdrop = lights.skies[view].backdrop
    exposure = lights.skies[view].exposure
    for k in range(8):
        uv = wp.vec2(u[k], v[k])
        if entries[k] == NOTHING:
            continue
        number = entries[k] & wp.uint64(0xFFFFFFFF)
        if number != before:
            look = look_at(geometry, views, looks, view, entries[k])
            before = number
        n = wp.vec3(normal[0, k], normal[1, k], normal[2, k])
        surface = surface_at(geometry, views, looks, view, look, uv, z[k], n, images)
        ray = ray_of(views, view, uv)
        p = origin + ray * z[k]
        for c in range(3):
            points.ray[c, k] = ray[c]
            points.normal[c, k] = surface.normal[c]
            points.base[c, k] = surface.base[c]
            points.reflection[c, k] = look.paint.reflection[c]
            emissive[c, k] = surface.emissive[c]
            p_W[c, k] = p[c]
        points.roughness[k] = surface.roughness
        points.metallic[k] = surface.metallic
        x = p[0] - focus[0]
        y = p[1] - focus[1]
        if x * x + y * y > fade_m[0] * fade_m[0]:
            away = wp.sqrt(x * x + y * y)
            fade[k] = wp.min((away - fade_m[0]) / (fade_m[1] - fade_m[0]), 1.0)
    light = lit(lights, view, points, p_W)
    keep = (Row(1.0) - fade) * exposure
    for c in range(3):
        light[c] = wp.cw_mul(light[c], keep)
        light[c + 3] = wp.cw_mul(light[c + 3] + emissive[c], keep) + fade * backdrop[c]
    for k in range(8):
        if entries[k] == NOTHING:
            there = behind(lights, views, view, wp.vec2(u[k], v[k]))
            for c in range(3):
                light[c, k] = 0.0
                light[c + 3, k] = there[c]
    return light


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
    left: int,
    top: int,
    look: Look,
    depth: wp.array3d(dtype=wp.float32),
    knots: Light,
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
        color = Colors()
        mirror = Colors()
        for n in range(6):
            first = knots[n, 0] + (knots[n, 2] - knots[n, 0]) * down
            last = knots[n, 1] + (knots[n, 3] - knots[n, 1]) * down
            row = along * (last - first) + Row(first)
            if n < 3:
                color[n] = row
            else:
                mirror[n - 3] = row
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
        develop(color + mirror, looks.to_srgb, STEPS / LIGHT_RANGE, STEPS, start, 8, rgb)


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
    count = right - left
    look = Look()
    knotted = False
    entry = seen[start + top * views.width + left]
    if entry != NOTHING:
        look = look_at(geometry, views, looks, view, entry)
    if filled[view, cell] < EMPTY and left + CELL == right and top + CELL == bottom:
        facing = normal[view, top, left]
        knotted = calm_light(views, looks, lights, view, look.paint, depth, facing, left, top)
    if knotted:
        bottom = top + 1
        count = 4
    for row in range(top, bottom):
        entries = Entries()
        u = Row()
        v = Row()
        z = Row()
        own = Colors()
        exposed = Row()
        for k in range(count):
            i = left + k
            j = row
            if knotted:
                i = left + (k % 2) * (CELL - 1)
                j = top + (k // 2) * (CELL - 1)
            entries[k] = seen[start + j * views.width + i]
            uv = ray_at(views, view, i, j)
            u[k] = uv[0]
            v[k] = uv[1]
            z[k] = depth[view, j, i]
            n = smooth[view, j, i]
            for c in range(3):
                own[c, k] = n[c]
            exposed[k] = open_to_sky(depth, hidden, view, i, j, z[k])
        light = light_from(
            geometry, views, looks, lights, view, entry, look, entries, u, v, z, own, exposed,
            not knotted,
        )  # fmt: skip
        if knotted:
            between_knots(geometry, views, looks, view, left, top, look, depth, light, rgb)
        else:
            total = Colors()
            for c in range(3):
                total[c] = light[c] + light[c + 3]
            place = start + row * views.width + left
            develop(total, looks.to_srgb, STEPS / LIGHT_RANGE, STEPS, place, count, rgb)
