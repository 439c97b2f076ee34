"""Embree's frames against the textbook's ray-triangle test in float64, and by hand."""

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.audit import raycaster
from generators.audit.raycaster import RayCaster
from tests.generators.labels.views import CASTER, INSTANCES, NUMBER, PARTS, SCENE, drawn, triangles
from tests.generators.raycast import away_from_edges, cast


def test_against_moeller_and_trumbore() -> None:
    shown = drawn(2, (48, 36))
    frame = CASTER.render(shown)
    corners, owner = triangles(shown)
    truth = cast(shown.camera, corners, owner)
    inner = away_from_edges(truth.owner)
    np.testing.assert_array_equal(frame.part_id[inner], truth.owner[inner])
    same = (frame.part_id == truth.owner) & (truth.owner >= 0)
    assert same.sum() >= 0.999 * (truth.owner >= 0).sum()
    # float32 holds a depth of some metres to 2e-7 m.
    np.testing.assert_allclose(frame.depth_m[same], truth.depth_m[same], atol=1e-6)
    assert np.isinf(frame.depth_m[frame.part_id < 0]).all()


def test_cover_is_each_instance_alone() -> None:
    shown = drawn(2, (48, 36))
    frame = CASTER.render(shown)
    checked = 0
    for instance in INSTANCES:
        names = {part.body.name for part in PARTS if part.instance == instance}
        if not instance.static and names <= set(shown.poses):
            truth = cast(shown.camera, *triangles(shown, only=instance)).owner >= 0
            differs = frame.covers(instance.id) != truth
            assert not (differs & away_from_edges(truth.astype(int))).any()
            assert differs.sum() <= 1
            checked += int(truth.sum() > 4)
    assert checked >= 3


def test_normals_by_hand() -> None:
    shown = drawn(1)
    frame = CASTER.render(shown)
    assert frame.normal_W is not None and frame.smooth_normal_W is not None
    top = frame.part_id == NUMBER["top"]
    up = top & (frame.normal_W[..., 2] > 0.5)
    assert up.sum() > 200
    np.testing.assert_allclose(frame.normal_W[up] - [0, 0, 1], 0, atol=1e-6)
    np.testing.assert_allclose(frame.smooth_normal_W[up] - [0, 0, 1], 0, atol=1e-6)
    # The capsule's side is round: its smooth normal points from the axis to the surface.
    p_W = frame.camera.X_WC[:3, 3] + frame.camera.rays() * frame.depth_m[..., None]
    side = frame.part_id == NUMBER["upper"]
    X = shown.poses["upper"]
    p_B = (p_W[side] - X[:3, 3]) @ X[:3, :3] - [0, 0, 0.15]
    outward = p_B - np.clip(p_B, [0, 0, -0.125], [0, 0, 0.125])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    smooth = frame.smooth_normal_W[side] @ X[:3, :3]
    assert side.sum() > 30
    assert np.degrees(np.arccos(np.clip((smooth * outward).sum(axis=1), -1, 1))).max() < 0.3
    seen = frame.part_id >= 0
    facing = (frame.normal_W * frame.camera.rays()).sum(axis=-1)
    assert (facing[seen] < 0).all()
    assert (frame.normal_W[~seen] == 0).all()


def test_without_embree_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raycaster, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'kinetwin\[dev\]'"):
        RayCaster(SCENE)
