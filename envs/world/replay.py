"""Play a recording back on the twin: its poses imposed, or its commands obeyed.

Positions go in and come out as the encoders read them; see `encoders`.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from envs.errors import RecordingError, StageError
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.filtering import lowpass
from envs.telemetry.trajectory import Trajectory
from envs.world.actuators import ActuatorParameters, delayed_commands, simulate
from envs.world.bullet import BulletWorld
from envs.world.clearance import check_clear
from envs.world.encoders import from_readings, to_readings
from envs.world.sensing import sensor_torque

START_CUTOFF_HZ = 20.0
"""For the state to start from: far above what a robot's joints do, far below the noise's band."""


def smooth_state(
    trajectory: Trajectory, cutoff_hz: float
) -> tuple[Float[np.ndarray, "time joint"], Float[np.ndarray, "time joint"]]:
    """Return low-passed position and velocity (rad, rad/s or m, m/s), without a delay.

    Without a measured velocity it is the slope of the position.
    """
    dt_s = trajectory.dt_s
    q = lowpass(trajectory.q, dt_s, cutoff_hz)
    if trajectory.qd is None:
        return q, np.gradient(q, dt_s, axis=0)
    return q, lowpass(trajectory.qd, dt_s, cutoff_hz)


def stage_columns(scene: Scene, trajectory: Trajectory) -> tuple[str, ...]:
    """Return the trajectory's joints, which must be in the stage's order.

    Raises:
        RecordingError: They are not.
        StageError: One of them is unknown.
    """
    joints = reduce_tree(scene.robot, trajectory.joints, scene.gravity_mps2).joints
    if joints != trajectory.joints:
        raise RecordingError(
            f"a replay needs the joints in the stage's order ({', '.join(joints)}), "
            f"not as {', '.join(trajectory.joints)}"
        )
    return joints


def replay_kinematic(
    scene: Scene, trajectory: Trajectory, *, cutoff_hz: float = 10.0
) -> Trajectory:
    """Impose the recorded motion and return the torque that the stage says it takes.

    The torque is what the joints' sensors would read during the low-passed motion. To
    compare it with a measured effort, low-pass both the same (`calibration.residuals`).

    Args:
        scene: With the robot; joints that were not recorded are welded at 0.
        trajectory: Measured; its joints in the stage's order.
        cutoff_hz: Of the low-pass that differentiating a measurement needs.

    Returns:
        The recorded position, the low-passed velocity, and the torque, on the same clock.
    """
    robot, names = scene.robot, stage_columns(scene, trajectory)
    joints = [robot.joint(name) for name in names]
    q, qd = smooth_state(from_readings(robot, trajectory), cutoff_hz)
    qdd = np.gradient(qd, trajectory.dt_s, axis=0)
    tree = reduce_tree(robot, names, scene.gravity_mps2)
    tau = sensor_torque(tree, joints, q, qd, qdd, trajectory.dt_s)
    return Trajectory(
        t_s=trajectory.t_s,
        joints=names,
        q=trajectory.q,
        qd=qd,
        tau=tau,
        q_command=trajectory.q_command,
        valid=trajectory.valid,
    )


def replay_dynamic(
    scene: Scene,
    trajectory: Trajectory,
    *,
    contacts: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory:
    """Send the recorded commands through the stage's drives and return what PyBullet's robot does.

    It starts from the measured state and is never corrected by the recording after that. The world
    holds the robot alone, unless what stood around it when it was recorded is known.

    Args:
        scene: With the robot and a drive for each recorded joint; other joints are welded at 0.
        trajectory: Measured, with commands; its joints in the stage's order. Its step is the
            step of the simulation.
        contacts: Whether the scene is what stood around the robot, and where the recording begins
            stood as the stage has it: the robot then touches it.
        progress: Called with (steps done, steps in all) now and then.

    Returns:
        Simulated position, velocity and drive torque on the same clock.

    Raises:
        RecordingError: No command was recorded.
        StageError: A joint has no drive, the motion diverges, or the robot starts inside something.
    """
    if trajectory.q_command is None:
        raise RecordingError(
            "a dynamic replay needs recorded commands (command_position or command_velocity); "
            "this recording has none"
        )
    names = stage_columns(scene, trajectory)
    parameters = ActuatorParameters.from_joints(scene.robot, names)
    moved = from_readings(scene.robot, trajectory)
    assert moved.q_command is not None, "checked above"
    q, qd = smooth_state(moved, START_CUTOFF_HZ)
    steps, dt_s = len(trajectory.t_s) - 1, trajectory.dt_s
    start = np.zeros(1, int)
    commands = delayed_commands(moved.q_command, start, steps, parameters.delay_s, dt_s)
    with BulletWorld(scene, joints=names, colliders=contacts, dt_s=dt_s) as world:
        if contacts:
            check_clear(world, scene, q[:1])
        rollout = simulate(world, parameters, commands, q[:1], qd[:1], progress=progress)
    broken = ~np.isfinite([rollout.q, rollout.qd, rollout.tau]).all(axis=(0, 2, 3))
    if broken.any():
        at_s = trajectory.t_s[int(np.argmax(broken))]
        raise StageError(f"{scene.robot.prim}: the simulated motion diverges at {at_s:.3f} s")
    simulated = Trajectory(
        t_s=trajectory.t_s,
        joints=names,
        q=rollout.q[:, 0],
        qd=rollout.qd[:, 0],
        tau=rollout.tau[:, 0],
        q_command=moved.q_command,
        valid=trajectory.valid,
    )
    return to_readings(scene.robot, simulated)
