"""The rasteriser's labels against Embree, against brute force, and against themselves."""

from dataclasses import replace

import numpy as np
import pytest

from envs.frames import pose
from envs.stage.scene import Mesh, Shape
from generators.camera import Camera, look_at
from generators.distortion import Distortion
from generators.raster.renderer import RasterRenderer
from generators.renderer import Frame
from tests.generators.raster.random_scenes import (
    body,
    bumpy,
    picture,
    random_pose,
    random_scene,
    scene_of,
)
from tests.generators.raycast import away_from_edges, cast, embree

LENSES = [Distortion(), Distortion(k1=-0.28, k2=0.07, p1=1e-3, p2=-5e-4), Distortion(k1=0.1)]


def same(a: Frame, b: Frame) -> bool:
    names = ("rgb", "depth_m", "part_id", "instance_id", "normal_W", "smooth_normal_W", "cover")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_twenty_random_scenes_against_embree_with_each_lens() -> None:
    pytest.importorskip("embreex", reason="embreex, the ray caster that judges, is not installed")
    wrong, objects = np.zeros(len(LENSES)), np.zeros(len(LENSES))
    depth_errors, angles = [], []
    for seed in range(20):
        scene, shown = random_scene(seed, size=(240, 180))
        renderer = RasterRenderer(scene, (), device="cpu")
        floor = next(i for i, p in enumerate(renderer.parts) if p.body.name == "floor")
        for k, lens in enumerate(LENSES):
            camera = replace(shown.camera, distortion=lens)
            frame = renderer.render(replace(shown, camera=camera))
            judged = embree(renderer.parts, shown.poses, camera)
            differs = judged.part != frame.part_id
            assert not (differs & away_from_edges(judged.part)).any()
            wrong[k] += differs.sum()
            objects[k] += ((judged.part >= 0) & (judged.part != floor)).sum()
            right = (judged.part >= 0) & ~differs
            assert frame.normal_W is not None
            depth_errors.append(np.abs(judged.depth_m[right] - frame.depth_m[right]))
            cosine = np.einsum("ij,ij->i", judged.normal_W[right], frame.normal_W[right])
            angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    # Measured: 0.001 % and 0.0004 mm; the floor reaches to 20 m.
    assert (objects > 50_000).all()
    assert (wrong <= 2e-4 * objects).all()
    assert np.quantile(np.concatenate(depth_errors), 0.99) < 5e-5
    # An edge between two triangles may be seen on either side of it.
    assert np.quantile(np.concatenate(angles), 0.995) < 0.5


def test_what_crosses_the_near_plane_is_cut_there() -> None:
    rng = np.random.default_rng(5)
    bodies = [
        body(f"b{i}", Shape(f"/b{i}", "mesh", np.eye(4), (), bumpy(rng, subdivisions=1)),
             X_WB=random_pose(rng, 0.3))
        for i in range(5)
    ]  # fmt: skip
    camera = Camera.with_view(
        look_at(np.array([0.2, 0.1, 0.1]), np.array([-0.3, 0, 0])),
        1.5,
        (64, 48),
        near_m=0.12,
        far_m=0.5,
    )
    scene = scene_of(*bodies)
    for lens in LENSES:
        seen = replace(camera, distortion=lens)
        shown = picture(scene, seen)
        renderer = RasterRenderer(scene, (), device="cpu")
        frame = renderer.render(shown)
        triangles, owner = [], []
        for i, part in enumerate(renderer.parts):
            mesh, X = part.body.visuals[0].mesh, shown.poses[part.body.name]
            assert mesh is not None
            triangles.append((mesh.vertices @ X[:3, :3].T + X[:3, 3])[mesh.triangles])
            owner.append(np.full(len(mesh.triangles), i))
        hits = cast(seen, np.concatenate(triangles), np.concatenate(owner))
        expected = np.where(hits.depth_m < seen.far_m, hits.owner, -1)
        assert 0.02 < (expected == -1).mean() < 0.98
        assert (expected != frame.part_id).sum() <= 2
        both = (expected >= 0) & (expected == frame.part_id)
        np.testing.assert_allclose(frame.depth_m[both], hits.depth_m[both], rtol=1e-5)


