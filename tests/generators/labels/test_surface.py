"""Per-pixel labels by hand: distance, normals in the camera, object coordinates, classes."""

import numpy as np

from generators.labels.surface import (
    distance_m,
    normal_C,
    object_coordinates,
    points_W,
    semantic_id,
    semantic_ids,
)
from tests.generators.labels.views import CASTER, INSTANCES, NUMBER, PARTS, drawn

SHOWN = drawn(1)
FRAME = CASTER.render(SHOWN)


def test_distance_is_the_length_of_the_way() -> None:
    seen = FRAME.part_id >= 0
    way = np.linalg.norm(points_W(FRAME) - SHOWN.camera.X_WC[:3, 3], axis=-1)
    np.testing.assert_allclose(distance_m(FRAME)[seen], way[seen], rtol=1e-6)
    assert np.isinf(distance_m(FRAME)[~seen]).all()
    # Longer than the depth by the cosine to the axis.
    v, u = np.argwhere(seen)[0]
    x, y = (u - SHOWN.camera.cx) / SHOWN.camera.fx, (v - SHOWN.camera.cy) / SHOWN.camera.fy
    ratio = distance_m(FRAME)[v, u] / FRAME.depth_m[v, u]
    np.testing.assert_allclose(ratio, np.sqrt(1 + x * x + y * y), rtol=1e-6)


def test_normals_in_the_camera_face_it() -> None:
    assert FRAME.normal_W is not None
    normal, seen = normal_C(FRAME), FRAME.part_id >= 0
    np.testing.assert_allclose(np.linalg.norm(normal[seen], axis=-1), 1.0, atol=1e-6)
    R_WC = SHOWN.camera.X_WC[:3, :3]
    np.testing.assert_allclose(normal @ R_WC.T, FRAME.normal_W, atol=1e-6)
    up = (FRAME.part_id == NUMBER["top"]) & (FRAME.normal_W[..., 2] > 0.5)
    # The camera looks down at the table and y is down: up is −y and towards the camera, −z.
    assert (normal[up][:, 1] < 0).all() and (normal[up][:, 2] < 0).all()


def test_object_coordinates_lie_on_the_shapes() -> None:
    coordinates = object_coordinates(FRAME, PARTS, SHOWN.poses)
    tool = coordinates[FRAME.part_id == NUMBER["tool"]]
    assert len(tool) > 5
    # A sphere of 64 segments is up to 0.13 % smaller than its radius.
    radius = np.linalg.norm(tool - [0, 0, 0.03], axis=1)
    assert (radius < 0.035 + 1e-6).all() and (radius > 0.035 * 0.995).all()
    lower = coordinates[FRAME.part_id == NUMBER["lower"]]
    on_face = np.abs(np.abs(lower - [0, 0, 0.14]) - [0.03, 0.03, 0.125]).min(axis=1)
    assert len(lower) > 5
    np.testing.assert_allclose(on_face, 0.0, atol=1e-6)
    assert np.isnan(coordinates[FRAME.part_id < 0]).all()


def test_classes_that_are_annotated_come_first() -> None:
    ids = semantic_ids(INSTANCES)
    names = ("robot", "cube", "ball", "can", "roof", "floor", "table")
    assert ids == {name: k for k, name in enumerate(names, 1)}
    found = semantic_id(FRAME, INSTANCES)
    for k in np.unique(FRAME.part_id):
        expected = ids[PARTS[k].body.label] if k >= 0 else 0
        assert (found[FRAME.part_id == k] == expected).all()
