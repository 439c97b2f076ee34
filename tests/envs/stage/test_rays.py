"""The colliders that PyBullet holds, ray by ray, against what trimesh makes of the scene.

PyBullet keeps a margin of 1 mm around convex shapes. So a ray that meets a convex piece must be
stopped, and a ray that is stopped must meet the piece grown by `GRAZE_M`: nothing may be missing,
too large, or elsewhere. The importer asks for convex hulls; concave pieces are tested in
tests/envs/world/test_decomposition.py, the concave mesh of a static body in test_bullet.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybullet
import pytest
import trimesh

from envs.stage.reader import read_stage
from envs.stage.scene import Shape
from envs.world.bullet import BulletWorld
from envs.world.primitives import to_mesh
from tests.envs.stage.robots import ROBOTS

RAYS = 4000
GRAZE_M = 2e-3


@dataclass(frozen=True)
class Piece:
    """A collider in the world: its mesh, and its hull as half-spaces n·x ≤ d, rows (n, d)."""

    mesh: trimesh.Trimesh
    planes: np.ndarray
    center: np.ndarray
    radius: float


def piece(shape: Shape, X_WB: np.ndarray) -> Piece:
    source = to_mesh(shape)
    mesh = trimesh.Trimesh(source.vertices, source.triangles)
    mesh.apply_transform(X_WB @ shape.X_BS)
    hull = mesh.convex_hull
    planes = np.column_stack(
        [hull.face_normals, np.einsum("ij,ij->i", hull.face_normals, hull.triangles[:, 0])]
    )
    center = hull.vertices.mean(axis=0)
    radius = float(np.linalg.norm(hull.vertices - center, axis=1).max())
    return Piece(mesh, planes, center, radius)


def meets(piece: Piece, starts: np.ndarray, ends: np.ndarray, grow_m: float) -> np.ndarray:
    """Whether each ray meets a piece's hull, grown on all sides (Kay and Kajiya's slabs)."""
    along = ends - starts
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    to = piece.center - starts
    off = np.linalg.norm(to - np.einsum("ij,ij->i", to, along)[:, None] * along, axis=1)
    near = np.flatnonzero(off <= piece.radius + 2 * grow_m)
    # Every hundredth plane first: they bound a larger body, which most rays already miss.
    for planes in (piece.planes[::100], piece.planes):
        n, d = planes[:, :3], planes[:, 3] + grow_m
        gap, slope = d - starts[near] @ n.T, (ends - starts)[near] @ n.T
        with np.errstate(divide="ignore", invalid="ignore"):
            t = gap / slope
        enter = np.where(slope < 0, t, 0.0).max(axis=1, initial=0.0)
        leave = np.where(slope > 0, t, 1.0).min(axis=1, initial=1.0)
        near = near[(enter <= leave) & ~((slope == 0) & (gap < 0)).any(axis=1)]
    result = np.zeros(len(starts), bool)
    result[near] = True
    return result


def any_meets(
    pieces: list[Piece], starts: np.ndarray, ends: np.ndarray, grow_m: float = 0.0
) -> np.ndarray:
    result = np.zeros(len(starts), bool)
    for one in pieces:
        result |= meets(one, starts, ends, grow_m)
    return result


@pytest.mark.parametrize("name", ROBOTS)
def test_rays_stop_where_the_pieces_are(name: str, robot: Callable[[str], Path]) -> None:
    scene, rng = read_stage(robot(name)), np.random.default_rng(7)
    movable = [j.name for j in scene.robot.joints if j.kind != "fixed"]
    with BulletWorld(scene, joints=movable) as world:
        joints = [scene.robot.joint(name) for name in world.joints]
        low = [max(j.lower, -2.0) for j in joints]
        high = [min(j.upper, 2.0) for j in joints]
        world.set_state(rng.uniform(low, high), np.zeros(len(joints)))
        client = world._clients[0]
        pybullet.performCollisionDetection(physicsClientId=client)
        poses = world.body_poses()
        pieces = [piece(s, poses[b.name]) for b in scene.robot.bodies for s in b.colliders]
        # From all around towards points inside the robot's bounds.
        ends_of = np.concatenate([p.mesh.bounds for p in pieces])
        middle, extent = (ends_of.max(0) + ends_of.min(0)) / 2, np.ptp(ends_of, axis=0)
        outward = rng.normal(size=(RAYS, 3))
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        starts = middle + 2 * np.linalg.norm(extent) * outward
        aims = middle + rng.uniform(-0.5, 0.5, (RAYS, 3)) * extent
        ends = starts + 2 * (aims - starts)
        hits = pybullet.rayTestBatch(starts.tolist(), ends.tolist(), physicsClientId=client)
    stopped = np.array([hit[0] >= 0 for hit in hits])
    through = any_meets(pieces, starts, ends)
    near = any_meets(pieces, starts, ends, GRAZE_M)
    assert through.sum() > 200
    assert (~stopped).sum() > 200
    np.testing.assert_array_equal(stopped[through], True)
    np.testing.assert_array_equal(stopped[~near], False)
