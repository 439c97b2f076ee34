"""Flow against points that are followed by hand, and occlusion against shadow rays."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Bool, Float

from envs.frames import Pose, axis_angle, inverse, pose
from generators.camera import Camera
from generators.labels.flow import Flow, flow
from generators.renderer import Frame
from generators.scenario import Scenario, body_poses
from tests.generators.labels.views import (
    CASTER,
    NUMBER,
    PARTS,
    STUDIO,
    drawn,
    pinhole,
    seen_from,
    triangles,
)
from tests.generators.raycast import away_from_edges, cast

BEFORE = seen_from(drawn(0), [1.1, -0.6, 0.6], [0.25, 0.0, 0.15])
TURNED = pose(axis_angle(np.array([0, 0, 1.0]), np.asarray(0.3)), np.array([0.0, 0.03, 0.0]))


def moved(shown: Scenario, names: list[str], X: Pose) -> Scenario:
    """Turn bodies about the world's z at their place, and shift them."""
    poses = dict(shown.poses)
    for name in names:
        R, p = X[:3, :3] @ poses[name][:3, :3], poses[name][:3, 3] + X[:3, 3]
        poses[name] = pose(R, p)
    return replace(shown, poses=poses)


def after(*, fixed: bool = False) -> Scenario:
    """The arm has moved, the objects have turned, the camera has gone aside unless it is fixed."""
    q = BEFORE.q + np.array([0.1, -0.15])
    objects = [b.name for b in STUDIO.scene.objects if b.name in BEFORE.poses]
    turned = moved(BEFORE, objects, TURNED)
    poses = dict(turned.poses) | body_poses(STUDIO.tree, q)
    if fixed:
        return replace(turned, q=q, poses=poses)
    return seen_from(replace(turned, q=q, poses=poses), [1.05, -0.5, 0.66], [0.27, 0.02, 0.15])


def between(a: Scenario, b: Scenario) -> tuple[Frame, Frame, Flow]:
    here, there = CASTER.render(a), CASTER.render(b)
    return here, there, flow(here, there, PARTS, a.poses, b.poses)


def hidden(camera: Camera, p_W: Float[np.ndarray, "n 3"], shown: Scenario) -> Bool[np.ndarray, "n"]:
    """Whether something lies between points and a camera, by one-pixel pictures of each."""
    corners, owner = triangles(shown)
    found = []
    for point in p_W:
        (uv,) = pinhole(camera, point[None])
        pixel = replace(camera, cx=camera.cx - uv[0], cy=camera.cy - uv[1], width=1, height=1)
        depth = cast(pixel, corners, owner).depth_m[0, 0]
        own = (point - camera.X_WC[:3, 3]) @ camera.X_WC[:3, 2]
        found.append(depth < own - 1e-4)
    return np.array(found)


@pytest.mark.parametrize("fixed", [False, True])
def test_flow_is_where_the_points_go(fixed: bool) -> None:
    shown, then = BEFORE, after(fixed=fixed)
    here, _, found = between(shown, then)
    v, u = np.nonzero(here.part_id >= 0)
    directions = np.stack(
        [
            (u - shown.camera.cx) / shown.camera.fx,
            (v - shown.camera.cy) / shown.camera.fy,
            np.ones(len(u)),
        ],
        axis=1,
    )
    depth = here.depth_m[v, u].astype(float)[:, None]
    p_W = directions * depth @ shown.camera.X_WC[:3, :3].T + shown.camera.X_WC[:3, 3]
    moves = [
        then.poses[p.body.name] @ inverse(shown.poses[p.body.name])
        if p.body.name in then.poses
        else np.eye(4)
        for p in PARTS
    ]
    X = np.array(moves)[here.part_id[v, u]]
    q_W = np.einsum("nij,nj->ni", X[:, :3, :3], p_W) + X[:, :3, 3]
    expected = pinhole(then.camera, q_W) - np.stack([u, v], axis=1)
    # The goal is 0.01 px; what is left is float32's rounding of the depth and of the flow.
    np.testing.assert_allclose(found.uv[v, u], expected, atol=1e-4)
    assert np.linalg.norm(expected, axis=1).max() > 4
    assert np.isnan(found.uv[here.part_id < 0]).all()
    assert not found.occluded[here.part_id < 0].any()


