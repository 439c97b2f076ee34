"""LeRobot data sets, v2.1 and v3: `info.json` and Parquet files of 30-or-so samples a second."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError, unknown
from envs.telemetry.readers import parquet
from envs.telemetry.readers.contract import Table

INFO = ("meta/info.json", "info.json")


def files(folder: Path, episode: int) -> tuple[Path, ...]:
    """Return info.json and the Parquet files that may hold an episode.

    Raises:
        RecordingError: There is no info.json, or no file of that episode.
    """
    info_path = _info_path(folder)
    info = _info(info_path)
    chunk = episode // int(info.get("chunks_size") or 1000)
    template = str(info.get("data_path") or "")
    named = f"episode_{episode:06d}.parquet"
    if "episode_index" in template:
        try:
            place = template.format(episode_chunk=chunk, episode_index=episode)
        except (KeyError, IndexError, ValueError):
            raise RecordingError(f"{info_path}: data_path '{template}' is not understood") from None
        for path in (folder / place, folder / named):
            if path.is_file():
                return info_path, path
        found = sorted(p.name for p in folder.rglob("episode_*.parquet"))
        raise RecordingError(unknown("episode", named, found[:50], where=str(folder)))
    holding = [p for p in sorted((folder / "data").rglob("*.parquet")) if _holds(p, episode)]
    if not holding:
        raise RecordingError(f"{folder}: no Parquet file under data/ holds episode {episode}")
    return info_path, *holding


def load(paths: tuple[Path, ...], episode: int) -> Table:
    """Read one episode; joint names come from info.json, and its other values are metadata.

    Raises:
        RecordingError: A file is broken.
    """
    info = _info(paths[0])
    tables = [parquet.load(path).columns for path in paths[1:]]
    columns = {
        name: np.concatenate([table[name] for table in tables])
        for name in tables[0]
        if all(name in table and table[name].ndim == tables[0][name].ndim for table in tables)
    }
    if "episode_index" in columns:
        rows = columns["episode_index"] == episode
        columns = {name: column[rows] for name, column in columns.items()}
    joints = {}
    for name, feature in _features(info).items():
        listed = _flat_names(feature.get("names"))
        if name in columns and columns[name].ndim == 2 and len(listed) == columns[name].shape[1]:
            joints[name] = tuple(listed)
    metadata = {k: str(v) for k, v in info.items() if isinstance(v, (str, int, float))}
    return Table(columns, metadata, joints=joints)


def _info_path(folder: Path) -> Path:
    for place in INFO:
        if (folder / place).is_file():
            return folder / place
    raise RecordingError(f"{folder}: this is no LeRobot data set: it has no meta/info.json")


def _info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}: this is not JSON: {error}") from None
    if not isinstance(info, dict) or not isinstance(info.get("features"), dict):
        raise RecordingError(f"{path}: this is no LeRobot info.json: it has no 'features'")
    return info


def _features(info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {k: v for k, v in info["features"].items() if isinstance(v, dict)}


def _flat_names(names: Any) -> list[str]:
    """Return the names of a feature: a list, a list in a list, or a mapping to lists."""
    if isinstance(names, dict):
        return [name for part in names.values() for name in _flat_names(part)]
    if isinstance(names, list):
        return [
            n for part in names for n in (_flat_names(part) if isinstance(part, list) else [part])
        ]
    return []


def _holds(path: Path, episode: int) -> bool:
    column = parquet.load(path, ("episode_index",)).columns.get("episode_index", np.empty(0))
    return bool((column == episode).any())
