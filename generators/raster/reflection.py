# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""What metallic-roughness surfaces give back of light from lamps and from a sky.

Eight points at a time, in C++ of plain loops, so that a CPU's compiler takes all eight in one go.
What comes by a surface's colour is kept apart from what comes beside it: images may multiply it.
"""

import warp as wp

from generators.raster.layout import Sky
from generators.raster.rows import Colors, Light, Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})


@wp.struct
class Points:
    """Eight points of surfaces, and how they look.

    Attributes:
        ray: Directions from the camera to them, of any length, in the world.
        normal: Unit normals there.
        base: Colours; reflection: what they reflect head-on where they are no metal.
        roughness: From 0.06 to 1; metallic: from 0 to 1; exposed: how much of the sky each sees.
    """

    ray: Colors
    normal: Colors
    base: Colors
    reflection: Colors
    roughness: Row
    metallic: Row
    exposed: Row


Split = wp.types.matrix(shape=(2, 8), dtype=wp.float32)
"""The a and b of `tables.split_sum` of eight points."""


@wp.func_native("""
    wp::mat_t<2, 8, wp::float32> split;
    const int side = table.shape[0];
    for (int k = 0; k < 8; ++k) {
        const float x = points.ray.data[0][k], y = points.ray.data[1][k], z = points.ray.data[2][k];
        const float along = points.normal.data[0][k] * x + points.normal.data[1][k] * y
                          + points.normal.data[2][k] * z;
        const float cosine = (along < 0.0f ? -along : along) / ::sqrtf(x * x + y * y + z * z);
        const float root = ::sqrtf(cosine < 1.0f ? cosine : 1.0f);
        const float column = root * (float)(side - 1);
        const float row = points.roughness[k] * (float)(side - 1);
        const int i = column < (float)(side - 2) ? (int)column : side - 2;
        const int j = row < (float)(side - 2) ? (int)row : side - 2;
        const float fx = column - (float)i, fy = row - (float)j;
        const wp::uint32* const from = table.data + j * side + i;
        const wp::uint32 p = from[0], q = from[1], r = from[side], s = from[side + 1];
        const float wa = (1.0f - fx) * (1.0f - fy), wb = fx * (1.0f - fy);
        const float wc = (1.0f - fx) * fy, wd = fx * fy;
        split.data[0][k] = (wa * (float)(int)(p & 65535) + wb * (float)(int)(q & 65535)
                          + wc * (float)(int)(r & 65535) + wd * (float)(int)(s & 65535)) / 65535.0f;
        split.data[1][k] = (wa * (float)(int)(p >> 16) + wb * (float)(int)(q >> 16)
                          + wc * (float)(int)(r >> 16) + wd * (float)(int)(s >> 16)) / 65535.0f;
    }
    return split;
""")
def split_of(points: Points, table: wp.array2d(dtype=wp.uint32)) -> Split:
    """Return what the microfacets of eight points reflect of a white sky; see `Lights`."""
    ...


@wp.func_native("""
    wp::mat_t<6, 8, wp::float32> light;
    const bool dome = sky.dome >= 0;
    for (int k = 0; k < 8; ++k) {
        const float x = points.ray.data[0][k], y = points.ray.data[1][k], z = points.ray.data[2][k];
        const float away = -1.0f / ::sqrtf(x * x + y * y + z * z);
        const float nx = points.normal.data[0][k], ny = points.normal.data[1][k];
        const float nz = points.normal.data[2][k];
        const float vx = x * away, vy = y * away, vz = z * away;
        const float nv = nx * vx + ny * vy + nz * vz;
        const float scale = split.data[0][k], offset = split.data[1][k];
        const float lost = 1.0f / (scale + offset) - 1.0f;
        const float rx = 2.0f * nv * nx - vx, ry = 2.0f * nv * ny - vy, rz = 2.0f * nv * nz - vz;
        const float metal = points.metallic[k], open = points.exposed[k];
        for (int n = 0; n < 3; ++n) {
            float dull = sky.constant[n], shine = dull;
            dull += sky.toward_x[n] * nx + sky.toward_y[n] * ny + sky.toward_z[n] * nz;
            shine += sky.toward_x[n] * rx + sky.toward_y[n] * ry + sky.toward_z[n] * rz;
            dull = dome ? diffuse.data[n][k] : dull;
            shine = dome ? mirror.data[n][k] : shine;
            const float base = points.base.data[n][k];
            const float head_on = points.reflection.data[n][k] * (1.0f - metal) + base * metal;
            const float glint = (head_on * scale + offset) * (1.0f + head_on * lost);
            light.data[n][k] = (1.0f - glint) * base * (1.0f - metal) * dull * open;
            light.data[n + 3][k] = glint * shine * open;
        }
    }
    return light;
