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
        per_metre: How far uvs move on each triangle, per metre.
        cluster_first: First triangle of each cluster; cluster_end the one after its last.
        cluster_points: Where the points of its mesh begin.
        sphere: Middle and radius of each cluster; cone its normals, see `PackedMesh`.
        item_instance: Instance of each item; item_cluster its cluster; item_first the first
            triangle of that.
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
    per_metre: wp.array(dtype=wp.float32)
    cluster_first: wp.array(dtype=wp.int32)
    cluster_end: wp.array(dtype=wp.int32)
    cluster_points: wp.array(dtype=wp.int32)
    sphere: wp.array(dtype=wp.vec4)
    cone: wp.array(dtype=wp.vec4)
    item_instance: wp.array(dtype=wp.int32)
    item_cluster: wp.array(dtype=wp.int32)
    item_first: wp.array(dtype=wp.int32)
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
        lens: fx, fy, cx, cy in pixels, with the camera's shift.
        slopes: 1/fx, 1/fy, cx/fx, cy/fy: x/z is u·slopes[0] − slopes[2].
        reach: Near plane, far plane, m.
        R_WC: From each camera's axes to the world's.
        p_WC: Where each camera is, m.
        X_CS: Pose of each instance in each camera, three rows.
        R_WS: From the axes of each instance's mesh to the world's.
        state: HIDDEN, SEEN or OUTSIDE of each instance.
        distorted: Whether `rays` holds; else it is empty.
        low: The least x/z and y/z in the picture, and √(1 + …²) of each; high: the largest.
        margin: See `LensTable`; without distortion half a pixel.
        rays: The undistorted pixel that each pixel sees; tiles, cells: see `LensTable`.
        grid: Where the cells begin, and how many there are along u and v.
    """

    width: wp.int32
    height: wp.int32
    distorted: wp.int32
    lens: wp.array(dtype=wp.vec4d)
    slopes: wp.array(dtype=wp.vec4)
    reach: wp.array(dtype=wp.vec2)
    R_WC: wp.array(dtype=wp.mat33)
    p_WC: wp.array(dtype=wp.vec3)
    X_CS: wp.array3d(dtype=wp.vec4d)
    R_WS: wp.array2d(dtype=wp.mat33)
    state: wp.array2d(dtype=wp.uint8)
    low: wp.array(dtype=wp.vec4)
    high: wp.array(dtype=wp.vec4)
    margin: wp.array(dtype=wp.float32)
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
        fine: Whether only pixels with a slot are looked at, at `SAMPLES` places each.
        edges: A bit for each pixel that lies at an edge; the eight of a cell's row are one entry.
        edge_cells: By view and cell, whether there is such a pixel in it.
        slots: Of the pixels at edges, their place in `samples`; of all others nothing.
        samples: Like `seen`, at the places of pixels with a slot.
        aside: Numbers of the views and triangles that are put aside; count says how many.
    """

    pixels: wp.int32
    seen: wp.array(dtype=wp.uint64)
    words: wp.int32
    cover: wp.array(dtype=wp.uint64)
    fine: wp.int32
    edges: wp.array(dtype=wp.uint8)
    edge_cells: wp.array2d(dtype=wp.uint8)
    slots: wp.array(dtype=wp.int32)
    samples: wp.array(dtype=wp.uint64)
    aside: wp.array(dtype=wp.uint64)
    count: wp.array(dtype=wp.int32)


@wp.struct
class Image:
    """A picture with its smaller copies, level after level, each half as large.

    Attributes:
        first: Its first texel; width, height of the first level; levels: how many there are.
        wrap_s: 0 repeat, 1 clamp, 2 mirror, 3 black beyond the edges; wrap_t along t.
        channel: −1 for all, or the one that is taken.
        scale, bias: Of the values.
        along_s, along_t: Rows of [A | b]: the image is read at A·uv + b.
    """

    first: wp.int32
    width: wp.int32
    height: wp.int32
    levels: wp.int32
    wrap_s: wp.int32
    wrap_t: wp.int32
    channel: wp.int32
    scale: wp.vec4
    bias: wp.vec4
    along_s: wp.vec3
    along_t: wp.vec3


