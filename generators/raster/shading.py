# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light on what the visibility buffer holds: surfaces under lamps and a sky."""

import warp as wp

from generators.raster import tables
from generators.raster.cells import CELL, EMPTY
from generators.raster.facet import NOTHING, Facet, facet_of, places_of, ray_at, ray_of, rays_of
from generators.raster.lamps import lamp_from
from generators.raster.layout import Geometry, Lights, Looks, Paint, Views
from generators.raster.look import NOBODY, Look, look_at
from generators.raster.occlusion import open_to_sky
from generators.raster.patterns import Pattern, colored_only, pattern_of, patterned
from generators.raster.reflection import Points, split_of, under_lamp, under_sky
from generators.raster.rows import Colors, Light, Places, Row, develop, paint_cell
from generators.raster.sampled import Entries
from generators.raster.shadow import arriving, in_map, settled
from generators.raster.sky import faded, given_back, mirrored, seen_towards
from generators.raster.surface import Shown, colored, surfaced, texture_steps

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 3})

LIGHT_RANGE = wp.constant(float(tables.LIGHT_RANGE))
STEPS = wp.constant(float(tables.STEPS))


@wp.func
def behind(lights: Lights, views: Views, view: int, uv: wp.vec2) -> wp.vec3:
    """Return what is seen where nothing is: the dome, or the backdrop."""
    if lights.skies[view].dome < 0:
        return lights.skies[view].backdrop
    ray = ray_of(views, view, uv)
    return seen_towards(lights, view, ray)


GLINTS = wp.constant(0.25)
"""Roughness below which a lamp's highlight may be smaller than a cell."""


@wp.func
def lit(lights: Lights, view: int, points: Points, p_W: Colors, normal: Colors) -> Light:
    """Return what eight points, which lie at p_W (m), give back of all light.

    Where a shadow ends is told by the mesh's own `normal`, which no image has turned.
    """
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
    split = split_of(points, lights.split_sum)
    light = under_sky(points, split, sky, diffuse, mirror)
    for index in range(sky.lamps):
        lamp = lights.lamps[view, index]
        seen = lamp_from(lamp, points, p_W)
        part = seen.share
        if lamp.map >= 0:
            arrives = arriving(lights, lamp, p_W, normal, points.normal, seen.toward)
            part = wp.cw_mul(part, arrives)
        strength = Colors()
        for c in range(3):
            strength[c] = part * lamp.strength[c]
        light += under_lamp(points, split, seen.toward, strength, seen.glint, seen.widened)
    return light


