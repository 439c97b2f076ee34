# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Shadow maps: how much of a lamp arrives at a point, with soft edges.

Percentage-closer filtering (Reeves, Salesin and Cook, Rendering antialiased shadows with depth
maps, SIGGRAPH 1987) on a disc as wide as the penumbra. Where all of the map around a point is
nearer or all of it farther, which is nearly everywhere, tiles of the map say so at once.
"""

import warp as wp

from generators.raster.layout import Lamp, Lights

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

TILE = wp.constant(8)
TAPS = wp.constant(16)
BIAS_M = wp.constant(0.003)
"""How far a caster's stand-in may lie in front of its surface."""


@wp.func
def over_z_at(lights: Lights, map: int, x: int, y: int) -> float:
    """Return 1/z of a texel of a shadow map; 0 where the map shows nothing."""
    pixels = lights.maps.width * lights.maps.height
    entry = lights.depths[map * pixels + y * lights.maps.width + x]
    return wp.cast(wp.uint32(entry >> wp.uint64(32)), wp.float32)


@wp.kernel
def bound_tiles(lights: Lights, bounds: wp.array2d(dtype=wp.vec2)):
    """Write the largest and the least 1/z of each tile."""
    map, tile = wp.tid()
    across = lights.maps.width // TILE
    x = (tile % across) * TILE
    y = (tile // across) * TILE
    most = float(0.0)
    least = float(1e30)
    for j in range(y, y + TILE):
        for i in range(x, x + TILE):
            value = over_z_at(lights, map, i, j)
            most = wp.where(value > most, value, most)
            least = wp.where(value < least, value, least)
    bounds[map, tile] = wp.vec2(most, least)


@wp.kernel
def widen_tiles(views_lamps: int, lights: Lights, bounds: wp.array2d(dtype=wp.vec2)):
    """Write the bounds of each tile together with those that a penumbra reaches from it."""
    map, tile = wp.tid()
    lamp = lights.lamps[map // views_lamps, map % views_lamps]
    across = lights.maps.width // TILE
    down = lights.maps.height // TILE
    reach = int(wp.ceil((lamp.penumbra + 1.0) / float(TILE)))
    x = tile % across
    y = tile // across
    most = float(0.0)
    least = float(1e30)
    # What lies beyond the map is in the light.
    if x < reach or y < reach or x >= across - reach or y >= down - reach:
        least = 0.0
    for j in range(wp.max(y - reach, 0), wp.min(y + reach + 1, down)):
        for i in range(wp.max(x - reach, 0), wp.min(x + reach + 1, across)):
            b = bounds[map, j * across + i]
            most = wp.max(most, b[0])
            least = wp.min(least, b[1])
    lights.tiles[map, tile] = wp.vec2(most, least)


@wp.func
def in_map(lights: Lights, lamp: Lamp, p_W: wp.vec3, cosine: float) -> wp.vec3:
    """Return where in a lamp's map a point lies, and the 1/z of what would just shade it.

    u is −1 where the map says nothing: then the point is in the light.
    """
    view = lamp.map
    q = wp.transpose(lights.maps.R_WC[view]) * (p_W - lights.maps.p_WC[view])
    if q[2] < lights.maps.reach[view][0]:
        return wp.vec3(-1.0, 0.0, 0.0)
    lens = lights.maps.lens[view]
    u = float(lens[0]) * q[0] / q[2] + float(lens[2])
    v = float(lens[1]) * q[1] / q[2] + float(lens[3])
    right = float(lights.maps.width) - 1.0
    bottom = float(lights.maps.height) - 1.0
    if u < 0.0 or v < 0.0 or u >= right or v >= bottom:
        return wp.vec3(-1.0, 0.0, 0.0)
    # A tap lies beside its point: on a slope the surface itself must not shade it.
    c = wp.max(cosine, 0.15)
    slope = wp.sqrt(1.0 - c * c) / c
    gap = BIAS_M + lamp.texel * q[2] * (lamp.penumbra + 1.0) * slope
    return wp.vec3(u, v, 1.0 / (q[2] - gap))


@wp.func
def settled(lights: Lights, lamp: Lamp, p: wp.vec3, q: wp.vec3, r: wp.vec3, s: wp.vec3) -> bool:
    """Return whether one answer holds between four places of a map, as `in_map` gives them."""
    if p[0] < 0.0 or q[0] < 0.0 or r[0] < 0.0 or s[0] < 0.0:
        return p[0] < 0.0 and q[0] < 0.0 and r[0] < 0.0 and s[0] < 0.0
    across = lights.maps.width // TILE
    low = wp.min(wp.min(p, q), wp.min(r, s))
    high = wp.max(wp.max(p, q), wp.max(r, s))
    i = int(low[0]) // TILE
    i_last = int(high[0]) // TILE
    j = int(low[1]) // TILE
    j_last = int(high[1]) // TILE
    if (i_last - i + 1) * (j_last - j + 1) > 64:
        return False
    most = float(0.0)
    least = float(1e30)
    for y in range(j, j_last + 1):
        for x in range(i, i_last + 1):
            tile = lights.tiles[lamp.map, y * across + x]
            most = wp.max(most, tile[0])
            least = wp.min(least, tile[1])
    return most <= low[2] or least > high[2]


@wp.func
def arriving(lights: Lights, lamp: Lamp, p_W: wp.vec3, cosine: float) -> float:
    """Return which part of a lamp's light arrives at a point.

    Args:
        lights: Where the map is.
        lamp: The lamp; it has a map.
        p_W: The point, m.
        cosine: Between the surface's normal and the direction to the lamp.
    """
    view = lamp.map
    width = lights.maps.width
    at = in_map(lights, lamp, p_W, cosine)
    if at[0] < 0.0:
        return 1.0
    u = at[0]
    v = at[1]
    limit = at[2]
    tile = lights.tiles[view, (int(v) // TILE) * (width // TILE) + int(u) // TILE]
    if tile[0] <= limit:
        return 1.0
    if tile[1] > limit:
        return 0.0
    lit = float(0.0)
    for k in range(TAPS):
        x = u + lamp.penumbra * lights.disc[k][0]
        y = v + lamp.penumbra * lights.disc[k][1]
        i = int(wp.floor(x))
        j = int(wp.floor(y))
        if i < 0 or j < 0 or i >= width - 1 or j >= width - 1:
            lit += 1.0
            continue
        fx = x - float(i)
        fy = y - float(j)
        a = wp.where(over_z_at(lights, view, i, j) > limit, 0.0, 1.0 - fx)
        a += wp.where(over_z_at(lights, view, i + 1, j) > limit, 0.0, fx)
        b = wp.where(over_z_at(lights, view, i, j + 1) > limit, 0.0, 1.0 - fx)
        b += wp.where(over_z_at(lights, view, i + 1, j + 1) > limit, 0.0, fx)
        lit += a * (1.0 - fy) + b * fy
    return lit / float(TAPS)
