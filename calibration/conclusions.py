"""What the end of a search over rollouts tells: values, deviations, and what it does not tell.

Where the whitened residuals are white, their covariance is Laplace's, (JᵀJ + P)⁻¹, which is then
right to its last per cent and needs no blocks of time. Where a wrong law leaves its trace in them,
blocks of time speak for themselves; see `uncertainty.sandwich`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from calibration.levenberg import Fit
from calibration.result import Method, Parameter
from calibration.segments import BIN_S, Segments
from calibration.uncertainty import sandwich
from calibration.unknowns import Unknowns
from envs.errors import CalibrationError

BLOCK_S = 1.0
"""Residuals of one block of time may be correlated."""
WHITE = 3.0
"""Autocorrelation of white residuals is normal with deviation 1/√n; beyond this many of them, in
the mean over joints and signals, they are not white."""
TOLD = 0.5
"""The twin must explain this part of the tracking error that no delay explains; see `explained`."""
NAMED = 0.3
"""Part of a direction of unit length from which on a coordinate is named in it."""


@dataclass(frozen=True)
class Told:
    """What is known of the coordinates.

    Attributes:
        covariance: Of the coordinates.
        rule: "laplace" or "sandwich".
        known: Whether the data tell each coordinate.
        words: What they do not tell, in words.
    """

    covariance: Float[np.ndarray, "params params"]
    rule: str
    known: Bool[np.ndarray, "params"]
    words: tuple[str, ...]


def conclude(
    unknowns: Unknowns,
    data: Segments,
    fit: Fit,
    prior: Float[np.ndarray, "params params"],
) -> Told:
    """Return covariance and what is told, in the coordinates of a search.

    Args:
        unknowns: What was searched.
        data: What it was held against.
        fit: The end, with residuals whitened by their own levels.
        prior: Precision of what was known before.
    """
    J, r = fit.jacobian, fit.residual
    information = J.T @ J
    white = whiteness(data, r) < WHITE
    covariance = np.linalg.inv(information + prior)
    if not white:
        bins = round(BLOCK_S / BIN_S)
        segments, count = data.measured.shape[:2]
        block = np.arange(segments)[:, None] * (count // bins + 1) + np.arange(count) // bins
        rows = np.broadcast_to(block[:, :, None, None], data.measured.shape).ravel()
        if len(np.unique(rows)) < 2:
            raise CalibrationError(
                f"standard deviations need {2 * BLOCK_S:g} s of data or more to compare"
            )
        # Blocks by chance agree now and then; the noise alone already makes Laplace's.
        robust = sandwich(J, r, rows, prior)
        scale = np.sqrt(np.maximum(np.diag(covariance) / np.diag(robust), 1.0))
        covariance = robust * scale * scale[:, None]
    known = np.diag(covariance) < 1.0
    return Told(
        covariance,
        "laplace" if white else "sandwich",
        known,
        tuple(untold(labels(unknowns), information)),
    )


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


def unexplained(unknowns: Unknowns, told: Told, part: Float[np.ndarray, "joint"]) -> Told:
    """Return what is told without joints whose tracking error is not their drive's.

    Args:
        unknowns: What was searched.
        told: As if the twin's drive were the robot's.
        part: See `explained`.
    """
    odd = part < TOLD
    moved = (unknowns.spread[odd] > 0).any(axis=(0, 1))
    words = [
        f"{name}: its drive explains {100 * max(p, 0):.0f} % of the tracking error that a delay "
        "does not; the robot's controller is another (a feed-forward?), and its gains, friction "
        "and delay are not told"
        for name, p in zip(unknowns.tree.joints, part, strict=True)
        if p < TOLD
    ]
    return replace(told, known=told.known & ~moved, words=(*told.words, *words))


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
    if unknowns.payload is not None:
        found += [f"{unknowns.payload.body}.payload.{name}" for name in ("mass", "x", "y", "z")]
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
        if value >= 1.0:
            break
        parts = [names[i] for i in np.argsort(-np.abs(direction)) if abs(direction[i]) > NAMED]
        if len(parts) == 1:
            words.append(f"{parts[0]} is not told by this recording")
        else:
            words.append(f"{', '.join(parts)} cannot be told apart in this recording")
    return words


def parameters(
    unknowns: Unknowns,
    z: Float[np.ndarray, "params"],
    told: Told,
    method: Method,
    n: int,
) -> tuple[dict[str, Parameter], Float[np.ndarray, "values values"]]:
    """Return what is reported, and its covariance.

    Args:
        unknowns: What was searched.
        z: Where the search ended.
        told: What is known there.
        method: That found it.
        n: Samples that it rests on.
    """
    slope = unknowns.slope(z)
    covariance = slope @ told.covariance @ slope.T
    values = unknowns.values(z)
    # A value is known where all that it depends on is.
    known = ~(np.abs(slope) @ ~told.known > 0)
    found = {
        name: Parameter(
            value=float(values[i]),
            std=float(np.sqrt(covariance[i, i])),
            nominal=nominal,
            unit=unit,
            method=method,
            identifiable=bool(known[i]),
            n=n,
        )
        for i, (name, unit, nominal) in enumerate(unknowns.reported())
    }
    return found, np.asarray(covariance)
