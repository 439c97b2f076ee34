"""The fast twin: what `actuators.simulate` does over PyBullet, for many candidates at once.

It knows a robot that touches nothing. On the CPU a robot is one thread's work, and threads share
the candidates; no result depends on how many there are.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float, Int

from calibration.rollout.kernel import MAX_JOINTS, Joint, f64, joint_rows, rollout, vec3
from envs.errors import CalibrationError
from envs.stage.tree import Tree
from envs.world.actuators import ActuatorParameters, Rollout
from envs.world.friction import STICTION_VELOCITY
from envs.world.quiet import quiet_stderr


@dataclass(frozen=True)
class Stretches:
    """What robots are asked to do, and from where: some stretches of one recording.

    Attributes:
        command: Commanded positions of the whole recording, rad or m.
        start: The sample at which each stretch starts.
        steps: How many steps each is long.
        q: Position to start from, rad or m; of each candidate, or the same for all.
        qd: Velocity to start from.
        width: Samples that one value of the result is the mean of.
    """

    command: Float[np.ndarray, "time joint"]
    start: Int[np.ndarray, "stretch"]
    steps: int
    q: Float[np.ndarray, "*candidate stretch joint"]
    qd: Float[np.ndarray, "*candidate stretch joint"]
    width: int = 1

    def __post_init__(self) -> None:
        """Refuse steps which do not fill whole means."""
        if self.width < 1 or self.steps < 1 or self.steps % self.width:
            raise CalibrationError(
                f"a stretch must hold a whole number of means of {self.width} samples, at least "
                f"one; found {self.steps} steps"
            )


class FastTwin:
    """One robot, ready to be rolled out.

    Args:
        tree: Its moving part.
        dt_s: The step, s.
        device: "cpu", or Warp's name of a GPU, as "cuda:0".
        threads: That share the candidates, on the CPU.

    Raises:
        CalibrationError: The tree has no joint or too many, or the device is not there.
    """

    def __init__(self, tree: Tree, *, dt_s: float, device: str = "cpu", threads: int = 1) -> None:
        n = len(tree.joints)
        if not 1 <= n <= MAX_JOINTS:
            raise CalibrationError(f"the fast twin takes 1 to {MAX_JOINTS} joints; found {n}")
        self.tree, self.dt_s = tree, dt_s
        self._device, self._threads = _device(device), threads
        # The common frame stands at the root joints, so that numbers stay small far from the world.
        roots = tree.parent < 0
        p_PJ = tree.X_PJ[:, :3, 3].copy()
        p_PJ[roots] -= p_PJ[roots].mean(axis=0)
        rows = joint_rows(n)
        rows["parent"], rows["slides"] = tree.parent + 1, tree.prismatic
        rows["R_PJ"], rows["p_PJ"], rows["axis"] = tree.X_PJ[:, :3, :3], p_PJ, tree.axis
        self._joints = wp.array(rows, dtype=Joint, device=self._device)
        self._minus_gravity = vec3(*(-tree.gravity))
        wp.load_module(rollout.module, device=self._device)

    def roll(
        self,
        parameters: ActuatorParameters,
        stretches: Stretches,
        *,
        pi: Float[np.ndarray, "*candidate link 10"] | None = None,
    ) -> Rollout:
        """Return what each candidate does on each stretch.

        Sample k is the state before step k and the torque in it, as in `simulate`, whose last
        sample is left out here.

        Args:
            parameters: Of one robot for all candidates, or with candidates as the leading axis.
            stretches: What to do.
            pi: Inertial parameters, where they are not the tree's; see `Tree`.

        Returns:
            q, qd and tau with axes (candidate, stretch, mean, joint).
        """
        n, count = len(self.tree.joints), len(stretches.start)
        pi = self.tree.pi if pi is None else pi
        drive = np.stack(
            [getattr(parameters, item.name) for item in fields(ActuatorParameters)], axis=-1
        )
        candidates = max(
            len(x) if x.ndim == 3 else 1 for x in (drive, pi, stretches.q, stretches.qd)
        )
        at = np.broadcast_to(stretches.q, (candidates, count, n))
        speed = np.broadcast_to(stretches.qd, (candidates, count, n))
        drive = np.broadcast_to(drive, (candidates, n, drive.shape[-1]))
        matter = np.broadcast_to(_second_moments(pi), (candidates, n, 10))
        shared = (self._array(stretches.command), self._array(stretches.start, wp.int32))
        means = stretches.steps // stretches.width

        def run(part: slice) -> Float[np.ndarray, "candidate stretch mean joint 3"]:
            size = len(range(*part.indices(candidates)))
            out = wp.empty((size, count, means, n), dtype=vec3, device=self._device)
            wp.launch(
                rollout,
                dim=(size, count),
                inputs=[
                    self._joints,
                    self._minus_gravity,
                    self._array(matter[part]),
                    self._array(drive[part]),
                    *shared,
                    self._array(at[part]),
                    self._array(speed[part]),
                    stretches.steps,
                    stretches.width,
                    self.dt_s,
                    STICTION_VELOCITY,
                ],
                outputs=[out],
                device=self._device,
            )
            return np.asarray(out.numpy())

        threads = min(self._threads, candidates) if self._device.is_cpu else 1
        cuts = np.linspace(0, candidates, threads + 1).astype(int)
        parts = [slice(a, b) for a, b in pairwise(cuts)]
        if threads == 1:
            log = run(parts[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                log = np.concatenate(list(pool.map(run, parts)))
        return Rollout(log[..., 0], log[..., 1], log[..., 2])

    def _array(self, values: np.ndarray, kind: Any = f64) -> Any:
        return wp.array(np.ascontiguousarray(values), dtype=kind, device=self._device)


def _second_moments(pi: Float[np.ndarray, "*n 10"]) -> Float[np.ndarray, "*n 10"]:
    """Return (m, m·c, Σxx, Σxy, Σxz, Σyy, Σyz, Σzz), with Σ = ∫ x xᵀ dm = tr(I)/2·1 − I."""
    half = (pi[..., 4] + pi[..., 6] + pi[..., 9]) / 2
    xx, xy, yy, xz, yz, zz = np.moveaxis(pi[..., 4:], -1, 0)
    return np.stack(
        [*np.moveaxis(pi[..., :4], -1, 0), half - xx, -xy, -xz, half - yy, -yz, half - zz], axis=-1
    )


def _device(name: str) -> Any:
    """Return Warp's device; Warp starts here, without a word."""
    wp.config.log_level = wp.LOG_WARNING
    # Its C++ part tells each process without a GPU driver that there is none.
    with quiet_stderr():
        wp.init()
    try:
        return wp.get_device(name)
    except (ValueError, RuntimeError) as error:
        there = ", ".join(device.alias for device in wp.get_devices())
        raise CalibrationError(
            f"device '{name}' is not there for the fast twin; there are: {there}"
        ) from error
