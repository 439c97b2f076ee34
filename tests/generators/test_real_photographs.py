"""A real arm in real photographs: its silhouette is where the camera's conventions put it.

The pose of the camera is the source's rough one, so the overlap cannot be whole; conventions that
are wrong (axes, joint order, an optical frame taken for another) give next to none.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.frames import pose
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.stage.urdf import import_urdf
from generators.camera import Camera, Lens
from generators.distortion import Distortion
from generators.raster.renderer import RasterRenderer
from generators.scenario import Scenario, body_poses
from generators.shading import Lighting

MED7 = Path(os.environ.get("KINETWIN_SHARED", "../shared")) / "images" / "med7"
JOINTS = tuple(f"A{n}" for n in range(1, 8))

OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: x right, y down and z forward in the source's axes (x forward, y left, z up)."""

DARK = Lighting(
    np.array([0, 0, 1.0]), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), 0.01, np.zeros(3)
)  # fmt: skip

pytestmark = pytest.mark.skipif(not MED7.is_dir(), reason=f"no photographs in {MED7}")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("med7")
    return read_stage(import_urdf(MED7 / "med7.urdf", folder, "med7"))


def camera(side: str) -> Camera:
    """The calibrated camera at the source's rough pose."""
    frames = MED7 / "frames"
    info = OmegaConf.to_container(OmegaConf.load(frames / f"{side}_camera_info.yaml"))
    assert isinstance(info, dict)
    fx, _, cx, _, fy, cy, *_ = info["k"]
    X_WS = np.load(frames / "HT_cam_swarm.npy")[0].astype(float)
    if side == "right":
        X_WS = X_WS @ np.load(frames / "HT_right_to_left.npy")
    # A rotation that was fitted in single precision.
    U, _, Vt = np.linalg.svd(X_WS[:3, :3])
    lens = Lens(fx, fy, cx, cy, Distortion.from_opencv(list(info["d"])))
    size = (info["width"], info["height"])
    X_WC = pose(U @ Vt @ OPTICAL, X_WS[:3, 3])
    return Camera(lens.fx, lens.fy, lens.cx, lens.cy, *size, X_WC, 0.05, 10.0, lens.distortion)


@pytest.mark.parametrize(("side", "least"), [("left", 0.85), ("right", 0.84)])
def test_silhouettes_lie_on_the_photographs(scene: Scene, side: str, least: float) -> None:
    tree = reduce_tree(scene.robot, JOINTS, scene.gravity_mps2)
    renderer = RasterRenderer(scene, (), device="cpu")
    overlaps = []
    for number in range(5):
        q = np.load(MED7 / "frames" / f"joint_states_{number}.npy")
        seen = camera(side)
        scenario = Scenario(number, 0.0, q, body_poses(tree, q), {}, DARK, seen)
        silhouette = renderer.render(scenario).instance_id > 0
        mask = cv2.imread(str(MED7 / "frames" / f"mask_sam2_{side}_image_{number}.png"), 0)
        assert mask is not None
        real = mask > 0
        overlaps.append((silhouette & real).sum() / (silhouette | real).sum())
    renderer.close()
    assert np.mean(overlaps) >= least
