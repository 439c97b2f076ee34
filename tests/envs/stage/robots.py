"""Where the URDFs of the tests come from: two installed packages."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pybullet_data
import pytest


def example(path: str) -> Path:
    try:
        package = distribution("example-robot-data")
    except PackageNotFoundError:
        pytest.skip("the package example-robot-data is not installed; it is in the dev extra")
    root = Path(str(package.locate_file("cmeel.prefix")))
    return root / "share" / "example-robot-data" / "robots" / path


def source(name: str) -> Path:
    bullet = Path(pybullet_data.getDataPath())
    if name == "panda":
        return bullet / "franka_panda" / "panda.urdf"
    if name == "kuka_iiwa":
        return bullet / "kuka_iiwa" / "model.urdf"
    return example(
        {
            "ur10": "ur_description/urdf/ur10_robot.urdf",
            "g1": "g1_description/urdf/g1_29dof_rev_1_0.urdf",
            "xarm7": "xarm_description/urdf/xarm7.urdf",
            "so101": "so_arm_description/urdf/so101.urdf",
            "tiago": "tiago_description/robots/tiago.urdf",
        }[name]
    )


ROBOTS = ("panda", "kuka_iiwa", "ur10", "g1", "xarm7", "so101", "tiago")
