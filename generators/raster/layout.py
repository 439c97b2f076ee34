# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""The structures that the kernels read and write; what fills them stands beside each."""

import warp as wp


@wp.struct
class Geometry:
    """What the kernels read. All lists of one kind lie one after another.

    Attributes:
        points: Corners of all meshes in the frames of their shapes, m.
        triangles: Indices into the points of their own mesh.
        corners: Positions at the three corners of each triangle; normals and uvs likewise.
        cluster_first: First triangle of each cluster; cluster_end the one after its last.
        cluster_points: Where the points of its mesh begin.
        sphere: Middle and radius of each cluster; cone its normals, see `PackedMesh`.
        item_instance: Instance of each item; item_cluster its cluster.
        block_instance: Instance of each block of points; block_first, block_end its points.
        shift: Per instance what leads from a point of its mesh to that of its projection.
        part: Of each instance, as the renderer counts.
        label: `Instance.id` of each instance.
    """

    points: wp.array(dtype=wp.vec3)
    triangles: wp.array(dtype=wp.vec3i)
    corners: wp.array(dtype=wp.vec3)
    normals: wp.array(dtype=wp.vec3)
    uvs: wp.array(dtype=wp.vec2)
    cluster_first: wp.array(dtype=wp.int32)
    cluster_end: wp.array(dtype=wp.int32)
    cluster_points: wp.array(dtype=wp.int32)
    sphere: wp.array(dtype=wp.vec4)
    cone: wp.array(dtype=wp.vec4)
    item_instance: wp.array(dtype=wp.int32)
    item_cluster: wp.array(dtype=wp.int32)
    block_instance: wp.array(dtype=wp.int32)
    block_first: wp.array(dtype=wp.int32)
    block_end: wp.array(dtype=wp.int32)
    shift: wp.array(dtype=wp.int32)
    part: wp.array(dtype=wp.int32)
    label: wp.array(dtype=wp.int32)


@wp.struct
class Views:
    """What the kernels read of all views of a launch; arrays begin with the view.

    Attributes:
        lens: fx, fy, cx, cy in pixels.
        reach: Near plane, far plane, m.
        R_WC: From each camera's axes to the world's.
        p_WC: Where each camera is, m.
        X_CS: Pose of each instance in each camera, three rows.
        state: HIDDEN, SEEN or OUTSIDE of each instance.
        distorted: Whether `rays` holds; else it is empty.
        low: The least x/z and y/z in the picture, and √(1 + …²) of each; high: the largest.
        rays: The undistorted pixel that each pixel sees; tiles, cells: see `LensTable`.
        grid: Where the cells begin, and how many there are along u and v.
    """

    width: wp.int32
    height: wp.int32
    distorted: wp.int32
    lens: wp.array(dtype=wp.vec4d)
    reach: wp.array(dtype=wp.vec2)
    R_WC: wp.array(dtype=wp.mat33)
    p_WC: wp.array(dtype=wp.vec3)
    X_CS: wp.array3d(dtype=wp.vec4d)
    state: wp.array2d(dtype=wp.uint8)
    low: wp.array(dtype=wp.vec4)
    high: wp.array(dtype=wp.vec4)
    rays: wp.array2d(dtype=wp.vec2)
    tiles: wp.array2d(dtype=wp.vec4)
    cells: wp.array2d(dtype=wp.vec4i)
    grid: wp.array(dtype=wp.vec4)


@wp.struct
class Target:
    """What the passes write, for all views one after another.

    Attributes:
        pixels: Of one view.
        seen: The visibility buffer.
        words: Per pixel of `cover`; 0 where it is not asked for.
        cover: A bit for each instance that lies on the pixel's ray.
        aside: Numbers of the views and triangles that are put aside; count says how many.
    """

    pixels: wp.int32
    seen: wp.array(dtype=wp.uint64)
    words: wp.int32
    cover: wp.array(dtype=wp.uint64)
    aside: wp.array(dtype=wp.uint64)
    count: wp.array(dtype=wp.int32)
