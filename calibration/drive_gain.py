"""Drive gains: how much torque a joint's motor gives for its current, and what tells them.

With measured current i the equation of a joint is `K i = Y π + friction`, K its drive gain (torque
constant times gear ratio) in N·m/A. Motion tells gains, inertias and friction up to one common
factor only: twice the gains with twice the inertias draw the same current. What fixes the factor is
a gain or a mass that is known (Gautier and Briot, Global identification of joint drive gains and
dynamic parameters of robots, Journal of Dynamic Systems, Measurement, and Control 136, 2014).

The noise is the current's: the residual is `i − (Y π + friction)/K`. That of torque, `K i − Y π`,
could always be made smaller by a smaller K.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls

from calibration.uncertainty import prior_share
from envs.errors import CalibrationError
from envs.stage.scene import Joint
from envs.stage.tree import Tree
from envs.telemetry.filtering import Motion, lowpass
from envs.world.friction import STICTION_VELOCITY
from envs.world.sensing import sensor_torque

GIVEN_STD = 0.15
"""Of the logarithm of a gain that is given: motors' torque constants are told to 10 or 15 %."""
MODEL_STD = 0.5
"""Of the logarithm of a gain that the model's torque tells: as far as that torque may be off."""
UNKNOWN_STD = 2.0
"""Of the logarithm of any other gain: all but nothing is assumed."""
EXPLAINED = 0.5
"""The model's torque tells a gain where it explains this part of the current that friction does
not."""
AGAINST = 0.8
"""A current runs against its joint's motion where the other sign leaves less than this part of it
unexplained."""
FAR = 3.0
"""In deviations of what was assumed: a gain that ends farther off is told."""
LEAST_GAIN = 1e-3
"""N·m/A or N/A: what a gain starts from at least, where the model has no torque."""
SHARED = 0.5
"""A gain, or a ratio of two, that owes more of its variance to the prior is not told."""
LOOSE = 0.3
"""Nor is one with a larger standard deviation of its logarithm: no interval about its value
holds."""


@dataclass(frozen=True)
class Gains:
    """Drive gains before the data speak.

    Attributes:
        nominal: N·m/A or N/A; the current times it is what is fitted as a torque.
        std: Of its logarithm; 0 where the gain is known, and held.
    """

    nominal: Float[np.ndarray, "joint"]
    std: Float[np.ndarray, "joint"]

    def __post_init__(self) -> None:
        """Refuse gains that no drive has."""
        if not (np.isfinite(self.nominal) & (self.nominal > 0)).all():
            raise CalibrationError(f"drive gains must be positive, not {self.nominal.tolist()}")
        if not (np.isfinite(self.std) & (self.std >= 0)).all():
            raise CalibrationError(
                f"deviations of drive gains must be 0 or more, not {self.std.tolist()}"
            )

    @property
    def known(self) -> Bool[np.ndarray, "joint"]:
        """Which gains are held."""
        return np.asarray(self.std == 0)


def first_gains(
    tree: Tree,
    joints: Sequence[Joint],
    motion: Motion,
    use: Bool[np.ndarray, "time"],
    cutoff_hz: float,
    given: Float[np.ndarray, "joint"],
    given_std: Float[np.ndarray, "joint"],
) -> Gains:
    """Return the gains that a fit starts from: those given, or the model's torque over the current.

    The latter by least squares of the current on the model's torque, Coulomb and viscous friction,
    none of which may be negative, and a zero of its own. Where friction hides the torque a gain
    starts from those of the others, in proportion to the joints' effort limits.

    Args:
        tree: The model's inertias.
        joints: All else of the model, in the tree's order.
        motion: Low-passed at `cutoff_hz`; its `tau` is the current, A.
        use: Instants to start from; none that judges.
        cutoff_hz: Of the filter.
        given: 0 where nothing is given.
        given_std: Of the logarithm of what is given.

    Raises:
        CalibrationError: A current of a gain that is not given has the wrong sign, or one is the
            same throughout.
    """
    if not use.any():
        raise CalibrationError("no usable instant is left to start the drive gains from")
    dt_s = float(motion.t_s[1] - motion.t_s[0])
    torque = sensor_torque(tree, joints, motion.q, motion.qd, motion.qdd, dt_s)
    sign = np.tanh(motion.qd / STICTION_VELOCITY)
    columns = lowpass(np.stack([torque, sign, motion.qd], axis=-1), dt_s, cutoff_hz)[use]
    current = motion.tau[use]
    columns, current = columns - columns.mean(axis=0), current - current.mean(axis=0)
    rows = zip(columns.swapaxes(0, 1), current.T, tree.joints, given > 0, strict=True)
    gains = np.array([_gain(*of) for of in rows])
    sizes = np.linalg.norm(columns[..., 0], axis=0) / np.linalg.norm(current, axis=0)
    nominal, std = gains.copy(), np.full(len(joints), MODEL_STD)
    hidden = np.isnan(gains)
    limits = np.array([j.effort_limit for j in joints])
    std[hidden] = UNKNOWN_STD
    nominal[hidden] = np.maximum(sizes[hidden], LEAST_GAIN)
    if not hidden.all() and np.isfinite(limits).all() and (limits > 0).all():
        nominal[hidden] = (np.median(gains[~hidden] / limits[~hidden]) * limits)[hidden]
    return Gains(np.where(given > 0, given, nominal), np.where(given > 0, given_std, std))


