# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Colour at edges: the mean of what the samples of a pixel show, each under its own light."""

import warp as wp

from generators.raster import tables
from generators.raster.cells import CELL
from generators.raster.facet import fetch
from generators.raster.layout import Geometry, Lights, Looks, Target, Views
from generators.raster.look import NOBODY, Look
from generators.raster.occlusion import open_to_sky
from generators.raster.rows import Colors, Places, Row
from generators.raster.sampled import Entries, next_edge, seen_by
from generators.raster.shading import light_from
from generators.raster.visibility import SAMPLES, place_of, seen_at

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 0})

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
    coarse: wp.array3d(dtype=wp.float32),
    hidden: wp.array3d(dtype=wp.float32),
    soft_to_srgb: wp.array(dtype=wp.uint8),
    rgb: wp.array3d(dtype=wp.vec3ub),
):
    """Write the mean colour of the samples of each pixel at an edge."""
    view, y, k = wp.tid()
    look = Look()
    look.number = NOBODY
    entries = Entries()
    u = Row()
    v = Row()
    columns = Places()
    lines = Places(y)
    start = view * views.height + y
    row = start * ((views.width + CELL - 1) // CELL)
    end = wp.min(k * run + run, views.width)
    x = next_edge(target.edges, row, k * run, end)
    other = next_edge(target.edges, row, x + 1, end)
    while x < end:
        # Two pixels' samples are lit at once; the last of a row may be alone, twice.
        following = next_edge(target.edges, row, other + 1, end)
        last = next_edge(target.edges, row, following + 1, end)
        for which in range(2):
            ahead = wp.where(which == 0, following, last)
            if ahead < end:
                fetch(
                    target.samples, target.slots[start * views.width + ahead] * SAMPLES, SAMPLES,
                    geometry.item_first, geometry.corners, geometry.normals,
                )  # fmt: skip
        for lane in range(2 * SAMPLES):
            at = wp.where(lane < SAMPLES or other == end, x, other)
            sample = target.slots[start * views.width + at] * SAMPLES + lane % SAMPLES
            uv = seen_at(views, view, at, y, place_of(lane % SAMPLES))
            entries[lane] = target.samples[sample]
            columns[lane] = at
            u[lane] = uv[0]
            v[lane] = uv[1]
        seen = seen_by(
            geometry.item_instance, geometry.item_first, geometry.corners, geometry.normals,
            views.X_CS, views.R_WS, view, views.R_WC[view], views.lens[view], entries, u, v,
        )  # fmt: skip
        facing = Colors()
        own = Colors()
        for c in range(3):
            facing[c] = seen[3 + c]
            own[c] = seen[6 + c]
        exposed = open_to_sky(coarse, hidden, view, columns, lines, seen[0])
        light, look = light_from(
            geometry, views, looks, lights, view, look, entries, u, v, seen[0], seen[1], seen[2],
            facing, own, exposed, True,
        )  # fmt: skip
        for part in range(2):
            total = wp.vec3()
            for s in range(SAMPLES):
                lane = part * SAMPLES + s
                total += wp.vec3(
                    softened(light[0, lane] + light[3, lane]),
                    softened(light[1, lane] + light[4, lane]),
                    softened(light[2, lane] + light[5, lane]),
                )
            scale = STEPS / float(SAMPLES)
            rgb[view, y, wp.where(part == 0 or other == end, x, other)] = wp.vec3ub(
                soft_to_srgb[int(total[0] * scale + 0.5)],
                soft_to_srgb[int(total[1] * scale + 0.5)],
                soft_to_srgb[int(total[2] * scale + 0.5)],
            )
        x = following
        other = last
