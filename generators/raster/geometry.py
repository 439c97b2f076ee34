"""All that a scene can show, in arrays that stay on the device: meshes once, instances as a table.

An item is one cluster of one instance; the triangle k of item i is known everywhere by the number
64·i + k, whatever else is in the picture, so that ties in depth are broken the same way always.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float, Int32

from envs.stage.scene import Mesh, Shape
from envs.world.primitives import drawable
from generators.raster.layout import Geometry
from generators.raster.meshes import PackedMesh, pack
from generators.raster.stand_ins import coarser
from generators.renderer import Part

BLOCK = 64
"""Points that one thread of a CPU, or one block of a GPU, projects."""


@dataclass(frozen=True)
class Instances:
    """What the host knows of the instances, to place and to cull them.

    Attributes:
        names: Of the bodies of all parts.
        part: Index of the part that each belongs to.
        X_BS: Pose in its body.
        middle: Of its bounding sphere, in the frame of the shape, m.
        radius_m: Of that sphere.
        shapes: What each was made from.
        items: Of the whole scene; points: that a view projects; triangles: of all instances.
    """

    names: tuple[str, ...]
    part: Int32[np.ndarray, "i"]
    X_BS: Float[np.ndarray, "i 4 4"]
    middle: Float[np.ndarray, "i 3"]
    radius_m: Float[np.ndarray, "i"]
    shapes: tuple[Shape, ...]
    items: int
    blocks: int
    points: int
    triangles: int


def upload(
    parts: Sequence[Part], device: str, *, stand_ins: bool = False
) -> tuple[Instances, Geometry]:
    """Put the visuals of all parts on a device; meshes that are equal are stored once.

    Args:
        parts: Of the scene.
        device: Warp's name.
        stand_ins: Coarser meshes, which are as good for shadows.
    """
    meshes: list[PackedMesh] = []
    known: dict[bytes, int] = {}
    mesh_of, part_of, shapes = [], [], []
    for number, part in enumerate(parts):
        for shape in part.body.visuals:
            key = _key(shape)
            if key not in known:
                known[key] = len(meshes)
                mesh = drawable(shape)
                meshes.append(pack(coarser(mesh) if stand_ins else mesh))
            mesh_of.append(known[key])
            part_of.append(number)
            shapes.append(shape)
    return _arrays(parts, meshes, mesh_of, part_of, shapes, device)


def _key(shape: Shape) -> bytes:
    """Return what equal meshes have in common."""
    if shape.mesh is None:
        return repr((shape.kind, shape.size)).encode()
    mesh: Mesh = shape.mesh
    digest = hashlib.sha256()
    for array in (mesh.vertices, mesh.triangles, mesh.normals, mesh.uvs):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _arrays(
    parts: Sequence[Part],
    meshes: Sequence[PackedMesh],
    mesh_of: Sequence[int],
    part_of: Sequence[int],
    shapes: Sequence[Shape],
    device: str,
) -> tuple[Instances, Geometry]:
    point_start = np.cumsum([0, *(len(m.points) for m in meshes)])
    triangle_start = np.cumsum([0, *(len(m.triangles) for m in meshes)])
    cluster_start = np.cumsum([0, *(len(m.starts) - 1 for m in meshes)])
    item_instance, item_cluster, blocks, shift = [], [], [], []
    projected = 0
    for instance, m in enumerate(mesh_of):
        clusters = np.arange(cluster_start[m], cluster_start[m + 1])
        item_cluster.append(clusters)
        item_instance.append(np.full(len(clusters), instance))
        shift.append(projected - int(point_start[m]))
        for first in range(int(point_start[m]), int(point_start[m + 1]), BLOCK):
            blocks.append((instance, first, min(first + BLOCK, int(point_start[m + 1]))))
        projected += len(meshes[m].points)
    block = np.array(blocks, np.int32).reshape(-1, 3)

    def put(values: object, dtype: Any) -> wp.array:
        return wp.array(values, dtype=dtype, device=device)

    def joined(name: str, width: int) -> Float[np.ndarray, "n width"]:
        arrays = [getattr(m, name).reshape(-1, width) for m in meshes]
        return np.concatenate([np.zeros((0, width), np.float32), *arrays]).astype(np.float32)

    def counted(values: Sequence[object]) -> Int32[np.ndarray, "n"]:
        return np.concatenate([np.zeros(0, np.int32), *values]).astype(np.int32)

    geometry = Geometry()
    geometry.points = put(joined("points", 3), wp.vec3)
    corners = np.concatenate([np.zeros((0, 3), np.int32), *(m.triangles for m in meshes)])
    geometry.triangles = put(corners, wp.vec3i)
    geometry.corners = put(joined("corners", 3), wp.vec3)
    geometry.normals = put(joined("normals", 3), wp.vec3)
    geometry.uvs = put(joined("uvs", 2), wp.vec2)
    geometry.per_metre = put(joined("per_metre", 1)[:, 0], wp.float32)
    firsts = [m.starts[:-1] + t for m, t in zip(meshes, triangle_start[:-1], strict=True)]
    ends = [m.starts[1:] + t for m, t in zip(meshes, triangle_start[:-1], strict=True)]
    begins = [np.full(len(m.starts) - 1, p) for m, p in zip(meshes, point_start[:-1], strict=True)]
    geometry.cluster_first = put(counted(firsts), wp.int32)
    geometry.cluster_end = put(counted(ends), wp.int32)
    geometry.cluster_points = put(counted(begins), wp.int32)
    geometry.sphere = put(joined("spheres", 4), wp.vec4)
    geometry.cone = put(joined("cones", 4), wp.vec4)
    geometry.item_instance = put(counted(item_instance), wp.int32)
    geometry.item_cluster = put(counted(item_cluster), wp.int32)
    geometry.item_first = put(counted(firsts)[counted(item_cluster)], wp.int32)
    geometry.block_instance = put(np.ascontiguousarray(block[:, 0]), wp.int32)
    geometry.block_first = put(np.ascontiguousarray(block[:, 1]), wp.int32)
    geometry.block_end = put(np.ascontiguousarray(block[:, 2]), wp.int32)
    geometry.shift = put(np.array(shift, np.int32), wp.int32)
    geometry.part = put(np.array(part_of, np.int32), wp.int32)
    labels = np.array([parts[p].instance.id for p in part_of], np.int32)
    geometry.label = put(labels, wp.int32)
    return Instances(
        names=tuple(part.body.name for part in parts),
        part=np.array(part_of, np.int32),
        X_BS=np.array([s.X_BS for s in shapes]).reshape(-1, 4, 4),
        middle=np.array([meshes[m].middle for m in mesh_of], float).reshape(-1, 3),
        radius_m=np.array([meshes[m].radius_m for m in mesh_of], float),
        shapes=tuple(shapes),
        items=sum(len(i) for i in item_instance),
        blocks=len(block),
        points=projected,
        triangles=int(sum(len(meshes[m].triangles) for m in mesh_of)),
    ), geometry


def words(parts: Sequence[Part]) -> int:
    """Return how many 64-bit words hold a bit for each instance of a scene."""
    return -(-max((part.instance.id for part in parts), default=1) // 64)
