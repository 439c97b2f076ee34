"""ROS messages: from bytes to objects, by the definitions that the file carries."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from envs.telemetry.readers.contract import one_line

ENCODINGS = ("json", "cdr", "ros1")


class Decoder:
    """Decodes messages; what a file does not define is taken from ROS itself."""

    def __init__(self, *, ros1: bool = False) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.LATEST)

    def define(self, kind: str, definition: str) -> None:
        """Add a message definition, and those it contains, as far as they are new."""
        from rosbags.typesys import get_types_from_msg

        if definition:
            types = get_types_from_msg(definition, normal(kind))
            new = {k: v for k, v in types.items() if k not in self._store.fielddefs}
            self._store.register(new)

    def cdr(self, data: bytes, kind: str) -> Any:
        """Decode a ROS 2 message."""
        return self._store.deserialize_cdr(data, normal(kind))

    def ros1(self, data: bytes, kind: str) -> Any:
        """Decode a ROS 1 message."""
        return self._store.deserialize_ros1(data, normal(kind))


def normal(kind: str) -> str:
    """Return a type's name as ROS 2 writes it, with /msg/ in it."""
    package, _, name = kind.partition("/")
    return kind if name.startswith("msg/") else f"{package}/msg/{name}"


def decode_json(data: bytes, where: str) -> Any:
    """Decode a JSON object.

    Raises:
        ValueError: It is none.
    """
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    return message


def each(
    entries: list[tuple[int, bytes]], decode: Callable[[bytes, str], Any], where: str
) -> Iterator[tuple[int, Any]]:
    """Decode one message after the other.

    Raises:
        ValueError: One cannot be decoded; it is named.
    """
    for i, (log_ns, data) in enumerate(entries):
        place = where.format(i + 1)
        try:
            yield log_ns, decode(data, place)
        except ValueError as error:
            raise ValueError(f"{error}" if place in str(error) else f"{place}: {error}") from None
        except Exception as error:  # the generated decoders stumble in many ways
            fault = one_line(error)
            raise ValueError(f"{place} cannot be decoded: {fault}") from None
