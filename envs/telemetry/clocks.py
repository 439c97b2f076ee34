"""How two clocks differ that saw one motion: offset and skew, with their standard deviations."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from envs.errors import RecordingError

# Both signals are smoothed alike over so many samples of the slower one (one deviation).
SMOOTH_SAMPLES = 2.0
# Where an offset correlates nearly as well as the best, the motion tells neither.
REPEATED = 0.97
# Errors further apart than this many samples are taken as independent.
BLOCK_SAMPLES = 30


@dataclass(frozen=True)
class ClockFit:
    """The first clock's time of what the second stamps t: t + offset + skew · (t − middle).

    A drive that follows late, or a camera that exposes long, shifts its signal like a clock: from
    signals alone the two cannot be told apart, and the offset holds both.

    Attributes:
        offset_s: At the middle of what both saw, s.
        skew: How much faster the first clock runs; 1e-6 is 86 ms a day.
        offset_std_s: Standard deviation, s.
        skew_std: Standard deviation.
        middle_s: The middle of what both saw, on the second clock, s.
        explained: Share of the variance of what the second saw that the first explains, up to 1.
    """

    offset_s: float
    skew: float
    offset_std_s: float
    skew_std: float
    middle_s: float
    explained: float

    def to_first(self, t_s: Float[np.ndarray, "sample"]) -> Float[np.ndarray, "sample"]:
        """Return the first clock's time (s) of stamps of the second."""
        return t_s + self.offset_s + self.skew * (t_s - self.middle_s)


def fit_clocks(
    first_s: Float[np.ndarray, "first"],
    first: Float[np.ndarray, "first channel"],
    second_s: Float[np.ndarray, "second"],
    second: Float[np.ndarray, "second channel"],
    *,
    most_offset_s: float = 2.0,
) -> ClockFit:
    """Fit offset and skew so that both signals tell one motion, up to a factor and a shift each.

    The offset is found by correlation first; then least squares by Gauss-Newton on a cubic spline.
    Both signals are smoothed alike before: otherwise noise of the spline pulls the offset to where
    its samples lie (0.1 ms at 100 Hz with 1 ms of jitter). The standard deviations are those of a
    sandwich estimate with blocks (Cameron & Miller, 2015, eq. 11), since smoothing and shared
    samples tie neighbouring errors together.

    Args:
        first_s: Stamps on the first clock, s; in any order.
        first: The motion that it saw.
        second_s: Stamps on the second clock, s.
        second: The same motion, the same channels.
        most_offset_s: The largest offset that is looked for.

    Raises:
        RecordingError: The signals are too short, do not overlap, do not move, or repeat
            themselves so that more offsets than one fit alike.
    """
    if first.shape[1] != second.shape[1]:
        raise RecordingError(f"{first.shape[1]} channels cannot be laid over {second.shape[1]}")
    from scipy.interpolate import CubicSpline  # late: `--help` need not wait for scipy

    if min(len(first_s), len(second_s)) < 4 * BLOCK_SAMPLES:
        raise RecordingError(f"clocks need {4 * BLOCK_SAMPLES} samples or more on either side")
    slow = max(float(np.median(np.diff(np.sort(t)))) for t in (first_s, second_s))
    step = slow / 2
    grid_a, a = _smooth(first_s, first, step)
    grid_b, b = _smooth(second_s, second, step)
    moving = (np.ptp(a, axis=0) > 0) & (np.ptp(b, axis=0) > 0)
    if not moving.any():
        raise RecordingError("clocks cannot be compared: no channel moves on both")
    a, b = a[:, moving], b[:, moving]
    offset = _coarse(grid_a, a, grid_b, b, step, most_offset_s)
    spline = CubicSpline(grid_a, a)
    slope = spline.derivative()
    margin = 4 * slow
    use = (grid_b + offset > grid_a[0] + margin) & (grid_b + offset < grid_a[-1] - margin)
    # The smoothed ends lean on less than the rest, and what lies in a gap was not seen at all.
    use &= (grid_b > grid_b[0] + margin) & (grid_b < grid_b[-1] - margin)
    use &= _seen(grid_b, second_s, margin) & _seen(grid_b + offset, first_s, margin)
    if use.sum() < 4 * BLOCK_SAMPLES:
        raise RecordingError("clocks cannot be compared: the signals do not overlap")
    t, target = grid_b[use], b[use]
    middle = float((t[0] + t[-1]) / 2)
    skew = 0.0
    for _ in range(20):
        at = t + offset + skew * (t - middle)
        moved, speed = spline(at), slope(at)
        scale, shift = _scales(moved, target)
        rest = target - scale * moved - shift
        # What factor and shift can explain is not offset's to explain.
        columns = [
            _clear(scale * speed, moved),
            _clear(scale * speed * (t - middle)[:, None], moved),
        ]
        design = np.stack(columns, axis=2)
        normal = np.einsum("tci,tcj->ij", design, design)
        if np.linalg.cond(normal) > 1e12:
            raise RecordingError("clocks cannot be compared: the motion does not tell the time")
        change = np.linalg.solve(normal, np.einsum("tci,tc->i", design, rest))
        offset, skew = offset + float(change[0]), skew + float(change[1])
        if abs(change[0]) < 1e-9:
            break
    explained = 1 - float(np.square(rest).sum() / np.square(target - target.mean(axis=0)).sum())
    deviation = _deviations(design, rest, normal, round(BLOCK_SAMPLES * slow / step))
    return ClockFit(offset, skew, float(deviation[0]), float(deviation[1]), middle, explained)


