# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Eight pixels of a row at a time, for what fills most of a picture: large triangles.

The loops in C++ are as plain as they are so that a CPU's compiler does all eight in one go.
"""

import warp as wp

from generators.raster.layout import Image

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 8})

Row = wp.types.vector(length=8, dtype=wp.float32)
Places = wp.types.vector(length=8, dtype=wp.int32)
"""An integer for each of eight places: columns of pixels, numbers of images."""

Colors = wp.types.matrix(shape=(3, 8), dtype=wp.float32)
"""Red, green and blue of a row."""

Light = wp.types.matrix(shape=(6, 8), dtype=wp.float32)
"""Light from eight points, linear RGB: by their colour (three rows), and beside it."""


_READ = """
    // Eight values of a copy of an image that repeats, as `between_texels` has them.
    const auto read = [&](const auto& image, const auto& s, const auto& t, auto& colors) {
        const float width = (float)image.width, height = (float)image.height;
        // Little-endian: red and green, then blue and alpha.
        const wp::uint32* const words = (const wp::uint32*)texels.data;
        int low_left[8], low_right[8], high_left[8], high_right[8];
        float across[8], up[8];
        for (int k = 0; k < 8; ++k) {
            float x = image.along_s[0] * s[k] + image.along_s[1] * t[k] + image.along_s[2];
            float y = image.along_t[0] * s[k] + image.along_t[1] * t[k] + image.along_t[2];
            x = (x - ::floorf(x)) * width - 0.5f;
            y = (y - ::floorf(y)) * height - 0.5f;
            const float left = ::floorf(x), low = ::floorf(y);
            across[k] = x - left;
            up[k] = y - low;
            const int i = (int)left, j = (int)low;
            const int i0 = i < 0 ? image.width - 1 : i;
            const int i1 = i + 1 < image.width ? i + 1 : 0;
            const int j0 = (j < 0 ? image.height - 1 : j) * image.width + image.first;
            const int j1 = (j + 1 < image.height ? j + 1 : 0) * image.width + image.first;
            low_left[k] = 2 * (j0 + i0);
            low_right[k] = 2 * (j0 + i1);
            high_left[k] = 2 * (j1 + i0);
            high_right[k] = 2 * (j1 + i1);
        }
        float sum[3][8];
        for (int k = 0; k < 8; ++k) {
            const float wa = (1.0f - across[k]) * (1.0f - up[k]), wb = across[k] * (1.0f - up[k]);
            const float wc = (1.0f - across[k]) * up[k], wd = across[k] * up[k];
            const wp::uint32 a = words[low_left[k]], b = words[low_right[k]];
            const wp::uint32 c = words[high_left[k]], d = words[high_right[k]];
            sum[0][k] = wa * (float)(int)(a & 65535) + wb * (float)(int)(b & 65535)
                      + wc * (float)(int)(c & 65535) + wd * (float)(int)(d & 65535);
            sum[1][k] = wa * (float)(int)(a >> 16) + wb * (float)(int)(b >> 16)
                      + wc * (float)(int)(c >> 16) + wd * (float)(int)(d >> 16);
            const wp::uint32 e = words[low_left[k] + 1], f = words[low_right[k] + 1];
            const wp::uint32 g = words[high_left[k] + 1], h = words[high_right[k] + 1];
            sum[2][k] = wa * (float)(int)(e & 65535) + wb * (float)(int)(f & 65535)
                      + wc * (float)(int)(g & 65535) + wd * (float)(int)(h & 65535);
        }
        for (int n = 0; n < 3; ++n)
            for (int k = 0; k < 8; ++k)
                colors[n][k] *= sum[n][k] * (image.scale[n] / 65535.0f) + image.bias[n];
    };
"""

_DEVELOP = """
    // The sRGB bytes of linear light, where the light from 0 to `most` steps has one each.
    const auto develop = [&](const auto& light, int first, int count) {
        wp::vec_t<3, wp::uint8>* const out = rgb.data + first;
        int steps[3][8];
        for (int n = 0; n < 3; ++n)
            for (int k = 0; k < 8; ++k) {
                const float step = light[n][k] * scale;
                const float high = step < most ? step : most;
                steps[n][k] = (int)((high > 0.0f ? high : 0.0f) + 0.5f);
            }
        for (int k = 0; k < count; ++k)
            for (int n = 0; n < 3; ++n) out[k][n] = to_srgb.data[steps[n][k]];
    };
