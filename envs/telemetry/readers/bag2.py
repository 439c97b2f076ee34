"""ROS 2 bags: SQLite or MCAP files, alone or in a folder, with or without metadata.yaml."""

import re
import sqlite3
from collections.abc import Collection
from pathlib import Path

from envs.errors import RecordingError
from envs.telemetry.readers import mcap_file
from envs.telemetry.readers.contract import UNPROTECTED, Log, Topic
from envs.telemetry.readers.ros import Decoder, each
from envs.telemetry.recording import Damage

SUFFIXES = (".db3", ".mcap")


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
        head = stream.read(16)
    if head.startswith(b"\x89MCAP"):
        return mcap_file.load(path, topics)
    if head != b"SQLite format 3\0":
        raise RecordingError(f"{path}: this is neither an SQLite nor an MCAP file")
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True)
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: this is no whole SQLite file: {error}") from None
    try:
        return _read(connection, path, topics)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise RecordingError(f"{path}: this is no whole ROS 2 bag: {error}") from None
    finally:
        connection.close()


def _read(connection: sqlite3.Connection, path: Path, topics: Collection[str] | None) -> Log:
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
    damage: list[Damage] = []
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
    rows: list[tuple[int, bytes]] = []
    try:
        # The order of the table, not of its index, which is of no use once the file is cut.
        for stamp, data in connection.execute(
            "SELECT timestamp, data FROM messages NOT INDEXED WHERE topic_id = ? ORDER BY id",
            (topic,),
        ):
            if type(stamp) is not int or not isinstance(data, bytes):
                raise sqlite3.DatabaseError("a message is not bytes with a time")
            rows.append((stamp, data))
    except sqlite3.Error as error:
        if not rows:
            raise
        detail = f"it is cut off or damaged after {len(rows)} messages: {error}"
        damage.append(Damage(path.name, detail, len(rows), _lost_s(connection, rows[-1][0])))
    return rows


def _lost_s(connection: sqlite3.Connection, last_ns: int) -> float | None:
    """Return the time from the last message that was read to the last of the index, if it lives."""
    try:
        (end_ns,) = connection.execute("SELECT MAX(timestamp) FROM messages").fetchone()
    except sqlite3.Error:
        return None
    return max(0.0, (end_ns - last_ns) * 1e-9) if type(end_ns) is int else None


def _numbered(path: Path) -> tuple[str, int, str]:
    match = re.search(r"(\d+)$", path.stem)
    return (path.stem[: match.start()], int(match.group()), "") if match else (path.stem, -1, "")
