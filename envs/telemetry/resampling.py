"""Values of a channel at other instants: held, linear or by a spline, never across a gap unsaid."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import CubicSpline

from envs.telemetry.recording import Policy

THREADS = 4
"""At most, for the columns of one channel."""


@dataclass(frozen=True)
class Places:
    """Where instants lie among a channel's stamps.

    Attributes:
        before: The sample before, or at, each instant; never the last.
        share: How far it is on the way to the next, 0 to 1.
        bridged: Where it lies inside a gap, not on the samples around it.
    """

    before: Int[np.ndarray, "time"]
    share: Float[np.ndarray, "time"]
    bridged: Bool[np.ndarray, "time"]


def places(
    t_ns: Int[np.ndarray, "sample"],
    grid_ns: Int[np.ndarray, "time"],
    exact_ns: Float[np.ndarray, "time"],
    limit_ns: float,
) -> Places:
    """Find the instants among the stamps.

    Args:
        t_ns: Strictly increasing stamps, two or more, ns.
        grid_ns: The instants in whole ns.
        exact_ns: The same since the first stamp, not rounded.
        limit_ns: A longer step between two samples is a gap.
    """
    before = np.searchsorted(t_ns, grid_ns, side="right")
    before -= 1
    np.clip(before, 0, len(t_ns) - 2, out=before)
    steps = np.diff(t_ns)
    share = exact_ns - (t_ns - t_ns[0])[before]
    share /= steps[before]
    np.clip(share, 0.0, 1.0, out=share)
    # The last stamp itself is its sample's, however the instant was rounded.
    share[np.searchsorted(grid_ns, t_ns[-1]) :] = 1.0
    bridged = np.zeros(len(grid_ns), bool)
    gap = steps > limit_ns
    if gap.any():
        inside = (grid_ns > t_ns[before]) & (grid_ns < t_ns[before + 1])
        bridged = gap[before] & inside
    return Places(before, share, bridged)


def resample(
    values: Float[np.ndarray, "sample joint"],
    columns: list[int],
    at: Places,
    policy: Policy,
    t_ns: Int[np.ndarray, "sample"],
    limit_ns: float,
) -> Float[np.ndarray, "time joint"]:
    """Return the columns at the places.

    A spline is laid through each stretch between two gaps on its own; inside a gap all policies
    but `hold` are linear, and the instants are marked as bridged.
    """
    result = np.empty((len(at.before), len(columns)), order="F")
    after = at.before + 1

    def fill(i: int) -> None:
        column, out = np.ascontiguousarray(values[:, columns[i]]), result[:, i]
        if policy == "hold":
            out[:] = np.where(at.share < 1.0, column[at.before], column[after])
            return
        # All places are valid; clipping spares NumPy a check and a copy.
        start = np.take(column, at.before, mode="clip")
        np.take(column, after, out=out, mode="clip")
        out -= start
        out *= at.share
        out += start

    # NumPy lets go of the interpreter in here, so that columns share the cores.
    with ThreadPoolExecutor(min(len(columns), THREADS)) as pool:
        list(pool.map(fill, range(len(columns))))
    if policy == "spline":
        _splines(values, columns, at, t_ns, limit_ns, result)
    return result


def _splines(
    values: Float[np.ndarray, "sample joint"],
    columns: list[int],
    at: Places,
    t_ns: Int[np.ndarray, "sample"],
    limit_ns: float,
    result: Float[np.ndarray, "time joint"],
) -> None:
    """Lay a cubic spline through each stretch of four samples or more."""
    cuts = np.flatnonzero(np.diff(t_ns) > limit_ns) + 1
    t = (t_ns - t_ns[0]).astype(float)
    instants = t[at.before] + at.share * (t[at.before + 1] - t[at.before])
    for first, end in zip([0, *cuts], [*cuts, len(t)], strict=True):
        inside = (instants >= t[first]) & (instants <= t[end - 1])
        if end - first >= 4 and inside.any():
            spline = CubicSpline(t[first:end], values[first:end][:, columns])
            result[inside] = spline(instants[inside])
