"""What any fit to ten seconds of a Panda could know at best, and the search for better seconds.

`python -m tests.panda_design` makes `SHAPE` again, in some minutes; no noise is drawn in it.
"""

from dataclasses import astuple, fields, replace

import cma
import numpy as np

from calibration.rollout.twin import FastTwin, Stretches
from envs.stage.tree import reduce_tree
from envs.world.actuators import ActuatorParameters
from tests.envs.telemetry.tiny import PANDA
from tests.panda_fit import FREE, LEAST_NM, MOST_NM, NOISE, PAYLOAD, with_joints, with_payload
from tests.panda_motion import Shape, command
from tests.true_panda import true_panda

COULOMB = 0.9
"""N·m, of all joints of the robot that the motion is designed for; what it tells in N·m hardly
depends on it."""
ASKED = {
    "coulomb": 0.005,
    "viscous": 0.03,
    "stiffness": 0.002,
    "damping": 0.002,
    "delay_s": 0.01,
    "payload.mass": 0.005,
    "com_m": 0.001,
}
"""Root mean square errors; relative but for the payload's place."""
BIN_S = 0.02
"""Means over this are compared, as by the fit; that costs some per cent of what samples tell."""
SKIPPED_S = 0.5
START = Shape(0.3, 0.06, 0.75, 1.8, 1.8, 0.15)
RANGE = Shape(0.4, 0.2, 1.5, 1.5, 3.0, 0.6)
STEP, SEED, GENERATIONS = 0.05, 1, 25
USED = 0.95
"""Of the limits of velocity and torque, at most."""
REACH_RAD = 0.05
"""What a command stays away from the limits of position."""


class Twin:
    """The robot that a motion is designed for, and its neighbours by one parameter each."""

    def __init__(self, dt_s: float) -> None:
        scene = with_joints(
            true_panda(), friction=lambda j: replace(j.friction, coulomb=COULOMB, stribeck=0.0)
        )
        self.joints = [scene.robot.joint(name) for name in PANDA]
        tree = reduce_tree(scene.robot, PANDA, scene.gravity_mps2)
        true = ActuatorParameters.from_joints(scene.robot, PANDA)
        self.dt_s, self._twin = dt_s, FastTwin(tree, dt_s=dt_s)
        own = [getattr(true, name) for name in FREE[:4]]
        self.true = np.concatenate([*own, true.delay_s[:1], PAYLOAD])
        self._step = 1e-3 * np.abs(self.true)
        trials = self.true + np.vstack([np.zeros(33), np.diag(self._step)])
        drives = {
            f.name: np.repeat(getattr(true, f.name)[None], len(trials), axis=0)
            for f in fields(true)
        }
        drives |= {name: trials[:, 7 * k : 7 * k + 7] for k, name in enumerate(FREE[:4])}
        drives["delay_s"] = np.repeat(trials[:, 28:29], 7, axis=1)
        self._drives = ActuatorParameters(**drives)
        self._pi = np.array([with_payload(tree, row[29:]).pi for row in trials])

    def deviations(self, commands: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Return the Cramér-Rao bounds, as in `ASKED`, and the largest torques, N·m."""
        width = round(BIN_S / self.dt_s)
        steps = (len(commands) - 1) // width * width
        stretches = Stretches(
            commands, np.zeros(1, int), steps, commands[:1], np.zeros((1, 7)), width
        )
        rolled = self._twin.roll(self._drives, stretches, pi=self._pi)
        # 1 kHz: each bin holds as many samples as it has milliseconds.
        whiten = {name: np.sqrt(BIN_S / 1e-3) / sigma for name, sigma in NOISE.items()}
        y = np.concatenate(
            [getattr(rolled, n)[:, 0, round(SKIPPED_S / BIN_S) :] * w for n, w in whiten.items()],
            axis=1,
        ).reshape(len(self._pi), -1)
        # Of relative changes, so that the information is well conditioned.
        J = (y[1:] - y[0]) / (self._step / np.abs(self.true))[:, None]
        relative = np.sqrt(np.diag(np.linalg.inv(J @ J.T)))

        def rms(x: np.ndarray) -> float:
            return float(np.sqrt((x**2).mean()))

        bounds = {name: rms(relative[7 * k : 7 * k + 7]) for k, name in enumerate(FREE[:4])}
        # Of friction that lies evenly between the two, the mean of 1/c² is 1 over their product.
        bounds["coulomb"] *= COULOMB / np.sqrt(LEAST_NM * MOST_NM)
        bounds |= {"delay_s": float(relative[28]), "payload.mass": float(relative[29])}
        bounds["com_m"] = rms(relative[30:] * PAYLOAD[1:])
        return bounds, np.abs(rolled.tau[0, 0]).max(axis=0)

    def beyond(self, commands: np.ndarray, torque: np.ndarray) -> float:
        """Return by how much a motion exceeds the limits, summed over joints; 0 if it does not."""
        limits = {
            name: np.array([getattr(j, name) for j in self.joints])
            for name in ("lower", "upper", "velocity_limit", "effort_limit")
        }
        speed = np.abs(np.diff(commands, axis=0)).max(axis=0) / self.dt_s
        excess = [
            limits["lower"] + REACH_RAD - commands.min(axis=0),
            commands.max(axis=0) - limits["upper"] + REACH_RAD,
            speed / (USED * limits["velocity_limit"]) - 1,
            torque / (USED * limits["effort_limit"]) - 1,
        ]
        return float(np.clip(excess, 0, None).sum())


def search() -> Shape:
    """Search by CMA-ES the shape whose worst deviation, relative to what is asked, is the least."""
    twin = Twin(2e-3)
    start, unit = np.array(astuple(START)), np.array(astuple(RANGE))

    def cost(x: np.ndarray) -> float:
        if (x <= 0).any():
            return 1e3 - float(np.clip(x, None, 0).sum())
        commands = command(Shape(*(x * unit)), twin.dt_s)
        bounds, torque = twin.deviations(commands)
        worst = max(bounds[name] / limit for name, limit in ASKED.items())
        return worst + 100 * twin.beyond(commands, torque)

    rng = np.random.default_rng(SEED)
    options = {
        "popsize": 10,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,
        "verbose": -9,
    }
    strategy = cma.CMAEvolutionStrategy(start / unit, STEP, options)
    for _ in range(GENERATIONS):
        asked = strategy.ask()
        strategy.tell(asked, [cost(x) for x in asked])
        print(strategy.result.fbest, strategy.result.xbest * unit, flush=True)
    return Shape(*np.round(strategy.result.xbest * unit, 3).tolist())


if __name__ == "__main__":
    shape = search()
    twin = Twin(1e-3)
    print(shape)
    print(twin.deviations(command(shape, twin.dt_s)))
