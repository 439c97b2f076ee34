"""ROS 2 bags: SQLite or MCAP files, alone or in a folder, with or without metadata.yaml."""

import re
import sqlite3
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from envs.errors import RecordingError
from envs.telemetry.readers import mcap_file
from envs.telemetry.readers.contract import UNPROTECTED, Log, Topic, one_line
from envs.telemetry.readers.ros import Decoder, each
from envs.telemetry.recording import Damage

SUFFIXES = (".db3", ".mcap")
# Messages in a row that are looked for in vain before a damaged bag is taken to end.
MOST_LOST = 10_000


def files(path: Path) -> tuple[Path, ...]:
    """Return the files of a bag in the order of their numbers; metadata.yaml is not needed.

    Raises:
        RecordingError: The folder holds none.
    """
    if not path.is_dir():
        return (path,)
    found = [p for p in path.iterdir() if p.suffix in SUFFIXES]
    if not found:
        packed = [p.name for p in path.iterdir() if p.suffix == ".zstd"]
        hint = "; decompress " + ", ".join(sorted(packed)) + " first (zstd -d)" if packed else ""
        raise RecordingError(f"{path}: there is no .db3 or .mcap file in this folder{hint}")
    return tuple(sorted(found, key=_numbered))


def load(path: Path, topics: Collection[str] | None = None) -> Log:
    """Read the messages of the topics, or of all, of one file of a bag.

    Raises:
        RecordingError: The file is neither SQLite nor MCAP, or a message cannot be decoded.
    """
    with path.open("rb") as stream:
        head = stream.read(100)
    if head.startswith(b"\x89MCAP"):
        log = mcap_file.load(path, topics)
        return replace(log, damage=tuple(_timed(d, log, path) for d in log.damage))
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise RecordingError(f"{path}: this is neither an SQLite nor an MCAP file")
    damage = _cut(head, path)
    connection = sqlite3.connect(":memory:")
    try:
        if damage:
            # The last page that is not whole would be filled up with zeros.
            data = path.read_bytes()
            pages = len(data) // _page(head)
            if not pages:
                raise sqlite3.DatabaseError("not one page is whole")
            connection.deserialize(data[: pages * _page(head)])
            # Without it SQLite does not read a single page of a file shorter than it says.
            connection.execute("PRAGMA writable_schema = ON")
        else:
            connection.close()
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True)
        cut = bool(damage)
        log = _read(connection, path, topics, damage)
        if not cut:
            return log
        return replace(log, damage=(_timed(log.damage[0], log, path, _said(head)),))
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise RecordingError(f"{path}: this is no whole ROS 2 bag: {one_line(error)}") from None
    finally:
        connection.close()


def _page(head: bytes) -> int:
    size = int.from_bytes(head[16:18], "big")
    return 65536 if size in (0, 1) else size


def _said(head: bytes) -> int:
    """Return how long the file says that it is (https://sqlite.org/fileformat.html), bytes."""
    return _page(head) * int.from_bytes(head[28:32], "big")


def _timed(cut: Damage, log: Log, path: Path, said: int = 0) -> Damage:
    """Return what was cut off with the time that it cost.

    metadata.yaml knows how long a bag of one file is; else it is estimated from the bytes that
    lack, as if each took equally long.
    """
    stamps = [stamp for topic in log.topics.values() for stamp, _ in topic.entries]
    if cut.lost_s is not None or not stamps:
        return cut
    span_s = (max(stamps) - min(stamps)) * 1e-9
    whole_s = _duration_s(path)
    if whole_s is not None:
        return replace(cut, lost_s=max(0.0, whole_s - span_s))
    if not said:
        return cut
    detail = f"{cut.detail}; the time is estimated from the bytes"
    return replace(cut, detail=detail, lost_s=span_s * (said - cut.at) / cut.at)


def _duration_s(path: Path) -> float | None:
    told = path.with_name("metadata.yaml")
    if not told.is_file() or len(files(path.parent)) > 1:
        return None
    text = told.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^  duration:\s+nanoseconds: (\d+)\s*$", text, re.MULTILINE)
    return int(found.group(1)) * 1e-9 if found else None


