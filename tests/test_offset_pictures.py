"""What encoders read too little reaches the pictures: from a layer, by the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pinocchio as pin
import pybullet_data
from jaxtyping import Float

from envs.stage.identified import Value
from envs.stage.layers import write_overrides, write_rig
from envs.stage.library import robot_asset
from tests.test_run import SMALL, run

OFFSETS = {"panda_joint2": 0.06, "panda_joint4": -0.09, "panda_joint6": 0.2}


def annotated(folder: Path, *overrides: str) -> dict[str, Any]:
    code, _, err = run(
        "task=generate", f"hydra.run.dir={folder}", *SMALL, *overrides, cwd=folder.parent
    )
    assert code == 0, err
    found: dict[str, Any] = json.loads((folder / "images" / "annotations.json").read_text())
    return found


def joints_px(q: dict[str, float], camera: dict[str, Any]) -> Float[np.ndarray, "joint 2"]:
    """Where Pinocchio has the origins of the joints in a picture, pixels."""
    urdf = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"
    model = pin.buildModelFromUrdf(str(urdf))
    data = model.createData()
    pin.forwardKinematics(model, data, np.append(list(q.values()), [0.0, 0.0]))
    p_W = np.array([data.oMi[model.getJointId(name)].translation for name in q])
    X_WC = np.array(camera["X_WC"])
    p_C = (p_W - X_WC[:3, 3]) @ X_WC[:3, :3]
    px = p_C[:, :2] / p_C[:, 2:] * [camera["fx"], camera["fy"]] + [camera["cx"], camera["cy"]]
    return np.asarray(px)


def test_pictures_show_the_robot_at_its_readings_plus_the_offsets(tmp_path: Path) -> None:
    stage = write_rig(tmp_path / "rig.usda", scene=None, robot=robot_asset("panda"))
    layer = tmp_path / "offsets.usda"
    joints = {name: {"encoder_offset": Value(value)} for name, value in OFFSETS.items()}
    write_overrides(layer, stage=stage, joints=joints)
    read, shifted = annotated(tmp_path / "read"), annotated(tmp_path / "shifted", f"layer={layer}")
    for plain, image in zip(read["images"], shifted["images"], strict=True):
        readings = plain["joint_positions"]
        q = {name: value + OFFSETS.get(name, 0.0) for name, value in readings.items()}
        assert image["joint_positions"] == q
        (robot,) = (
            a
            for a in shifted["annotations"]
            if a["image_id"] == image["id"] and len(a.get("keypoints", ())) == 21
        )
        found = np.array(robot["keypoints"]).reshape(7, 3)[:, :2]
        np.testing.assert_allclose(found, joints_px(q, image["camera"]), atol=0.01)
        assert np.abs(found - joints_px(readings, image["camera"])).max() > 1.0
