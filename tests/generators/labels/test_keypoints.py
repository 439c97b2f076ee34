"""Masks, boxes and key points of frames small enough to count by hand."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from envs.frames import axis_angle
from generators.camera import Camera, look_at
from generators.labelling import Labelled
from generators.labels.conventions import HIDDEN, OUTSIDE, VISIBLE
from generators.labels.keypoints import keypoints, skeleton
from generators.labels.masks import instance_labels
from generators.renderer import Frame, instances_of, parts_of
from generators.scenario import prepare
from generators.writers import coco
from generators.writers.pixels import Shown
from tests.generators.labels import views
from tests.generators.small_table import recording, scene

SCENE = scene()
PARTS = parts_of(SCENE)
TREE = prepare(SCENE, recording().joints).tree
NAMES = [part.body.name for part in PARTS]
CAMERA = Camera.with_view(
    look_at(np.array([2.0, 0.0, 0.3]), np.array([0.0, 0.0, 0.3])),
    0.8, (64, 48), near_m=0.1, far_m=10.0,
)  # fmt: skip


def frame(part_id: np.ndarray) -> Frame:
    table = np.array([part.instance.id for part in PARTS] + [0])
    height, width = part_id.shape
    return Frame(
        rgb=np.zeros((height, width, 3), np.uint8),
        depth_m=np.ones((height, width), np.float32),
        part_id=part_id.astype(np.int32),
        instance_id=table[part_id].astype(np.int32),
        camera=replace(CAMERA, width=width, height=height),
    )


def test_instances_are_robot_objects_and_kinds_of_surroundings() -> None:
    listed = [(i.id, i.name, i.label, i.static) for i in instances_of(PARTS)]
    assert listed == [
        (1, "arm", "robot", False),
        (2, "cube", "cube", False),
        (3, "ball", "ball", False),
        (4, "can", "can", False),
        (5, "roof", "roof", False),
        (6, "floor", "floor", True),
        (7, "table", "table", True),
    ]
    assert [p.instance.id for p in PARTS] == [1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7]


def test_box_of_an_l_by_hand() -> None:
    ids = np.full((8, 10), -1)
    ids[2:6, 3] = NAMES.index("cube")
    ids[5, 3:7] = NAMES.index("cube")
    (label,) = instance_labels(frame(ids), instances_of(PARTS))
    assert label.instance.name == "cube"
    assert label.box == (3, 2, 4, 4)
    assert label.area == 7


@given(arrays(np.int64, (9, 12), elements=st.integers(-1, len(PARTS) - 1)))
def test_masks_part_the_picture_and_boxes_are_their_extent(ids: np.ndarray) -> None:
    labels = instance_labels(frame(ids), instances_of(PARTS))
    covered = np.zeros(ids.shape, int)
    for label in labels:
        covered += label.mask
    np.testing.assert_array_equal(covered, ids >= 0)
    for label in labels:
        owners = {PARTS[i].instance.id for i in np.unique(ids[label.mask])}
        assert owners == {label.instance.id}
        rows, columns = np.nonzero(label.mask)
        x, y, width, height = label.box
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
        assert label.area == len(rows)


def test_key_points_by_hand() -> None:
    q = np.array([0.4, -1.0])
    seen = keypoints(frame(np.full((48, 64), -1)), PARTS, TREE, q)
    assert seen.names == ("shoulder", "elbow")
    elbow = np.array([0, 0, 0.1]) + axis_angle(np.array([0, 1.0, 0]), np.asarray(0.4)) @ [0, 0, 0.3]
    # The camera at (2, 0, 0.3) looks along −x: right is +y, down is −z.
    f = 32 / np.tan(0.4)
    for point, uv in zip([np.array([0, 0, 0.1]), elbow], seen.uv, strict=True):
        np.testing.assert_allclose(
            uv, [31.5, 23.5 + f * (0.3 - point[2]) / (2 - point[0])], atol=1e-9
        )


def test_a_joint_is_visible_on_the_links_it_connects_only() -> None:
    q = np.zeros(2)
    at_joints = {}
    for name in ("base", "upper", "lower", "tool", "cube", None):
        part = -1 if name is None else NAMES.index(name)
        at_joints[name] = keypoints(
            frame(np.full((48, 64), part)), PARTS, TREE, q
        ).visibility.tolist()
    assert at_joints == {
        "base": [VISIBLE, HIDDEN],
        "upper": [VISIBLE, VISIBLE],
        # The tool is welded to the lower link.
        "lower": [HIDDEN, VISIBLE],
        "tool": [HIDDEN, VISIBLE],
        "cube": [HIDDEN, HIDDEN],
        None: [HIDDEN, HIDDEN],
    }


def test_a_joint_beyond_the_edge_or_behind_the_camera_is_outside() -> None:
    picture = frame(np.full((48, 64), NAMES.index("upper")))
    behind = replace(
        picture,
        camera=replace(CAMERA, X_WC=look_at(np.array([2.0, 0, 0.3]), np.array([3.0, 0, 0.3]))),
    )
    assert keypoints(behind, PARTS, TREE, np.zeros(2)).visibility.tolist() == [OUTSIDE, OUTSIDE]
    # Moved so that the shoulder (at row 31.1) falls on the edge of the picture, at 47.5.
    shoulder = keypoints(picture, PARTS, TREE, np.zeros(2)).uv[0, 1]
    for beyond, expected in [(-1e-6, VISIBLE), (1e-6, OUTSIDE)]:
        lower = replace(CAMERA, cy=CAMERA.cy + 47.5 - shoulder + beyond)
        seen = keypoints(replace(picture, camera=lower), PARTS, TREE, np.zeros(2))
        assert seen.visibility[0] == expected


def test_skeleton_follows_the_tree() -> None:
    assert skeleton(TREE) == ((0, 1),)


def test_categories_and_key_points_as_coco_has_them() -> None:
    kinds = coco.categories(instances_of(PARTS), "robot", TREE.joints, skeleton(TREE))
    assert kinds[0] == {
        "id": 1,
        "name": "robot",
        "supercategory": "thing",
        "keypoints": ["shoulder", "elbow"],
        "skeleton": [[1, 2]],
    }
    assert [kind["name"] for kind in kinds[1:]] == ["cube", "ball", "can", "roof"]
    ids = np.full((48, 64), NAMES.index("top"))
    ids[21:40, 25:40] = NAMES.index("upper")
    ids[30:45, 50:60] = NAMES.index("roof")
    picture = frame(ids)
    joints = keypoints(picture, PARTS, TREE, np.zeros(2))
    labels = tuple(
        label
        for label in instance_labels(picture, instances_of(PARTS))
        if not label.instance.static
    )
    robot, roof = coco.annotations(
        Labelled(labels, {}, joints, Shown(picture, views.drawn(0), PARTS)),
        {kind["name"]: kind["id"] for kind in kinds},
        image_id=4,
        robot="arm",
    )
    assert robot["bbox"] == [25, 21, 15, 19]
    assert robot["num_keypoints"] == 2
    assert robot["keypoints"][2::3] == [VISIBLE, HIDDEN]
    np.testing.assert_allclose(robot["keypoints"][:2], joints.uv[0], atol=5e-4)
    assert (roof["category_id"], roof["area"], roof["image_id"]) == (5, 150, 4)
    assert "keypoints" not in roof
