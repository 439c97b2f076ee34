"""COCO annotations of a data set, as plain values ready for JSON.

COCO's boxes count pixel edges, so the box of pixel (3, 5) is [3, 5, 1, 1]. Its key points count
pixels, as ours do. Of the surroundings there are no annotations: a table is in each picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from generators.labels.keypoints import Keypoints
from generators.labels.masks import InstanceLabel
from generators.renderer import Frame, Instance
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
        files: "rgb", "depth" and "instance" → path in the data set.
        joints: Names of the robot's joints.
    """
    camera = scenario.camera
    return {
        "id": scenario.index,
        "width": camera.width,
        "height": camera.height,
        "file_name": files["rgb"],
        "depth_file": files["depth"],
        "instance_file": files["instance"],
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
    frame: Frame,
    labels: Sequence[InstanceLabel],
    joints: Keypoints,
    category_ids: Mapping[str, int],
    *,
    image_id: int,
    robot: str,
) -> list[Json]:
    """Return the annotations of one picture, without ids.

    Args:
        frame: The picture.
        labels: What is seen in it.
        joints: The robot's joints in it.
        category_ids: Class → its id.
        image_id: Of the picture.
        robot: Name of the robot's instance.
    """
    listed = []
    for label in labels:
        if label.instance.static:
            continue
        entry: Json = {
            "image_id": image_id,
            "category_id": category_ids[label.instance.label],
            "bbox": list(label.box),
            "area": label.area,
            "segmentation": {"size": list(label.mask.shape), "counts": encode(label.mask)},
            "iscrowd": 0,
            "instance_id": label.instance.id,
        }
        if label.instance.name == robot:
            entry |= _keypoints(joints)
        listed.append(entry)
    return listed


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
    instances: Sequence[Instance],
    *,
    description: str,
) -> Json:
    """Return the whole file; annotations are numbered from 1."""
    return {
        "info": {"description": description, "version": "1.0"},
        "licenses": [],
        "images": list(images),
        "annotations": [{"id": n, **entry} for n, entry in enumerate(annotated, start=1)],
        "categories": list(kinds),
        "instances": [{"id": i.id, "name": i.name, "class": i.label} for i in instances],
    }
