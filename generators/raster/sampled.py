# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""What eight places of a picture see, each another triangle perhaps: all of them in one go.

The loop is in C++ so that a CPU fetches the eight triangles together, not one after another.
"""

import warp as wp

from generators.raster.rows import Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 4})

Entries = wp.types.vector(length=8, dtype=wp.uint64)

Seen = wp.types.matrix(shape=(9, 8), dtype=wp.float32)
"""Depth, weights of the second and third corner, facing normals, and the meshes' own."""


@wp.func_native("""
    const wp::vec_t<4, wp::float64>* const poses = X_CS.data + view * X_CS.shape[1] * 3;
    const wp::mat_t<3, 3, wp::float32>* const turns = R_WS.data + view * R_WS.shape[1];
    wp::mat_t<9, 8, wp::float32> seen;
    for (int k = 0; k < 8; ++k) {
        const int number = (int)(wp::uint32)entries[k], item = number / 64;
        const int t = 3 * (item_first.data[item] + number % 64), who = item_instance.data[item];
        const wp::vec_t<4, wp::float64>* const pose = poses + 3 * who;
        double p[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j)
                p[i][j] = pose[j][0] * corners.data[t + i][0] + pose[j][1] * corners.data[t + i][1]
                        + pose[j][2] * corners.data[t + i][2] + pose[j][3];
        const double ax = p[0][0], ay = p[0][1], az = p[0][2];
        const double bx = p[1][0] - ax, by = p[1][1] - ay, bz = p[1][2] - az;
        const double cx = p[2][0] - ax, cy = p[2][1] - ay, cz = p[2][2] - az;
        const double nx = by * cz - bz * cy, ny = bz * cx - bx * cz, nz = bx * cy - by * cx;
        const double volume = nx * ax + ny * ay + nz * az;
        const double x = (u[k] - lens[2]) / lens[0], y = (v[k] - lens[3]) / lens[1];
        const double depth = volume / (nx * x + ny * y + nz);
        // A corner's weight is the share of the plane through the camera and the opposite edge.
        const double scale = depth / volume;
        const float second = (float)(((cy * az - cz * ay) * x + (cz * ax - cx * az) * y
                                      + (cx * ay - cy * ax)) * scale);
        const float third = (float)(((ay * bz - az * by) * x + (az * bx - ax * bz) * y
                                     + (ax * by - ay * bx)) * scale);
        const double length = ::sqrt(nx * nx + ny * ny + nz * nz);
        const double unit = volume > 0.0 ? -1.0 / length : 1.0 / length;
        const float fx = (float)(nx * unit), fy = (float)(ny * unit), fz = (float)(nz * unit);
        const float first = 1.0f - second - third;
        float own[3], facing[3], mesh[3];
        for (int i = 0; i < 3; ++i)
            mesh[i] = normals.data[t][i] * first + normals.data[t + 1][i] * second
                    + normals.data[t + 2][i] * third;
        for (int i = 0; i < 3; ++i) {
            facing[i] = R_WC.data[i][0] * fx + R_WC.data[i][1] * fy + R_WC.data[i][2] * fz;
            own[i] = turns[who].data[i][0] * mesh[0] + turns[who].data[i][1] * mesh[1]
                   + turns[who].data[i][2] * mesh[2];
        }
        const float size = ::sqrtf(own[0] * own[0] + own[1] * own[1] + own[2] * own[2]);
        const float side = own[0] * facing[0] + own[1] * facing[1] + own[2] * facing[2];
        const float to_unit = (side < 0.0f ? -1.0f : 1.0f) / size;
        seen.data[0][k] = (float)depth;
        seen.data[1][k] = second;
        seen.data[2][k] = third;
        for (int i = 0; i < 3; ++i) {
            seen.data[3 + i][k] = facing[i];
            seen.data[6 + i][k] = size < 1e-6f ? facing[i] : own[i] * to_unit;
        }
    }
    return seen;
""")
def seen_by(
    item_instance: wp.array(dtype=wp.int32),
    item_first: wp.array(dtype=wp.int32),
    corners: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    X_CS: wp.array3d(dtype=wp.vec4d),
    R_WS: wp.array2d(dtype=wp.mat33),
    view: int,
    R_WC: wp.mat33,
    lens: wp.vec4d,
    entries: Entries,
    u: Row,
    v: Row,
) -> Seen:
    """Return the depths, corner weights and normals of eight entries of the visibility buffer.

    Where nothing is seen it says something of no matter.

    Args:
        item_instance: See `Geometry`, as for the next three.
        item_first: First triangle of each item.
        corners: Of the triangles.
        normals: At those corners.
        X_CS: See `Views`, as for the next.
        R_WS: From the axes of each mesh to the world's.
        view: Which camera.
        R_WC: Its axes in the world.
        lens: Its lens.
        entries: Of the visibility buffer.
        u: Undistorted pixels.
        v: The same, downwards.
    """
    ...


@wp.func_native("""
    int column = x / 8, bits = x < end ? edges.data[row + column] & (255 << (x % 8)) : 0;
    while (bits == 0) {
        if (8 * ++column >= end) return end;
        bits = edges.data[row + column];
    }
    int found = 8 * column;
    for (; (bits & 1) == 0; bits >>= 1) ++found;
    return found < end ? found : end;
""")
def next_edge(edges: wp.array(dtype=wp.uint8), row: int, x: int, end: int) -> int:
    """Return the first pixel of a row, from x on, that lies at an edge; `end` where none does.

    Args:
        edges: See `Target`.
        row: Where the row begins in them.
        x: The first that counts.
        end: The one after the last.
    """
    ...
