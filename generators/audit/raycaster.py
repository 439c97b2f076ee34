"""Frames by ray casting with Embree: slow, and as exact as geometry gets; what judges a renderer.

Embree (through trimesh and embreex) finds which triangle a ray meets first; where it meets it is
then worked out in float64 from the triangle's plane.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8, UInt64

from envs.errors import ConfigError
from envs.stage.scene import Body, Scene
from envs.world.primitives import drawable
from generators.camera import Camera
from generators.renderer import Frame, Part, parts_of
from generators.scenario import Scenario


@dataclass(frozen=True)
class _Triangles:
    """Corners (m) with their normals, and whose each triangle is, an index into the parts."""

    corners: Float[np.ndarray, "f 3 3"]
    normals: Float[np.ndarray, "f 3 3"]
    part: Int[np.ndarray, "f"]


@dataclass(frozen=True)
class _Hits:
    """What rays meet: the index of a triangle (−1: none), depth (inf), barycentric weights."""

    face: Int[np.ndarray, "n"]
    depth_m: Float[np.ndarray, "n"]
    weights: Float[np.ndarray, "n 3"]


class RayCaster:
    """A `Renderer` for the audit and for tests; its picture is a plain drawing in grey."""

    def __init__(self, scene: Scene) -> None:
        if find_spec("embreex") is None:
            raise ConfigError(
                "the audit casts rays with Embree, and embreex is not installed; "
                "install it with: pip install 'kinetwin[dev]'"
            )
        self._parts = parts_of(scene)
        self._bodies = tuple(_triangles(p.body, k) for k, p in enumerate(self._parts))
        # The last entry is for −1, where nothing is seen.
        self._instance_of = np.array([p.instance.id for p in self._parts] + [0], np.int32)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All bodies of the scene."""
        return self._parts

    def close(self) -> None:
        """There is nothing to give back."""

    def render(self, scenario: Scenario, *, colors: bool = True) -> Frame:
        """Cast a ray through the centre of each pixel: at all there is, and at each instance."""
        camera = scenario.camera
        world = self._posed(scenario)
        rays = camera.rays().reshape(-1, 3)
        hits = _cast(camera, rays, world.corners)
        seen = hits.face >= 0
        met = hits.face[seen]
        part_id = np.full(len(rays), -1, np.int32)
        part_id[seen] = world.part[met]
        flat, smooth = np.zeros((len(rays), 3)), np.zeros((len(rays), 3))
        flat[seen] = _unit(_face_normals(world.corners[met]))
        smooth[seen] = _unit(np.einsum("nc,nci->ni", hits.weights[seen], world.normals[met]))
        behind = np.einsum("ni,ni->n", flat, rays) > 0
        for normal in (flat, smooth):
            normal[behind] *= -1
        size = (camera.height, camera.width)
        part_id = part_id.reshape(size)
        return Frame(
            rgb=_drawn(flat, rays).reshape(*size, 3),
            depth_m=hits.depth_m.astype(np.float32).reshape(size),
            part_id=part_id,
            instance_id=self._instance_of[part_id],
            camera=camera,
            normal_W=flat.astype(np.float32).reshape(*size, 3),
            smooth_normal_W=smooth.astype(np.float32).reshape(*size, 3),
            cover=self._cover(camera, rays, world, self._instance_of[part_id.ravel()]).reshape(
                *size, -1
            ),
        )

    def _posed(self, scenario: Scenario) -> _Triangles:
        """Return all triangles in the world."""
        corners, normals, parts = [np.zeros((0, 3, 3))], [np.zeros((0, 3, 3))], [np.zeros(0, int)]
        for part, body in zip(self._parts, self._bodies, strict=True):
            if part.body.name in scenario.poses:
                X_WB = scenario.poses[part.body.name]
                corners.append(body.corners @ X_WB[:3, :3].T + X_WB[:3, 3])
                normals.append(body.normals @ X_WB[:3, :3].T)
                parts.append(body.part)
        return _Triangles(np.concatenate(corners), np.concatenate(normals), np.concatenate(parts))

    def _cover(
        self,
        camera: Camera,
        rays: Float[np.ndarray, "n 3"],
        world: _Triangles,
        seen: Int[np.ndarray, "n"],
    ) -> UInt64[np.ndarray, "n words"]:
        """Return which instances each ray meets, each alone in the world, and the one it sees."""
        words = (int(self._instance_of.max()) + 63) // 64
        cover = np.zeros((len(rays), words), np.uint64)
        instance = self._instance_of[world.part]
        for number in np.unique(instance).tolist():
            hits = _cast(camera, rays, world.corners[instance == number])
            word, bit = divmod(number - 1, 64)
            # Along an edge Embree may miss alone what it meets in company.
            cover[(hits.face >= 0) | (seen == number), word] |= np.uint64(1 << bit)
        return cover