def test_nothing_moves_nothing_is_hidden() -> None:
    here, _, found = between(BEFORE, BEFORE)
    seen = here.part_id >= 0
    np.testing.assert_allclose(found.uv[seen], 0.0, atol=1e-4)
    assert not found.occluded.any()


def test_what_stays_moves_with_the_shift_of_the_lens() -> None:
    shifted = replace(BEFORE, camera=replace(BEFORE.camera, shift_px=(3.0, -2.0)))
    here, _, found = between(BEFORE, shifted)
    seen = here.part_id >= 0
    np.testing.assert_allclose(found.uv[seen], np.tile([3, -2], (seen.sum(), 1)), atol=1e-4)


def test_there_and_back_again() -> None:
    a, b = BEFORE, after()
    here, there, forward = between(a, b)
    backward = flow(there, here, PARTS, b.poses, a.poses)
    own = np.stack(np.meshgrid(np.arange(96), np.arange(72)), axis=-1)
    ends = np.rint(own + np.nan_to_num(forward.uv, nan=-1e6)).astype(int)
    plain = away_from_edges(here.part_id) & ~forward.occluded & (here.part_id == NUMBER["top"])
    v, u = np.nonzero(plain)
    assert len(v) > 200
    at = ends[v, u]
    back = backward.uv[at[:, 1], at[:, 0]]
    # On a plane flow changes slowly: half a pixel beside, it is nearly the same.
    error = np.linalg.norm(forward.uv[v, u] + back, axis=1)
    assert np.median(error) < 0.1


@pytest.mark.parametrize("fixed", [False, True])
def test_occlusion_against_shadow_rays(fixed: bool) -> None:
    shown, then = BEFORE, after(fixed=fixed)
    here, _, found = between(shown, then)
    inner = away_from_edges(here.part_id) & (here.part_id >= 0)
    goal = np.stack(np.meshgrid(np.arange(96), np.arange(72)), axis=-1) + found.uv
    rng = np.random.default_rng(0)
    # As many that are called hidden as are called seen.
    wrong = checked = 0
    for called in (False, True):
        v, u = np.nonzero(inner & (found.occluded == called))
        some = rng.permutation(len(v))[:40]
        v, u = v[some], u[some]
        z = here.depth_m[v, u].astype(float)
        p_W = shown.camera.unproject(np.stack([u, v], axis=1).astype(float), z)
        X = np.array(
            [then.poses[PARTS[k].body.name] @ inverse(shown.poses[PARTS[k].body.name])
             for k in here.part_id[v, u]]
        )  # fmt: skip
        q_W = np.einsum("nij,nj->ni", X[:, :3, :3], p_W) + X[:, :3, 3]
        outside = ~((goal[v, u] >= -0.5) & (goal[v, u] < [95.5, 71.5])).all(axis=1)
        truth = outside | hidden(then.camera, q_W, then)
        wrong += int((truth != called).sum())
        checked += len(v)
    assert checked == 80
    # One may lie where a silhouette passes between pixel centres.
    assert wrong <= 1


def test_what_is_gone_has_no_flow_and_is_occluded() -> None:
    name = next(b.name for b in STUDIO.scene.objects if b.name in BEFORE.poses)
    gone = replace(BEFORE, poses={k: X for k, X in BEFORE.poses.items() if k != name})
    here, _, found = between(BEFORE, gone)
    own = here.part_id == NUMBER[name]
    assert own.sum() > 5
    assert np.isnan(found.uv[own]).all()
    assert found.occluded[own].all()
