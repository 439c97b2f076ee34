# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Eight pixels of a row at a time, for what fills most of a picture: large triangles.

The loops in C++ are as plain as they are so that a CPU's compiler does all eight in one go.
"""

import warp as wp

from generators.raster.layout import Image

wp.set_module_options({"enable_backward": False, "max_unroll": 8})

Row = wp.types.vector(length=8, dtype=wp.float32)
Colors = wp.types.matrix(shape=(3, 8), dtype=wp.float32)
"""Red, green and blue of a row."""


@wp.func_native("""
    const float width = (float)image.width, height = (float)image.height;
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
        low_left[k] = j0 + i0;
        low_right[k] = j0 + i1;
        high_left[k] = j1 + i0;
        high_right[k] = j1 + i1;
    }
    wp::mat_t<3, 8, wp::float32> result;
    for (int k = 0; k < 8; ++k) {
        const wp::uint64 a = texels.data[low_left[k]], b = texels.data[low_right[k]];
        const wp::uint64 c = texels.data[high_left[k]], d = texels.data[high_right[k]];
        const float wa = (1.0f - across[k]) * (1.0f - up[k]), wb = across[k] * (1.0f - up[k]);
        const float wc = (1.0f - across[k]) * up[k], wd = across[k] * up[k];
        for (int n = 0; n < 3; ++n) {
            const int shift = 16 * n;
            const float mean = wa * (float)(int)((a >> shift) & 65535)
                             + wb * (float)(int)((b >> shift) & 65535)
                             + wc * (float)(int)((c >> shift) & 65535)
                             + wd * (float)(int)((d >> shift) & 65535);
            result.data[n][k] = mean * (image.scale[n] / 65535.0f) + image.bias[n];
        }
    }
    return result;
""")
def repeated(texels: wp.array(dtype=wp.uint64), image: Image, s: Row, t: Row) -> Colors:
    """Return the colours of one copy of an image, which repeats, as `between_texels` does."""
    ...


@wp.func_native("""
    wp::vec_t<3, wp::uint8>* const out = rgb.data + first;
    int steps[3][8];
    for (int n = 0; n < 3; ++n)
        for (int k = 0; k < 8; ++k) {
            const float step = light.data[n][k] * scale;
            const float high = step < most ? step : most;
            steps[n][k] = (int)((high > 0.0f ? high : 0.0f) + 0.5f);
        }
    for (int k = 0; k < count; ++k)
        for (int n = 0; n < 3; ++n) out[k][n] = to_srgb.data[steps[n][k]];
""")
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
