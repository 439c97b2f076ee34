"""Read a recording from disk as its source describes it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from envs.errors import RecordingError, unknown
from envs.telemetry.readers import mcap_json, text
from envs.telemetry.recording import Recording, Stream
from envs.telemetry.source import RecordingSource

READERS = {"mcap_json": mcap_json, "text": text}


def read(source: RecordingSource) -> Recording:
    """Read all streams, in SI and with the stage's joint names, and hash what was read.

    Raises:
        RecordingError: A file is missing or broken, or is not what the source says.
    """
    reader = READERS[source.format]
    files = reader.files(source)
    hint = (
        "name your own file with recording.path=FILE"
        if source.format == "mcap_json"
        else "name the folder that holds it with recording.path=DIR, "
        "or the folder of all recordings with recordings_dir=DIR"
    )
    if source.format == "text" and not source.path.is_dir():
        raise RecordingError(f"recording '{source.name}': there is no folder {source.path}; {hint}")
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise RecordingError(
            f"recording '{source.name}': there is no file {', '.join(missing)}; {hint}"
        )
    try:
        sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        streams = reader.read_streams(source)
    except OSError as error:
        raise RecordingError(f"recording '{source.name}': {error}") from error
    recorded = {name: None for stream in streams for name in stream.joints}
    for name in source.joint_names:
        if name not in recorded:
            where = f"recording '{source.name}'"
            raise RecordingError(f"joint_names: {unknown('joint', name, recorded, where=where)}")
    renamed = tuple(_rename(stream, source.joint_names) for stream in streams)
    return Recording(name=source.name, streams=renamed, sha256=sha256, files=files)


def _rename(stream: Stream, joint_names: Mapping[str, str]) -> Stream:
    joints = tuple(joint_names.get(name, name) for name in stream.joints)
    if len(set(joints)) != len(joints):
        raise RecordingError(
            f"stream '{stream.name}': joint_names gives two joints one name: {', '.join(joints)}"
        )
    return replace(stream, joints=joints)
