"""Tiny recordings, written to disk or built in memory, and the shipped ones."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer
from omegaconf import OmegaConf

from conf import schema
from envs.telemetry.description import recording_source
from envs.telemetry.recording import Recording, Stream
from envs.telemetry.source import RecordingSource

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("KINETWIN_SHARED", ROOT.parent / "shared"))
PANDA = tuple(f"panda_joint{i}" for i in range(1, 8))


def write_mcap(
    path: Path, messages: Iterable[tuple[str, int, Any]], *, encoding: str = "json"
) -> Path:
    """Write (topic, log time in ns, message) in small compressed chunks."""
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=4096, compression=CompressionType.ZSTD)
        writer.start()
        schema = writer.register_schema("joint_states", "jsonschema", b"{}")
        channels: dict[str, int] = {}
        for topic, log_ns, message in messages:
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, encoding, schema)
            data = message if isinstance(message, bytes) else json.dumps(message).encode()
            writer.add_message(channels[topic], log_ns, data, log_ns)
        writer.finish()
    return path


def joint_state(stamp_ns: int, **fields: Any) -> dict[str, Any]:
    """Return a message like ROS' sensor_msgs/JointState."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    return {"header": {"stamp": {"sec": sec, "nanosec": nanosec}}, **fields}


def mcap_source(path: Path, **changes: Any) -> RecordingSource:
    """Describe positions on /joint_states; `changes` go to the stream."""
    states: dict[str, Any] = {
        "topic": "/joint_states",
        "time": {"source": "header.stamp"},
        "signals": {"position": {"source": "position", "unit": "rad"}},
    }
    values = {"name": "tiny", "format": "mcap", "path": str(path)}
    return recording_source(values | {"streams": {"states": states | changes}})


def recording(
    t_s: Any,
    signals: Mapping[str, Any],
    commands: tuple[Any, Mapping[str, Any]] | None = None,
    *,
    joints: tuple[str, ...] = ("a", "b"),
    start: Any = None,
) -> Recording:
    """Build a recording from times in seconds and arrays of one column a joint."""

    def stream(name: str, times: Any, given: Mapping[str, Any], first: Any = None) -> Stream:
        t_ns = np.round(np.asarray(times, float) * 1e9).astype(np.int64)
        values: Any = {key: np.asarray(value, float) for key, value in given.items()}
        return Stream(name, t_ns, joints, values, first)

    streams = [stream("states", t_s, signals)]
    if commands is not None:
        streams.append(stream("commands", *commands, start))
    return Recording("tiny", tuple(streams), {})


def shipped(name: str) -> RecordingSource:
    """Return the source that conf/recording/<name>.yaml describes."""
    schema.register()
    described = OmegaConf.load(ROOT / "conf" / "recording" / f"{name}.yaml")
    root = OmegaConf.create({"recordings_dir": str(SHARED / "recordings"), "recording": described})
    values: Any = OmegaConf.to_container(root, resolve=True)
    # What only the calibration reads is none of the readers' business.
    others = ("robot", "individual", "truth", "runs", "servo")
    values = {k: v for k, v in values["recording"].items() if k not in others}
    source = recording_source(values)
    if not source.path.exists():
        pytest.skip(f"{source.path} is not there; KINETWIN_SHARED can name the shared folder")
    return source
