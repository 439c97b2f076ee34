"""`make sheet`: the contact sheet of the docs, from the catalogue's robots and scene."""

import sys
import tempfile
from pathlib import Path

from omegaconf import OmegaConf

from assets import catalog
from conf.schema import ROOT
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from generators.ranges import Ranges
from generators.sheet import Model, documentation_sheet

POSTURES = {
    "panda": ("Panda", "panda_joint", (0.3, -0.5, 0.1, -2.2, 0.2, 1.9, 0.8), 13),
    "kuka_iiwa": ("KUKA iiwa", "lbr_iiwa_joint_", (0.4, 0.6, 0.0, -1.3, 0.0, 1.1, 0.0), 19),
}
"""Robot → title, what its joints' names begin with, where they stand (rad), a seed."""


def main(out: Path) -> None:
    """Render both robots and write the sheet."""
    bounds = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/randomization/tabletop.yaml"))
    assert isinstance(bounds, dict), "a group of keys"
    models = []
    for robot, (title, joint, posture, seed) in POSTURES.items():
        with tempfile.TemporaryDirectory() as scrap:
            rig = write_rig(
                Path(scrap) / "rig.usda",
                scene=catalog.SCENES["tabletop"],
                robot=robot_asset(robot),
            )
            scene = read_stage(rig)
        q = {f"{joint}{k}": position for k, position in enumerate(posture, start=1)}
        models.append(Model(title, scene, q, seed))
    documentation_sheet(models, Ranges.from_bounds({str(k): v for k, v in bounds.items()}), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
