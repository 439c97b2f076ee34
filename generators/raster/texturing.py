# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Reading images: which of their copies fits, and what lies between its texels."""

import warp as wp

from generators.raster.layout import Looks

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


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
def texel(looks: Looks, linear: int, row: int, i: int) -> wp.vec4:
    """Return one texel, linear where it is a colour."""
    if row < 0 or i < 0:
        return wp.vec4()
    word = looks.texels[row + i]
    r = int(word & wp.uint32(255))
    g = int((word >> wp.uint32(8)) & wp.uint32(255))
    b = int((word >> wp.uint32(16)) & wp.uint32(255))
    a = float(word >> wp.uint32(24)) * 0.003921569
    if linear != 0:
        k = 0.003921569
        return wp.vec4(float(r) * k, float(g) * k, float(b) * k, a)
    return wp.vec4(looks.to_linear[r], looks.to_linear[g], looks.to_linear[b], a)


@wp.func
def sample(looks: Looks, number: int, uv: wp.vec2, per_pixel: float) -> wp.vec4:
    """Return an image's value at texture coordinates.

    Args:
        looks: Where images are.
        number: Of the image.
        uv: Texture coordinates; (0, 0) is the lower left corner.
        per_pixel: How far they move from one pixel of the picture to the next.
    """
    image = looks.images[number]
    s = wp.dot(image.along_s, wp.vec3(uv[0], uv[1], 1.0))
    t = wp.dot(image.along_t, wp.vec3(uv[0], uv[1], 1.0))
    width = image.width
    height = image.height
    start = image.first
    # The copy whose texels are about as large as the pixel.
    spread = per_pixel * float(wp.max(width, height))
    level = int(1)
    while spread > 1.41421356 and level < image.levels:
        start += width * height
        width = wp.max(width // 2, 1)
        height = wp.max(height // 2, 1)
        spread *= 0.5
        level += 1
    x = folded(s, image.wrap_s) * float(width) - 0.5
    y = folded(t, image.wrap_t) * float(height) - 0.5
    x0 = wp.floor(x)
    y0 = wp.floor(y)
    fx = x - x0
    fy = y - y0
    i = indexed(int(x0), width, image.wrap_s)
    j = indexed(int(x0) + 1, width, image.wrap_s)
    above = indexed(int(y0) + 1, height, image.wrap_t)
    below = indexed(int(y0), height, image.wrap_t)
    high_row = wp.where(above < 0, -1, start + above * width)
    low_row = wp.where(below < 0, -1, start + below * width)
    low = texel(looks, image.linear, low_row, i) * (1.0 - fx)
    low += texel(looks, image.linear, low_row, j) * fx
    high = texel(looks, image.linear, high_row, i) * (1.0 - fx)
    high += texel(looks, image.linear, high_row, j) * fx
    value = wp.cw_mul(low * (1.0 - fy) + high * fy, image.scale) + image.bias
    if image.channel >= 0:
        one = value[image.channel]
        return wp.vec4(one, one, one, one)
    return value
