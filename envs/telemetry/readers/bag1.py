"""ROS 1 bags, read from front to back: what lies before a cut or a damaged chunk is kept.

The format: http://wiki.ros.org/Bags/Format/2.0. The index at the end is not needed.
"""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from envs.errors import RecordingError
from envs.telemetry.readers.contract import Log, Topic, one_line
from envs.telemetry.readers.ros import Decoder, each
from envs.telemetry.recording import Damage

MAGIC = b"#ROSBAG V2.0\n"
MESSAGE, HEADER, CHUNK, CONNECTION = 0x02, 0x03, 0x05, 0x07
MAX_CHUNK_BYTES = 1 << 28

Fields = dict[str, bytes]


class _Cut(Exception):
    """A record does not end where the file does, or makes no sense."""


def load(path: Path, topics: Collection[str] | None = None) -> Log:
    """Read the messages of the topics, or of all. Bags carry no checksum.

    Raises:
        RecordingError: The file is no ROS 1 bag, or a message cannot be decoded.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise RecordingError(f"{path}: this is no ROS 1 bag of version 2.0")
    connections: dict[int, Fields] = {}
    entries: dict[int, list[tuple[int, bytes]]] = {}
    damage: list[Damage] = []
    at = len(MAGIC)
    chunks, read = 0, 0
    try:
        for place, header, body in _records(data, len(MAGIC)):
            at = place
            if _op(header) == HEADER:
                # 0 in a bag that was never closed.
                chunks = _whole(header, "chunk_count", "<I")
            if _op(header) != CHUNK:
                _take(header, body, connections, entries)
                continue
            read += 1
            try:
                for _, inner, inside in _records(_inflate(header, body), 0):
                    _take(inner, inside, connections, entries)
            except _Cut as cut:
                detail = f"the chunk at byte {at} is damaged: {cut}; its rest is left out"
                damage.append(Damage(path.name, detail, at))
    except _Cut as cut:
        detail = f"it is cut off or damaged after byte {at} of {len(data)}: {cut}"
        damage.append(Damage(path.name, detail, at, _lost_s(entries, read, chunks)))
    decoder = Decoder(ros1=True)
    found: dict[str, Topic] = {}
    for number, fields in connections.items():
        topic, kind = fields["topic"].decode("utf-8", "replace"), _text(fields, "type")
        before = found[topic].entries if topic in found else []
        if topics is not None and topic not in topics:
            found.setdefault(topic, Topic(kind, []))
            continue
        where = f"{path}: message {{}} on {topic}"
        try:
            decoder.define(kind, _text(fields, "message_definition"))
            decoded = list(
                each(
                    entries.get(number, []),
                    lambda raw, _, kind=kind: decoder.ros1(raw, kind),  # type: ignore[misc]
                    where,
                )
            )
        except Exception as error:  # definitions and messages fail in many ways
            text = one_line(error)
            prefix = "" if text.startswith(str(path)) else f"{path}: {topic}: "
            raise RecordingError(f"{prefix}{text}") from None
        found[topic] = Topic(kind, [*before, *decoded])
    return Log(found, damage=tuple(damage))


def _lost_s(entries: dict[int, list[tuple[int, bytes]]], read: int, chunks: int) -> float | None:
    """Estimate the time that lies behind the cut, as if every chunk took equally long, s."""
    stamps = [stamp for found in entries.values() for stamp, _ in found]
    if not stamps or not read or not chunks:
        return None
    return (max(stamps) - min(stamps)) * 1e-9 * max(0, chunks - read) / read


def _records(data: bytes, at: int) -> Iterator[tuple[int, Fields, bytes]]:
    while at < len(data):
        start = at
        head, at = _block(data, at)
        body, at = _block(data, at)
        yield start, _fields(head), body


def _block(data: bytes, at: int) -> tuple[bytes, int]:
    if at + 4 > len(data):
        raise _Cut("a length is missing")
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise _Cut(f"{end - len(data)} bytes are missing")
    return data[at + 4 : end], end


def _fields(head: bytes) -> Fields:
    fields: Fields = {}
    at = 0
    while at < len(head):
        item, at = _block(head, at)
        name, mark, value = item.partition(b"=")
        if not mark:
            raise _Cut("a header field has no value")
        fields[name.decode("ascii", "replace")] = value
    return fields


def _op(header: Fields) -> int:
    value = header.get("op", b"")
    if len(value) != 1:
        raise _Cut("a record has no type")
    return value[0]


def _take(
    header: Fields,
    body: bytes,
    connections: dict[int, Fields],
    entries: dict[int, list[tuple[int, bytes]]],
) -> None:
    op = _op(header)
    if op == CONNECTION:
        fields = _fields(body)
        topic = header.get("topic")
        if topic is None or "type" not in fields:
            raise _Cut("a connection has no topic or type")
        connections.setdefault(_whole(header, "conn", "<I"), fields | {"topic": topic})
    elif op == MESSAGE:
        stamp = _whole(header, "time", "<Q")
        log_ns = (stamp & 0xFFFFFFFF) * 1_000_000_000 + (stamp >> 32)
        entries.setdefault(_whole(header, "conn", "<I"), []).append((log_ns, body))


def _whole(header: Fields, name: str, kind: str) -> int:
    value = header.get(name, b"")
    if len(value) != struct.calcsize(kind):
        raise _Cut(f"a record has no '{name}'")
    return int(struct.unpack(kind, value)[0])


def _inflate(header: Fields, body: bytes) -> bytes:
    import bz2

    import lz4.frame

    size = _whole(header, "size", "<I")
    if size > MAX_CHUNK_BYTES:
        raise _Cut(f"a chunk claims {size} bytes")
    compression = header.get("compression", b"")
    try:
        if compression == b"none":
            return body
        if compression == b"bz2":
            return bz2.BZ2Decompressor().decompress(body, max_length=size)
        if compression == b"lz4":
            inflated: bytes = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=size)
            return inflated
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise _Cut(f"it cannot be decompressed: {error}") from None
    raise _Cut(f"its compression is {compression!r}; known: none, bz2, lz4")


def _text(fields: Any, name: str) -> str:
    value: bytes = fields.get(name, b"")
    return value.decode("utf-8", "replace")
