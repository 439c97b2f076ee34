"""COCO annotations of a data set, as plain values ready for JSON.

`labels.conventions` says what each value means. Beside COCO's fields an annotation has
`amodal_bbox`, `amodal_segmentation`, `visible_fraction` and `truncation` where the renderer tells
what is hidden, its pose `X_CB` and `bbox_3d`. Of the surroundings there are no annotations: a table
is in each picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from envs.frames import inverse
from generators.camera import Camera
from generators.labelling import Labelled
from generators.labels.keypoints import Keypoints
from generators.labels.solids import Box3
from generators.labels.surface import semantic_ids
from generators.renderer import Instance, Part, instances_of
from generators.rle import encode
from generators.scenario import Scenario

Json = dict[str, Any]


def categories(
    instances: Sequence[Instance],
    robot: str,
    joints: Sequence[str],
    bones: Sequence[tuple[int, int]],
) -> list[Json]:
    """Return the classes of all that is annotated; the robot's has key points and a skeleton.

    Args:
        instances: Of the scene.
        robot: Class of the robot.
        joints: Names of its key points.
        bones: Pairs of joints that follow one another, counted from 0.
    """
    labels = dict.fromkeys(i.label for i in instances if not i.static)
    listed: list[Json] = []
    for number, label in enumerate(labels, start=1):
        category: Json = {"id": number, "name": label, "supercategory": "thing"}
        if label == robot:
            category["keypoints"] = list(joints)
            category["skeleton"] = [[a + 1, b + 1] for a, b in bones]
        listed.append(category)
    return listed


def image(scenario: Scenario, files: Mapping[str, str], joints: Sequence[str]) -> Json:
    """Return the entry of one picture, with the camera and the robot's state beside COCO's fields.

    Args:
        scenario: What the picture shows.
        files: "rgb" and the labels that have files → path in the data set.
        joints: Names of the robot's joints.
    """
    camera = scenario.camera
    return {
        "id": scenario.index,
        "width": camera.width,
        "height": camera.height,
        "file_name": files["rgb"],
        **{f"{kind}_file": path for kind, path in files.items() if kind != "rgb"},
        "camera": {
            "fx": camera.fx,
            "fy": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "distortion": list(camera.distortion.coefficients),
            "X_WC": camera.X_WC.tolist(),
        },
        "time_s": scenario.t_s,
        "joint_positions": dict(zip(joints, scenario.q.tolist(), strict=True)),
    }


def annotations(
    labelled: Labelled, category_ids: Mapping[str, int], *, image_id: int, robot: str
) -> list[Json]:
    """Return the annotations of one picture, without ids.

    Args:
        labelled: What is seen in it.
        category_ids: Class → its id.
        image_id: Of the picture.
        robot: Name of the robot's instance.
    """
    listed = []
    for label in labelled.instances:
        entry: Json = {
            "image_id": image_id,
            "category_id": category_ids[label.instance.label],
            "bbox": list(label.box),
            "area": label.area,
            "segmentation": _rle(label.mask),
            "iscrowd": 0,
            "instance_id": label.instance.id,
        }
        if label.amodal is not None:
            entry |= {
                "amodal_bbox": list(label.amodal.box),
                "amodal_segmentation": _rle(label.amodal.mask),
                "visible_fraction": label.amodal.visible_fraction,
                "truncation": label.amodal.truncation,
            }
        if label.instance.id in labelled.boxes:
            entry |= _box3(labelled.boxes[label.instance.id], labelled.shown.frame.camera)
        if label.instance.name == robot:
            entry |= _keypoints(labelled.joints)
        listed.append(entry)
    return listed


def _rle(mask: Bool[np.ndarray, "h w"]) -> Json:
    """Return a mask as COCO's run lengths."""
    return {"size": list(mask.shape), "counts": encode(mask)}


def _box3(box: Box3, camera: Camera) -> Json:
    """Return pose and 3D box; a corner that is nearer than the near plane has no pixel."""
    corners = [
        [round(u, 3), round(v, 3)] if np.isfinite([u, v]).all() else None
        for u, v in box.corners_uv(camera).tolist()
    ]
    return {
        "X_CB": (inverse(camera.X_WC) @ box.X_WB).tolist(),
        "bbox_3d": {
            "center_m": ((box.low + box.high) / 2).tolist(),
            "size_m": (box.high - box.low).tolist(),
            "corners": corners,
        },
    }


def _keypoints(joints: Keypoints) -> Json:
    """Return COCO's key points: x, y, v in a row; zeros for one that is outside the picture."""
    flat: list[float] = []
    for (u, v), seen in zip(joints.uv.tolist(), joints.visibility.tolist(), strict=True):
        flat += [round(u, 3), round(v, 3), seen] if seen else [0, 0, 0]
    return {"keypoints": flat, "num_keypoints": int((joints.visibility > 0).sum())}


def document(
    images: Sequence[Json],
    annotated: Sequence[Json],
    kinds: Sequence[Json],
    parts: tuple[Part, ...],
    *,
    description: str,
) -> Json:
    """Return the whole file; annotations are numbered from 1, and so are parts, as in files."""
    instances = instances_of(parts)
    return {
        "info": {"description": description, "version": "1.0"},
        "licenses": [],
        "images": list(images),
        "annotations": [{"id": n, **entry} for n, entry in enumerate(annotated, start=1)],
        "categories": list(kinds),
        "instances": [{"id": i.id, "name": i.name, "class": i.label} for i in instances],
        "semantic_classes": [{"id": k, "name": n} for n, k in semantic_ids(instances).items()],
        "parts": [
            {"id": n, "name": part.body.name, "instance_id": part.instance.id}
            for n, part in enumerate(parts, start=1)
        ],
    }
