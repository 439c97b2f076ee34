"""What a randomised value is drawn from, and the stream of random numbers it is drawn with.

Each (seed, frame, axis) has a stream of its own, so that a new axis, a skipped frame or another
order of work changes nothing else.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from envs.errors import ConfigError


def stream(seed: int, index: int, axis: str) -> np.random.Generator:
    """Return the random numbers of one axis of one frame.

    Args:
        seed: Of the whole data set, not negative.
        index: Of the frame, not negative.
        axis: What the numbers are for ("camera").
    """
    if seed < 0 or index < 0:
        raise ConfigError(f"seed and index must not be negative, not {seed} and {index}")
    # Python's own hash of a string changes from process to process.
    digest = hashlib.blake2b(axis.encode(), digest_size=8).digest()
    key = (index, int.from_bytes(digest, "little"))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


@runtime_checkable
class Distribution(Protocol):
    """A number to be drawn."""

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""


@dataclass(frozen=True)
class Uniform:
    """All values from `low` to `high` alike; equal bounds make a constant."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse bounds that are not numbers or the wrong way round."""
        if not (np.isfinite([self.low, self.high]).all() and self.low <= self.high):
            raise ConfigError(f"a range must go from low to high, not [{self.low}, {self.high}]")

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Normal:
    """A normal distribution, such as a calibrated value with its standard deviation."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        """Refuse a standard deviation that is negative, and what is not a number."""
        if not (np.isfinite([self.mean, self.std]).all() and self.std >= 0):
            raise ConfigError(
                f"a normal distribution needs a mean and a std ≥ 0, not {self.mean} and {self.std}"
            )

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        return float(rng.normal(self.mean, self.std))


@dataclass(frozen=True)
class Choice:
    """One of several values, each as likely as its weight says; all alike without weights."""

    values: Sequence[float]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Refuse an empty choice and weights that do not fit."""
        weights = [1.0] * len(self.values) if self.weights is None else list(self.weights)
        if not self.values or len(weights) != len(self.values):
            raise ConfigError(
                f"a choice needs as many weights as values, not {len(weights)} "
                f"for {len(self.values)}"
            )
        if not (np.isfinite(weights).all() and min(weights) >= 0 and sum(weights) > 0):
            raise ConfigError(f"weights must not be negative, nor all zero: {weights}")

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        weights = np.ones(len(self.values)) if self.weights is None else np.array(self.weights)
        return float(rng.choice(np.array(self.values, float), p=weights / weights.sum()))
