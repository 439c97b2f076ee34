# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""From the visibility buffer to exact labels: depth, ids and normals at each pixel's centre."""

import warp as wp

from generators.raster.facet import (
    NOTHING,
    Facet,
    facet_of,
    ray_at,
    smooth_normal,
    value,
    weights,
)
from generators.raster.layout import Geometry, Views

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


@wp.kernel
def label(
    geometry: Geometry,
    views: Views,
    run: int,
    seen: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    part: wp.array3d(dtype=wp.int32),
    instance: wp.array3d(dtype=wp.int32),
    normal: wp.array3d(dtype=wp.vec3),
    smooth: wp.array3d(dtype=wp.vec3),
):
    """Write the labels of `run` pixels of a row."""
    view, y, k = wp.tid()
    start = (view * views.height + y) * views.width
    before = NOTHING
    facet = Facet()
    for x in range(k * run, wp.min(k * run + run, views.width)):
        entry = seen[start + x]
        if entry == NOTHING:
            depth[view, y, x] = wp.inf
            part[view, y, x] = -1
            instance[view, y, x] = 0
            normal[view, y, x] = wp.vec3()
            smooth[view, y, x] = wp.vec3()
            continue
        number = entry & wp.uint64(0xFFFFFFFF)
        if number != before:
            facet = facet_of(geometry, views, view, entry)
            before = number
        uv = ray_at(views, view, x, y)
        z = wp.float64(1.0) / value(facet.over_z, uv)
        depth[view, y, x] = float(z)
        part[view, y, x] = geometry.part[facet.instance]
        instance[view, y, x] = geometry.label[facet.instance]
        normal[view, y, x] = facet.normal_W
        smooth[view, y, x] = smooth_normal(geometry, facet, weights(facet, uv, z))
