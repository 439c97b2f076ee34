"""Files of labels: what comes back is what the conventions say, as exactly as they promise."""

import io
from typing import Any

import cv2
import numpy as np
import pytest

from envs.errors import ConfigError
from envs.frames import axis_angle
from generators.labelling import FLOW_STEP_S, Labelled, Labeller
from generators.labels.conventions import Label
from generators.labels.surface import distance_m, normal_C, object_coordinates, semantic_id
from generators.writers import coco
from generators.writers.pixels import _ids, encode, to_millimetres
from tests.generators.labels.views import CASTER, INSTANCES, PARTS, STUDIO, drawn, pinhole
from tests.generators.small_table import recording

SHOWN = drawn(1, (240, 180))
FRAME = CASTER.render(SHOWN)
RECORDING = recording()


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    return Labeller.of(STUDIO, RECORDING, PARTS, tuple(Label)).label(CASTER, SHOWN, FRAME)


def image(label: Label, labelled: Labelled) -> np.ndarray:
    file = encode(label, labelled.shown)
    assert file.suffix == "png"
    back = cv2.imdecode(np.frombuffer(file.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert back is not None and back.dtype == np.uint16
    rgb: np.ndarray = back[..., ::-1] if back.ndim == 3 else back
    return rgb


def arrays(label: Label, labelled: Labelled) -> dict[str, Any]:
    file = encode(label, labelled.shown)
    assert file.suffix == "npz"
    with np.load(io.BytesIO(file.content), allow_pickle=False) as back:
        return dict(back)


def test_lengths_in_millimetres(labelled: Labelled) -> None:
    length = np.array([[0.0, 0.0004, 0.0006, 1.2345, 65.535, 65.536, np.inf]], np.float32)
    # 1234.5 is not a float32; the nearest one rounds to 1234.
    assert to_millimetres(length).tolist() == [[0, 0, 1, 1234, 65535, 0, 0]]
    for label, exact in [(Label.depth, FRAME.depth_m), (Label.distance, distance_m(FRAME))]:
        back = image(label, labelled)
        seen = FRAME.part_id >= 0
        assert np.abs(back[seen] / 1000 - exact[seen]).max() <= 0.000501
        assert (back[~seen] == 0).all()


def test_normals_to_a_hundredth_of_a_degree(labelled: Labelled) -> None:
    back, seen = image(Label.normal, labelled), FRAME.part_id >= 0
    normal = (back.astype(float) - 32768) / 32767
    exact = normal_C(FRAME)
    assert np.abs(normal[seen] - exact[seen]).max() <= 0.5 / 32767 + 1e-7
    assert (back[~seen] == 0).all()
    assert (back[seen] > 0).all()


def test_ids(labelled: Labelled) -> None:
    np.testing.assert_array_equal(image(Label.instance, labelled), FRAME.instance_id)
    np.testing.assert_array_equal(image(Label.part, labelled), FRAME.part_id + 1)
    semantic = image(Label.semantic, labelled)
    np.testing.assert_array_equal(semantic, semantic_id(FRAME, INSTANCES))
    with pytest.raises(ConfigError, match="shows id 65536"):
        _ids(np.array([[65536]], np.int32))


def test_object_coordinates(labelled: Labelled) -> None:
    back = arrays(Label.object_coordinates, labelled)
    np.testing.assert_array_equal(back["p_B"], object_coordinates(FRAME, PARTS, SHOWN.poses))
    assert back["p_B"].dtype == np.float32


def test_flow_follows_the_robot_to_the_times_beside(labelled: Labelled) -> None:
    back = arrays(Label.flow, labelled)
    assert set(back) == {"forward", "backward", "forward_occluded", "backward_occluded"}
    robot, still = FRAME.instance_id == 1, FRAME.instance_id > 1
    for name, sign in [("forward", 1), ("backward", -1)]:
        assert back[name].dtype == np.float32
        np.testing.assert_allclose(back[name][still], 0, atol=1e-4)
        # The tool's points go where the recording leads; the arm swings in the plane y = 0.
        sample = np.abs(RECORDING.t_s - (SHOWN.t_s + sign * FLOW_STEP_S)).argmin()
        shoulder, bend = RECORDING.q[sample, 1], RECORDING.q[sample].sum()
        tool = FRAME.part_id == [p.body.name for p in PARTS].index("tool")
        p_B = object_coordinates(FRAME, PARTS, SHOWN.poses)[tool] + [0, 0, 0.27]
        p_W = p_B @ axis_angle(np.array([0, 1.0, 0]), np.asarray(bend)).T
        p_W += [0.3 * np.sin(shoulder), 0, 0.1 + 0.3 * np.cos(shoulder)]
        v, u = np.nonzero(tool)
        assert len(v) > 20
        expected = pinhole(SHOWN.camera, p_W) - np.stack([u, v], axis=1)
        np.testing.assert_allclose(back[name][tool], expected, atol=1e-3)
    assert np.abs(back["forward"][robot]).max() > 0.8


def test_annotations_beside_cocos_own(labelled: Labelled) -> None:
    ids = {"robot": 1, "cube": 2, "ball": 3, "can": 4, "roof": 5}
    entries = coco.annotations(labelled, ids, image_id=1, robot="arm")
    assert (
        {e["instance_id"] for e in entries}
        == {i.instance.id for i in labelled.instances}
        == {i.id for i in INSTANCES if not i.static} & set(np.unique(FRAME.instance_id).tolist())
    )
    for entry in entries:
        part = next(p for p in PARTS if p.instance.id == entry["instance_id"])
        X_CB = np.array(entry["X_CB"])
        expected = np.linalg.inv(SHOWN.camera.X_WC) @ SHOWN.poses[part.body.name]
        np.testing.assert_allclose(X_CB, expected, atol=1e-12)
        # Corners follow from pose, middle and size.
        size, middle = (np.array(entry["bbox_3d"][k]) for k in ("size_m", "center_m"))
        ends = (np.arange(8)[:, None] >> np.arange(3) & 1) - 0.5
        p_C = (middle + ends * size) @ X_CB[:3, :3].T + X_CB[:3, 3]
        uv = p_C[:, :2] / p_C[:, 2:] * [SHOWN.camera.fx, SHOWN.camera.fy]
        uv += [SHOWN.camera.cx, SHOWN.camera.cy]
        np.testing.assert_allclose(entry["bbox_3d"]["corners"], uv, atol=6e-4)
        # The box holds the silhouette.
        x, y, width, height = entry["amodal_bbox"]
        if entry["truncation"] == 0:
            assert uv[:, 0].min() <= x and x + width - 1 <= uv[:, 0].max()
            assert uv[:, 1].min() <= y and y + height - 1 <= uv[:, 1].max()
        assert 0 < entry["visible_fraction"] <= 1
