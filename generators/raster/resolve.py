# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""From the visibility buffer to exact labels: depth, ids and normals at each pixel's centre."""

import warp as wp

from generators.raster.cells import CELL, EMPTY, MIXED
from generators.raster.facet import Facet, facet_of, fetch, ray_at
from generators.raster.layout import Geometry, Views
from generators.raster.rows import Row
from generators.raster.sampled import Entries, Seen, seen_by

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})


@wp.func_native("""
    const wp::vec2* const seen = rays.data + ray;
    float* const z = depth.data + first;
    const auto look = [&](const auto& column, const auto& line) {
        for (int k = 0; k < 8; ++k)
            z[k] = (float)(1.0 / (over_z[0] * column(k) + (over_z[1] * line(k) + over_z[2])));
        for (int k = 0; k < 8; ++k) {
            const double x = column(k), y = line(k);
            shares.data[first + k][0] = (float)(second[0] * x + (second[1] * y + second[2])) * z[k];
            shares.data[first + k][1] = (float)(third[0] * x + (third[1] * y + third[2])) * z[k];
        }
    };
    if (distorted)
        look([&](int k) { return (double)seen[k][0]; }, [&](int k) { return (double)seen[k][1]; });
    else
        look([&](int k) { return (double)(u + k); }, [&](int) { return (double)v; });
    for (int k = 0; k < 8; ++k) part.data[first + k] = whose;
    for (int k = 0; k < 8; ++k) instance.data[first + k] = id;
    for (int k = 0; k < 8; ++k) normal.data[first + k] = facing;
    for (int k = 0; k < 8; ++k) smooth.data[first + k] = own;
""")
def label_row(
    first: int,
    u: int,
    v: int,
    distorted: int,
    rays: wp.array2d(dtype=wp.vec2),
    ray: int,
    over_z: wp.vec3d,
    second: wp.vec3d,
    third: wp.vec3d,
    whose: int,
    id: int,
    facing: wp.vec3,
    own: wp.vec3,
    depth: wp.array3d(dtype=wp.float32),
    part: wp.array3d(dtype=wp.int32),
    instance: wp.array3d(dtype=wp.int32),
    normal: wp.array3d(dtype=wp.vec3),
    smooth: wp.array3d(dtype=wp.vec3),
    shares: wp.array3d(dtype=wp.vec2),
):
    """Write the labels of eight pixels of one flat triangle, in loops that a CPU vectorises.

    Args:
        first: Number of the first pixel.
        u: Its column.
        v: Its row.
        distorted: Whether the lens distorts.
        rays: Then, the undistorted pixels that the pixels of each view see.
        ray: Which of them is the first pixel's.
        over_z: See `Facet`, as the next two.
        second: Weight of the second corner over z.
        third: Weight of the third corner over z.
        whose: Number of the part.
        id: Of the instance.
        facing: The triangle's normal.
        own: The mesh's normal.
        depth: Where labels go, as all that follow.
        part: Numbers of parts.
        instance: Instance ids.
        normal: Normals of triangles.
        smooth: Normals of meshes.
        shares: Weights of the second and third corner.
    """
    ...


