"""What a reader hands over: the columns of a table, or the messages of a log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from envs.telemetry.recording import Damage

UNPROTECTED = "unprotected"


@dataclass(frozen=True)
class Table:
    """Named columns of one file.

    Attributes:
        columns: Name → one number a row, or one row of numbers a row.
        metadata: What the file says beside them.
        protection: What guards its bytes.
        damage: What could not be read; the columns hold what lies before it.
        joints: Column → the joints it lists, for formats that name them.
    """

    columns: Mapping[str, np.ndarray]
    metadata: Mapping[str, str] = field(default_factory=dict)
    protection: str = UNPROTECTED
    damage: tuple[Damage, ...] = ()
    joints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Topic:
    """Messages of one topic in the order of the file.

    Attributes:
        kind: The type's name, or the encoding where messages have none.
        entries: Time of logging (ns) and the message: a mapping, or an object with fields.
    """

    kind: str
    entries: Sequence[tuple[int, Any]]


@dataclass(frozen=True)
class Log:
    """Topics of one file of messages.

    Attributes:
        topics: By name; a topic that was not asked for has no entries.
        metadata: What the file says beside them.
        protection: What guards its bytes.
        damage: What could not be read; the messages lie before it.
    """

    topics: Mapping[str, Topic]
    metadata: Mapping[str, str] = field(default_factory=dict)
    protection: str = UNPROTECTED
    damage: tuple[Damage, ...] = ()


def one_line(error: BaseException) -> str:
    """Return a library's complaint as one line that is not too long, or its kind."""
    text = " ".join(str(error).split())
    return (text if len(text) <= 300 else f"{text[:297]}...") or type(error).__name__
