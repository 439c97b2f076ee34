"""What a fit of torques or currents tells: the covariance of its values, and which are known."""

from collections.abc import Collection, Sequence
from itertools import compress

import numpy as np
from jaxtyping import Float

from calibration.drive_gain import LOOSE, Told, far_off
from calibration.drive_gain import told as told_gains
from calibration.identifiability import Identifiability, identifiability
from calibration.regression import Regression
from calibration.torque_fit import TorqueFit, limits
from calibration.torque_model import FIELDS, OF_TORQUE, TorqueModel
from calibration.torque_prior import Prior
from calibration.uncertainty import at_least, sandwich, time_blocks

# Blocks of time over which residuals may be correlated, s.
BLOCK_S = 0.5


def uncertainty(
    model: TorqueModel,
    regression: Regression,
    found: TorqueFit,
    prior: Prior,
    absent: Sequence[frozenset[str]],
    warnings: Sequence[str],
) -> tuple[Float[np.ndarray, "values values"], Identifiability]:
    """Return the covariance of the values to report, and what the data tell of them.

    What a joint does not have has no deviation, and is not among what may be told.
    """
    c, D = model.coefficients(found.p), model.derivative(found.p)
    scale = np.sqrt(regression.information * found.weights) / found.noise[:, None]
    joints = list(zip(regression.joints, scale, strict=True))
    low, high = limits(model, prior, absent)
    there = low < high
    jacobian = np.concatenate([w[:, None] * (j.columns @ D[j.index]) for j, w in joints])[:, there]
    residual = np.concatenate([w * j.residual(c) for j, w in joints])
    blocks = np.tile(time_blocks(regression.t_s, BLOCK_S), len(joints))
    of = model.values(found.p)[1][:, there]
    precision = prior.hessian[np.ix_(there, there)]
    at_bound = ((found.p <= low) | (found.p >= high)) & there
    names = [name for name, _ in model.names()]
    bounded = [name for name, ends in zip(names, at_bound, strict=True) if ends]
    covariance = at_least(
        of @ sandwich(jacobian, residual, blocks, precision) @ of.T,
        of @ np.linalg.solve(jacobian.T @ jacobian + precision, of.T),
    )
    reported = np.flatnonzero(there)
    besides = None
    if model.gains is not None:
        gains, besides = _gains_told(model, found.p, of, covariance, jacobian, precision)
        far = far_off(model.tree.joints, model.gains, model.ratios(found.p))
        warnings = [*warnings, *gains.sentences(), *far]
    told = identifiability(
        [names[k] for k in reported],
        jacobian,
        precision,
        of[reported],
        at_bounds=bounded,
        warnings=warnings,
        besides=besides,
    )
    return covariance, told


def _gains_told(
    model: TorqueModel,
    p: Float[np.ndarray, "params"],
    of: Float[np.ndarray, "values there"],
    covariance: Float[np.ndarray, "values values"],
    jacobian: Float[np.ndarray, "rows there"],
    precision: Float[np.ndarray, "there there"],
) -> tuple[Told, Float[np.ndarray, "group there"]]:
    """Return what the data tell of the drive gains, and what would tell the rest of them.

    The latter are rows of a Jacobian: one gain of each group measured to 1e-5.
    """
    assert model.gains is not None, "of torques there are none"
    n, fitted = len(model.tree.joints), np.flatnonzero(~model.gains.known)
    gains = model.gains.nominal * model.ratios(p)
    logs = (of[-n:] / gains[:, None])[fitted]
    of_logs = covariance[-n:, -n:] / np.outer(gains, gains)
    names = [model.tree.joints[j] for j in fitted]
    found = told_gains(names, jacobian, precision, logs, of_logs[np.ix_(fitted, fitted)])
    return found, 1e5 * logs[[int(members[0]) for members in found.open]]


def vague_values(
    model: TorqueModel,
    values: Float[np.ndarray, "values"],
    covariance: Float[np.ndarray, "values values"],
) -> frozenset[str]:
    """Return what is known as a factor at most: a gain, and with it all that is a torque there."""
    if model.gains is None:
        return frozenset()
    n = len(model.tree.joints)
    loose = np.sqrt(np.diag(covariance)[-n:]) > LOOSE * values[-n:]
    fields = [name for (name, *_), torque in zip(FIELDS, OF_TORQUE, strict=True) if torque]
    return frozenset(
        f"{joint}.{field}"
        for joint in compress(model.tree.joints, loose)
        for field in (*fields, "drive_gain")
    )


def known_values(
    model: TorqueModel,
    absent: Sequence[frozenset[str]],
    told: Identifiability,
    still: Collection[str],
) -> frozenset[str]:
    """Return the values that the data tell.

    At a bound the data ask for what cannot be: the value is the bound's, not theirs. Of a joint
    that hardly moves only the torque at rest is told.
    """
    gone = {
        f"{joint}.{field}"
        for joint, fields in zip(model.tree.joints, absent, strict=True)
        for field in fields
    }
    names = {name for name, _ in model.names()}
    gone |= {f"{joint}.{f}" for joint in still for f, *_ in FIELDS if f != "torque_offset"}
    if model.gains is not None:
        held = zip(model.tree.joints, model.gains.known, strict=True)
        gone |= {f"{joint}.drive_gain" for joint, known in held if known or joint in still}
    return frozenset(names - gone - set(told.weak) - set(told.at_bounds))
