"""What a servo's fit tells: values with standard deviations, and which rest on the prior.

A joint that sticks has no derivative: between two plays that differ by next to nothing it stops a
step earlier or later, which looks as if the data told what they do not. A motor that does not
saturate leaves one direction of torque constant, resistance and viscous friction open; by
differences over a thousandth of their bounds all three came out as known, within 0.4 %. So the
plays that are compared differ by one standard deviation, in directions that are independent of each
other; as these are the outcome, they are found in a few rounds.
"""

import numpy as np
from jaxtyping import Bool, Float

from calibration.result import Parameter
from calibration.servo_laws import PRIOR, Search
from calibration.servo_runs import BLOCK_S, EVERY, STEP_S, Playback, nominal
from calibration.uncertainty import PRIOR_SHARE, prior_share, sandwich
from envs.stage.scene import Joint

FIRST = 1e-3
"""Steps of the first round, and how near a value is to a bound that is at it: parts of the bounds'
distance."""
ROUNDS = 4
LEAST_ROOM = 0.1
"""Of a step; where bounds leave less both ways it would be next to nothing."""
LEAST_RAD = 1e-5
"""Errors are not taken to be smaller: a log without noise does not tell all there is."""
FIELD = {
    "coulomb": ("friction.coulomb", "N.m"),
    "viscous": ("friction.viscous", "N.m.s/rad"),
    "stribeck_velocity": ("friction.stribeck_velocity", "rad/s"),
    "armature": ("armature", "kg.m2"),
    "delay_s": ("delay_s", "s"),
    "encoder_offset": ("encoder_offset", "rad"),
    "torque_constant": ("servo.torque_constant", "N.m/A"),
    "resistance": ("servo.resistance", "ohm"),
    "saturation": ("servo.saturation", "1/A"),
    "motor_load": ("servo.motor_load", "1"),
    "external_load": ("servo.external_load", "1"),
    "breakaway_load": ("servo.breakaway_load", "1"),
}


def told(
    joint: Joint, playback: Playback, search: Search, best: Float[np.ndarray, "12"]
) -> tuple[dict[str, Parameter], Float[np.ndarray, "free free"]]:
    """Return the values with standard deviations, and their covariance.

    The fit's likelihood is that of errors with double-exponential distribution; of an error e its
    slope is sign(e) over their mean size, and its curvature twice the density at 0 over that. Half
    of the errors are smaller than their median, so that the density is about 1 / (4 · median).

    Args:
        joint: Of the stage.
        playback: What was fitted.
        search: What was free, and its bounds.
        best: The candidate that fits best.
    """
    columns, width, x = search.columns, search.high - search.low, best[search.columns]
    error = (playback.play(best[None])[0] - playback.measured)[playback.seen]
    size = np.maximum(np.abs(error), LEAST_RAD)
    pull = 2 * np.median(size)
    run, sample = np.nonzero(playback.seen)
    length = round(BLOCK_S / (EVERY * STEP_S))
    blocks = run * 1_000_000 + sample // length
    weight = 1 / np.sqrt(length * pull * size.mean())
    # Uniform between its bounds is all that is known of a value beforehand, but of the motor's.
    sigma = width / np.sqrt(12)
    for i, name in enumerate(search.free):
        if name in PRIOR:
            sigma[i] = PRIOR[name] * x[i]
    precision = np.diag(1 / sigma**2)
    at_bound = np.minimum(x - search.low, search.high - x) < FIRST * width
    jacobian = slopes(playback, search, best, np.diag(FIRST * width))
    alone = np.zeros(len(columns), bool)
    for _ in range(ROUNDS):
        posterior = weight**2 * jacobian.T @ jacobian + precision
        axes = independent(posterior, sigma, alone)
        # Of values at bounds that no step can move together, one after the other is stepped alone.
        while (blocked := room(search, best, axes).sum(axis=0) < LEAST_ROOM).any():
            pinned = (at_bound & ~alone) * np.abs(axes[:, blocked.argmax()]) / sigma
            if not pinned.any():
                break
            alone[pinned.argmax()] = True
            axes = independent(posterior, sigma, alone)
        jacobian = slopes(playback, search, best, axes)
    score = weight * pull * np.sign(error)
    covariance = sandwich(weight * jacobian, score, blocks, precision)
    share = prior_share(weight * jacobian, precision, np.eye(len(columns)))
    stage = nominal(joint)
    parameters = {}
    for i, name in enumerate(search.free):
        field, unit = FIELD[name]
        parameters[f"{joint.name}.{field}"] = Parameter(
            value=float(x[i]),
            std=float(np.sqrt(covariance[i, i])),
            nominal=stage[name],
            unit=unit,
            method="servo",
            identifiable=bool(share[i] < PRIOR_SHARE and not at_bound[i]),
            n=len(error),
        )
    return parameters, covariance


def independent(
    precision: Float[np.ndarray, "free free"],
    sigma: Float[np.ndarray, "free"],
    alone: Bool[np.ndarray, "free"],
) -> Float[np.ndarray, "free free"]:
    """Return steps of one standard deviation, a column each, independent of each other.

    Args:
        precision: Of the posterior.
        sigma: Of the prior; the unit in which directions are compared.
        alone: Values that are stepped without others.
    """
    axes = np.diag(1 / np.sqrt(np.diag(precision)))
    inner = np.ix_(~alone, ~alone)
    unit = sigma[~alone]
    value, vector = np.linalg.eigh(precision[inner] * unit * unit[:, None])
    axes[inner] = unit[:, None] * vector / np.sqrt(value)
    return axes


def room(
    search: Search, best: Float[np.ndarray, "12"], axes: Float[np.ndarray, "free free"]
) -> Float[np.ndarray, "2 axis"]:
    """Return which part of a step forth, and of one back, the bounds leave along each axis."""
    steps = np.stack([axes.T, -axes.T])
    limit = np.where(steps > 0, search.high, search.low) - best[search.columns]
    parts = np.divide(limit, steps, out=np.full_like(steps, np.inf), where=steps != 0)
    return np.asarray(np.clip(parts.min(axis=-1), 0.0, 1.0))


def slopes(
    playback: Playback,
    search: Search,
    best: Float[np.ndarray, "12"],
    axes: Float[np.ndarray, "free free"],
) -> Float[np.ndarray, "sample free"]:
    """Return the derivatives of the compared positions, rad, from steps of both signs along axes.

    Args:
        playback: What was fitted.
        search: Its bounds shorten steps.
        best: Where.
        axes: A step in each column.
    """
    count, (forth, back) = axes.shape[1], room(search, best, axes)
    table = np.tile(best, (2 * count, 1))
    table[:count, search.columns] += forth[:, None] * axes.T
    table[count:, search.columns] -= back[:, None] * axes.T
    played = playback.play(table)[:, playback.seen]
    along = (played[:count] - played[count:]) / (forth + back)[:, None]
    return np.asarray(np.linalg.solve(axes.T, along).T)