"""


@wp.func_native(
    _READ
    + """
    wp::mat_t<3, 8, wp::float32> result(1.0f);
    read(image, s, t, result.data);
    return result;
"""
)
def repeated(texels: wp.array(dtype=wp.uint64), image: Image, s: Row, t: Row) -> Colors:
    """Return the colours of one copy of an image, which repeats, as `between_texels` does."""
    ...


@wp.func_native(_DEVELOP + "    develop(light.data, first, count);")
def develop(
    light: Colors,
    to_srgb: wp.array(dtype=wp.uint8),
    scale: float,
    most: float,
    first: int,
    count: int,
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the sRGB bytes of linear light from a place of a picture on.

    Args:
        light: Of the pixels of a row.
        to_srgb: Byte of each step of light.
        scale: Steps for each unit of light.
        most: The last step.
        first: Number of the first pixel.
        count: How many are written.
        rgb: The pictures.
    """
    ...


@wp.func_native(
    _READ
    + _DEVELOP
    + """
    for (int row = 0; row < 8; ++row) {
        const int start = first + row * width;
        const float down = (float)row / 7.0f;
        float factor[3][8], color[3][8];
        for (int n = 0; n < 3; ++n)
            for (int k = 0; k < 8; ++k) factor[n][k] = 1.0f;
        if (use_base || use_pattern) {
            const float* const z = depth.data + start;
            const wp::vec2* const seen = rays.data + start;
            const float s0 = (float)(s_form[0] * left + s_form[1] * (top + row) + s_form[2]);
            const float t0 = (float)(t_form[0] * left + t_form[1] * (top + row) + t_form[2]);
            const float s_step = (float)s_form[0], t_step = (float)t_form[0];
            float s[8], t[8];
            if (distorted)
                for (int k = 0; k < 8; ++k) {
                    const double u = seen[k][0], v = seen[k][1];
                    s[k] = (float)(s_form[0] * u + s_form[1] * v + s_form[2]) * z[k];
                    t[k] = (float)(t_form[0] * u + t_form[1] * v + t_form[2]) * z[k];
                }
            else
                for (int k = 0; k < 8; ++k) {
                    s[k] = (s0 + s_step * k) * z[k];
                    t[k] = (t0 + t_step * k) * z[k];
                }
            if (use_base) read(base, s, t, factor);
            if (use_pattern) read(pattern, s, t, factor);
        }
        for (int n = 0; n < 3; ++n) {
            const float* const d = knots.data[n] + knot;
            const float* const m = knots.data[n + 3] + knot;
            const float here = d[0] + (d[2] - d[0]) * down, there = d[1] + (d[3] - d[1]) * down;
            const float begin = m[0] + (m[2] - m[0]) * down, end = m[1] + (m[3] - m[1]) * down;
            for (int k = 0; k < 8; ++k) {
                const float along = (float)k / 7.0f;
                color[n][k] = (here + (there - here) * along) * factor[n][k]
                            + begin + (end - begin) * along;
            }
        }
        develop(color, start, 8);
    }
"""
)
def paint_cell(
    knots: Light,
    knot: int,
    texels: wp.array(dtype=wp.uint64),
    base: Image,
    use_base: bool,
    pattern: Image,
    use_pattern: bool,
    s_form: wp.vec3d,
    t_form: wp.vec3d,
    left: int,
    top: int,
    first: int,
    width: int,
    depth: wp.array3d(dtype=wp.float32),
    distorted: int,
    rays: wp.array2d(dtype=wp.vec2),
    to_srgb: wp.array(dtype=wp.uint8),
    scale: float,
    most: float,
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the colours of a cell that one triangle fills, from the light at its corners.

    Args:
        knots: Light at the upper left, upper right, lower left and lower right pixel of two cells.
        knot: Which of them is this one's first.
        texels: Of all images.
        base: The copy of the base image that fits, which repeats.
        use_base: Whether there is one.
        pattern: The copy of the pattern that fits; use_pattern: whether there is one.
        use_pattern: Whether there is one.
        s_form: Texture coordinate s over z at the undistorted pixel (u, v, 1).
        t_form: Texture coordinate t over z.
        left: Column of the first pixel.
        top: Row of the first pixel.
        first: Number of the first pixel.
        width: Of a picture, in pixels.
        depth: Of the pixels, m.
        distorted: Whether the lens distorts.
        rays: Then, the undistorted pixels that the pixels of each view see.
        to_srgb: Byte of each step of light.
        scale: Steps for each unit of light.
        most: The last step.
        rgb: The pictures.
    """
    ...
