"""Which reader takes which file."""

from collections.abc import Callable, Collection
from pathlib import Path

from envs.errors import RecordingError
from envs.telemetry.readers import (
    arrays,
    bag1,
    bag2,
    delimited,
    json_table,
    lerobot,
    mcap_file,
    parquet,
)
from envs.telemetry.readers.contract import Log, Table
from envs.telemetry.source import Format

LOGS: dict[Format, Callable[[Path, Collection[str] | None], Log]] = {
    "mcap": mcap_file.load,
    "rosbag1": bag1.load,
    "rosbag2": bag2.load,
}
TABLES: dict[Format, Callable[[Path, Collection[str] | None], Table]] = {
    "csv": delimited.load,
    "json": json_table.load,
    "parquet": parquet.load,
    "hdf5": arrays.load_hdf5,
    "npz": arrays.load_npz,
    "matlab": arrays.load_matlab,
}
SUFFIXES: dict[str, Format] = {
    ".mcap": "mcap",
    ".bag": "rosbag1",
    ".db3": "rosbag2",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".npz": "npz",
    ".mat": "matlab",
}


def guess(path: Path) -> Format:
    """Return the format that a file or folder has by its name.

    Raises:
        RecordingError: It tells none; the message lists the names that do.
    """
    if path.is_dir():
        if any((path / place).is_file() for place in lerobot.INFO):
            return "lerobot"
        if any(p.suffix in bag2.SUFFIXES for p in path.iterdir()):
            return "rosbag2"
        if any(p.suffix == ".txt" for p in path.iterdir()):
            return "text"
        found = ", ".join(sorted(p.name for p in path.iterdir())[:20]) or "nothing"
        raise RecordingError(
            f"{path}: this folder is no LeRobot data set, no ROS 2 bag and holds no .txt files; "
            f"name one file of it. It holds: {found}"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise RecordingError(
            f"{path}: the name tells no format; known endings: {', '.join(SUFFIXES)}"
        )
    return SUFFIXES[path.suffix.lower()]
