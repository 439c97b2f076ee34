# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Colour at edges: the mean of what the samples of a pixel show, each under its own light."""

import warp as wp

from generators.raster import tables
from generators.raster.facet import NOTHING, Facet, facet_of, smooth_normal, weights
from generators.raster.layout import Geometry, Lights, Looks, Target, Views
from generators.raster.look import NOBODY, Look
from generators.raster.occlusion import open_to_sky
from generators.raster.rows import Colors, Row
from generators.raster.shading import Entries, light_from
from generators.raster.visibility import SAMPLES, marked, place_of, seen_at

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
    target: Target,
    depth: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    soft_to_srgb: wp.array(dtype=wp.uint8),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the mean colour of the samples of each pixel at an edge."""
    view, y, k = wp.tid()
    before = NOTHING
    facet = Facet()
    look = Look()
    look.number = NOBODY
    entries = Entries()
    u = Row()
    v = Row()
    depths = Row()
    second = Row()
    third = Row()
    facing = Colors()
    own = Colors()
    exposed = Row()
    # Two pixels' samples are lit at once; the one that waits, and how many samples do.
    waiting = int(0)
    held = int(0)
    end = wp.min(k * run + run, views.width)
    for x in range(k * run, end + 1):
        slot = int(-1)
        if x < end and marked(target, views, view, x, y):
            slot = target.slots[(view * views.height + y) * views.width + x]
        if slot >= 0:
            for s in range(SAMPLES):
                entry = target.samples[slot * SAMPLES + s]
                uv = seen_at(views, view, x, y, place_of(s))
                lane = held + s
                entries[lane] = entry
                u[lane] = uv[0]
                v[lane] = uv[1]
                if entry != NOTHING:
                    number = entry & wp.uint64(0xFFFFFFFF)
                    if number != before:
                        facet = facet_of(geometry, views, view, entry)
                        before = number
                    z = 1.0 / wp.cast(wp.uint32(entry >> wp.uint64(32)), wp.float32)
                    depths[lane] = z
                    weight = weights(facet, uv, wp.float64(z))
                    second[lane] = weight[1]
                    third[lane] = weight[2]
                    n = smooth_normal(geometry, facet, weight)
                    for c in range(3):
                        own[c, lane] = n[c]
                        facing[c, lane] = facet.normal_W[c]
                    exposed[lane] = open_to_sky(depth, hidden, view, x, y, z)
            held += SAMPLES
            if held == SAMPLES:
                waiting = x
        if held == 2 * SAMPLES or (x == end and held > 0):
            light, look = light_from(
                geometry, views, looks, lights, view, look, entries, u, v, depths, second, third,
                facing, own, exposed, True,
            )  # fmt: skip
            for part in range(held // SAMPLES):
                total = wp.vec3()
                for s in range(SAMPLES):
                    lane = part * SAMPLES + s
                    total += wp.vec3(
                        softened(light[0, lane] + light[3, lane]),
                        softened(light[1, lane] + light[4, lane]),
                        softened(light[2, lane] + light[5, lane]),
                    )
                scale = STEPS / float(SAMPLES)
                rgb[view, y, wp.where(part == 0, waiting, x)] = wp.vec3ub(
                    soft_to_srgb[int(total[0] * scale + 0.5)],
                    soft_to_srgb[int(total[1] * scale + 0.5)],
                    soft_to_srgb[int(total[2] * scale + 0.5)],
                )
            held = 0
