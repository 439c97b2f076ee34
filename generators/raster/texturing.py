# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Reading images: which of their copies fits, and what lies between its texels."""

import warp as wp

from generators.raster.layout import Image, Looks

wp.set_module_options({"enable_backward": False, "max_unroll": 4})

UNIT = wp.constant(1.0 / 65535.0)


@wp.func
def folded(s: float, wrap: int) -> float:
    """Return a coordinate moved to where the image is, as it is wrapped."""
    if wrap == 0:
        return s - wp.floor(s)
    if wrap == 2:
        t = s - 2.0 * wp.floor(0.5 * s)
        return wp.where(t > 1.0, 2.0 - t, t)
    return wp.clamp(s, -1.0, 2.0)


@wp.func
def indexed(i: int, size: int, wrap: int) -> int:
    """Return the texel that stands for one just beyond an edge; −1 for black."""
    if i < 0:
        return wp.where(wrap == 0, size - 1, wp.where(wrap == 3, -1, 0))
    if i >= size:
        return wp.where(wrap == 0, 0, wp.where(wrap == 3, -1, size - 1))
    return i


@wp.func
def texel(looks: Looks, row: int, i: int) -> wp.vec4:
    """Return one texel, times 65535."""
    if row < 0 or i < 0:
        return wp.vec4()
    word = looks.texels[row + i]
    low = wp.uint32(word)
    high = wp.uint32(word >> wp.uint64(32))
    return wp.vec4(
        float(low & wp.uint32(0xFFFF)),
        float(low >> wp.uint32(16)),
        float(high & wp.uint32(0xFFFF)),
        float(high >> wp.uint32(16)),
    )


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


@wp.func
def between_texels(looks: Looks, image: Image, uv: wp.vec2) -> wp.vec4:
    """Return the value of one copy of an image at texture coordinates."""
    s = image.along_s[0] * uv[0] + image.along_s[1] * uv[1] + image.along_s[2]
    t = image.along_t[0] * uv[0] + image.along_t[1] * uv[1] + image.along_t[2]
    width = image.width
    height = image.height
    x = folded(s, image.wrap_s) * float(width) - 0.5
    y = folded(t, image.wrap_t) * float(height) - 0.5
    x0 = wp.floor(x)
    y0 = wp.floor(y)
    fx = x - x0
    fy = (y - y0) * UNIT
    i = indexed(int(x0), width, image.wrap_s)
    j = indexed(int(x0) + 1, width, image.wrap_s)
    above = indexed(int(y0) + 1, height, image.wrap_t)
    below = indexed(int(y0), height, image.wrap_t)
    high_row = wp.where(above < 0, -1, image.first + above * width)
    low_row = wp.where(below < 0, -1, image.first + below * width)
    value = texel(looks, low_row, i) * ((1.0 - fx) * (UNIT - fy))
    value += texel(looks, low_row, j) * (fx * (UNIT - fy))
    value += texel(looks, high_row, i) * ((1.0 - fx) * fy)
    value += texel(looks, high_row, j) * (fx * fy)
    value = wp.cw_mul(value, image.scale) + image.bias
    if image.channel >= 0:
        one = value[image.channel]
        return wp.vec4(one, one, one, one)
    return value


@wp.func
def sample(looks: Looks, number: int, uv: wp.vec2, per_pixel: float) -> wp.vec4:
    """Return an image's value at texture coordinates.

    Args:
        looks: Where images are.
        number: Of the image.
        uv: Texture coordinates; (0, 0) is the lower left corner.
        per_pixel: How far they move from one pixel of the picture to the next.
    """
    return between_texels(looks, level_of(looks, number, per_pixel), uv)
