"""What the end of a search over rollouts tells: values, deviations, and what it does not tell.

Where the whitened residuals are white, their covariance is Laplace's, (JᵀJ + P)⁻¹, which is then
right to its last per cent and needs no blocks of time. Where a wrong law leaves its trace in them,
blocks of time speak for themselves; see `uncertainty.sandwich`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from calibration.levenberg import Fit
from calibration.result import CalibrationResult, Method, Parameter
from calibration.segments import BIN_S, Segments
from calibration.uncertainty import sandwich
from calibration.unknowns import MATTER, PAYLOAD, Unknowns

BLOCK_S = 1.0
"""Residuals of one block of time may be correlated."""
WHITE = 3.0
"""Autocorrelation of white residuals is normal with deviation 1/√n; beyond this many of them, in
the mean over joints and signals, they are not white."""
DOUBT = 4.0
"""Standard deviations from which on another friction law is believed: never by chance."""
OTHER_LAWS = "an excess of friction at low speed", "a friction that depends on the direction"
"""What `Unknowns.other_laws` tries, in order."""
TOLD = 0.5
"""The twin must explain this part of the tracking error that no delay explains; see `explained`."""
OPEN = 0.5
"""A coordinate whose deviation is more than this part of how far the start may be off is not told:
15 % of a stiffness that the stage gives."""
CONFUSED = 0.9
"""Correlation from which on a stiffness and a friction are named together."""
NAMED = 0.3
"""Part of a direction of unit length from which on a coordinate is named in it."""


@dataclass(frozen=True)
class Ending:
    """The end of a search.

    Attributes:
        unknowns: What was searched.
        data: What it was held against.
        fit: Where it ended.
        weight: Of the residuals there.
        prior: Precision of what was known before, in the coordinates.
        other: Derivative of the whitened residuals with respect to amounts of other friction laws;
            see `Unknowns.other_laws`.
        trials: Robots that were rolled out over the data.
    """

    unknowns: Unknowns
    data: Segments
    fit: Fit
    weight: Float[np.ndarray, "rows"]
    prior: Float[np.ndarray, "params params"]
    other: Float[np.ndarray, "rows laws"]
    trials: int


def conclude(
    ending: Ending, *, method: Method, provenance: Mapping[str, Any], metrics: Mapping[str, Any]
) -> CalibrationResult:
    """Return what a search found and how well it is known.

    Args:
        ending: Of the search.
        method: That searched.
        provenance: Where the data come from.
        metrics: Of the search.
    """
    unknowns, data, fit = ending.unknowns, ending.data, ending.fit
    information = fit.jacobian.T @ fit.jacobian
    covariance, rule = coordinate_covariance(ending)
    amount, moves = law_doubt(ending)
    covariance = covariance + (moves * amount**2) @ moves.T
    known = np.diag(covariance) < OPEN**2
    names = labels(unknowns)
    words = untold(names, information) + confused(names, covariance, known)
    part = explained(data, fit.raw.reshape(data.measured.shape))
    known &= ~(unknowns.spread[part < TOLD] > 0).any(axis=(0, 1))
    joints = unknowns.tree.joints
    words += [
        f"{name}: the drive explains {100 * max(p, 0):.0f} % of the tracking error that no delay "
        "explains; the controller is another (a feed-forward?), and its values are not told"
        for name, p in zip(joints, part, strict=True)
        if p < TOLD
    ]
    doubts = []
    for kind, own in zip(OTHER_LAWS, np.split(amount, len(OTHER_LAWS)), strict=True):
        asked = [f"{name} ({a:+.3g})" for name, a in zip(joints, own, strict=True) if a]
        if asked:
            doubts.append(
                f"the residuals ask for {kind}, which the law has not, in {', '.join(asked)}; "
                "deviations are widened by what it would change"
            )

    slope = unknowns.slope(fit.z)
    spread = slope @ covariance @ slope.T
    values = unknowns.values(fit.z)
    # A value is known where all that it depends on is.
    whole = ~(np.abs(slope) @ ~known > 0)
    samples = int((~np.isnan(data.measured[..., 0, 0])).sum()) * data.bin
    found = {
        name: Parameter(
            value=float(values[i]),
            std=float(np.sqrt(spread[i, i])),
            nominal=nominal,
            unit=unit,
            method=method,
            identifiable=bool(whole[i]),
            n=samples,
        )
        for i, (name, unit, nominal) in enumerate(unknowns.reported())
    }
    return CalibrationResult(
        parameters=found,
        covariance=np.asarray(spread),
        inertials=unknowns.inertials(fit.z),
        provenance={
            **provenance,
            "dt_s": data.dt_s,
            "integrator": "semi-implicit Euler",
            "samples": samples,
            "versions": {name: version(name) for name in ("cma", "numpy", "pybullet", "warp-lang")},
        },
        metrics={
            **metrics,
            "signals": list(data.signals),
            "cost": joint_costs(data, fit.raw).tolist(),
            "explained": part.tolist(),
            "covariance": rule,
            "untold": words,
            "doubts": doubts,
        },
    )


def coordinate_covariance(ending: Ending) -> tuple[Float[np.ndarray, "params params"], str]:
    """Return the covariance of the coordinates and the rule that gave it, for a right law."""
    data, fit, prior = ending.data, ending.fit, ending.prior
    covariance = np.linalg.inv(fit.jacobian.T @ fit.jacobian + prior)
    if whiteness(data, fit.residual) < WHITE:
        return covariance, "laplace"
    bins = round(BLOCK_S / BIN_S)
    segments, count = data.measured.shape[:2]
    block = np.arange(segments)[:, None] * (count // bins + 1) + np.arange(count) // bins
    rows = np.broadcast_to(block[:, :, None, None], data.measured.shape).ravel()
    robust = sandwich(fit.jacobian, fit.residual, rows, prior)
    # Blocks agree by chance now and then; the noise alone already makes Laplace's.
    scale = np.sqrt(np.maximum(np.diag(covariance) / np.diag(robust), 1.0))
    return np.asarray(robust * scale * scale[:, None]), "sandwich"


def law_doubt(
    ending: Ending,
) -> tuple[Float[np.ndarray, "laws"], Float[np.ndarray, "params laws"]]:
    """Return how much of other friction laws the residuals ask for, and how that moves the fit.

    A score test (Rao, Large sample tests of statistical hypotheses, 1948): what of the other laws'
    slopes the fitted parameters cannot mimic is held against the residuals. An amount counts where
    it is more than `DOUBT` standard deviations; the rest is 0.
    """
    J, slopes = ending.fit.jacobian, ending.other * ending.weight[:, None]
    mimicked = np.linalg.solve(J.T @ J + ending.prior, J.T @ slopes)
    own = slopes - J @ mimicked
    information = own.T @ own
    # A joint that hardly moves tells no law.
    information += 1e-9 * np.diag(np.diag(slopes.T @ slopes) + 1e-300)
    inverse = np.linalg.inv(information)
    amount = -inverse @ (own.T @ ending.fit.residual)
    amount[np.abs(amount) < DOUBT * np.sqrt(np.diag(inverse))] = 0.0
    return amount, -mimicked


def whiteness(data: Segments, residual: Float[np.ndarray, "rows"]) -> float:
    """Return the mean autocorrelation at one bin of all joints and signals, in deviations.

    The standard deviation is that of white residuals (Box and Jenkins, Time series analysis, 1970,
    section 2.1.6), as many as there are of all joints and signals together.
    """
    compared = ~np.isnan(data.measured)
    r = np.where(compared, residual.reshape(data.measured.shape), 0.0)
    pairs = compared[:, 1:] & compared[:, :-1]
    power = (r**2).sum(axis=(0, 1)) / compared.sum(axis=(0, 1))
    rho = (r[:, 1:] * r[:, :-1]).sum(axis=(0, 1)) / np.maximum(
        pairs.sum(axis=(0, 1)) * power, 1e-300
    )
    return float(np.abs(rho).mean() * np.sqrt(pairs.sum(axis=(0, 1)).mean()))


def explained(
    data: Segments, residual: Float[np.ndarray, "segment bin joint signal"]
) -> Float[np.ndarray, "joint"]:
    """Return which part of the tracking error the twin explains, of each joint.

    Of commanded minus measured position, what a constant and a multiple of the velocity explain is
    left out first, since any delay explains it. The rest is the answer of drive and load, and a
    controller that adds a feed-forward leaves little of it.

    Args:
        data: What the residuals are of.
        residual: In noise levels; see `runs.twin_residuals`.
    """
    width, bins = data.bin, data.measured.shape[1]
    rows = data.start[:, None] + data.skipped + np.arange(bins * width)
    command = data.command[np.minimum(rows, len(data.command) - 1)]
    command = command.reshape(len(rows), bins, width, -1).mean(axis=2)
    q, use = data.measured[..., 0], ~np.isnan(data.measured[..., 0])
    off = residual[..., 0] * data.noise[:, 0]
    parts = []
    for j in range(q.shape[2]):
        speed = np.gradient(command[..., j], BIN_S, axis=1)
        keep = use[..., j]
        error = (command - q)[..., j][keep]
        columns = np.stack([np.ones(len(error)), speed[keep]], axis=1)
        rest = error - columns @ np.linalg.lstsq(columns, error, rcond=None)[0]
        parts.append(1 - (off[..., j][keep] ** 2).sum() / max((rest**2).sum(), 1e-300))
    return np.array(parts)


def labels(unknowns: Unknowns) -> list[str]:
    """Return what each coordinate is called."""
    found = []
    for column in unknowns.spread.reshape(-1, unknowns.size).T:
        moves = [
            name for name, part in zip(unknowns.fields_of_joints(), column, strict=True) if part
        ]
        if len(moves) > 1:
            moves = [moves[0].partition(".")[2] + " of all joints"]
        found += moves
    found += [] if unknowns.touch is None else unknowns.touch.names()
    for group in unknowns.groups:
        found += [f"{group.names[group.heaviest]}.inertial.{name}" for name in MATTER]
    if unknowns.payload is not None:
        found += [f"{unknowns.payload.body}.payload.{name}" for name in PAYLOAD]
    return found


def untold(names: list[str], information: Float[np.ndarray, "params params"]) -> list[str]:
    """Return in words the directions that the data say less of than was known before.

    Args:
        names: Of the coordinates.
        information: `JᵀJ` in coordinates whose unit is as far as the start may be off.
    """
    values, vectors = np.linalg.eigh(information)
    words = []
    for value, direction in zip(values, vectors.T, strict=True):
        if value >= OPEN**-2:
            break
        parts = [names[i] for i in np.argsort(-np.abs(direction)) if abs(direction[i]) > NAMED]
        if len(parts) == 1:
            words.append(f"{parts[0]} is not told by this recording")
        else:
            words.append(f"{', '.join(sorted(parts))} cannot be told apart in this recording")
    return list(dict.fromkeys(words))


def confused(
    names: list[str],
    covariance: Float[np.ndarray, "params params"],
    known: Bool[np.ndarray, "params"],
) -> list[str]:
    """Return in words which untold stiffnesses trade against friction: motion tells their ratio.

    Args:
        names: Of the coordinates.
        covariance: Of the coordinates.
        known: Whether the data tell each.
    """
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / deviation / deviation[:, None]
    words = []
    for k, stiffness in enumerate(names):
        joint, _, field = stiffness.partition(".")
        if known[k] or field != "drive.stiffness":
            continue
        for m, friction in enumerate(names):
            if friction == f"{joint}.friction.coulomb" and abs(correlation[k, m]) > CONFUSED:
                words.append(
                    f"{stiffness} and {friction} cannot be told apart in this recording: "
                    f"their correlation is {correlation[k, m]:.3f}"
                )
    return words


def joint_costs(data: Segments, raw: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "joint"]:
    """Return the mean square of each joint's residuals, in noise levels; 1 is down to the noise."""
    square = np.where(np.isnan(data.measured), np.nan, raw.reshape(data.measured.shape)) ** 2
    return np.asarray(np.nanmean(square, axis=(0, 1, 3)))
