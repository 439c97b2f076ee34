"""Whether a calibration is better than what it replaces, judged by data that no fit has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import chi2

WHITENESS_LAGS = 10
WHITE = 0.05
"""Residuals whose test has a smaller p-value than this are not white."""


@dataclass(frozen=True)
class Comparison:
    """Held-out errors of one signal before and after, per joint, in its SI unit.

    Attributes:
        signal: "torque", "current" or "position".
        decides: Whether the verdict rests on it: a fit of torques alone is not to be blamed for
            motions, which depend on drives that it did not touch.
    """

    signal: str
    nominal: Float[np.ndarray, "joint"]
    calibrated: Float[np.ndarray, "joint"]
    decides: bool

    @property
    def ratio(self) -> float:
        """Calibrated over nominal error, the geometric mean over the joints."""
        # A joint that does not move has no error of either kind.
        floor = 1e-12
        logs = np.log(np.maximum(self.calibrated, floor) / np.maximum(self.nominal, floor))
        return float(np.exp(logs.mean()))


@dataclass(frozen=True)
class Verdict:
    """The judgement: better or not, joint by joint and as a whole."""

    joints: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def improved(self) -> bool:
        """Whether each signal that decides has become better; False where there is none."""
        deciding = [c for c in self.comparisons if c.decides]
        return bool(deciding) and all(c.ratio < 1 for c in deciding)

    @property
    def text(self) -> str:
        """The judgement in words."""
        if not any(c.decides for c in self.comparisons):
            return "no held-out signal was compared, so that nothing shows an improvement"
        parts = []
        for c in self.comparisons:
            better = int((c.calibrated < c.nominal).sum())
            aside = "" if c.decides else ", which was not fitted"
            parts.append(
                f"the held-out {c.signal} error is {c.ratio:.3g} times the nominal one, better on "
                f"{better} of {len(self.joints)} joints{aside}"
            )
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "improved": self.improved,
            "why": self.text,
            "signals": {
                c.signal: {
                    "decides": c.decides,
                    "ratio": c.ratio,
                    "joints": {
                        joint: {"nominal": n, "calibrated": k, "improved": k < n}
                        for joint, n, k in zip(
                            self.joints, c.nominal.tolist(), c.calibrated.tolist(), strict=True
                        )
                    },
                }
                for c in self.comparisons
            },
        }


def ljung_box(residual: Float[np.ndarray, "time joint"]) -> Float[np.ndarray, "joint"]:
    """Return the p-value that each column would have if it were white noise.

    `Q = n (n + 2) Σ ρ_k² / (n − k)` is χ² with as many degrees as there are lags (Ljung and Box, On
    a measure of lack of fit in time series models, Biometrika 65, 1978). A small value says that
    the model leaves something unexplained that lasts from sample to sample.

    Args:
        residual: At independent instants: a low-passed signal must be thinned out before.
    """
    n = len(residual)
    lags = min(WHITENESS_LAGS, n - 1)
    x = residual - residual.mean(axis=0)
    power = (x**2).sum(axis=0)
    rho = np.array([(x[k:] * x[:-k]).sum(axis=0) for k in range(1, lags + 1)])
    rho /= np.where(power > 0, power, 1.0)
    Q = n * (n + 2) * (rho**2 / (n - np.arange(1, lags + 1))[:, None]).sum(axis=0)
    return np.asarray(chi2.sf(Q, lags))


def whiteness(
    residual: Float[np.ndarray, "time joint"],
    use: Bool[np.ndarray, "time"],
    joints: Sequence[str],
    *,
    stride: int,
) -> Mapping[str, Mapping[str, Any]]:
    """Return joint → p-value and verdict of the whiteness of its held-out residual.

    Args:
        residual: Simulated minus measured, low-passed.
        use: The instants that judge.
        joints: Names of the columns.
        stride: Samples between two that are independent: half a period of the cutoff.
    """
    kept = residual[use][::stride]
    if len(kept) < 3 * WHITENESS_LAGS:
        return {}
    return {
        joint: {"p": float(p), "white": bool(p >= WHITE)}
        for joint, p in zip(joints, ljung_box(kept), strict=True)
    }


def blocked_folds(
    use: Bool[np.ndarray, "time"], folds: int, reach: int
) -> list[tuple[Bool[np.ndarray, "time"], Bool[np.ndarray, "time"]]]:
    """Cut the usable instants into contiguous blocks, each of which is held out once.

    Args:
        use: The instants that may be used.
        folds: How many blocks, of equal numbers of instants.
        reach: Samples around the held-out block that do not train either, since the filter
            carries the block into them.

    Returns:
        For each block which instants train, and which judge.
    """
    masks = []
    for block in np.array_split(np.flatnonzero(use), folds):
        judge, near = np.zeros(len(use), bool), np.zeros(len(use), bool)
        judge[block] = True
        near[max(0, block[0] - reach) : block[-1] + reach + 1] = True
        masks.append((use & ~near, judge))
    return masks
