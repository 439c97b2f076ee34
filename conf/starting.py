"""What a model does not say and a fit must start from: sensible values, in the weakest layer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conf.schema import Task
from conf.session import Session
from envs.stage.identified import Value
from envs.stage.layers import write_overrides
from envs.stage.scene import Joint, Scene
from envs.stage.tree import reduce_tree
from envs.world.dynamics import TreeDynamics

BANDWIDTH_HZ = 10.0
"""Of a position drive that no one has described: what the controllers of arms have, roughly."""
MISSING = {
    "armature": ("rotor inertia", "fits start from a tenth of the joint's inertia"),
    "friction.coulomb": ("friction", "fits start from a tenth of the torque that the motion takes"),
    "effort_limit": ("torque limit", "none is applied"),
    "velocity_limit": ("velocity limit", "none is applied"),
}
"""Field → what it is, and what a fit makes of it where the stage does not say it."""
FITS, MOVES = (Task.pipeline, Task.calibrate), (Task.pipeline, Task.calibrate, Task.replay)
"""Tasks that fit, and tasks in which drives move the robot: others need not be told."""


def write_start(
    session: Session, robot: str, stage: Path, scene: Scene, joints: Sequence[str]
) -> bool:
    """Give joints that were commanded a drive where the stage has none; tell what else is missing.

    The drive is critically damped, with a bandwidth of 10 Hz on the joint's inertia at rest.

    Returns:
        Whether a layer was written.
    """
    found = [scene.robot.joint(name) for name in joints]
    task = session.config.task
    for field, (what, made) in MISSING.items():
        lacking = [j for j in found if j.sources.get(field) == "default"]
        if task in MOVES:
            made = made if task in FITS else "none is applied"
            _tell(session, robot, lacking, what, made, of=len(found))
    idle = [j for j in found if j.drive is None]
    if not idle:
        return False
    tree = reduce_tree(scene.robot, joints, scene.gravity_mps2)
    q = np.zeros((1, len(joints)))
    M, _ = TreeDynamics(tree).mass_matrix_and_bias(q, q)
    inertia = dict(zip(tree.joints, np.diagonal(M[0]), strict=True))
    omega = 2 * np.pi * BANDWIDTH_HZ
    drives = {
        j.name: {
            "drive.stiffness": Value(float(inertia[j.name]) * omega**2, method="start"),
            "drive.damping": Value(2 * float(inertia[j.name]) * omega, method="start"),
        }
        for j in idle
    }
    write_overrides(start_path(session, robot), stage=stage, joints=drives)
    span = [fields["drive.stiffness"].value for fields in drives.values()]
    made = (
        f"started at {BANDWIDTH_HZ:g} Hz, critically damped: "
        f"{min(span):.3g} to {max(span):.3g} N·m/rad or N/m"
    )
    if task in MOVES:
        _tell(session, robot, idle, "position drive", made, of=len(found))
    return True


def start_path(session: Session, robot: str) -> Path:
    """Return where the starting values of a robot lie, where any were needed."""
    return session.directory / f"start_{robot}.usda"


def _tell(
    session: Session, robot: str, joints: list[Joint], what: str, made: str, *, of: int
) -> None:
    if joints:
        some = "" if len(joints) == of else f" for {', '.join(j.name for j in joints)}"
        session.note(f"robot {robot} has no {what}{some}: {made}")