@wp.func
def light_from(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    view: int,
    known: Look,
    entries: Entries,
    u: Row,
    v: Row,
    z: Row,
    second: Row,
    third: Row,
    facing: Colors,
    normal: Colors,
    exposed: Row,
    images: bool,
):
    """Return the light that comes from what is seen at eight places of a picture.

    The look of the last triangle that was met is returned too.

    Args:
        geometry: The scene's triangles.
        views: The cameras.
        looks: Images and paints.
        lights: Lamps and sky.
        view: Which camera.
        known: How some triangle looks.
        entries: Of the visibility buffer.
        u: Undistorted pixels, from left to right.
        v: The same, downwards.
        z: Depth, m.
        second: Weights of the second corner; of no matter without images, as the next two.
        third: Weights of the third corner.
        facing: Normals of the triangles, in the world.
        normal: The meshes' own normals, in the world.
        exposed: How much of the sky each sees.
        images: Whether the images of colours are looked up; else white stands for them.
    """
    look = known
    points = Points()
    points.exposed = exposed
    points.normal = normal
    points.ray = rays_of(views.slopes[view], views.R_WC[view], u, v)
    emissive = Colors()
    shown = Shown()
    textured = bool(False)
    others = bool(False)
    for k in range(8):
        if entries[k] == NOTHING:
            continue
        number = wp.uint32(entries[k] & wp.uint64(0xFFFFFFFF))
        if number != look.number:
            look = look_at(geometry, looks, view, number)
        for c in range(3):
            points.base[c, k] = look.paint.base[c]
            points.reflection[c, k] = look.paint.reflection[c]
            emissive[c, k] = look.paint.emissive[c]
        points.roughness[k] = wp.clamp(look.paint.roughness, 0.06, 1.0)
        points.metallic[k] = wp.clamp(look.paint.metallic, 0.0, 1.0)
        if images and look.triangle >= 0:
            textured = True
            others = others or look.others
            t = 3 * look.triangle
            st = geometry.uvs[t] * (1.0 - second[k] - third[k])
            st = st + geometry.uvs[t + 1] * second[k] + geometry.uvs[t + 2] * third[k]
            shown.s[k] = st[0]
            shown.t[k] = st[1]
            shown.per_pixel[k] = geometry.per_metre[look.triangle]
            # One more than the number, so that 0 is none.
            shown.base[k] = look.paint.base_image + 1
            shown.pattern[k] = look.paint.pattern_image + 1
    if textured:
        shown.per_pixel = texture_steps(
            shown.per_pixel, points.ray, z, facing, views.slopes[view][0]
        )
        points.base = colored(looks.texels, looks.images, shown, points.base)
    if others:
        points, emissive = surfaced(geometry, views, looks, view, entries, shown, points, emissive)
    p_W = places_of(views.p_WC[view], points.ray, z)
    sky = lights.skies[view]
    fade = faded(p_W, sky.focus_W, sky.fade_m)
    backdrop = sky.backdrop
    light = lit(lights, view, points, p_W, normal)
    keep = Row(1.0) - fade
    for c in range(3):
        light[c] = wp.cw_mul(light[c], keep)
        light[c + 3] = wp.cw_mul(light[c + 3] + emissive[c], keep) + fade * backdrop[c]
    for k in range(8):
        if entries[k] == NOTHING:
            there = behind(lights, views, view, wp.vec2(u[k], v[k]))
            for c in range(3):
                light[c, k] = 0.0
                light[c + 3, k] = there[c]
    return light, look


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
    views: Views,
    lights: Lights,
    view: int,
    paint: Paint,
    depth: wp.array3d(dtype=wp.float32),
    normal_W: wp.vec3,
    left: int,
    top: int,
    wide: int,
) -> bool:
    """Return whether light may be interpolated over a cell, or two, that one triangle fills.

    So it is where nothing glints and no lamp has a shadow's edge; `wide` is in pixels.
    """
    if paint.roughness < GLINTS:
        return False
    for k in range(lights.skies[view].lamps):
        lamp = lights.lamps[view, k]
        if lamp.map >= 0:
            corners = wp.matrix(shape=(4, 3), dtype=wp.float32)
            for c in range(4):
                x = left + (wide - 1) * (c % 2)
                y = top + (CELL - 1) * (c // 2)
                ray = ray_of(views, view, ray_at(views, view, x, y))
                p_W = views.p_WC[view] + ray * depth[view, y, x]
                corners[c] = in_map(lights, lamp, p_W, normal_W)
            if not settled(lights, lamp, corners[0], corners[1], corners[2], corners[3]):
                return False
    return True


@wp.func_native("""
    wp::mat_t<3, 8, wp::float32> color;
    for (int n = 0; n < 3; ++n)
        for (int k = 0; k < 8; ++k)
            color.data[n][k] = light.data[n][k] * factor.data[n][k] + light.data[n + 3][k];
    return color;
""")
def added(light: Light, factor: Colors) -> Colors:
    """Return light, where images multiply colours by a factor."""
    ...


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
    shares: wp.array3d(dtype=wp.vec2),
    coarse: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    quiet: wp.array2d(dtype=wp.int32),
    filled: wp.array2d(dtype=wp.uint32),
    rows: int,
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colours at the centres of a tile's pixels, cell by cell and row by row.

    Where one triangle fills a cell, images multiply whole rows; where moreover no shadow ends in
    it, light is worked out at its corners only, and those of two cells at once. A thread takes so
    many `rows` of a tile.
    """
    view, tile, thread = wp.tid()
    across = (views.width + CELL - 1) // CELL
    tiles_across = (views.width + 2 * CELL - 1) // (2 * CELL)
    start = view * views.width * views.height
    begin = 2 * (tile // tiles_across) * CELL + thread * rows
    look = Look()
    look.number = NOBODY
    facet = Facet()
    number = NOBODY
    wide = int(CELL)
    for part in range(4):
        if part % 2 == 1 and wide > CELL:
            continue
        wide = int(CELL)
        left = (2 * (tile % tiles_across) + part % 2) * CELL
        top = (2 * (tile // tiles_across) + part // 2) * CELL
        right = wp.min(left + CELL, views.width)
        bottom = wp.min(top + CELL, views.height)
        first_row = wp.max(top, begin)
        last_row = wp.min(bottom, begin + rows)
        if left >= views.width or first_row >= last_row:
            continue
        one = filled[view, (top // CELL) * across + left // CELL]
        if one == EMPTY and lights.skies[view].dome < 0:
            plain = developed(lights.skies[view].backdrop, looks.to_srgb)
            for j in range(first_row, last_row):
                for i in range(left, right):
                    rgb[view, j, i] = plain
            continue
        alike = False
        knotted = bool(False)
        pattern = Pattern()
        if one < EMPTY and left + CELL == right and top + CELL == bottom:
            if one != look.number:
                look = look_at(geometry, looks, view, one)
            alike = colored_only(looks, look.paint)
            if alike:
                side = normal[view, top, left]
                if part % 2 == 0 and right + CELL <= views.width:
                    beside = filled[view, (top // CELL) * across + right // CELL]
                    wide = wp.where(beside == one, 2 * CELL, CELL)
                while wide >= CELL and not knotted:
                    knotted = calm_light(
                        views, lights, view, look.paint, depth, side, left, top, wide
                    )
                    if not knotted:
                        wide //= 2
                wide = wp.max(wide, CELL)
                if look.triangle >= 0:
                    if one != number:
                        facet = facet_of(geometry, views, view, one)
                        number = one
                    i = left + wide // 2
                    j = top + CELL // 2
                    uv = ray_at(views, view, i, j)
                    pattern = pattern_of(
                        geometry, views, looks, view, look, facet, uv, depth[view, j, i]
                    )
        # One place where light is worked out: what is called from several is not inlined.
        if knotted:
            last_row = top + 1
        for row in range(first_row, last_row):
            entries = Entries()
            u = Row()
            v = Row()
            z = Row()
            second = Row()
            third = Row()
            facing = Colors()
            own = Colors()
            exposed = Row(1.0)
            columns = Places()
            lines = Places()
            for k in range(wp.where(knotted, 4 * (wide // CELL), right - left)):
                i = left + k
                j = row
                if knotted:
                    i = left + (k % 2) * (CELL - 1) + (k // 4) * CELL
                    j = top + (k // 2 % 2) * (CELL - 1)
                entries[k] = seen[start + j * views.width + i]
                uv = ray_at(views, view, i, j)
                u[k] = uv[0]
                v[k] = uv[1]
                z[k] = depth[view, j, i]
                n = smooth[view, j, i]
                for c in range(3):
                    own[c, k] = n[c]
                if not alike:
                    share = shares[view, j, i]
                    second[k] = share[0]
                    third[k] = share[1]
                    side = normal[view, j, i]
                    for c in range(3):
                        facing[c, k] = side[c]
                columns[k] = i
                lines[k] = j
            if quiet[view, tile] == 0:
                exposed = open_to_sky(coarse, hidden, view, columns, lines, z)
            light, look = light_from(
                geometry, views, looks, lights, view, look, entries, u, v, z, second, third,
                facing, own, exposed, not alike,
            )  # fmt: skip
            first = start + row * views.width + left
            if knotted:
                for aside in range(0, wide, CELL):
                    paint_cell(
                        light, aside // 2, looks.texels,
                        pattern.base, look.paint.base_image >= 0,
                        pattern.pattern, look.paint.pattern_image >= 0,
                        pattern.s_form, pattern.t_form,
                        left + aside, top, first + aside, views.width, depth,
                        views.distorted, views.rays,
                        looks.to_srgb, STEPS / LIGHT_RANGE, STEPS, rgb,
                    )  # fmt: skip
                continue
            factor = Colors(1.0)
            if alike and look.triangle >= 0:
                factor = patterned(views, looks, view, look.paint, pattern, left, row, z)
            color = added(light, factor)
            develop(color, looks.to_srgb, STEPS / LIGHT_RANGE, STEPS, first, right - left, rgb)
