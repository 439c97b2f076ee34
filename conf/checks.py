"""What the schema's parts check alike."""

import math

from envs.errors import ConfigError


def between(key: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError where a number lies outside [low, high] or is NaN."""
    if math.isnan(value) or not low <= value <= high:
        raise ConfigError(f"{key} is {value}; allowed: {low} to {high}")