""")
def under_sky(points: Points, split: Split, sky: Sky, diffuse: Colors, mirror: Colors) -> Light:
    """Return what eight points give back of the sky's light.

    Light that meets microfacets more than once is added as a share of what meets them once, so that
    a white metal under a white sky is white (E. Turquin, Practical multiple scattering compensation
    for microfacet models, 2019).

    Args:
        points: The points.
        split: What their microfacets reflect at once.
        sky: Above them.
        diffuse: Under a dome, what white surfaces there would give back of it.
        mirror: Under a dome, what they would show as mirrors.
    """
    ...


@wp.func_native("""
    wp::mat_t<6, 8, wp::float32> light;
    for (int k = 0; k < 8; ++k) {
        const float x = points.ray.data[0][k], y = points.ray.data[1][k], z = points.ray.data[2][k];
        const float away = -1.0f / ::sqrtf(x * x + y * y + z * z);
        const float nx = points.normal.data[0][k], ny = points.normal.data[1][k];
        const float nz = points.normal.data[2][k];
        const float vx = x * away, vy = y * away, vz = z * away;
        const float lx = toward.data[0][k], ly = toward.data[1][k], lz = toward.data[2][k];
        const float gx = glint.data[0][k], gy = glint.data[1][k], gz = glint.data[2][k];
        const float nv = nx * vx + ny * vy + nz * vz, size = nv < 0.0f ? -nv : nv;
        const float facing = size > 1e-3f ? size : 1e-3f;
        const float raw = nx * lx + ny * ly + nz * lz, cosine = raw > 0.0f ? raw : 0.0f;
        const float gleam = nx * gx + ny * gy + nz * gz, other = gleam > 0.0f ? gleam : 0.0f;
        const float hx = gx + vx, hy = gy + vy, hz = gz + vz;
        const float half_of = 1.0f / ::sqrtf(hx * hx + hy * hy + hz * hz + 1e-12f);
        const float along = (nx * hx + ny * hy + nz * hz) * half_of;
        const float nh = along > 0.0f ? along : 0.0f;
        const float vh = 1.0f - (vx * hx + vy * hy + vz * hz) * half_of;
        const float own = points.roughness[k] * points.roughness[k];
        const float a = own + widened[k] < 1.0f ? own + widened[k] : 1.0f, square = a * a;
        const float d = nh * nh * (square - 1.0f) + 1.0f;
        const float below = 2.0f * other * facing * (1.0f - a) + (other + facing) * a;
        const float smith = 0.5f / (below > 1e-4f ? below : 1e-4f);
        const float fifth = vh * vh * vh * vh * vh;
        // D is taken times π, since the strength is an irradiance over π.
        const float lobe = own * own / (d * d) * smith, metal = points.metallic[k];
        const float lost = 1.0f / (split.data[0][k] + split.data[1][k]) - 1.0f;
        for (int n = 0; n < 3; ++n) {
            const float base = points.base.data[n][k], given = strength.data[n][k] * cosine;
            const float shown = strength.data[n][k] * other;
            const float head_on = points.reflection.data[n][k] * (1.0f - metal) + base * metal;
            const float fresnel = head_on * (1.0f - fifth) + fifth;
            light.data[n][k] = (1.0f - fresnel) * base * (1.0f - metal) * given;
            light.data[n + 3][k] = fresnel * lobe * shown * (1.0f + head_on * lost);
        }
    }
    return light;
""")
def under_lamp(
    points: Points, split: Split, toward: Colors, strength: Colors, glint: Colors, widened: Row
) -> Light:
    """Return what eight points give back of one lamp's light.

    GGX (Walter et al., Microfacet models for refraction through rough surfaces, EGSR 2007) with
    Smith's shadowing as approximated by Hammon (PBR diffuse lighting for GGX+Smith, GDC 2017) and
    Schlick's Fresnel term; Lambert below it. A lamp that is no point shows in a mirror where it is
    nearest to the reflected ray, in a lobe widened by its size and dimmed as it widens (B. Karis,
    Real shading in Unreal Engine 4, SIGGRAPH 2013, "Representative point"). As in `under_sky`,
    light that meets microfacets more than once is added.

    Args:
        points: The points.
        split: What their microfacets reflect of a white sky at once.
        toward: Unit vectors to the lamp, in the world.
        strength: What white surfaces there that face the lamp give back.
        glint: Unit vectors to that place of the lamp which the mirror shows.
        widened: What its size adds to the square of the roughness.
    """
    ...