def _triangles(body: Body, part: int) -> _Triangles:
    """Return what is seen of a body, in its frame."""
    corners, normals = [np.zeros((0, 3, 3))], [np.zeros((0, 3, 3))]
    for shape in body.visuals:
        mesh, X_BS = drawable(shape), shape.X_BS
        assert mesh.normals is not None
        corners.append((mesh.vertices @ X_BS[:3, :3].T + X_BS[:3, 3])[mesh.triangles])
        normals.append((mesh.normals @ X_BS[:3, :3].T)[mesh.triangles])
    every = np.concatenate(corners)
    return _Triangles(every, np.concatenate(normals), np.full(len(every), part))


def _cast(
    camera: Camera, rays: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "f 3 3"]
) -> _Hits:
    """Return what rays from a camera meet first, between its near and its far plane.

    Args:
        camera: Where they start.
        rays: Directions in the world along which depth grows by one.
        corners: Triangles in the world.
    """
    from trimesh.ray.ray_pyembree import RayMeshIntersector  # late: Embree is optional

    face = np.full(len(rays), -1)
    depth, weights = np.full(len(rays), np.inf), np.zeros((len(rays), 3))
    if len(corners) == 0:
        return _Hits(face, depth, weights)
    # Embree counts in float32: about the eye, where the rays start, that loses least.
    corners = corners - camera.X_WC[:3, 3]
    mesh = trimesh.Trimesh(
        corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), process=False
    )
    embree = RayMeshIntersector(mesh, scale_to_box=False)
    face = np.asarray(embree.intersects_first(camera.near_m * rays, rays), int)
    hit = np.flatnonzero(face >= 0)
    a, b, c = np.moveaxis(corners[face[hit]], 1, 0)
    d = rays[hit]
    across = np.cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth[hit] = np.einsum("ni,ni->n", a, across) / np.einsum("ni,ni->n", d, across)
        p = depth[hit, None] * d
        square = np.einsum("ni,ni->n", across, across)
        for k, (s, e) in enumerate([(b, c), (c, a), (a, b)]):
            weights[hit, k] = np.einsum("ni,ni->n", np.cross(e - s, p - s), across) / square
    beyond = ~(depth <= camera.far_m)
    face[beyond], depth[beyond] = -1, np.inf
    return _Hits(face, depth, np.nan_to_num(weights))


def _face_normals(corners: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, "f 3"]:
    """Return the normals of triangles, as long as twice their area."""
    a, b, c = np.moveaxis(corners, 1, 0)
    across: Float[np.ndarray, "f 3"] = np.cross(b - a, c - a)
    return across


def _unit(v: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return vectors at length one; no vector stays none."""
    unit: Float[np.ndarray, "n 3"] = v / np.maximum(
        np.linalg.norm(v, axis=1, keepdims=True), 1e-300
    )
    return unit


def _drawn(
    normal: Float[np.ndarray, "n 3"], rays: Float[np.ndarray, "n 3"]
) -> UInt8[np.ndarray, "n 3"]:
    """Return a drawing as if a lamp stood at the camera, white where nothing is."""
    facing = np.abs(np.einsum("ni,ni->n", normal, rays)) / np.linalg.norm(rays, axis=1)
    grey = np.where(normal.any(axis=1), 40 + 180 * facing, 255)
    drawn: UInt8[np.ndarray, "n 3"] = np.repeat(grey.astype(np.uint8)[:, None], 3, axis=1)
    return drawn
