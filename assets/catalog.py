"""Names of the robots and scenes that come with the project: data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ASSETS = Path(__file__).resolve().parent
ROBOTS = ASSETS / "robots"
"""Where imported robots are built; it can be deleted at any time."""
CONVEX_PIECES = ASSETS / "convex_pieces"
"""Where the convex pieces of concave colliders are kept; it can be deleted at any time."""


@dataclass(frozen=True)
class RobotSource:
    """Where a robot comes from, and what its URDF does not say.

    Attributes:
        package: The installed Python package that holds the URDF.
        urdf: Path of the URDF inside that package.
        leave_out: Links that are dropped, each with all that hangs from it.
        drives: Joint name → stiffness and damping of its position drive to start from, N·m/rad
            and N·m·s/rad, or N/m and N·s/m for a sliding joint.
    """

    package: str
    urdf: str
    leave_out: tuple[str, ...] = ()
    drives: Mapping[str, tuple[float, float]] = field(default_factory=dict)


PANDA_DRIVES = {
    "panda_joint1": (4500.0, 450.0),
    "panda_joint2": (4500.0, 450.0),
    "panda_joint3": (3500.0, 350.0),
    "panda_joint4": (3500.0, 350.0),
    "panda_joint5": (2000.0, 200.0),
    "panda_joint6": (2000.0, 200.0),
    "panda_joint7": (2000.0, 200.0),
}
"""Of the order commonly used to simulate this arm: a start for the calibration."""

ROBOT_SOURCES: Mapping[str, RobotSource] = {
    "panda": RobotSource(
        package="pybullet_data", urdf="franka_panda/panda.urdf", drives=PANDA_DRIVES
    ),
    "panda_arm": RobotSource(
        package="pybullet_data",
        urdf="franka_panda/panda.urdf",
        leave_out=("panda_hand",),
        drives=PANDA_DRIVES,
    ),
    "kuka_iiwa": RobotSource(package="pybullet_data", urdf="kuka_iiwa/model.urdf"),
}


ROBOT_STAGES: Mapping[str, Path] = {
    "xl330_pendulum": ASSETS / "servos" / "xl330_pendulum.usda",
}
"""Robots that were written by hand."""


def robot_names(robots: Path = ROBOTS) -> list[str]:
    """Return the names of all robots: those above, and those that a user has imported."""
    folders = sorted(robots.iterdir()) if robots.is_dir() else []
    imported = [f.name for f in folders if (f / f"{f.name}.usda").is_file()]
    known = [*ROBOT_SOURCES, *ROBOT_STAGES]
    return [*known, *(name for name in imported if name not in known)]


SCENES: Mapping[str, Path] = {
    "tabletop": ASSETS / "scenes" / "tabletop.usda",
}
