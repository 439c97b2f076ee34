# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Reading images: which of their copies fits, and what lies between its texels.

Eight places at a time, in C++ of plain loops, so that a CPU's compiler takes all eight in one go.
"""

import warp as wp

from generators.raster.layout import Image, Looks
from generators.raster.rows import Places, Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

Values = wp.types.matrix(shape=(4, 8), dtype=wp.float32)
"""Red, green, blue and alpha of eight places."""


@wp.func
def level_of(looks: Looks, number: int, per_pixel: float) -> Image:
    """Return the copy of an image whose texels are about as large as a pixel, as an image.

    Args:
        looks: Where images are.
        number: Of the image.
        per_pixel: How far texture coordinates move from one pixel of the picture to the next.
    """
    image = looks.images[number]
    spread = per_pixel * float(wp.max(image.width, image.height))
    level = int(1)
    while spread > 1.41421356 and level < image.levels:
        image.first += image.width * image.height
        image.width = wp.max(image.width // 2, 1)
        image.height = wp.max(image.height // 2, 1)
        spread *= 0.5
        level += 1
    return image


@wp.func_native("""
    wp::mat_t<4, 8, wp::float32> values;
    // One copy of it: what calls it would grow too large to be inlined itself.
    const auto read = [&]() __attribute__((noinline)) {
    int width[8], height[8], start[8];
    for (int k = 0; k < 8; ++k) {
        const auto& image = images.data[numbers[k] > 0 ? numbers[k] - 1 : 0];
        width[k] = image.width;
        height[k] = image.height;
        start[k] = image.first;
        // As `level_of` does.
        float spread = per_pixel[k] * (float)(width[k] > height[k] ? width[k] : height[k]);
        for (int level = 1; spread > 1.41421356f && level < image.levels; ++level) {
            start[k] += width[k] * height[k];
            width[k] = width[k] > 2 ? width[k] / 2 : 1;
            height[k] = height[k] > 2 ? height[k] / 2 : 1;
            spread *= 0.5f;
        }
    }
    const auto folded = [](float x, int wrap) {
        const float turn = x - ::floorf(x), twice = x - 2.0f * ::floorf(0.5f * x);
        const float back = twice > 1.0f ? 2.0f - twice : twice;
        const float above = x > -1.0f ? x : -1.0f, beside = above < 2.0f ? above : 2.0f;
        return wrap == 0 ? turn : (wrap == 2 ? back : beside);
    };
    // The texel that stands for one just beyond an edge; -1 for black.
    const auto indexed = [](int i, int size, int wrap) {
        const int below = wrap == 0 ? size - 1 : (wrap == 3 ? -1 : 0);
        const int above = wrap == 0 ? 0 : (wrap == 3 ? -1 : size - 1);
        return i < 0 ? below : (i >= size ? above : i);
    };
    int place[4][8];
    float weight[4][8];
    for (int k = 0; k < 8; ++k) {
        const auto& image = images.data[numbers[k] > 0 ? numbers[k] - 1 : 0];
        const int w = width[k], h = height[k];
        const float u = image.along_s[0] * s[k] + image.along_s[1] * t[k] + image.along_s[2];
        const float v = image.along_t[0] * s[k] + image.along_t[1] * t[k] + image.along_t[2];
        const float x = folded(u, image.wrap_s) * (float)w - 0.5f;
        const float y = folded(v, image.wrap_t) * (float)h - 0.5f;
        const float left = ::floorf(x), low = ::floorf(y);
        const float across = x - left, up = y - low;
        const int i0 = indexed((int)left, w, image.wrap_s);
        const int i1 = indexed((int)left + 1, w, image.wrap_s);
        const int j0 = indexed((int)low, h, image.wrap_t);
        const int j1 = indexed((int)low + 1, h, image.wrap_t);
        const float west = i0 < 0 ? 0.0f : 1.0f - across, east = i1 < 0 ? 0.0f : across;
        const float south = (j0 < 0 ? 0.0f : 1.0f - up) / 65535.0f;
        const float north = (j1 < 0 ? 0.0f : up) / 65535.0f;
        const int a = i0 < 0 ? 0 : i0, b = i1 < 0 ? 0 : i1;
        const int c = start[k] + (j0 < 0 ? 0 : j0) * w, d = start[k] + (j1 < 0 ? 0 : j1) * w;
        place[0][k] = 2 * (c + a);
        place[1][k] = 2 * (c + b);
        place[2][k] = 2 * (d + a);
        place[3][k] = 2 * (d + b);
        weight[0][k] = west * south;
        weight[1][k] = east * south;
        weight[2][k] = west * north;
        weight[3][k] = east * north;
    }
    // Little-endian: red and green, then blue and alpha.
    const wp::uint32* const words = (const wp::uint32*)texels.data;
    for (int n = 0; n < 4; ++n)
        for (int k = 0; k < 8; ++k) values.data[n][k] = 0.0f;
    for (int corner = 0; corner < 4; ++corner)
        for (int k = 0; k < 8; ++k) {
            const wp::uint32 red = words[place[corner][k]], blue = words[place[corner][k] + 1];
            const float part = weight[corner][k];
            values.data[0][k] += part * (float)(int)(red & 65535);
            values.data[1][k] += part * (float)(int)(red >> 16);
            values.data[2][k] += part * (float)(int)(blue & 65535);
            values.data[3][k] += part * (float)(int)(blue >> 16);
        }
    for (int k = 0; k < 8; ++k) {
        const auto& image = images.data[numbers[k] > 0 ? numbers[k] - 1 : 0];
        for (int n = 0; n < 4; ++n)
            values.data[n][k] = values.data[n][k] * image.scale[n] + image.bias[n];
        if (image.channel >= 0) {
            const float one = values.data[image.channel][k];
            for (int n = 0; n < 4; ++n) values.data[n][k] = one;
        }
        if (numbers[k] == 0)
            for (int n = 0; n < 4; ++n) values.data[n][k] = 1.0f;
    }
    };
    read();
    return values;
""")
def sampled(
    texels: wp.array(dtype=wp.uint64),
    images: wp.array(dtype=Image),
    numbers: Places,
    s: Row,
    t: Row,
    per_pixel: Row,
) -> Values:
    """Return the values of images at eight places.

    Args:
        texels: See `Looks`.
        images: The images.
        numbers: Of the image at each place, from 1 on; 0 for none: 1 is returned there.
        s: Texture coordinates; (0, 0) is the lower left corner.
        t: The same, upwards.
        per_pixel: How far they move from one pixel of the picture to the next.
    """
    ...
