"""Where a search over rollouts moves, and where it starts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from calibration.segments import FITTED, Segments
from envs.errors import CalibrationError
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.dynamics import TreeDynamics
from envs.world.replay import replay_kinematic

LOGARITHMIC = np.array([name in ("stiffness", "damping") for name in FITTED])
"""They are of an order of magnitude; on the others the torque depends linearly."""
KNOWN, GUESSED = 0.3, 1.0
"""How far the start may be off, relative to what the stage says, or to our guess."""
FAR = 20.0
"""How many such units a coordinate may go up."""
DELAY_START_S, DELAY_SCALE_S, DELAY_MAX_S = 0.005, 0.01, 0.1
LACKING = 3.0
"""Where a joint was measured to take so many times the torque that its model takes, or its drive to
be so many times stiffer or softer than the stage's, the search starts from the measurement."""
TOLD = 0.8
"""The part of a measured torque that a drive must explain, for the search to start from it."""


@dataclass(frozen=True)
class Coordinates:
    """Where the search moves: z = 0 at the start, one unit as far as the start may be off.

    Attributes:
        start: Values at the origin, in SI.
        scale: What one unit means: of the logarithm of stiffness and damping, of the value itself
            elsewhere.
    """

    start: Float[np.ndarray, "joint 6"]
    scale: Float[np.ndarray, "joint 6"]

    def values(self, z: Float[np.ndarray, "*n joint 6"]) -> Float[np.ndarray, "*n joint 6"]:
        """Return the values of `FITTED` at these coordinates, in SI."""
        moved = z * self.scale
        factor = np.exp(np.where(LOGARITHMIC, moved, 0.0))
        # Rounding must not push a value at its bound below 0.
        linear = np.maximum(self.start + moved, 0.0)
        return np.asarray(np.where(LOGARITHMIC, self.start * factor, linear))

    def bounds(self) -> tuple[Float[np.ndarray, "joint 6"], Float[np.ndarray, "joint 6"]]:
        """Return the lowest and the highest coordinates."""
        low = np.where(LOGARITHMIC, -FAR, -self.start / self.scale)
        high = np.full(low.shape, FAR)
        high[:, -1] = (DELAY_MAX_S - self.start[:, -1]) / self.scale[:, -1]
        return low, high


def start_coordinates(scene: Scene, train: Trajectory, data: Segments) -> Coordinates:
    """Return where to start and how far to look; what the stage leaves open is guessed."""
    start = np.stack([getattr(data.actuators, name) for name in FITTED], axis=-1)
    names = np.array(data.joints)
    if (start[:, FITTED.index("stiffness")] <= 0).any():
        idle = ", ".join(names[start[:, FITTED.index("stiffness")] <= 0])
        raise CalibrationError(f"a drive without stiffness does not follow positions: {idle}")
    start[:, LOGARITHMIC] = _drives(start[:, LOGARITHMIC], train)
    # A tenth of what the motion takes, in torque and in inertia, is of the right order.
    motion = replay_kinematic(scene, train)
    assert motion.tau is not None and motion.qd is not None, "a kinematic replay has both"
    torque = np.maximum(motion.tau[motion.measured].std(axis=0), 1e-2)
    speed = np.maximum(motion.qd[motion.measured].std(axis=0), 1e-2)
    tree = reduce_tree(scene.robot, data.joints, scene.gravity_mps2)
    M, _ = TreeDynamics(tree).mass_matrix_and_bias(data.q, np.zeros_like(data.q))
    inertia = np.diagonal(M, axis1=1, axis2=2).mean(axis=0)
    if train.tau is not None:
        # What the model takes little of is friction, or a rotor that it has not.
        taken = train.tau[train.measured].std(axis=0)
        rate = np.gradient(motion.qd, train.t_s, axis=0)[motion.measured].std(axis=0)
        lacking = taken > LACKING * torque
        torque = np.where(lacking, taken, torque)
        inertia = np.where(lacking, taken / np.maximum(rate, 1e-1), inertia)
    guess = np.stack(
        [
            0.1 * torque,
            0.1 * torque / speed,
            0.1 * inertia,
            start[:, FITTED.index("stiffness")],
            0.1 * start[:, FITTED.index("stiffness")],
            np.full(len(names), DELAY_START_S),
        ],
        axis=-1,
    )
    # A value that the stage has close to 0 may still be wrong by a part of the guess.
    scale = np.where(start > 0, KNOWN * np.maximum(start, guess), GUESSED * guess)
    start = np.where(start > 0, start, guess)
    start[:, -1] = np.minimum(start[:, -1], DELAY_MAX_S)
    scale = np.where(LOGARITHMIC, KNOWN, scale)
    scale[:, -1] = DELAY_SCALE_S
    return Coordinates(start, scale)


def _drives(stage: Float[np.ndarray, "joint 2"], train: Trajectory) -> Float[np.ndarray, "joint 2"]:
    """Return stiffness and damping to start from: the stage's, unless measured torque tells others.

    Least squares of the torque by the tracking error and the velocity, for the best of some delays;
    it takes the delay between two commands for none, so that it is a start and no more.
    """
    if train.tau is None or train.q_command is None:
        return stage
    step = max(1, round(DELAY_START_S / train.dt_s))
    found = stage.copy()
    qd = np.gradient(train.q, train.t_s, axis=0) if train.qd is None else train.qd
    for j, (k, _) in enumerate(stage):
        best = TOLD
        for late in range(0, round(DELAY_MAX_S / train.dt_s) + 1, step):
            now, then = slice(late, None), slice(None, len(train.t_s) - late)
            use = train.measured[now]
            error = train.q_command[then, j][use] - train.q[now, j][use]
            columns = np.stack([error, -qd[now, j][use], np.ones(len(error))], axis=1)
            tau = train.tau[now, j][use]
            drive, *_ = np.linalg.lstsq(columns, tau, rcond=None)
            told = 1 - np.square(tau - columns @ drive).sum() / np.square(tau - tau.mean()).sum()
            if told > best and drive[0] > 0:
                best = told
                if not k / LACKING < drive[0] < k * LACKING:
                    found[j] = drive[0], max(drive[1], 0.02 * drive[0])
    return found
