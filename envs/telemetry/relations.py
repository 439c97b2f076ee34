"""How one signal follows another: by which factor, and how much later."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import uniform_filter1d

# Enough to tell a lag to a fraction of a step, and quick.
MOST_SAMPLES = 20_000
# Both signals are averaged over this time, three times, first.
SMOOTH_S = 0.02
# Numbers beyond it are no measurements, but bits that fell over.
LARGEST = 1e50


@dataclass(frozen=True)
class Relation:
    """y(t) ≈ scale · x(t − lag) + offset.

    Attributes:
        lag_s: How much later y is, s.
        explained: Share of the variance of y that this explains, up to 1.
    """

    scale: float
    lag_s: float
    offset: float
    explained: float


def relate(
    t_s: Float[np.ndarray, "sample"],
    x: Float[np.ndarray, "sample"],
    y: Float[np.ndarray, "sample"],
    *,
    most_lag_s: float = 0.3,
) -> Relation | None:
    """Fit scale, lag and offset by least squares.

    The result is None where a signal does not move, or no lag is better than the longest.

    The lag is found on the grid of the samples first, then by Gauss-Newton on a cubic spline of x.
    Samples that are far off (6 robust deviations) do not count.

    Args:
        t_s: Increasing time stamps of both, s.
        x: What is followed.
        y: What follows.
        most_lag_s: The longest lag that is looked for, either way.
    """
    first, end = _stretch(t_s)
    t_s, x, y = t_s[first:end], x[first:end], y[first:end]
    if len(t_s) < 20 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    if max(np.abs(x).max(), np.abs(y).max()) > LARGEST:
        return None
    step = float(np.median(np.diff(t_s)))
    most = min(most_lag_s, (t_s[-1] - t_s[0]) / 10)
    even = np.arange(t_s[0], t_s[-1], step)
    xe, ye = np.interp(even, t_s, x), np.interp(even, t_s, y)
    width = 2 * round(SMOOTH_S / step / 2) + 1
    if width > 1 and len(even) > 4 * width:
        # The same for both: it takes noise, and no lag.
        for _ in range(3):
            xe, ye = uniform_filter1d(xe, width), uniform_filter1d(ye, width)
    coarse = max(1, width // 2)
    shifts = range(-int(most / step), int(most / step) + 1, coarse)
    lag = step * max(shifts, key=lambda k: _explained(xe, ye, k))
    spline = CubicSpline(even, xe)
    slope = spline.derivative()
    inside = (even - most > even[0]) & (even + most < even[-1])
    t, target = even[inside], ye[inside]
    use = np.ones(len(t), bool)
    scale = offset = 0.0
    for _ in range(30):
        moved = spline(t - lag)
        columns = np.stack([moved, np.ones_like(t), -slope(t - lag)], axis=1)
        used = columns[use]
        normal = used.T @ used
        if np.linalg.cond(normal) > 1e14:
            return None
        solution = np.linalg.solve(normal, used.T @ target[use])
        scale, offset = float(solution[0]), float(solution[1])
        if scale == 0.0:
            return None
        change = float(np.clip(solution[2] / scale, -coarse * step, coarse * step))
        lag = float(np.clip(lag + change, -most, most))
        rest = target - scale * spline(t - lag) - offset
        spread = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
        use = np.abs(rest) <= 6 * spread if spread > 0 else np.ones(len(t), bool)
        if abs(change) < 1e-3 * step:
            break
    if abs(lag) >= most - step:
        return None
    variance = float(np.var(target[use]))
    explained = 1 - float(np.var(rest[use])) / variance if variance > 0 else 0.0
    return Relation(scale, lag, offset, explained)


def _stretch(t_s: Float[np.ndarray, "sample"]) -> tuple[int, int]:
    """Return the bounds of the longest stretch without a gap of a second, or of its middle."""
    cuts = np.flatnonzero(np.diff(t_s) > 1.0) + 1
    bounds = np.concatenate([[0], cuts, [len(t_s)]])
    longest = int(np.argmax(np.diff(bounds)))
    first, end = int(bounds[longest]), int(bounds[longest + 1])
    spare = max(0, end - first - MOST_SAMPLES)
    return first + spare // 2, end - (spare - spare // 2)


def _explained(x: Float[np.ndarray, "time"], y: Float[np.ndarray, "time"], k: int) -> float:
    """Return the squared correlation of y with x shifted by k samples."""
    n = len(x) - abs(k)
    a, b = (x[:n], y[k:]) if k >= 0 else (x[-k:], y[:n])
    a, b = a - a.mean(), b - b.mean()
    power = float(a @ a) * float(b @ b)
    return float(a @ b) ** 2 / power if power > 0 else 0.0
