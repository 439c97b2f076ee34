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

TILE = wp.constant(4)
TAPS = wp.constant(16)
BIAS_M = wp.constant(0.003)
"""How far a caster's stand-in may lie in front of its surface."""


@wp.func
def over_z_at(lights: Lights, map: int, x: int, y: int) -> float:
    """Return 1/z of a texel of a shadow map; 0 where the map shows nothing."""
    pixels = lights.maps.width * lights.maps.height
    return lights.depths[map * pixels + y * lights.maps.width + x]


@wp.func_native("""
    float most = 0.0f, least = 1e30f;
    for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i) {
            const int place = first + j * width + i;
            union { wp::uint32 bits; float value; } entry;
            entry.bits = (wp::uint32)(seen.data[place] >> 32);
            const float value = entry.value;
            depths.data[place] = value;
            most = value > most ? value : most;
            least = value < least ? value : least;
        }
    return wp::vec2(most, least);
""")
def take_tile(
    seen: wp.array(dtype=wp.uint64), depths: wp.array(dtype=wp.float32), first: int, width: int
) -> wp.vec2:
    """Write 1/z of the texels of a tile, and return the largest and the least of them."""
    ...


@wp.kernel
def bound_tiles(lights: Lights, seen: wp.array(dtype=wp.uint64), bounds: wp.array2d(dtype=wp.vec2)):
    """Write 1/z of the texels of each tile, and the largest and the least of them."""
    map, tile = wp.tid()
    across = lights.maps.width // TILE
    x = (tile % across) * TILE
    y = (tile // across) * TILE
    start = map * lights.maps.width * lights.maps.height + y * lights.maps.width + x
    bounds[map, tile] = take_tile(seen, lights.depths, start, lights.maps.width)


@wp.func_native("""
    float most = 0.0f, least = 1e30f;
    for (int y = top; y < bottom; ++y)
        for (int x = left; x < right; ++x) {
            const wp::vec2 b = bounds.data[first + y * across + x];
            most = b[0] > most ? b[0] : most;
            least = b[1] < least ? b[1] : least;
        }
    return wp::vec2(most, least);
""")
def bounds_within(
    bounds: wp.array2d(dtype=wp.vec2),
    first: int,
    across: int,
    left: int,
    right: int,
    top: int,
    bottom: int,
) -> wp.vec2:
    """Return the largest and the least 1/z of some columns and rows of tiles."""
    ...


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
    least = float(1e30)
    # What lies beyond the map is in the light.
    if x < reach or y < reach or x >= across - reach or y >= down - reach:
        least = 0.0
    around = bounds_within(
        bounds, map * across * down, across,
        wp.max(x - reach, 0), wp.min(x + reach + 1, across),
        wp.max(y - reach, 0), wp.min(y + reach + 1, down),
    )  # fmt: skip
    lights.tiles[map, tile] = wp.vec2(around[0], wp.min(around[1], least))


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


@wp.func_native("""
    float lit[16];
    for (int k = 0; k < 16; ++k) {
        const float x = u + radius * disc.data[k][0], y = v + radius * disc.data[k][1];
        const float left = ::floorf(x), top = ::floorf(y);
        const float fx = x - left, fy = y - top;
        const int i = (int)left, j = (int)top;
        const bool inside = i >= 0 && j >= 0 && i < width - 1 && j < width - 1;
        const float* const d = depths.data + first + (inside ? j * width + i : 0);
        const float above = (d[0] > limit ? 0.0f : 1.0f - fx) + (d[1] > limit ? 0.0f : fx);
        const float* const e = d + width;
        const float below = (e[0] > limit ? 0.0f : 1.0f - fx) + (e[1] > limit ? 0.0f : fx);
        lit[k] = inside ? above * (1.0f - fy) + below * fy : 1.0f;
    }
    float total = 0.0f;
    for (int k = 0; k < 16; ++k) total += lit[k];
    return total / 16.0f;
""")
def lit_share(
    depths: wp.array(dtype=wp.float32),
    first: int,
    width: int,
    u: float,
    v: float,
    radius: float,
    limit: float,
    disc: wp.array(dtype=wp.vec2),
) -> float:
    """Return the share of the taps of a disc that nothing nearer than a limit covers.

    Each tap mixes its four texels. In C++ so that a CPU's compiler takes several taps in one go.

    Args:
        depths: 1/z of the texels.
        first: First texel of the map; it is as wide as it is high.
        width: Of the map.
        u: Middle of the disc, in texels.
        v: The same, downwards.
        radius: Of the disc, in texels.
        limit: 1/z of what would just cover.
        disc: The taps in a disc of radius one.
    """
    ...


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
    return lit_share(
        lights.depths, view * width * lights.maps.height, width, u, v, lamp.penumbra, limit,
        lights.disc,
    )  # fmt: skip
