"""One fault of a recording: what, where, and what is done about it."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int

Fault = Literal[
    "truncated",
    "out_of_order",
    "duplicate",
    "conflict",
    "clock_jump",
    "clock_offset",
    "repeated",
    "not_finite",
    "missing_signal",
    "gap",
    "jitter",
    "spike",
    "stuck",
    "zero_filled",
    "wrapped_register",
    "wrapped_angle",
    "degrees",
    "voltage_swing",
    "velocity_mismatch",
    "command_mismatch",
    "command_lag",
    "limit",
    "rate",
    "missing_joint",
    "added_joint",
    "renamed_joint",
]


@dataclass(frozen=True)
class Finding:
    """One fault of a recording and what is done about it.

    Attributes:
        channel: The stream, the signal, or signal/joint, that has it.
        count: How many samples, steps or gaps.
        first_s: When it first occurs, s since the recording's first stamp.
        action: What is done about it: kept, flagged, dropped, held, quarantined …
        detail: Figures, in words.
        rows: Which samples of the stream have it, counted from 0 as they were read; empty where
            it is about the whole.
    """

    kind: Fault
    channel: str
    count: int
    first_s: float
    action: str
    detail: str
    rows: Int[np.ndarray, "row"] = field(
        default_factory=lambda: np.empty(0, np.int64), compare=False, repr=False
    )
