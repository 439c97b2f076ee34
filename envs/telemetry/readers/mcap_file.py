"""MCAP: messages in chunks with a checksum each; a damaged chunk costs that chunk only."""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from envs.errors import RecordingError
from envs.telemetry.readers.contract import UNPROTECTED, Log, Topic, one_line
from envs.telemetry.readers.ros import ENCODINGS, Decoder, decode_json, each
from envs.telemetry.recording import Damage

MAX_CHUNK_BYTES = 1 << 30
# The first byte of a chunk; its length, first and last time follow: https://mcap.dev/spec.
CHUNK = 0x06


class _Contents:
    """What has been read so far."""

    def __init__(self) -> None:
        self.schemas: dict[int, Any] = {}
        self.channels: dict[int, Any] = {}
        self.entries: dict[int, list[tuple[int, bytes]]] = {}
        self.metadata: dict[str, str] = {}
        self.damage: list[Damage] = []
        self.count = 0
        self.end_ns = 0
        self.checked: list[bool] = []
        self.ended = False
        self.expected: int | None = None


def load(path: Path, topics: Collection[str] | None = None) -> Log:
    """Read the messages of the topics, or of all; every checksum is checked.

    Raises:
        RecordingError: The file is not MCAP, is damaged where nobody can tell where, or a message
            cannot be decoded.
    """
    contents = _Contents()
    with path.open("rb") as stream:
        _read(stream, path, contents)
    if contents.expected is not None and contents.expected != contents.count and contents.ended:
        lacking = contents.expected - contents.count
        if not contents.damage:
            detail = f"its statistics count {lacking} messages more than are there"
            contents.damage.append(Damage(path.name, detail, path.stat().st_size))
    found: dict[str, Topic] = {}
    decoder = Decoder()
    for number, channel in contents.channels.items():
        wanted = topics is None or channel.topic in topics
        entries = contents.entries.get(number, []) if wanted else []
        schema = contents.schemas.get(channel.schema_id)
        kind = schema.name if schema else channel.message_encoding
        if entries:
            decoded = _decoded(path, channel, schema, entries, decoder)
            before = found[channel.topic].entries if channel.topic in found else []
            found[channel.topic] = Topic(kind, [*before, *decoded])
        else:
            found.setdefault(channel.topic, Topic(kind, []))
    protection = "crc checked" if all(contents.checked) and contents.checked else UNPROTECTED
    return Log(found, contents.metadata, protection, tuple(contents.damage))


def _read(stream: Any, path: Path, contents: _Contents) -> None:
    from mcap.exceptions import InvalidMagic
    from mcap.stream_reader import CRCValidationError, StreamReader

    size = path.stat().st_size
    reader = StreamReader(
        stream, emit_chunks=True, validate_crcs=True, record_size_limit=max(size, 1)
    )
    whole = 0
    try:
        for record in reader.records:
            whole = stream.tell()
            _take(record, path, whole, contents)
    except CRCValidationError:
        raise RecordingError(
            f"{path}: its data are damaged (the checksum of the whole does not fit); nobody can "
            "tell where"
        ) from None
    except Exception as error:  # whatever the library stumbles over, the file is what is broken
        if (isinstance(error, InvalidMagic) and stream.tell() <= 8) or size < 8:
            raise RecordingError(f"{path}: this is no MCAP file") from None
        fault = one_line(error)
        if contents.ended:
            detail = f"the index is cut off or damaged ({fault}); the messages are whole"
            contents.damage.append(Damage(path.name, detail, stream.tell(), 0.0))
        else:
            detail = f"it is cut off or damaged at byte {stream.tell()} of {size}: {fault}"
            lost_s = _lost_s(stream, whole)
            if lost_s is not None:
                detail += "; what lay behind that chunk is not known"
            contents.damage.append(Damage(path.name, detail, stream.tell(), lost_s))


def _lost_s(stream: Any, at: int) -> float | None:
    """Return the time that a torn chunk spans, which its first bytes tell, s."""
    stream.seek(at)
    head = stream.read(25)
    if len(head) < 25 or head[0] != CHUNK:
        return None
    start_ns, end_ns = struct.unpack_from("<QQ", head, 9)
    return 1e-9 * float(max(0, end_ns - start_ns))


def _take(record: Any, path: Path, at: int, contents: _Contents) -> None:
    from mcap import records

    if isinstance(record, records.Chunk):
        try:
            inside = list(_unpack(record))
        except Exception as error:  # zstd, lz4 and the record reader each raise their own
            lost_s = (record.message_end_time - record.message_start_time) * 1e-9
            detail = f"a chunk is damaged and left out: {one_line(error)}"
            contents.damage.append(Damage(path.name, detail, at, lost_s))
            return
        contents.checked.append(record.uncompressed_crc != 0)
        for item in inside:
            _take(item, path, at, contents)
    elif isinstance(record, records.Schema):
        contents.schemas.setdefault(record.id, record)
    elif isinstance(record, records.Channel):
        contents.channels.setdefault(record.id, record)
    elif isinstance(record, records.Message):
        contents.entries.setdefault(record.channel_id, []).append((record.log_time, record.data))
        contents.count += 1
    elif isinstance(record, records.Metadata):
        contents.metadata |= {f"{record.name}.{k}": v for k, v in record.metadata.items()}
    elif isinstance(record, records.DataEnd):
        contents.ended = True
        if record.data_section_crc:
            contents.checked.append(True)
    elif isinstance(record, records.Statistics):
        contents.expected = record.message_count


def _unpack(chunk: Any) -> Iterator[Any]:
    from mcap.stream_reader import breakup_chunk

    if chunk.uncompressed_size > MAX_CHUNK_BYTES:
        raise ValueError(f"it claims {chunk.uncompressed_size} bytes")
    yield from breakup_chunk(chunk, validate_crc=True)


def _decoded(
    path: Path, channel: Any, schema: Any, entries: list[tuple[int, bytes]], decoder: Decoder
) -> Iterator[tuple[int, Any]]:
    encoding = channel.message_encoding
    if encoding not in ENCODINGS:
        raise RecordingError(
            f"{path}: {channel.topic} is encoded as '{encoding}'; allowed: {', '.join(ENCODINGS)}"
        )
    where = f"{path}: message {{}} on {channel.topic}"
    try:
        if encoding == "json":
            yield from each(entries, decode_json, where)
            return
        if schema is None:
            raise ValueError(f"{path}: {channel.topic} has no message type")
        if schema.encoding in ("ros2msg", "ros1msg"):
            decoder.define(schema.name, schema.data.decode("utf-8"))
        read = decoder.cdr if encoding == "cdr" else decoder.ros1
        yield from each(entries, lambda data, _: read(data, schema.name), where)
    except RecordingError:
        raise
    except Exception as error:
        text = one_line(error)
        prefix = "" if text.startswith(str(path)) else f"{path}: {channel.topic}: "
        raise RecordingError(f"{prefix}{text}") from None
