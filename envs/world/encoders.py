"""Between what encoders read and where joints stand: `q = reading + encoder_offset`.

A recording holds readings, and so do the commands, which a controller compares with readings. The
stage's frames, limits and inertias are about where the joints stand. Whatever poses or simulates a
recorded robot goes over here first; what is compared with a recording comes back.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from envs.stage.scene import Articulation
from envs.telemetry.trajectory import Trajectory


def encoder_offsets(robot: Articulation, trajectory: Trajectory) -> Float[np.ndarray, "joint"]:
    """Return what the encoders of the recorded joints read too little, rad or m."""
    return np.array([robot.joint(name).encoder_offset for name in trajectory.joints])


def from_readings(robot: Articulation, trajectory: Trajectory) -> Trajectory:
    """Return a recorded trajectory, positions and commands, in the stage's coordinates."""
    return _moved(trajectory, encoder_offsets(robot, trajectory))


def to_readings(robot: Articulation, trajectory: Trajectory) -> Trajectory:
    """Return what the encoders read of a trajectory in the stage's coordinates."""
    return _moved(trajectory, -encoder_offsets(robot, trajectory))


def _moved(trajectory: Trajectory, by: Float[np.ndarray, "joint"]) -> Trajectory:
    if not by.any():  # to the last bit the same, where there is no offset
        return trajectory
    command = trajectory.q_command
    return replace(
        trajectory, q=trajectory.q + by, q_command=None if command is None else command + by
    )
