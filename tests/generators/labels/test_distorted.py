"""Labels under lens distortion, against OpenCV's own model."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from jaxtyping import Float

from envs.frames import inverse, pose
from generators.audit.audit import WIDE_ANGLE
from generators.camera import Camera
from generators.distortion import Distortion
from generators.labels.flow import flow
from generators.labels.keypoints import keypoints
from generators.labels.masks import instance_labels
from generators.labels.solids import Solid, box_corners, instance_box, solids_of
from generators.labels.truncation import canvas_camera, on_canvas, reaches_beyond
from generators.scenario import at_another_time
from tests.generators.labels.views import CASTER, INSTANCES, PARTS, STUDIO, drawn, instance
from tests.generators.small_table import recording

SHOWN = replace(drawn(4, (160, 120)), camera=replace(drawn(4, (160, 120)).camera,
                                                     distortion=WIDE_ANGLE))  # fmt: skip
SOLIDS = solids_of(PARTS)


def opencv(camera: Camera, p_W: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
    X_CW = inverse(camera.X_WC)
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    turn, _ = cv2.Rodrigues(X_CW[:3, :3])
    uv, _ = cv2.projectPoints(
        p_W[:, None], turn, X_CW[:3, 3], K, np.array(camera.distortion.coefficients)
    )
    return np.asarray(uv[:, 0])


def test_flow_against_opencv() -> None:
    then = at_another_time(STUDIO, recording(), SHOWN, 0.3)
    here, there = CASTER.render(SHOWN), CASTER.render(then)
    found = flow(here, there, PARTS, SHOWN.poses, then.poses)
    v, u = np.nonzero(here.instance_id == instance("arm").id)
    own = np.stack([u, v], axis=1)
    K = np.array([[SHOWN.camera.fx, 0, SHOWN.camera.cx], [0, SHOWN.camera.fy, SHOWN.camera.cy],
                  [0, 0, 1]])  # fmt: skip
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    slopes = cv2.undistortPoints(
        own[:, None].astype(float), K, np.array(SHOWN.camera.distortion.coefficients),
        criteria=stop,
    )[:, 0]  # fmt: skip
    ahead = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=1)
    X_WC = SHOWN.camera.X_WC
    p_W = ahead * here.depth_m[v, u, None] @ X_WC[:3, :3].T + X_WC[:3, 3]
    X = np.array([then.poses[PARTS[k].body.name] @ inverse(SHOWN.poses[PARTS[k].body.name])
                  for k in here.part_id[v, u]])  # fmt: skip
    q_W = np.einsum("nij,nj->ni", X[:, :3, :3], p_W) + X[:, :3, 3]
    expected = opencv(SHOWN.camera, q_W) - own
    assert np.linalg.norm(expected, axis=1).max() > 2
    # The goal is 0.01 px.
    np.testing.assert_allclose(found.uv[v, u], expected, atol=1e-3)


def test_boxes_and_joints_are_where_the_lens_shows_them() -> None:
    box = instance_box(instance("arm"), PARTS, SOLIDS, SHOWN.poses)
    assert box is not None
    expected = opencv(SHOWN.camera, box.corners_W)
    np.testing.assert_allclose(box.corners_uv(SHOWN.camera), expected, atol=1e-6)
    straight = box.corners_uv(replace(SHOWN.camera, distortion=type(WIDE_ANGLE)()))
    assert np.abs(straight - expected).max() > 1
    for edge in box.edges_uv(SHOWN.camera):
        ends = np.stack([edge[0], edge[-1]])
        chord = ends[0] + np.linspace(0, 1, len(edge))[:, None] * (ends[1] - ends[0])
        assert np.isfinite(edge).all() and chord.shape == edge.shape
    joints = keypoints(CASTER.render(SHOWN), PARTS, STUDIO.tree, SHOWN.q)
    shoulder = opencv(SHOWN.camera, np.array([[0.0, 0.0, 0.1]]))
    np.testing.assert_allclose(joints.uv[0], shoulder[0], atol=1e-6)


def test_truncation_is_measured_where_the_lens_does_not_matter() -> None:
    """The same silhouette, cut by the same edges of the world, has the same share cut off."""
    camera = replace(SHOWN.camera, cx=SHOWN.camera.cx + 45)
    shown = replace(SHOWN, camera=camera)
    assert reaches_beyond(camera, SOLIDS[:4], shown.poses)
    frame = CASTER.render(shown)
    wide = CASTER.render(replace(shown, camera=canvas_camera(camera)))
    canvas = on_canvas(wide, camera)
    label = instance_labels(frame, [instance("arm")], canvas)[0]
    assert label.amodal is not None
    # By hand: rays of a finer canvas through OpenCV's lens, counted in and out of the picture.
    fine = replace(
        wide.camera, fx=2 * wide.camera.fx, fy=2 * wide.camera.fy, cx=2 * wide.camera.cx + 0.5,
        cy=2 * wide.camera.cy + 0.5, width=2 * wide.camera.width, height=2 * wide.camera.height,
    )  # fmt: skip
    silhouette = CASTER.render(replace(shown, camera=fine)).covers(instance("arm").id)
    uv = opencv(camera, fine.X_WC[:3, 3] + fine.rays()[silhouette])
    out = ~((uv >= -0.5) & (uv < [159.5, 119.5])).all(axis=1)
    assert 0.02 < out.mean() < 0.98
    assert label.amodal.truncation == pytest.approx(out.mean(), abs=0.02)


def test_what_leaves_the_picture_between_two_of_its_corners_calls_for_a_canvas() -> None:
    camera = replace(SHOWN.camera, fx=0.75 * SHOWN.camera.fx, fy=0.75 * SHOWN.camera.fy)
    # A bar whose ends lie in the upper corners: there this lens shows more than between them.
    ends = camera.unproject(np.array([[6.0, 2.0], [153.0, 2.0]]), np.full(2, 2.0))
    middle = camera.project(ends.mean(axis=0))[0]
    assert middle[1] < -1
    axis = ends[1] - ends[0]
    X_WB = pose(camera.X_WC[:3, :3], ends.mean(axis=0))
    x, y, z = np.abs(camera.X_WC[:3, :3].T @ axis)
    assert y < 0.02 * x and z < 0.02 * x
    corners = box_corners(np.array([-x / 2, -y / 2, 0]), np.array([x / 2, y / 2, 0.001]))
    bar = Solid("bar", corners)
    assert reaches_beyond(camera, [bar], {"bar": X_WB})
    straight = replace(camera, distortion=Distortion())
    X_WB[:3, 3] = camera.unproject(np.array([79.5, 59.5]), np.array(2.0))
    assert not reaches_beyond(camera, [Solid("bar", corners / 2)], {"bar": X_WB})
    assert not reaches_beyond(straight, [Solid("bar", corners / 2)], {"bar": X_WB})


def test_masks_under_distortion_are_those_of_each_alone() -> None:
    frame = CASTER.render(SHOWN)
    for label in instance_labels(frame, [i for i in INSTANCES if not i.static]):
        poses = {p.body.name: SHOWN.poses[p.body.name] for p in PARTS
                 if p.instance == label.instance}  # fmt: skip
        alone = CASTER.render(replace(SHOWN, poses=poses)).instance_id > 0
        assert label.amodal is not None
        np.testing.assert_array_equal(label.amodal.mask, alone)
