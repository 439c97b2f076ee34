"""Pictures that take every way through the kernels: shapes, a dome, a data set's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from assets import catalog
from conf.schema import ROOT
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from generators.distortion import Distortion
from generators.ranges import Ranges
from generators.scenario import Scenario, draw, prepare
from generators.textures import write_textures
from tests.generators.raster.random_scenes import random_scene
from tests.generators.raster.test_dome import smooth_dome

LENSES = (Distortion(), Distortion(k1=-0.28, k2=0.07, p1=1e-3, p2=-5e-4), Distortion(k1=0.1))
JOINTS = tuple(f"panda_joint{k}" for k in range(1, 8))
POSTURE = np.array([0.3, -0.5, 0.1, -2.2, 0.2, 1.9, 0.8])

Size = tuple[int, int]
Case = tuple[Scene, tuple[Path, ...], list[Scenario]]


def shapes(folder: Path, size: Size) -> Case:
    """Shapes of all kinds through three lenses, under a lamp and a sky."""
    scene, shown = random_scene(4, size=size)
    cameras = [replace(shown.camera, distortion=lens) for lens in LENSES]
    return scene, (), [replace(shown, camera=camera) for camera in cameras]


def under_a_dome(folder: Path, size: Size) -> Case:
    """Shapes under a picture of a sky."""
    scene, shown = random_scene(6, size=size)
    return scene, (), [replace(shown, lighting=replace(shown.lighting, dome=smooth_dome()))]


def tabletop(folder: Path, size: Size) -> Case:
    """What a data set shows: a robot, things on a table, images, light that is drawn."""
    rig = write_rig(
        folder / "rig.usda", scene=catalog.SCENES["tabletop"], robot=robot_asset("panda")
    )
    scene = read_stage(rig)
    bounds = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/randomization/tabletop.yaml"))
    assert isinstance(bounds, dict), "a group of keys"
    ranges = Ranges.from_bounds({str(k): v for k, v in bounds.items()})
    recording = Trajectory(np.arange(5) * 0.01, JOINTS, np.tile(POSTURE, (5, 1)))
    studio, textures = prepare(scene, JOINTS), write_textures(folder, 0)
    drawn = [draw(studio, recording, ranges, seed=2, index=k, size=size) for k in range(4)]
    return scene, textures, drawn


CASES = (shapes, under_a_dome, tabletop)
