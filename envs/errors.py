"""The errors Kinetwin raises on purpose: what was wrong, what was found, what is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches


class KinetwinError(Exception):
    """A fault of the input, shown to the user as one line, without a traceback."""


class ConfigError(KinetwinError):
    """A configuration value which cannot be used."""


class RecordingError(KinetwinError):
    """A recording which is missing, unreadable or unfit for what was asked of it."""


class StageError(KinetwinError):
    """A USD stage or URDF which is missing, unreadable or not what a robot needs."""


class CalibrationError(KinetwinError):
    """An identification which its data cannot support."""


class NotImprovedError(CalibrationError):
    """A calibration which is no better than what it would replace."""


def unknown(kind: str, name: str, allowed: Iterable[str], *, where: str) -> str:
    """Return the message for a name that is not among the allowed ones, with the nearest guess.

    Args:
        kind: What the name stands for ("joint", "task").
        name: What was found.
        allowed: The names that would have been right.
        where: Where they are defined ("the stage").
    """
    names = list(allowed)
    return f"{kind} '{name}' is not in {where}; it has: {', '.join(names) or 'none'}." + guess(
        name, names
    )


def guess(name: str, allowed: Iterable[str], *, nearness: float = 0.6) -> str:
    """Return " Did you mean 'NAME'?" for the nearest allowed name, or nothing.

    Args:
        name: What was found.
        allowed: The names that would have been right.
        nearness: How like a name must be to be offered, from 0, any, to 1, the same.
    """
    near = get_close_matches(name, list(allowed), n=1, cutoff=nearness)
    return f" Did you mean '{near[0]}'?" if near else ""
