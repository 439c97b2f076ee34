# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Reading images: which of their copies fits, and what lies between its texels."""

import warp as wp

from generators.raster.layout import Image, Looks

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


@wp.func
def wrapped(i: int, size: int, wrap: int) -> int:
    """Return the texel that stands for one beyond the edge; −1 for black."""
    if wrap == 0:
        j = i % size
        return wp.where(j < 0, j + size, j)
    if wrap == 1:
        return wp.clamp(i, 0, size - 1)
    if wrap == 2:
        j = i % (2 * size)
        j = wp.where(j < 0, j + 2 * size, j)
        return wp.where(j < size, j, 2 * size - 1 - j)
    return wp.where(i < 0 or i >= size, -1, i)


@wp.func
def texel(looks: Looks, image: Image, start: int, width: int, height: int, x: int, y: int):
    """Return one texel, linear where it is a colour."""
    i = wrapped(x, width, image.wrap_s)
    j = wrapped(y, height, image.wrap_t)
    if i < 0 or j < 0:
        return wp.vec4()
    word = looks.texels[start + j * width + i]
    r = int(word & wp.uint32(255))
    g = int((word >> wp.uint32(8)) & wp.uint32(255))
    b = int((word >> wp.uint32(16)) & wp.uint32(255))
    a = float((word >> wp.uint32(24)) & wp.uint32(255)) / 255.0
    if image.linear != 0:
        return wp.vec4(float(r) / 255.0, float(g) / 255.0, float(b) / 255.0, a)
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
    x = s * float(width) - 0.5
    y = t * float(height) - 0.5
    x0 = wp.floor(x)
    y0 = wp.floor(y)
    fx = x - x0
    fy = y - y0
    i = int(x0)
    j = int(y0)
    low = texel(looks, image, start, width, height, i, j) * (1.0 - fx)
    low += texel(looks, image, start, width, height, i + 1, j) * fx
    high = texel(looks, image, start, width, height, i, j + 1) * (1.0 - fx)
    high += texel(looks, image, start, width, height, i + 1, j + 1) * fx
    value = wp.cw_mul(low * (1.0 - fy) + high * fy, image.scale) + image.bias
    if image.channel >= 0:
        one = value[image.channel]
        return wp.vec4(one, one, one, one)
    return value
