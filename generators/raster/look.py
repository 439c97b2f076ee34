# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""How a facet looks: its paint."""

import warp as wp

from generators.raster.facet import triangle_of
from generators.raster.layout import Geometry, Looks, Paint

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})


NOBODY = wp.constant(wp.uint32(0xFFFFFFFF))
"""A number that no triangle has."""


@wp.struct
class Look:
    """What the pixels of a triangle have in common.

    Attributes:
        number: Of the triangle, in the visibility buffer.
        instance: Whose it is; paint: how that looks.
        triangle: In the geometry's lists, where it has an image; else −1.
        others: Whether images say more than its colour.
    """

    number: wp.uint32
    instance: wp.int32
    paint: Paint
    triangle: wp.int32
    others: bool


@wp.func
def look_at(geometry: Geometry, looks: Looks, view: int, number: wp.uint32) -> Look:
    """Return how a triangle looks."""
    look = Look()
    look.number = number
    look.instance = geometry.item_instance[int(number) // 64]
    paint = looks.paints[view, look.instance]
    look.paint = paint
    look.triangle = -1
    others = wp.max(wp.max(paint.roughness_image, paint.metallic_image), paint.normal_image)
    others = wp.max(others, paint.emissive_image)
    look.others = others >= 0
    if wp.max(others, wp.max(paint.base_image, paint.pattern_image)) >= 0:
        look.triangle = triangle_of(geometry, number)
    return look