@wp.struct
class Paint:
    """How an instance looks in one picture; images are numbers in the list, −1 for none.

    Attributes:
        base: Linear RGB; multiplies the base image and the pattern.
        emissive: Linear RGB of the light it gives off.
        reflection: What it reflects head-on where it is no metal.
    """

    base: wp.vec3
    emissive: wp.vec3
    reflection: wp.vec3
    roughness: wp.float32
    metallic: wp.float32
    base_image: wp.int32
    pattern_image: wp.int32
    roughness_image: wp.int32
    metallic_image: wp.int32
    emissive_image: wp.int32
    normal_image: wp.int32


@wp.struct
class Looks:
    """All that colours are looked up in.

    Attributes:
        texels: Of all images, RGBA of 16 bits each, R the lowest; colours are linear.
        to_srgb: sRGB byte of light, from 0 to LIGHT_RANGE in equal steps, softened where bright.
        paints: By view and instance.
    """

    texels: wp.array(dtype=wp.uint64)
    to_srgb: wp.array(dtype=wp.uint8)
    images: wp.array(dtype=Image)
    paints: wp.array2d(dtype=Paint)


@wp.struct
class Lamp:
    """A lamp of one view; its middle stands at p_W, but a distant light's.

    Attributes:
        kind: Which of `generators.lamps.KINDS`.
        toward_W: Unit vector to a distant light; a rectangle shines the other way.
        p_W: Middle of a sphere or rectangle, m.
        x_W: From the middle of a rectangle to that of an edge, m; y_W: to that of the next one.
        radius: Of a sphere, m; of a distant light, the tangent of half its angle.
        strength: What a white surface that faces a distant light gives back: irradiance over π; of
            a sphere this times the square of the distance, m²; of a rectangle its radiance over π.
        map: Its shadow map; −1: it throws no shadow.
        penumbra: Half the width of a shadow's soft edge, in texels of its map.
        texel: Size of a texel one metre away from where the map is drawn from, m.
    """

    kind: wp.int32
    toward_W: wp.vec3
    p_W: wp.vec3
    x_W: wp.vec3
    y_W: wp.vec3
    radius: wp.float32
    strength: wp.vec3
    map: wp.int32
    penumbra: wp.float32
    texel: wp.float32


@wp.struct
class Sky:
    """The light of a view that comes from everywhere; linear RGB.

    Attributes:
        constant, toward_x, toward_y, toward_z: What a white surface gives back that faces n is
            constant + toward_x·n_x + toward_y·n_y + toward_z·n_z, and under a dome
        xy, yz, zz, xz, xx: besides xy·n_x·n_y + yz·n_y·n_z + zz·(3·n_z² − 1) + xz·n_x·n_z
            + xx·(n_x² − n_y²).
        dome: First texel of the picture of what is all around; −1 for none: then it is backdrop.
        rows, columns: Of that picture; gain: what it and its polynomial are multiplied with.
        R_DW: From the world's axes to the picture's, see `generators.environment`; n is in them.
        backdrop: What is seen where nothing is.
        focus_W: Middle of the floor that is seen, m.
        fade_m: Where the floor begins to turn into the backdrop, and where it has.
        lamps: How many lamps the view has.
    """

    constant: wp.vec3
    toward_x: wp.vec3
    toward_y: wp.vec3
    toward_z: wp.vec3
    xy: wp.vec3
    yz: wp.vec3
    zz: wp.vec3
    xz: wp.vec3
    xx: wp.vec3
    dome: wp.int32
    rows: wp.int32
    columns: wp.int32
    gain: wp.float32
    R_DW: wp.mat33
    backdrop: wp.vec3
    focus_W: wp.vec3
    fade_m: wp.vec2
    lamps: wp.int32


@wp.struct
class Lights:
    """All light of a launch.

    Attributes:
        skies: By view; lamps: by view and number.
        domes: Linear RGB of all pictures of what is all around, row after row.
        maps: The cameras that the shadow maps are drawn from.
        depths: 1/z of their texels, one map after another; 0 where nothing is.
        tiles: The largest and the least 1/z around each tile of each map.
        disc: Points that cover the unit disc evenly, where shadows are looked up.
        split_sum: What microfacets reflect of a white sky, see `tables.packed_split_sum`.
    """

    skies: wp.array(dtype=Sky)
    domes: wp.array(dtype=wp.vec3)
    lamps: wp.array2d(dtype=Lamp)
    maps: Views
    depths: wp.array(dtype=wp.float32)
    tiles: wp.array2d(dtype=wp.vec2)
    disc: wp.array(dtype=wp.vec2)
    split_sum: wp.array2d(dtype=wp.uint32)
