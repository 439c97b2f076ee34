"""One recording, written in every format that has a reader."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
from mcap.writer import Writer
from rosbags.rosbag1 import Writer as Bag1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Bag2Writer
from rosbags.typesys import Stores, get_typestore
from scipy.io import savemat

from envs.telemetry.description import recording_source
from envs.telemetry.source import RecordingSource

JOINTS = ("a", "b", "c")
N = 120
T_NS = 1_700_000_000_000_000_000 + np.arange(N) * 10_000_000
Q = np.sin(np.arange(N)[:, None] * 0.05 + np.arange(3))
QD = np.cos(np.arange(N)[:, None] * 0.05 + np.arange(3)) * 5
COLUMNS = {f"{k}_{j}": v[:, i] for k, v in (("q", Q), ("dq", QD)) for i, j in enumerate(JOINTS)}
SIGNALS = {
    "position": {"source": "q_{joint}", "unit": "rad"},
    "velocity": {"source": "dq_{joint}", "unit": "rad/s"},
}
WIDE = {
    "position": {"source": "q", "unit": "rad"},
    "velocity": {"source": "dq", "unit": "rad/s"},
}


def table(path: Path, kind: str, signals: Any = SIGNALS, **changes: Any) -> RecordingSource:
    """Describe a table with `t` in nanoseconds."""
    stream = {"joints": list(JOINTS), "time": {"source": "t", "unit": "ns"}, "signals": signals}
    return recording_source(
        {"name": "x", "format": kind, "path": str(path), "streams": {"states": stream | changes}}
    )


def log(path: Path, kind: str, clock: str = "header.stamp") -> RecordingSource:
    """Describe joint states on a topic."""
    signals = {
        "position": {"source": "position", "unit": "rad"},
        "velocity": {"source": "velocity", "unit": "rad/s"},
    }
    stream = {"topic": "/joint_states", "time": {"source": clock}, "signals": signals}
    return recording_source(
        {"name": "x", "format": kind, "path": str(path), "streams": {"states": stream}}
    )


def csv(folder: Path) -> RecordingSource:
    path = folder / "x.csv"
    pl.DataFrame({"t": T_NS, **COLUMNS}).write_csv(path)
    return table(path, "csv")


def tsv(folder: Path) -> RecordingSource:
    path = folder / "x.tsv"
    pl.DataFrame({"t": T_NS, **COLUMNS}).write_csv(path, separator="\t")
    return table(path, "csv")


def json_rows(folder: Path) -> RecordingSource:
    path = folder / "x.json"
    rows = [
        {"t": int(t), "q": q.tolist(), "dq": d.tolist()}
        for t, q, d in zip(T_NS, Q, QD, strict=True)
    ]
    path.write_text(json.dumps({"kp": 100, "entries": rows}))
    return table(path, "json", WIDE)


def json_lines(folder: Path) -> RecordingSource:
    path = folder / "x.jsonl"
    rows = [{"t": int(t), **{k: v[i] for k, v in COLUMNS.items()}} for i, t in enumerate(T_NS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table(path, "json")


def parquet(folder: Path) -> RecordingSource:
    path = folder / "x.parquet"
    pl.DataFrame({"t": T_NS, **COLUMNS}).write_parquet(path)
    return table(path, "parquet")


def lerobot(folder: Path, version: str = "v2.1") -> RecordingSource:
    names = {"motors": list(JOINTS)}
    info = {"codebase_version": version, "chunks_size": 1000, "fps": 100}
    info["features"] = {k: {"shape": [3], "names": names} for k in ("q", "dq")}
    data = folder / "data" / "chunk-000"
    data.mkdir(parents=True)
    (folder / "meta").mkdir()
    episode = np.full(N, 3)
    wide = pl.Array(pl.Float64, 3)
    frame = pl.DataFrame(
        {"t": T_NS, "q": Q, "dq": QD, "episode_index": episode},
        schema_overrides={"q": wide, "dq": wide},
    )
    if version == "v2.1":
        info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        frame.write_parquet(data / "episode_000003.parquet")
    else:
        info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        other = frame.with_columns(episode_index=pl.lit(2, pl.Int64), q=pl.col("dq"))
        pl.concat([other, frame]).write_parquet(data / "file-000.parquet")
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    stream = {"time": {"source": "t", "unit": "ns"}, "signals": WIDE}
    values = {"name": "x", "format": "lerobot", "path": str(folder), "episode": 3}
    return recording_source(values | {"streams": {"states": stream}})


def lerobot_v3(folder: Path) -> RecordingSource:
    return lerobot(folder, "v3.0")


def hdf5(folder: Path) -> RecordingSource:
    path = folder / "x.h5"
    with h5py.File(path, "w") as content:
        content.attrs["robot"] = "arm"
        content["obs/t"] = T_NS
        content.create_dataset("obs/q", data=Q, fletcher32=True)
        content["obs/dq"] = QD
    signals = {k: v | {"source": f"obs/{v['source']}"} for k, v in WIDE.items()}
    return table(path, "hdf5", signals, time={"source": "obs/t", "unit": "ns"})


def npz(folder: Path) -> RecordingSource:
    path = folder / "x.npz"
    np.savez_compressed(path, t=T_NS, q=Q, dq=QD, kp=100.0)
    return table(path, "npz", WIDE)


def matlab(folder: Path) -> RecordingSource:
    path = folder / "x.mat"
    savemat(path, {"log": {"t": T_NS[:, None], "q": Q, "dq": QD}, "kp": 100.0}, do_compression=True)
    signals = {k: v | {"source": f"log.{v['source']}"} for k, v in WIDE.items()}
    return table(path, "matlab", signals, time={"source": "log.t", "unit": "ns"})


def matlab73(folder: Path) -> RecordingSource:
    """MATLAB writes 7.3 as HDF5 behind 512 bytes of its own, every array transposed."""
    path = folder / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as content:
        content["t"] = T_NS[None, :]
        content["q"] = Q.T
        content["dq"] = QD.T
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(512))
    return table(path, "matlab", WIDE)


def _states(ros1: bool) -> tuple[Any, list[Any]]:
    store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    kind = store.types["sensor_msgs/msg/JointState"]
    header = store.types["std_msgs/msg/Header"]
    time = store.types["builtin_interfaces/msg/Time"]
    messages = []
    for t, q, d in zip(T_NS.tolist(), Q, QD, strict=True):
        extra = {"seq": 0} if ros1 else {}
        stamp = time(sec=t // 10**9, nanosec=t % 10**9)
        messages.append(
            kind(
                header=header(stamp=stamp, frame_id="", **extra),
                name=list(JOINTS),
                position=q,
                velocity=d,
                effort=np.empty(0),
            )
        )
    return store, messages


def bag1(folder: Path, compression: Any = None) -> RecordingSource:
    path = folder / "x.bag"
    store, messages = _states(True)
    bag = Bag1Writer(path)
    if compression is not None:
        bag.set_compression(compression)
    with bag as writer:
        connection = writer.add_connection(
            "/joint_states", "sensor_msgs/msg/JointState", typestore=store
        )
        for t, message in zip(T_NS.tolist(), messages, strict=True):
            writer.write(connection, t + 5, store.serialize_ros1(message, connection.msgtype))
    return log(path, "rosbag1")


def bag1_bz2(folder: Path) -> RecordingSource:
    return bag1(folder, Bag1Writer.CompressionFormat.BZ2)


def bag1_lz4(folder: Path) -> RecordingSource:
    return bag1(folder, Bag1Writer.CompressionFormat.LZ4)


def bag2(folder: Path, plugin: StoragePlugin = StoragePlugin.SQLITE3) -> RecordingSource:
    store, messages = _states(False)
    with Bag2Writer(folder / "bag", version=8, storage_plugin=plugin) as writer:
        connection = writer.add_connection(
            "/joint_states", "sensor_msgs/msg/JointState", typestore=store
        )
        for t, message in zip(T_NS.tolist(), messages, strict=True):
            writer.write(connection, t + 5, store.serialize_cdr(message, connection.msgtype))
    return log(folder / "bag", "rosbag2")


def bag2_mcap(folder: Path) -> RecordingSource:
    return bag2(folder, StoragePlugin.MCAP)


def bag2_without_metadata(folder: Path) -> RecordingSource:
    source = bag2(folder)
    (source.path / "metadata.yaml").unlink()
    return log(next(source.path.glob("*.db3")), "rosbag2")


def mcap_cdr(folder: Path) -> RecordingSource:
    return log(next(bag2_mcap(folder).path.glob("*.mcap")), "mcap")


def mcap_json(folder: Path) -> RecordingSource:
    path = folder / "x.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=4096)
        writer.start()
        schema = writer.register_schema("joint_states", "jsonschema", b"{}")
        channel = writer.register_channel("/joint_states", "json", schema)
        for t, q, d in zip(T_NS.tolist(), Q, QD, strict=True):
            message = {
                "header": {"stamp": {"sec": t // 10**9, "nanosec": t % 10**9}},
                "name": JOINTS,
                "position": q.tolist(),
                "velocity": d.tolist(),
            }
            writer.add_message(channel, t + 5, json.dumps(message).encode(), t)
        writer.finish()
    return log(path, "mcap")


WRITERS: dict[str, Callable[[Path], RecordingSource]] = {
    w.__name__: w
    for w in (
        csv, tsv, json_rows, json_lines, parquet, lerobot, lerobot_v3, hdf5, npz, matlab, matlab73,
        bag1, bag1_bz2, bag1_lz4, bag2, bag2_mcap, bag2_without_metadata, mcap_cdr, mcap_json,
    )
}  # fmt: skip