def _gain(
    columns: Float[np.ndarray, "time column"],
    current: Float[np.ndarray, "time"],
    joint: str,
    given: bool,
) -> float:
    """Return torque over current, NaN where the torque, the first column, does not show in it.

    Who gives a gain vouches for its sign: a joint that a spring holds up may be pulled down.
    """
    size = np.linalg.norm(current)
    if size == 0:
        raise CalibrationError(f"the current of {joint} is the same throughout")
    scale = np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    A, b = columns / scale, current / size
    (weights, left), (_, against), (_, rubbed) = nnls(A, b), nnls(A, -b), nnls(A[:, 1:], b)
    if against**2 < AGAINST * left**2 and not given:
        raise CalibrationError(
            f"the current of {joint} runs against its motion: with the other sign the model leaves "
            f"{against**2:.0%} of it unexplained instead of {left**2:.0%}; give the current's "
            "'signs' in the recording's description, -1 for this joint, or its 'drive_gain' if the "
            "sign is right"
        )
    shows = rubbed**2 - left**2 > EXPLAINED * rubbed**2
    return float(scale[0] / (weights[0] * size)) if shows else np.nan


@dataclass(frozen=True)
class Told:
    """What the data tell of gains.

    Attributes:
        joints: Those whose gains are fitted.
        covariance: Of the logarithms of their gains.
        alone: Which gains are told by themselves.
        group: A number for each joint; gains of one group are told relative to one another.
    """

    joints: tuple[str, ...]
    covariance: Float[np.ndarray, "joint joint"]
    alone: Bool[np.ndarray, "joint"]
    group: Int[np.ndarray, "joint"]

    @property
    def open(self) -> list[Int[np.ndarray, "member"]]:
        """The members of each group whose common factor is not told, the best told one first."""
        found = []
        for number in dict.fromkeys(self.group.tolist()):
            members = np.flatnonzero(self.group == number)
            if not self.alone[members].any():
                best = np.median(self.ratio_std[np.ix_(members, members)], axis=1).argmin()
                found.append(np.roll(members, -best) if best else members)
        return found

    @property
    def ratio_std(self) -> Float[np.ndarray, "joint joint"]:
        """The relative standard deviation of each ratio of two gains."""
        C = self.covariance
        return np.asarray(np.sqrt(np.maximum(np.diag(C)[:, None] + np.diag(C) - 2 * C, 0.0)))

    def sentences(self) -> list[str]:
        """Return in words which gains rest on what was assumed, and how well ratios are told."""
        said, std = [], np.sqrt(np.diag(self.covariance))
        for first, *others in self.open:
            name = self.joints[first]
            if not others:
                said.append(
                    f"the current of {name} does not tell its drive gain from the inertia and "
                    f"friction that it moves: the gain rests on what was assumed "
                    f"(± {std[first]:.2g} of it)"
                )
                continue
            ratios = ", ".join(
                f"{self.joints[k]} ± {self.ratio_std[first, k]:.2g}" for k in sorted(others)
            )
            said.append(
                f"drive gains are told relative to that of {name} ({ratios}), but not how large "
                "they are all together: with inertias and friction they rest on the masses and "
                f"gains assumed (± {std[first]:.2g}); one gain that is known (drive_gain_std 0) "
                "would tell them"
            )
        return said


def told(
    joints: Sequence[str],
    jacobian: Float[np.ndarray, "rows params"],
    precision: Float[np.ndarray, "params params"],
    logs: Float[np.ndarray, "joint params"],
    covariance: Float[np.ndarray, "joint joint"],
) -> Told:
    """Return which gains are told, and which ratios of gains.

    Args:
        joints: Those whose gains are fitted.
        jacobian: Of the whitened residuals with respect to the parameters.
        precision: Of the prior.
        logs: Derivative of the gains' logarithms with respect to the parameters.
        covariance: Of these logarithms.
    """
    sure = np.sqrt(np.diag(covariance)) <= LOOSE
    alone = np.asarray((prior_share(jacobian, precision, logs) <= SHARED) & sure)
    found = Told(tuple(joints), covariance, alone, np.arange(len(joints)))
    group = found.group.copy()
    for j in range(1, len(joints)):
        ratios = prior_share(jacobian, precision, logs[j] - logs[:j]) <= SHARED
        for k in np.flatnonzero(ratios & (found.ratio_std[j, :j] <= LOOSE)):
            group[group == group[j]] = group[k]
    return replace(found, group=group)


def far_off(joints: Sequence[str], gains: Gains, ratios: Float[np.ndarray, "joint"]) -> list[str]:
    """Return in words which gains ended far from what was assumed of them.

    Args:
        joints: Their names.
        gains: What was assumed.
        ratios: What was found over it.
    """
    off = np.abs(np.log(ratios)) / np.where(gains.known, np.inf, gains.std)
    return [
        f"the drive gain of {joint} came out {ratio:.2g} times as large as assumed, {far:.2g} "
        "deviations off: is the gear ratio right, and the current the motor's?"
        for joint, ratio, far in zip(joints, ratios, off, strict=True)
        if far > FAR
    ]
