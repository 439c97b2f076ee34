"""Ten seconds of commands that tell a Panda's parameters well; `tests.panda_design` found them."""

from dataclasses import astuple, dataclass

import numpy as np

HOME = np.array([0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.7])
SECONDS = 10.0
GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Shape:
    """What all joints have in common: slow all the time, and fast once.

    Attributes:
        slow_hz: Of going to and fro.
        slow: The speed in it, rad/s.
        fast_hz: Of the burst.
        fast: The speed in it, rad/s.
        burst_s: How long the burst lasts.
        spread: Part by which the joints' frequencies differ.
    """

    slow_hz: float
    slow: float
    fast_hz: float
    fast: float
    burst_s: float
    spread: float


SHAPE = Shape(0.326, 0.064, 0.608, 2.001, 1.094, 0.036)


def command(shape: Shape, dt_s: float) -> np.ndarray:
    """Return the commands from 0 to 10 s, rad, with a sample for the end.

    The joints burst one after the other. Their frequencies and phases are spread by the golden
    ratio, so that no two are near each other.
    """
    slow_hz, slow, fast_hz, fast, burst_s, spread = astuple(shape)
    t = np.arange(round(SECONDS / dt_s) + 1)[:, None] * dt_s
    joint = np.arange(7)
    scale = 2 * np.pi * (1 + spread * (joint * GOLDEN % 1 - 0.5))
    since = t - np.linspace(0.5 + burst_s / 2, SECONDS - burst_s / 2, 7)
    window = np.where(np.abs(since) < burst_s / 2, np.cos(np.pi * since / burst_s) ** 2, 0.0)
    phase = 2 * np.pi * (joint * GOLDEN % 1)
    w_slow, w_fast = slow_hz * scale, fast_hz * scale
    x = np.minimum(t / 0.5, 1)
    ramp = x**3 * (10 - 15 * x + 6 * x**2)
    drift = ramp * slow / w_slow * np.sin(w_slow * t + phase)
    return np.asarray(HOME + drift + window * fast / w_fast * np.sin(w_fast * since))