def _smooth(
    t_s: Float[np.ndarray, "sample"], values: Float[np.ndarray, "sample channel"], step: float
) -> tuple[Float[np.ndarray, "time"], Float[np.ndarray, "time channel"]]:
    """Return the signal on an even grid, smoothed."""
    from scipy.ndimage import gaussian_filter1d  # late: `--help` need not wait for scipy

    order = np.argsort(t_s, kind="stable")
    t, x = t_s[order], values[order]
    grid = t[0] + step * np.arange(int((t[-1] - t[0]) / step) + 1)
    even = np.stack([np.interp(grid, t, column) for column in x.T], axis=1)
    # The grid has two points for each sample of the slower signal.
    return grid, gaussian_filter1d(even, 2 * SMOOTH_SAMPLES, axis=0)


def _coarse(
    grid_a: Float[np.ndarray, "first"],
    a: Float[np.ndarray, "first channel"],
    grid_b: Float[np.ndarray, "second"],
    b: Float[np.ndarray, "second channel"],
    step: float,
    most_s: float,
) -> float:
    """Return the offset at which the correlations of all channels add up to most."""
    from scipy.signal import correlate  # late: `--help` need not wait for scipy

    total: Float[np.ndarray, lag] = np.zeros(len(a) + len(b) - 1)
    for x, y in zip(a.T, b.T, strict=True):
        total += np.abs(correlate((x - x.mean()) / x.std(), (y - y.mean()) / y.std()))
    lags = np.arange(-(len(b) - 1), len(a)) * step + (grid_a[0] - grid_b[0])
    allowed = np.abs(lags) <= most_s
    if not allowed.any():
        raise RecordingError(f"clocks cannot be compared: they are more than {most_s:g} s apart")
    lags, total = lags[allowed], total[allowed]
    best = int(np.argmax(total))
    # Of one motion that repeats itself, fewer periods overlap the further apart: weigh them alike.
    ends = np.minimum(grid_a[-1], grid_b[-1] + lags) - np.maximum(grid_a[0], grid_b[0] + lags)
    shared = np.maximum(ends, step) / step
    enough = shared > 0.5 * min(len(a), len(b))
    alike = np.where(enough, total / shared, 0.0)
    high = np.concatenate([[False], alike > REPEATED * alike[best], [False]])
    peaks = np.flatnonzero(np.diff(high.astype(np.int8))).reshape(-1, 2)
    others = [(i, j) for i, j in peaks if not i <= best < j]
    if others:
        where = ", ".join(f"{(lags[i] + lags[j - 1]) / 2:.3f}" for i, j in others[:3])
        raise RecordingError(
            "clocks cannot be compared: the motion repeats itself, and as well as an offset of "
            f"{lags[best]:.3f} s fits one of {where} s"
        )
    return float(lags[best])


def _seen(
    at_s: Float[np.ndarray, "time"], t_s: Float[np.ndarray, "sample"], margin: float
) -> Bool[np.ndarray, "time"]:
    """Tell which instants do not lie in, or next to, a step that is longer than the margin."""
    t = np.sort(t_s)
    gaps = np.flatnonzero(np.diff(t) > margin)
    seen = np.ones(len(at_s), bool)
    for start, end in zip(t[gaps], t[gaps + 1], strict=True):
        seen &= (at_s < start - margin) | (at_s > end + margin)
    return seen


def _scales(
    x: Float[np.ndarray, "time channel"], y: Float[np.ndarray, "time channel"]
) -> tuple[Float[np.ndarray, "channel"], Float[np.ndarray, "channel"]]:
    """Return factor and shift of each channel by least squares."""
    dx = x - x.mean(axis=0)
    scale = (dx * y).sum(axis=0) / (dx * dx).sum(axis=0)
    return scale, y.mean(axis=0) - scale * x.mean(axis=0)


def _clear(
    column: Float[np.ndarray, "time channel"], x: Float[np.ndarray, "time channel"]
) -> Float[np.ndarray, "time channel"]:
    """Return the column without what a factor on x and a shift explain of it."""
    scale, shift = _scales(x, column)
    return np.asarray(column - scale * x - shift)


def _deviations(
    design: Float[np.ndarray, "time channel 2"],
    rest: Float[np.ndarray, "time channel"],
    normal: Float[np.ndarray, "2 2"],
    block: int,
) -> Float[np.ndarray, "2"]:
    """Return the standard deviations by the block sandwich."""
    score = np.einsum("tci,tc->ti", design, rest)
    starts = np.arange(0, len(score), block)
    blocks = np.add.reduceat(score, starts, axis=0)
    few = len(starts) / (len(starts) - 1)
    bread = np.linalg.inv(normal)
    return np.asarray(np.sqrt(np.diag(few * bread @ (blocks.T @ blocks) @ bread)))
