# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Shadow maps: how much of a lamp arrives at a point, with soft edges.

Percentage-closer filtering (Reeves, Salesin and Cook, Rendering antialiased shadows with depth
maps, SIGGRAPH 1987) on a disc as wide as the penumbra. Where all of the map around a point is
nearer or all of it farther, which is nearly everywhere, tiles of the map say so at once.
"""

import warp as wp

from generators.raster.layout import Lamp, Lights
from generators.raster.rows import Colors, Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

TILE = wp.constant(8)
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
    for (int j = 0; j < 8; ++j)
        for (int i = 0; i < 8; ++i) {
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
    const int count = right - left;
    for (int y = top; y < bottom; ++y) {
        const wp::vec2* const row = bounds.data + first + y * across + left;
        for (int x = 0; x < count; ++x) {
            const float high = row[x][0], low = row[x][1];
            most = high > most ? high : most;
            least = low < least ? low : least;
        }
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
    penumbra = lights.lamps[map // views_lamps, map % views_lamps].penumbra
    across = lights.maps.width // TILE
    down = lights.maps.height // TILE
    reach = int(wp.ceil((penumbra + 1.0) / float(TILE)))
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
def in_map(lights: Lights, lamp: Lamp, p_W: wp.vec3, n_W: wp.vec3) -> wp.vec3:
    """Return where in a lamp's map a point with a normal lies, and 1/z of what would just shade it.

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
    # A tap lies beside its point: where depth changes the surface itself must not shade it.
    n = wp.transpose(lights.maps.R_WC[view]) * n_W
    ahead = wp.abs(wp.dot(n, q)) / q[2]
    slope = wp.sqrt(n[0] * n[0] + n[1] * n[1]) / wp.max(ahead, 0.15)
    gap = BIAS_M + lamp.texel * q[2] * (lamp.penumbra + 1.0) * slope
    # Where taps reach all the way to the lamp, nothing is nearer than what they allow for.
    if gap >= q[2]:
        return wp.vec3(-1.0, 0.0, 0.0)
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
    wp::vec_t<8, wp::float32> result;
    float us[8], vs[8], limits[8];
    const float fx = (float)lens[0], fy = (float)lens[1], cx = (float)lens[2], cy = (float)lens[3];
    for (int k = 0; k < 8; ++k) {
        const float dx = p_W.data[0][k] - origin[0], dy = p_W.data[1][k] - origin[1];
        const float dz = p_W.data[2][k] - origin[2];
        const float x = R_WC.data[0][0] * dx + R_WC.data[1][0] * dy + R_WC.data[2][0] * dz;
        const float y = R_WC.data[0][1] * dx + R_WC.data[1][1] * dy + R_WC.data[2][1] * dz;
        const float z = R_WC.data[0][2] * dx + R_WC.data[1][2] * dy + R_WC.data[2][2] * dz;
        const float u = fx * x / z + cx, v = fy * y / z + cy;
        const float raw = turned.data[0][k] * toward.data[0][k]
            + turned.data[1][k] * toward.data[1][k] + turned.data[2][k] * toward.data[2][k];
        // A tap lies beside its point: where depth changes the surface itself must not shade it.
        const float nx = normal.data[0][k], ny = normal.data[1][k], nz = normal.data[2][k];
        const float a = R_WC.data[0][0] * nx + R_WC.data[1][0] * ny + R_WC.data[2][0] * nz;
        const float b = R_WC.data[0][1] * nx + R_WC.data[1][1] * ny + R_WC.data[2][1] * nz;
        const float c = R_WC.data[0][2] * nx + R_WC.data[1][2] * ny + R_WC.data[2][2] * nz;
        const float size = (a * x + b * y + c * z) / z, ahead = size < 0.0f ? -size : size;
        const float slope = ::sqrtf(a * a + b * b) / (ahead > 0.15f ? ahead : 0.15f);
        const float gap = bias + texel * z * (radius + 1.0f) * slope;
        const float last = (float)width - 1.0f;
        const bool inside = z >= near && u >= 0.0f && v >= 0.0f && u < last && v < last;
        // Where taps reach all the way to the lamp, nothing is nearer than what they allow for.
        us[k] = inside && gap < z && raw > 0.0f ? u : -1.0f;
        vs[k] = v;
        limits[k] = 1.0f / (z - gap);
    }
    for (int k = 0; k < 8; ++k) {
        result[k] = 1.0f;
        if (us[k] < 0.0f) continue;
        const float u = us[k], v = vs[k], limit = limits[k];
        const wp::vec2 tile = tiles.data[
            map * (width / 8) * (width / 8) + ((int)v / 8) * (width / 8) + (int)u / 8];
        if (tile[0] <= limit) continue;
        if (tile[1] > limit) {
            result[k] = 0.0f;
            continue;
        }
        float lit[16];
        for (int t = 0; t < 16; ++t) {
            const float x = u + radius * disc.data[t][0], y = v + radius * disc.data[t][1];
            const float left = ::floorf(x), top = ::floorf(y);
            const float dx = x - left, dy = y - top;
            const int i = (int)left, j = (int)top;
            const bool there = i >= 0 && j >= 0 && i < width - 1 && j < width - 1;
            const float* const d = depths.data + map * width * width + (there ? j * width + i : 0);
            const float above = (d[0] > limit ? 0.0f : 1.0f - dx) + (d[1] > limit ? 0.0f : dx);
            const float* const e = d + width;
            const float below = (e[0] > limit ? 0.0f : 1.0f - dx) + (e[1] > limit ? 0.0f : dx);
            lit[t] = there ? above * (1.0f - dy) + below * dy : 1.0f;
        }
        float total = 0.0f;
        for (int t = 0; t < 16; ++t) total += lit[t];
        result[k] = total / 16.0f;
    }
    return result;
