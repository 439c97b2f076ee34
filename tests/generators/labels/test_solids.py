"""Poses and 3D boxes by hand, in the world and in the picture."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.frames import axis_angle, pose
from generators.camera import Camera, look_at
from generators.labels.solids import EDGES, Box3, instance_box, solids_of
from tests.generators.labels.views import PARTS, drawn, instance, pinhole, triangles

SOLIDS = solids_of(PARTS)
CAMERA = Camera(100.0, 100.0, 47.5, 35.5, 96, 72, np.eye(4), near_m=0.1, far_m=20.0)


def test_box_of_a_cube_by_hand() -> None:
    X_WB = pose(axis_angle(np.array([0, 0, 1.0]), np.asarray(0.7)), np.array([0.3, 0.2, 0.03]))
    box = instance_box(instance("cube"), PARTS, SOLIDS, {"cube": X_WB})
    assert box is not None
    np.testing.assert_allclose(box.high, [0.03, 0.03, 0.03], atol=1e-12)
    np.testing.assert_allclose(box.low, -box.high, atol=1e-12)
    # Corner 5 = 0b101: x and z at their high ends.
    c, s = np.cos(0.7), np.sin(0.7)
    expected = [0.3 + 0.03 * c + 0.03 * s, 0.2 + 0.03 * s - 0.03 * c, 0.06]
    np.testing.assert_allclose(box.corners_W[5], expected, atol=1e-12)


def test_box_of_the_robot_holds_all_of_it_tightly() -> None:
    shown = drawn(3)
    box = instance_box(instance("arm"), PARTS, SOLIDS, shown.poses)
    assert box is not None
    corners, _ = triangles(shown, only=instance("arm"))
    X = shown.poses["base"]
    p_B = (corners.reshape(-1, 3) - X[:3, 3]) @ X[:3, :3]
    np.testing.assert_allclose(box.low, p_B.min(axis=0), atol=1e-9)
    np.testing.assert_allclose(box.high, p_B.max(axis=0), atol=1e-9)


def test_what_is_not_there_has_no_box() -> None:
    assert instance_box(instance("cube"), PARTS, SOLIDS, {}) is None


def test_corners_in_the_picture() -> None:
    shown = drawn(3)
    name = next(n for n in ("cube", "can", "roof", "ball") if n in shown.poses)
    box = instance_box(instance(name), PARTS, SOLIDS, shown.poses)
    assert box is not None
    expected = pinhole(shown.camera, box.corners_W)
    np.testing.assert_allclose(box.corners_uv(shown.camera), expected, atol=1e-9)
    # An undistorted edge is straight, from corner to corner.
    for (a, b), edge in zip(EDGES, box.edges_uv(shown.camera), strict=True):
        np.testing.assert_allclose(edge[[0, -1]], expected[[a, b]], atol=1e-9)


def test_edges_join_corners_that_differ_in_one_axis() -> None:
    assert len(set(EDGES)) == 12
    assert all((a ^ b) in (1, 2, 4) for a, b in EDGES)


def test_edges_are_cut_at_the_near_plane() -> None:
    # Around the camera: four edges along z pass the near plane, four lie before it, four behind.
    box = Box3(np.eye(4), np.array([-0.2, -0.3, -1.0]), np.array([0.2, 0.3, 2.0]))
    uv = box.corners_uv(CAMERA)
    assert np.isnan(uv[:4]).all() and np.isfinite(uv[4:]).all()
    edges = box.edges_uv(CAMERA)
    assert len(edges) == 8
    cut = [edge for edge in edges if np.ptp(edge, axis=0).max() > 0 and np.abs(edge).max() > 150]
    assert len(cut) == 4
    for edge in cut:
        far_end = edge[np.argmax(np.abs(edge - [47.5, 35.5]).sum(axis=1))]
        np.testing.assert_allclose(
            np.abs(far_end - [47.5, 35.5]), [100 * 0.2 / 0.1, 100 * 0.3 / 0.1], atol=1e-6
        )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3), st.floats(-3, 3))
def test_no_edge_comes_nearer_than_the_near_plane(place: list[float], turn: float) -> None:
    X_WB = pose(axis_angle(np.array([0.6, 0.0, 0.8]), np.asarray(turn)), np.array(place))
    box = Box3(X_WB, np.array([-0.4, -0.1, -0.2]), np.array([0.4, 0.1, 0.3]))
    camera = replace(CAMERA, X_WC=look_at(np.array([1.0, 0, 0]), np.zeros(3)))
    depth = (box.corners_W - camera.X_WC[:3, 3]) @ camera.X_WC[:3, 2]
    edges = box.edges_uv(camera)
    ahead = depth >= camera.near_m
    assert len(edges) == sum(ahead[a] or ahead[b] for a, b in EDGES)
    np.testing.assert_array_equal(np.isfinite(box.corners_uv(camera)).all(axis=1), ahead)
    for edge in edges:
        assert np.isfinite(edge).all()
        # Straight lines stay straight.
        chord = edge[-1] - edge[0]
        off = np.abs(np.cross(edge - edge[0], chord)) / max(np.linalg.norm(chord), 1e-9)
        assert off.max() < 1e-6 * max(1.0, np.abs(edge).max())
