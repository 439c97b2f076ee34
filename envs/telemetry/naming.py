"""Which signal, which joint and which clock the name of a column, field or file stands for."""

import re
from collections.abc import Mapping

import numpy as np

from envs.telemetry.draft import ENDINGS
from envs.telemetry.recording import Signal

# Words in the name of a column or field → what it is likely to be; the first that fits counts.
_COMMAND = r"(?:goal|target|desired|cmd|command|action|ref)"
WORDS: tuple[tuple[str, Signal], ...] = (
    (r"(?:torque_enabled?|enabled?)", "enabled"),
    (rf"{_COMMAND}\w*?(?:vel|speed|qd|dq)\w*?", "command_velocity"),
    (rf"{_COMMAND}\w*?(?:effort|torque|tau)\w*?", "command_effort"),
    (rf"{_COMMAND}(?:_?(?:position|pos|q))?", "command_position"),
    (r"(?:velocity|velocities|vel|speed|dq|qd|qdot)", "velocity"),
    (r"(?:efforts?|torques?|tau)", "effort"),
    (r"(?:positions?|pos|angle|observation\.state|q)", "position"),
    (r"(?:current|amps?)", "current"),
    (r"(?:voltage|volts|input_volts|vin)", "voltage"),
    (r"(?:temperature|temp)", "temperature"),
    (r"load", "load"),
)
# What a field of a topic of commands is.
COMMANDED: Mapping[Signal, Signal] = {
    "position": "command_position",
    "velocity": "command_velocity",
    "effort": "command_effort",
}
TIMES = re.compile(r"(?:^|[._/])(?:t|time|times|timestamp|stamp|t_ns|time_s|sec|seconds)$", re.I)


_UNITS = f"(?:{'|'.join(ENDINGS)})"


def signal_of(name: str) -> Signal | None:
    """Return the signal that a name stands for, or None."""
    for word, signal in WORDS:
        if re.search(rf"(?:^|[._/]|\b){word}(?:$|[._/\d])", name, re.I):
            return signal
    return None


def joint_of(name: str, signal: Signal) -> str:
    """Return what is left of a column's name without the words for its signal and unit."""
    word = next(
        w
        for w, s in WORDS
        if s == signal and re.search(rf"(?:^|[._/]|\b){w}(?:$|[._/\d])", name, re.I)
    )
    rest = re.sub(rf"(^|[._/]|\b){word}(?=$|[._/\d])", "", name, count=1, flags=re.I)
    return re.sub(rf"[._/ ]{_UNITS}(?:_(?:per_)?s)?$", "", rest, flags=re.I).strip("._/ ")


def is_time(column: np.ndarray) -> bool:
    """Tell whether most steps go forwards."""
    if column.ndim != 1 or len(column) < 2 or column.dtype.kind not in "iuf":
        return False
    return bool(np.isfinite(column).all() and (np.diff(column) >= 0).mean() > 0.9)


def time_unit(column: np.ndarray) -> str:
    """Return the unit in which the usual step is that of a log: 50 µs to 5 s."""
    step = float(np.median(np.diff(column.astype(float))))
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if 5e-5 <= step * scale <= 5:
            return unit
    return "s"
