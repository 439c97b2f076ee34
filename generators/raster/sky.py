# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Light from all around: what a surface gets of it, and what is seen of it."""

import warp as wp

from generators.raster.layout import Lights
from generators.raster.rows import Colors, Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

PI = wp.constant(3.14159265)


@wp.func
def given_back(lights: Lights, view: int, n_W: wp.vec3) -> wp.vec3:
    """Return what a white surface that faces n gives back of the sky's light."""
    sky = lights.skies[view]
    n = n_W
    if sky.dome >= 0:
        n = sky.R_DW * n_W
    light = sky.constant + sky.toward_x * n[0] + sky.toward_y * n[1] + sky.toward_z * n[2]
    if sky.dome >= 0:
        light += sky.xy * (n[0] * n[1]) + sky.yz * (n[1] * n[2]) + sky.xz * (n[0] * n[2])
        light += sky.zz * (3.0 * n[2] * n[2] - 1.0) + sky.xx * (n[0] * n[0] - n[1] * n[1])
        light = wp.max(light, wp.vec3()) * sky.gain
    return light


@wp.func
def seen_towards(lights: Lights, view: int, d_W: wp.vec3) -> wp.vec3:
    """Return the light that comes from a direction of any length; the sky has a dome."""
    sky = lights.skies[view]
    d = sky.R_DW * d_W
    longitude = wp.atan2(d[1], d[0])
    latitude = wp.atan2(d[2], wp.sqrt(d[0] * d[0] + d[1] * d[1]))
    u = (PI - longitude) * float(sky.columns) / (2.0 * PI) - 0.5
    v = (0.5 * PI - latitude) * float(sky.rows) / PI - 0.5
    v = wp.clamp(v, 0.0, float(sky.rows) - 1.0)
    left = int(wp.floor(u))
    top = wp.min(int(v), wp.max(sky.rows - 2, 0))
    bottom = wp.min(top + 1, sky.rows - 1)
    du = u - float(left)
    dv = v - float(top)
    right = (left + 1) % sky.columns
    left = (left + sky.columns) % sky.columns
    above = sky.dome + top * sky.columns
    below = sky.dome + bottom * sky.columns
    high = lights.domes[above + left] * (1.0 - du) + lights.domes[above + right] * du
    low = lights.domes[below + left] * (1.0 - du) + lights.domes[below + right] * du
    return (high * (1.0 - dv) + low * dv) * sky.gain


@wp.func
def mirrored(lights: Lights, view: int, r_W: wp.vec3, rough: float) -> wp.vec3:
    """Return what a mirror shows in the direction r: a rough one the sky as a dull surface sees it.

    Between the two, light is mixed in proportion to the roughness, which stands for blurring the
    dome by the lobe of each roughness.
    """
    dull = given_back(lights, view, r_W)
    if lights.skies[view].dome < 0 or rough >= 0.5:
        return dull
    return wp.lerp(seen_towards(lights, view, r_W), dull, 2.0 * rough)


@wp.func_native("""
    wp::vec_t<8, wp::float32> fade;
    for (int k = 0; k < 8; ++k) {
        const float x = p_W.data[0][k] - focus[0], y = p_W.data[1][k] - focus[1];
        const float part = (::sqrtf(x * x + y * y) - range[0]) / (range[1] - range[0]);
        const float high = part < 1.0f ? part : 1.0f;
        fade[k] = high > 0.0f ? high : 0.0f;
    }
    return fade;
""")
def faded(p_W: Colors, focus: wp.vec3, range: wp.vec2) -> Row:
    """Return how far eight points of the floor have turned into the backdrop; see `Sky`, m."""
    ...
