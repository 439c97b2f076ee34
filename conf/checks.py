"""What the schema's parts check alike."""

import math
from collections.abc import Sequence

from envs.errors import ConfigError


def between(key: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError where a number lies outside [low, high] or is NaN."""
    if math.isnan(value) or not low <= value <= high:
        raise ConfigError(f"{key} is {value}; allowed: {low} to {high}")


def pair(key: str, values: Sequence[float], low: float, high: float) -> None:
    """Raise ConfigError where a list is no [least, most] within [low, high]."""
    # A comparison with NaN is false, so that it is refused too.
    if not (len(values) == 2 and low <= values[0] <= values[1] <= high):
        raise ConfigError(
            f"{key} is {list(values)}; allowed: [least, most], in this order, from {low} to {high}"
        )