@wp.func_native("""
    for (int k = 0; k < count; ++k) {
        const bool there = entries[k] != 0;
        const int who = item_instance.data[(wp::uint32)entries[k] / 64];
        depth.data[first + k] = there ? found.data[0][k] : INFINITY;
        part.data[first + k] = there ? part_of.data[who] : -1;
        instance.data[first + k] = there ? label_of.data[who] : 0;
        for (int n = 0; n < 3; ++n) {
            normal.data[first + k][n] = there ? found.data[3 + n][k] : 0.0f;
            smooth.data[first + k][n] = there ? found.data[6 + n][k] : 0.0f;
        }
        for (int n = 0; n < 2; ++n) shares.data[first + k][n] = found.data[1 + n][k];
    }
""")
def label_places(
    first: int,
    count: int,
    item_instance: wp.array(dtype=wp.int32),
    part_of: wp.array(dtype=wp.int32),
    label_of: wp.array(dtype=wp.int32),
    entries: Entries,
    found: Seen,
    depth: wp.array3d(dtype=wp.float32),
    part: wp.array3d(dtype=wp.int32),
    instance: wp.array3d(dtype=wp.int32),
    normal: wp.array3d(dtype=wp.vec3),
    smooth: wp.array3d(dtype=wp.vec3),
    shares: wp.array3d(dtype=wp.vec2),
):
    """Write the labels of some pixels in a row, each of a triangle of its own, or of none.

    Args:
        first: Number of the first pixel.
        count: How many pixels, eight at most.
        item_instance: See `Geometry`.
        part_of: Part of each instance.
        label_of: Id of each instance.
        entries: Of the visibility buffer.
        found: What `seen_by` says of them.
        depth: Where labels go, as all that follow; see `label_row`.
        part: Numbers of parts.
        instance: Instance ids.
        normal: Normals of triangles.
        smooth: Normals of meshes.
        shares: Weights of the second and third corner.
    """
    ...


@wp.kernel
def label(
    geometry: Geometry,
    views: Views,
    run: int,
    seen: wp.array(dtype=wp.uint64),
    filled: wp.array2d(dtype=wp.uint32),
    depth: wp.array3d(dtype=wp.float32),
    part: wp.array3d(dtype=wp.int32),
    instance: wp.array3d(dtype=wp.int32),
    normal: wp.array3d(dtype=wp.vec3),
    smooth: wp.array3d(dtype=wp.vec3),
    shares: wp.array3d(dtype=wp.vec2),
):
    """Write the labels of `run` cells' pixels in a row, and the weights of their corners."""
    view, y, k = wp.tid()
    across = (views.width + CELL - 1) // CELL
    start = (view * views.height + y) * views.width
    before = MIXED
    facet = Facet()
    for column in range(k * run, wp.min(k * run + run, across)):
        left = column * CELL
        one = filled[view, (y // CELL) * across + column]
        ahead = column + 1
        if ahead < across and filled[view, (y // CELL) * across + ahead] == MIXED:
            fetch(
                seen, start + ahead * CELL, wp.min(CELL, views.width - ahead * CELL),
                geometry.item_first, geometry.corners, geometry.normals,
            )  # fmt: skip
        if one < EMPTY and left + CELL <= views.width:
            if one != before:
                facet = facet_of(geometry, views, view, one)
                before = one
            if facet.flat != 0:
                label_row(
                    start + left, left, y, views.distorted, views.rays,
                    (view * views.height + y) * views.width + left,
                    facet.over_z, facet.second, facet.third,
                    geometry.part[facet.instance], geometry.label[facet.instance],
                    facet.normal_W, facet.smooth_W, depth, part, instance, normal, smooth, shares,
                )  # fmt: skip
                continue
        count = wp.min(CELL, views.width - left)
        if one == EMPTY:
            for x in range(left, left + count):
                depth[view, y, x] = wp.inf
                part[view, y, x] = -1
                instance[view, y, x] = 0
                normal[view, y, x] = wp.vec3()
                smooth[view, y, x] = wp.vec3()
            continue
        entries = Entries()
        u = Row()
        v = Row()
        for n in range(count):
            entries[n] = seen[start + left + n]
            uv = ray_at(views, view, left + n, y)
            u[n] = uv[0]
            v[n] = uv[1]
        found = seen_by(
            geometry.item_instance, geometry.item_first, geometry.corners, geometry.normals,
            views.X_CS, views.R_WS, view, views.R_WC[view], views.lens[view], entries, u, v,
        )  # fmt: skip
        label_places(
            start + left, count, geometry.item_instance, geometry.part, geometry.label, entries,
            found, depth, part, instance, normal, smooth, shares,
        )  # fmt: skip