def test_cover_holds_what_is_hidden_and_is_whole_where_nothing_hides() -> None:
    near = body("near", Shape("/a", "box", np.eye(4), (0.2, 0.2, 0.2)))
    behind = pose(np.eye(3), np.array([-0.5, 0.05, 0.0]))
    far = body("far", Shape("/b", "sphere", np.eye(4), (0.15,)), X_WB=behind)
    camera = Camera.with_view(
        look_at(np.array([1.0, 0, 0.1]), np.zeros(3)), 0.9, (160, 120), near_m=0.05, far_m=10
    )
    scene = scene_of(near, far)
    renderer = RasterRenderer(scene, (), device="cpu")
    both = renderer.render(picture(scene, camera))
    alone = renderer.render(
        replace(picture(scene, camera), poses={"far": picture(scene, camera).poses["far"]})
    )
    ids = {part.body.name: part.instance.id for part in renderer.parts}
    np.testing.assert_array_equal(both.covers(ids["near"]), both.instance_id == ids["near"])
    np.testing.assert_array_equal(both.covers(ids["far"]), alone.instance_id == ids["far"])
    hidden = both.covers(ids["far"]) & (both.instance_id != ids["far"])
    assert 0.1 < hidden.sum() / both.covers(ids["far"]).sum() < 0.9


def test_more_instances_than_bits_of_a_word() -> None:
    small = Shape("/s", "box", np.eye(4), (0.04, 0.04, 0.04))
    grid = [np.array([0.0, 0.06 * (i % 10) - 0.27, 0.06 * (i // 10) - 0.2]) for i in range(70)]
    scene = scene_of(*(body(f"b{i}", small, X_WB=pose(np.eye(3), p)) for i, p in enumerate(grid)))
    camera = Camera.with_view(
        look_at(np.array([1.5, 0, 0.0]), np.zeros(3)), 0.5, (160, 120), near_m=0.05, far_m=10
    )
    frame = RasterRenderer(scene, (), device="cpu").render(picture(scene, camera))
    assert frame.cover is not None and frame.cover.shape == (120, 160, 2)
    for number in range(1, 71):
        np.testing.assert_array_equal(frame.covers(number), frame.instance_id == number)
        assert frame.covers(number).any()


def test_order_and_company_do_not_matter() -> None:
    scene, shown = random_scene(3, size=(160, 120))
    moved = replace(
        shown,
        camera=replace(shown.camera, X_WC=look_at(np.array([1.2, 1.0, 0.4]), np.zeros(3))),
        poses={k: v for k, v in shown.poses.items() if k != "thing1"},
    )
    renderer = RasterRenderer(scene, (), device="cpu")
    first, second = renderer.render(shown), renderer.render(moved)
    again = RasterRenderer(scene, (), device="cpu")
    assert same(again.render(moved), second) and same(again.render(shown), first)
    batch = again.render_batch([moved, shown, moved])
    assert same(batch[0], second) and same(batch[1], first) and same(batch[2], second)
    assert not same(first, second)


def test_shared_meshes_are_stored_once() -> None:
    mesh = bumpy(np.random.default_rng(1))
    shapes = [Shape(f"/s{i}", "mesh", np.eye(4), (), Mesh(mesh.vertices.copy(), mesh.triangles))
              for i in range(3)]  # fmt: skip
    rng = np.random.default_rng(2)
    bodies = [body(f"b{i}", s, X_WB=random_pose(rng)) for i, s in enumerate(shapes)]
    renderer = RasterRenderer(scene_of(*bodies), (), device="cpu")
    assert renderer.stored_triangles == len(mesh.triangles)


def test_an_empty_picture_shows_nothing() -> None:
    scene, shown = random_scene(1, size=(32, 24))
    for there in (scene, scene_of()):
        frame = RasterRenderer(there, (), device="cpu").render(replace(shown, poses={}))
        assert (frame.part_id == -1).all() and np.isinf(frame.depth_m).all()
        assert (frame.instance_id == 0).all()
        assert frame.cover is not None and not frame.cover.any()
        assert frame.normal_W is not None and not frame.normal_W.any()
