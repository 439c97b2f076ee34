# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Colour at edges: the mean of what the samples of a pixel show, each under its own light."""

import warp as wp

from generators.raster import tables
from generators.raster.facet import NOTHING, Facet, facet_of, smooth_normal, weights
from generators.raster.layout import Geometry, Lights, Looks, Views
from generators.raster.look import Look, look_at
from generators.raster.occlusion import open_to_sky
from generators.raster.shading import behind, light_at
from generators.raster.visibility import SAMPLES, place_of, seen_at

wp.set_module_options({"enable_backward": False, "max_unroll": 0})

STEPS = wp.constant(float(tables.STEPS))


@wp.func
def softened(x: float) -> float:
    """Return light from 0 to 1; above 0.6 it is compressed, so that it never burns out."""
    if x > 0.6:
        return 0.6 + 0.4 * (1.0 - wp.exp((0.6 - x) / 0.4))
    return wp.max(x, 0.0)


@wp.kernel
def smooth_edges(
    geometry: Geometry,
    views: Views,
    looks: Looks,
    lights: Lights,
    run: int,
    slots: wp.array(dtype=wp.int32),
    samples: wp.array(dtype=wp.uint64),
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    soft_to_srgb: wp.array(dtype=wp.uint8),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the mean colour of the samples of each pixel at an edge."""
    view, y, k = wp.tid()
    before = NOTHING
    look = Look()
    facet = Facet()
    for x in range(k * run, wp.min(k * run + run, views.width)):
        slot = slots[(view * views.height + y) * views.width + x]
        if slot < 0:
            continue
        total = wp.vec3()
        for s in range(SAMPLES):
            entry = samples[slot * SAMPLES + s]
            if entry == NOTHING:
                uv = seen_at(views, view, x, y, place_of(s))
                color = behind(lights, views, view, uv)
            else:
                number = entry & wp.uint64(0xFFFFFFFF)
                if number != before:
                    look = look_at(geometry, views, looks, view, entry)
                    facet = facet_of(geometry, views, view, entry)
                    before = number
                z = 1.0 / wp.cast(wp.uint32(entry >> wp.uint64(32)), wp.float32)
                exposed = open_to_sky(depth, hidden, view, x, y, z)
                uv = seen_at(views, view, x, y, place_of(s))
                n = smooth_normal(geometry, facet, weights(facet, uv, wp.float64(z)))
                light = light_at(
                    geometry, views, looks, lights, view, look, uv, z, n, exposed, True
                )
                color = light.diffuse + light.mirror
            total += wp.vec3(softened(color[0]), softened(color[1]), softened(color[2]))
        scale = STEPS / float(SAMPLES)
        rgb[view, y, x] = wp.vec3ub(
            soft_to_srgb[int(total[0] * scale + 0.5)],
            soft_to_srgb[int(total[1] * scale + 0.5)],
            soft_to_srgb[int(total[2] * scale + 0.5)],
        )
