"""Convex pieces of concave meshes: what they fill, that PyBullet holds them, that they are kept."""

from pathlib import Path

import numpy as np
import pybullet
import pytest
import trimesh
from scipy.spatial import ConvexHull

import envs.world.decomposition as decomposition
from envs.errors import StageError
from envs.frames import pose
from envs.stage.scene import Approximation, Body, Inertial, Mesh, Shape
from envs.world.bullet import BulletWorld
from envs.world.decomposition import convex_pieces, is_convex, read_pieces
from tests.small_arm import arm, random_pose, scene


def gripper() -> Mesh:
    """A letter U of 0.1 m: two fingers on a bar, with a gap between them."""
    bar = trimesh.creation.box((0.1, 0.02, 0.02))
    fingers = [trimesh.creation.box((0.02, 0.02, 0.1)) for _ in range(2)]
    for finger, x in zip(fingers, (-0.04, 0.04), strict=True):
        finger.apply_translation((x, 0, 0.05))
    joined = trimesh.boolean.union([bar, *fingers])
    return Mesh(np.array(joined.vertices), np.array(joined.faces))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces")


def test_which_meshes_are_convex() -> None:
    ball, box = trimesh.creation.icosphere(), trimesh.creation.box()
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert is_convex(Mesh(np.array(ball.vertices), np.array(ball.faces)))
    # A box as files have it: three vertices at each corner.
    assert is_convex(Mesh(box.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)))
    assert is_convex(Mesh(flat, np.array([[0, 1, 2], [0, 2, 3]])))
    assert not is_convex(gripper())
    open_box = Mesh(np.array(box.vertices), np.array(box.faces[2:]))
    assert not is_convex(open_box)


def test_pieces_fill_the_mesh_and_leave_its_gap(cache: Path) -> None:
    mesh = gripper()
    pieces = read_pieces(convex_pieces(mesh, "/x", cache=cache))
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles)
    assert 1 < len(pieces) <= decomposition.MAX_PIECES
    total = sum(ConvexHull(p).volume for p in pieces)
    assert total == pytest.approx(solid.volume, rel=0.05)
    rng = np.random.default_rng(0)
    low, high = solid.bounds
    points = rng.uniform(low, high, (4000, 3))
    inside = np.zeros(len(points), bool)
    for corners in pieces:
        planes = ConvexHull(corners).equations
        inside |= (points @ planes[:, :3].T + planes[:, 3] <= 0).all(axis=1)
    # The hull would be wrong for two thirds of them.
    assert (inside != solid.contains(points)).mean() < 0.02


def test_pieces_are_worked_out_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = gripper()
    file = convex_pieces(mesh, "/x", cache=cache)
    content = file.read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("decomposed again")

    monkeypatch.setattr(decomposition, "_decompose", never)
    assert convex_pieces(mesh, "/y", cache=cache) == file
    # Vertices repeated for normals are the same mesh.
    again = Mesh(
        mesh.vertices[mesh.triangles].reshape(-1, 3),
        np.arange(3 * len(mesh.triangles)).reshape(-1, 3),
    )
    assert convex_pieces(again, "/z", cache=cache) == file
    with pytest.raises(AssertionError, match="decomposed again"):
        convex_pieces(Mesh(mesh.vertices * 1.01, mesh.triangles), "/w", cache=cache)
    monkeypatch.undo()
    file.unlink()
    assert convex_pieces(mesh, "/x", cache=cache).read_bytes() == content
    assert {f.name for f in cache.iterdir()} == {".lock", file.name}


def test_a_mesh_that_cannot_be_decomposed_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimesh.decomposition, "convex_decomposition", lambda *_, **__: [])
    mesh = gripper()
    with pytest.raises(StageError, match="/World/hand: this collider cannot be made"):
        convex_pieces(Mesh(2 * mesh.vertices, mesh.triangles), "/World/hand", cache=cache)


@pytest.mark.parametrize("wanted", ["none", "convexDecomposition"])
def test_rays_pass_between_the_pieces_of_a_moving_body(
    wanted: Approximation, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """4000 rays: PyBullet stops those that meet a piece, and those only (its margin is 1 mm)."""
    monkeypatch.setattr(
        "envs.world.bullet_parts.convex_pieces",
        lambda mesh, where: convex_pieces(mesh, where, cache=cache),
    )
    rng, mesh = np.random.default_rng(3), gripper()
    X_WB, X_BS = random_pose(rng, 0.3), random_pose(rng, 0.2)
    shape = Shape("/g/s", "mesh", X_BS, mesh=mesh, approximation=wanted)
    inertial = Inertial(0.3, np.zeros(3), np.eye(3) * 1e-3)
    body = Body("g", "/g", X_WB, inertial, colliders=(shape,))
    robot = arm(np.random.default_rng(0), 1)
    pieces = read_pieces(convex_pieces(mesh, "/g/s", cache=cache))
    middle = (X_WB @ X_BS @ pose(np.eye(3), np.array([0, 0, 0.05])))[:3, 3]
    outward = rng.normal(size=(4000, 3))
    starts = middle + 0.5 * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    ends = starts + 2 * (middle + rng.uniform(-0.06, 0.06, (4000, 3)) - starts)
    with BulletWorld(scene(robot, objects=(body,)), joints=["joint0"]) as world:
        client = world._clients[0]
        pybullet.performCollisionDetection(physicsClientId=client)
        hits = pybullet.rayTestBatch(starts.tolist(), ends.tolist(), physicsClientId=client)
    stopped = np.array([hit[0] >= 0 for hit in hits])
    X = X_WB @ X_BS
    must, may = np.zeros(4000, bool), np.zeros(4000, bool)
    for corners in pieces:
        planes = ConvexHull(corners @ X[:3, :3].T + X[:3, 3]).equations
        for grow, met in ((0.0, must), (2e-3, may)):
            slope = (ends - starts) @ planes[:, :3].T
            t = (grow - planes[:, 3] - starts @ planes[:, :3].T) / slope
            enter = np.where(slope < 0, t, 0.0).max(axis=1, initial=0.0)
            leave = np.where(slope > 0, t, 1.0).min(axis=1, initial=1.0)
            met |= enter <= leave
    assert must.sum() > 500
    assert (~may).sum() > 500
    np.testing.assert_array_equal(stopped[must], True)
    np.testing.assert_array_equal(stopped[~may], False)
