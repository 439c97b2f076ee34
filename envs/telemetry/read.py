"""Read a recording from disk as its source describes it."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from envs.errors import RecordingError, unknown
from envs.telemetry.readers import bag2, columns, lerobot, messages, text
from envs.telemetry.readers.contract import UNPROTECTED, Log, Table
from envs.telemetry.readers.formats import LOGS, TABLES
from envs.telemetry.recording import Damage, DriveGain, Policy, Recording, Signal, Stream
from envs.telemetry.source import MESSAGES, RecordingSource, StreamSource


@dataclass(frozen=True)
class _Content:
    """The streams of a recording, and what its files say of themselves."""

    streams: tuple[Stream, ...]
    metadata: Mapping[str, str]
    protection: Mapping[str, str]
    damage: tuple[Damage, ...]


def read(source: RecordingSource) -> Recording:
    """Read all streams, in SI and with the stage's joint names, and hash what was read.

    A file that was cut off or damaged is salvaged where its format allows; `damage` tells.

    Raises:
        RecordingError: A file is missing or broken, or is not what the source says.
    """
    where = f"recording '{source.name}'"
    try:
        files = _files(source)
        # Hashing needs no interpreter: it runs beside the reading.
        with ThreadPoolExecutor(1) as pool:
            digests = pool.map(sha256_of, files)
            content = _read(source, files)
            sha256 = {path.name: digest for path, digest in zip(files, digests, strict=True)}
    except OSError as error:
        raise RecordingError(f"{where}: {error}") from error
    recorded = {name: None for stream in content.streams for name in stream.joints}
    for name in source.joint_names:
        if name not in recorded:
            raise RecordingError(f"joint_names: {unknown('joint', name, recorded, where=where)}")
    return Recording(
        name=source.name,
        streams=tuple(
            _declared(_rename(stream, source.joint_names), described)
            for stream, described in zip(content.streams, source.streams, strict=True)
        ),
        sha256=sha256,
        files=files,
        metadata=content.metadata,
        protection=content.protection,
        damage=content.damage,
        joint_names=source.joint_names,
        drive_gains={
            source.joint_names.get(joint, joint): gain
            for stream, described in zip(content.streams, source.streams, strict=True)
            for joint, gain in _drive_gains(stream, described, where).items()
            if source.joint_names.get(joint, joint)
        },
    )


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(source: RecordingSource) -> tuple[Path, ...]:
    """Return the files of a recording, each of which is there."""
    where = f"recording '{source.name}'"
    folder = source.format == "text" or any(stream.file for stream in source.streams)
    hint = "name your own file with recording.path=FILE"
    if folder or source.format == "lerobot":
        hint = (
            "name the folder that holds it with recording.path=DIR, or the folder of all "
            "recordings with recordings_dir=DIR"
        )
        if not source.path.is_dir():
            raise RecordingError(f"{where}: there is no folder {source.path}; {hint}")
    if source.format == "lerobot":
        return lerobot.files(source.path, source.episode)
    if source.format == "text":
        files = text.files(source)
    elif source.format == "rosbag2":
        files = bag2.files(source.path)
    else:
        files = tuple(dict.fromkeys(_file(source, stream) for stream in source.streams))
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise RecordingError(f"{where}: there is no file {', '.join(missing)}; {hint}")
    return files


def _file(source: RecordingSource, stream: StreamSource) -> Path:
    return source.path / stream.file if stream.file else source.path


def _read(source: RecordingSource, files: tuple[Path, ...]) -> _Content:
    if source.format == "text":
        unprotected = {path.name: UNPROTECTED for path in files}
        return _Content(text.read_streams(source), {}, unprotected, ())
    if source.format in MESSAGES:
        return _read_messages(source, files)
    if source.format == "lerobot":
        table = lerobot.load(files, source.episode)
        tables = dict.fromkeys(files, table)
        place = {stream.name: files[-1] for stream in source.streams}
    else:
        tables, place = {}, {}
        for path in files:
            needing = [stream for stream in source.streams if _file(source, stream) == path]
            place |= {stream.name: path for stream in needing}
            wanted = {name for stream in needing for name in columns.names(stream)}
            tables[path] = TABLES[source.format](path, wanted)
    streams = tuple(
        columns.stream(tables[place[stream.name]], stream, str(place[stream.name]))
        for stream in source.streams
    )
    damage = tuple(damage for table in tables.values() for damage in table.damage)
    return _Content(
        streams=streams,
        metadata=_merged(tables),
        protection={path.name: table.protection for path, table in tables.items()},
        damage=_lines_lost(damage, streams),
    )


def _merged(tables: Mapping[Path, Table]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for table in tables.values():
        merged |= table.metadata
    return merged


def _read_messages(source: RecordingSource, files: tuple[Path, ...]) -> _Content:
    topics = {stream.topic for stream in source.streams}
    logs = {path: LOGS[source.format](path, topics) for path in files}
    whole = join(list(logs.values()))
    try:
        streams = tuple(messages.stream(whole, s, str(source.path)) for s in source.streams)
    except RecordingError as error:
        if whole.damage:
            raise RecordingError(
                f"{error}; the file is damaged: {whole.damage[0].detail}"
            ) from None
        raise
    return _Content(
        streams=streams,
        metadata=whole.metadata,
        protection={path.name: log.protection for path, log in logs.items()},
        damage=whole.damage,
    )


def _lines_lost(damage: tuple[Damage, ...], streams: Sequence[Stream]) -> tuple[Damage, ...]:
    """Return the damage of lines that were cut off, each of which cost a sample."""
    steps_ns = [np.median(np.diff(s.t_ns)) for s in streams if len(s.t_ns) > 1]
    lost_s = float(max(steps_ns, default=0)) * 1e-9
    return tuple(replace(d, lost_s=lost_s) if lost_s > 0 else d for d in damage)


def join(logs: list[Log]) -> Log:
    """Return the logs of a split bag as one, in order."""
    if len(logs) == 1:
        return logs[0]
    topics = {name: topic for log in logs for name, topic in log.topics.items()}
    return Log(
        topics={
            name: replace(
                topic,
                entries=[
                    entry
                    for log in logs
                    if name in log.topics
                    for entry in log.topics[name].entries
                ],
            )
            for name, topic in topics.items()
        },
        metadata={k: v for log in logs for k, v in log.metadata.items()},
        damage=tuple(damage for log in logs for damage in log.damage),
    )


def _declared(stream: Stream, source: StreamSource) -> Stream:
    """Return a stream with what its description says of its clock and of resampling."""
    policies: dict[Signal, Policy] = {
        signal: described.resample
        for signal, described in source.signals.items()
        if described.resample is not None
    }
    return replace(stream, clock=source.clock, max_gap_s=source.max_gap_s, policies=policies)


def _drive_gains(stream: Stream, source: StreamSource, where: str) -> dict[str, DriveGain]:
    """Return recorded joint → what the description says of its drive's gain; 0 says nothing."""
    described = source.signals.get("current")
    if described is None or not described.drive_gain:
        return {}
    joints = len(stream.joints)
    for key in ("drive_gain", "drive_gain_std"):
        given = len(getattr(described, key))
        if given not in (0, 1, joints):
            raise RecordingError(
                f"{where}, stream '{stream.name}': {given} values of {key} for {joints} joints"
            )
    values = np.broadcast_to(described.drive_gain, joints).tolist()
    stds: Sequence[float | None] = [None] * joints
    if described.drive_gain_std:
        stds = np.broadcast_to(described.drive_gain_std, joints).tolist()
    found = zip(stream.joints, values, stds, strict=True)
    return {joint: DriveGain(value, std) for joint, value, std in found if value > 0}


def _rename(stream: Stream, joint_names: Mapping[str, str]) -> Stream:
    """Return a stream with the stage's names, without the joints that are left out."""
    joints = [joint_names.get(name, name) for name in stream.joints]
    kept = [i for i, name in enumerate(joints) if name]
    names = tuple(joints[i] for i in kept)
    if not names:
        raise RecordingError(f"stream '{stream.name}': joint_names leaves out all of its joints")
    if len(set(names)) != len(names):
        raise RecordingError(
            f"stream '{stream.name}': joint_names gives two joints one name: {', '.join(names)}"
        )
    if len(kept) == len(joints):
        return replace(stream, joints=names)
    signals = {signal: values[:, kept] for signal, values in stream.signals.items()}
    start = None if stream.start is None else stream.start[kept]
    return replace(stream, joints=names, signals=signals, start=start)