""")
def share_lit(
    depths: wp.array(dtype=wp.float32),
    tiles: wp.array2d(dtype=wp.vec2),
    disc: wp.array(dtype=wp.vec2),
    map: int,
    width: int,
    R_WC: wp.mat33,
    origin: wp.vec3,
    lens: wp.vec4d,
    near: float,
    radius: float,
    texel: float,
    bias: float,
    p_W: Colors,
    normal: Colors,
    turned: Colors,
    toward: Colors,
) -> Row:
    """Return which part of a lamp's light arrives at eight points.

    In C++ of plain loops, so that a CPU's compiler takes points, or taps, in one go. A tap mixes
    its four texels.

    Args:
        depths: See `Lights`, as tiles and disc.
        tiles: Bounds of 1/z.
        disc: The taps in a disc of radius one.
        map: Number of the map.
        width: Of the map, in texels; it is as wide as it is high.
        R_WC: Axes of the lamp's camera in the world.
        origin: Where it is, m.
        lens: Its fx, fy, cx, cy.
        near: Its near plane, m.
        radius: Of a shadow's soft edge, in texels.
        texel: Size of a texel one metre away, m.
        bias: How far a caster's stand-in may lie in front of its surface, m.
        p_W: The points, m.
        normal: Unit normals of the mesh there.
        turned: The same as a normal image turns them: what they face away from cannot light them.
        toward: Unit vectors to the lamp.
    """
    ...


@wp.func
def arriving(
    lights: Lights, lamp: Lamp, p_W: Colors, normal: Colors, turned: Colors, toward: Colors
) -> Row:
    """Return which part of the light of a lamp with a map arrives at eight points."""
    view = lamp.map
    return share_lit(
        lights.depths, lights.tiles, lights.disc, view, lights.maps.width,
        lights.maps.R_WC[view], lights.maps.p_WC[view], lights.maps.lens[view],
        lights.maps.reach[view][0], lamp.penumbra, lamp.texel, BIAS_M, p_W, normal, turned,
        toward,
    )  # fmt: skip