def _cut(head: bytes, path: Path) -> list[Damage]:
    said = _said(head)
    size = path.stat().st_size
    if said <= size:
        return []
    return [Damage(path.name, f"it is cut off: {size} of {said} bytes are there", size)]


def _read(
    connection: sqlite3.Connection,
    path: Path,
    topics: Collection[str] | None,
    damage: list[Damage],
) -> Log:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    lacking = sorted({"topics", "messages"} - tables)
    if lacking:
        raise RecordingError(f"{path}: this is no ROS 2 bag: it has no table {', '.join(lacking)}")
    decoder = Decoder()
    if "message_definitions" in tables:
        query = "SELECT topic_type, encoded_message_definition FROM message_definitions"
        for kind, definition in connection.execute(query):
            try:
                decoder.define(str(kind), str(definition))
            except Exception:  # a definition we cannot parse matters only where it is used
                continue
    found: dict[str, Topic] = {}
    for number, name, kind, serialization in connection.execute(
        "SELECT id, name, type, serialization_format FROM topics"
    ).fetchall():
        topic, kind = str(name), str(kind)
        found[topic] = Topic(kind, [])
        if topics is not None and topic not in topics:
            continue
        if serialization != "cdr":
            raise RecordingError(f"{path}: {topic} is serialised as '{serialization}', not cdr")
        rows = _rows(connection, number, path, damage)
        try:
            where = f"{path}: message {{}} on {topic}"
            decode = each(rows, lambda data, _, kind=kind: decoder.cdr(data, kind), where)  # type: ignore[misc]
            found[topic] = Topic(kind, list(decode))
        except ValueError as error:
            raise RecordingError(str(error)) from None
    return Log(found, protection=UNPROTECTED, damage=tuple(damage))


def _rows(
    connection: sqlite3.Connection, topic: int, path: Path, damage: list[Damage]
) -> list[tuple[int, bytes]]:
    """Return time and bytes of each message, in the order they were written."""
    query = "SELECT id, timestamp, data FROM messages NOT INDEXED WHERE topic_id = ? ORDER BY id"
    rows: list[tuple[int, int, bytes]] = []
    try:
        # The order of the table, not of its index, which is of no use once the file is damaged.
        rows.extend(connection.execute(query, (topic,)))
    except sqlite3.Error as error:
        known = {row[0] for row in rows}
        rows += _one_by_one(connection, topic, max(known, default=0) + 1)
        if not rows:
            raise
        left = f"{len(rows)} messages are left"
        if damage:
            damage[0] = replace(damage[0], detail=f"{damage[0].detail}; {left}")
        else:
            detail = f"some pages are lost or damaged: {one_line(error)}; {left}"
            damage.append(Damage(path.name, detail, max(known, default=0), _lost_s(rows)))
    if any(type(t) is not int or not isinstance(data, bytes) for _, t, data in rows):
        raise RecordingError(f"{path}: a message is not bytes with a time")
    return [(stamp, data) for _, stamp, data in rows]


def _one_by_one(
    connection: sqlite3.Connection, topic: int, first: int
) -> list[tuple[int, int, bytes]]:
    """Look up each message by its number, until none has been there for long."""
    query = "SELECT id, timestamp, data FROM messages WHERE id = ? AND topic_id = ?"
    rows: list[tuple[int, int, bytes]] = []
    number = last = first
    while number - last < MOST_LOST:
        try:
            found = connection.execute(query, (number, topic)).fetchall()
        except sqlite3.Error:
            found = []
        if found:
            rows += found
            last = number
        number += 1
    return rows


def _lost_s(rows: list[tuple[int, int, bytes]]) -> float | None:
    """Return the time that lost messages span between those that are left, s.

    What lies behind the last of them is not known.
    """
    steps = [
        (after[1] - before[1]) * 1e-9
        for before, after in pairwise(rows)
        if after[0] - before[0] > 1 and type(before[1]) is int and type(after[1]) is int
    ]
    return sum(steps) if steps else None


def _numbered(path: Path) -> tuple[str, int, str]:
    match = re.search(r"(\d+)$", path.stem)
    return (path.stem[: match.start()], int(match.group()), "") if match else (path.stem, -1, "")
