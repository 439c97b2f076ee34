"""Every reader returns the same recording from its own format, or names what is wrong."""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from envs.errors import RecordingError
from envs.telemetry.description import recording_source
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.readers import arrays
from envs.telemetry.recording import DriveGain
from envs.telemetry.source import RecordingSource
from tests.envs.telemetry import written
from tests.envs.telemetry.tiny import joint_state, mcap_source, write_mcap
from tests.envs.telemetry.written import JOINTS, QD, T_NS, WRITERS, Q, table

Write = Callable[[Path], RecordingSource]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_round_trip_returns_every_bit(write: Write, tmp_path: Path) -> None:
    recording = read(write(tmp_path))
    (stream,) = recording.streams
    assert stream.joints == JOINTS
    np.testing.assert_array_equal(stream.t_ns, T_NS)
    np.testing.assert_array_equal(stream.signals["position"], Q)
    np.testing.assert_array_equal(stream.signals["velocity"], QD)
    assert recording.damage == ()
    assert set(recording.protection) == set(recording.sha256)
    assert all(len(digest) == 64 for digest in recording.sha256.values())


@pytest.mark.parametrize(
    ("name", "protection"),
    [("csv", "unprotected"), ("npz", "crc checked"), ("mcap_json", "crc checked"),
     ("bag1", "unprotected"), ("bag2", "unprotected"), ("hdf5", "unprotected")],
)  # fmt: skip
def test_what_guards_the_bytes_is_told(name: str, protection: str, tmp_path: Path) -> None:
    """An HDF5 file counts as checked only where each data set that is read has its checksum."""
    assert set(read(WRITERS[name](tmp_path)).protection.values()) == {protection}


def test_values_beside_the_samples_are_metadata(tmp_path: Path) -> None:
    assert read(written.json_rows(tmp_path)).metadata == {"kp": "100"}
    assert read(written.npz(tmp_path)).metadata == {"kp": "100.0"}
    assert read(written.hdf5(tmp_path)).metadata == {"robot": "arm"}
    assert read(written.lerobot(tmp_path)).metadata["codebase_version"] == "v2.1"


def test_a_split_bag_is_one_recording_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for i, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        source = written.bag2(tmp_path / name)
        next(source.path.glob("*.db3")).rename(tmp_path / f"log_{9 + i}.db3")
    recording = read(written.log(tmp_path, "rosbag2"))
    assert list(recording.sha256) == ["log_9.db3", "log_10.db3"]
    assert len(recording.streams[0].t_ns) == 2 * len(T_NS)


def test_the_time_of_logging_is_the_other_clock(tmp_path: Path) -> None:
    for write in (written.bag1, written.bag2, written.mcap_json):
        folder = tmp_path / write.__name__
        folder.mkdir()
        source = write(folder)
        (stream,) = read(written.log(source.path, source.format, "log_time")).streams
        np.testing.assert_array_equal(stream.t_ns, T_NS + 5)


def test_arm_and_gripper_on_one_topic_are_one_sample(tmp_path: Path) -> None:
    messages = []
    for i in range(3):
        for names, q in ((["a", "b"], [1.0, 2.0]), (["g"], [3.0])):
            messages.append(("/joint_states", i, joint_state(i, name=names, position=q)))
    # A second message about the same joint is a sample of its own.
    messages.append(("/joint_states", 3, joint_state(2, name=["g"], position=[4.0])))
    (stream,) = read(mcap_source(write_mcap(tmp_path / "x.mcap", messages))).streams
    assert stream.joints == ("a", "b", "g")
    nan = np.nan
    expected = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [nan, nan, 4]])
    np.testing.assert_array_equal(stream.signals["position"], expected)


def test_messages_without_names_take_the_descriptions(tmp_path: Path) -> None:
    messages = [("/q", i, {"data": {"values": [0.1 * i, 1.0]}}) for i in range(3)]
    path = write_mcap(tmp_path / "x.mcap", messages)
    signals = {"position": {"source": "data.values", "unit": "rad"}}
    clock = {"source": "log_time"}
    source = mcap_source(path, topic="/q", joints=["a", "b"], time=clock, signals=signals)
    (stream,) = read(source).streams
    expected = np.array([[0, 1], [0.1, 1], [0.2, 1]])
    np.testing.assert_allclose(stream.signals["position"], expected)


def test_registers_signs_offsets_and_units_make_si(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("t,a,b\n0,65532,1\n1,4,65535\n")
    signal = {
        "columns": ["a", "b"], "unit": "deg", "register_bits": 16,
        "signs": [1, -1], "offsets": [0.0, 0.5],
    }  # fmt: skip
    source = table(path, "csv", {"position": signal}, joints=["a", "b"])
    (stream,) = read(source).streams
    degrees = np.array([[-4, -1], [4, 1]])
    np.testing.assert_allclose(stream.signals["position"], np.radians(degrees) + np.array([0, 0.5]))
    path.write_text("t,a,b\n0,65532,1\n1,-4,3\n")
    refused(source, "register_bits is 16, but the numbers are not whole ones from 0 to 65535")


def test_drive_gains_go_by_the_stages_joints(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("t,a,b,c,p\n0,1,2,3,0\n1,2,3,4,0\n")
    current = {"columns": ["a", "b", "c"], "unit": "mA", "drive_gain": [9.0, 0, 4.0]}

    def source(**said: Any) -> RecordingSource:
        signals = {
            "position": {"columns": ["p", "p", "p"], "unit": "rad"},
            "current": current | said,
        }
        names = {"a": "shoulder", "c": ""}
        return replace(table(path, "csv", signals, joints=["a", "b", "c"]), joint_names=names)

    recording = read(source())
    np.testing.assert_allclose(
        recording.streams[0].signals["current"], [[1e-3, 2e-3], [2e-3, 3e-3]]
    )
    # What is 0 is not known, and what is left out is nobody's.
    assert recording.drive_gains == {"shoulder": DriveGain(9.0)}
    both = read(source(drive_gain=[9.0], drive_gain_std=[0.1, 0.0, 0.2])).drive_gains
    assert both == {"shoulder": DriveGain(9.0, 0.1), "b": DriveGain(9.0, 0.0)}
    refused(source(drive_gain_std=[0.1, 0.2]), "2 values of drive_gain_std for 3 joints")


def test_a_joint_can_be_left_out_and_is_told(tmp_path: Path) -> None:
    source = written.csv(tmp_path)
    recording = read(replace(source, joint_names={"b": "", "c": "elbow"}))
    (stream,) = recording.streams
    assert stream.joints == ("a", "elbow")
    np.testing.assert_array_equal(stream.signals["position"], Q[:, [0, 2]])
    told = {(f.kind, f.channel): f for f in check(recording, joints=["a", "elbow", "tool"])}
    assert told["added_joint", "b"].action == "left out, as declared"
    assert told["renamed_joint", "joint_names"].detail == "c is elbow"
    assert told["missing_joint", "tool"].action == "left out"
    with pytest.raises(RecordingError, match="leaves out all of its joints"):
        read(replace(source, joint_names=dict.fromkeys(JOINTS, "")))


def test_an_hdf5_file_that_the_library_never_comes_back_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty free object in the heap of attributes: HDF5 2.0 loops over it for ever."""
    monkeypatch.setattr(arrays, "PROBE", arrays.PROBE.replace("(5, 5)", "(2, 2)"))
    source = written.hdf5(tmp_path)
    content = bytearray(source.path.read_bytes())
    at = content.find(b"GCOL") + 16
    while struct.unpack_from("<H", content, at) != (0,):
        at += 16 + -(-struct.unpack_from("<Q", content, at + 8)[0] // 8) * 8
    struct.pack_into("<Q", content, at + 8, 0)
    source.path.write_bytes(content)
    refused(source, "no whole HDF5 file: the library does not survive it")


def test_two_files_and_two_clocks_make_one_recording(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("t,q\n0,1\n1,2\n")
    (tmp_path / "c.csv").write_text("t,q\n500,1\n")
    streams = {
        name: {"file": f"{name}.csv", "joints": ["a"], "time": {"source": "t", "unit": unit},
               "signals": {signal: {"source": "q", "unit": "rad"}}}
        for name, unit, signal in (("s", "s", "position"), ("c", "ms", "command_position"))
    }  # fmt: skip
    values = {"name": "x", "format": "csv", "path": str(tmp_path), "streams": streams}
    recording = read(recording_source(values))
    assert [s.t_ns.tolist() for s in recording.streams] == [[0, 10**9], [5 * 10**8]]
    assert set(recording.sha256) == {"s.csv", "c.csv"}


def test_missing_numbers_are_nan_whatever_the_format_calls_them(tmp_path: Path) -> None:
    signals = {"position": {"source": "q", "unit": "rad"}}
    (tmp_path / "x.csv").write_text("t;q\n0;1\n1;\n2;NaN\n3;null\n")
    (tmp_path / "x.jsonl").write_text('{"t":0,"q":1}\n{"t":1,"q":null}\n{"t":2,"q":NaN}\n{"t":3}\n')
    pl.DataFrame({"t": range(4), "q": [1.0, None, np.nan, None]}).write_parquet(
        tmp_path / "x.parquet"
    )
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        kind = {"jsonl": "json"}.get(name[2:], name[2:])
        (stream,) = read(table(tmp_path / name, kind, signals, joints=["a"])).streams
        np.testing.assert_array_equal(stream.signals["position"][:, 0], [1, np.nan, np.nan, np.nan])


def refused(source: RecordingSource, message: str) -> None:
    with pytest.raises(RecordingError) as error:
        read(source)
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no header line"),
        ("t,q\n", "no usable|there is|0"),
        ("0,1\n1,2\n", "holds numbers, not the names"),
        ("t,q,q\n0,1,2\n", "named twice: q"),
        ("0.0,0.1,0.1\n0.1,1,2\n", "holds numbers, not the names"),
        ("t,q\n0,1\n1\n2,3\n", "line 3 has 1 fields; the header has 2"),
        ("t,q\n0,1\n1,2,3\n", "line 3 has 3 fields"),
        ("t,q\n0,1\n1,one\n", "line 3: 'one' in column 'q' is not a number"),
        ("t,p\n0,1\n", "column 'q' is not in it; it has: t, p"),
        ("t,q\nnan,1\n", "row 1 is no time in ns"),
    ],
)
def test_a_broken_csv_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content)
    signals = {"position": {"source": "q", "unit": "rad"}}
    source = table(path, "csv", signals, joints=["a"])
    if content == "t,q\n":
        assert len(read(source).streams[0].t_ns) == 0
    else:
        refused(source, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("{", "this is not JSON"),
        ("3", "no samples|no object"),
        ("[1, 2]", "sample 1 is no object"),
        ('{"kp": 1}', "there are no samples"),
        ('[{"t": 0, "q": "x"}]', "column 'q' is not numbers, but 'x'"),
        ('[{"t": 0, "q": [1]}, {"t": 1, "q": [1, 2]}]', "differ in length"),
        ('[{"t": 0, "q": 1' + "0" * 400 + "}]", "beyond 64 bits"),
        ("[" * 100_000, "this is not JSON"),
    ],
)
def test_a_broken_json_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    refused(
        table(path, "json", {"position": {"source": "q", "unit": "rad"}}, joints=["a"]), message
    )


def test_a_killed_loggers_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    for name, whole, cut in (
        ("x.csv", "t,q\n0,1\n1,2\n", "2,3.1"),
        ("x.jsonl", '{"t":0,"q":1}\n{"t":1,"q":2}\n', '{"t":2,"q":3'),
    ):
        (tmp_path / name).write_text(whole + cut)
        kind = "csv" if name == "x.csv" else "json"
        signals = {"position": {"source": "q", "unit": "rad"}}
        recording = read(table(tmp_path / name, kind, signals, joints=["a"]))
        assert recording.streams[0].t_ns.tolist() == [0, 1]
        assert "left out" in recording.damage[0].detail


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, t=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(table(path, "npz", written.WIDE), "no whole npz file: Object arrays cannot be loaded")


def test_an_episode_that_is_not_there_is_named(tmp_path: Path) -> None:
    source: Any = written.lerobot(tmp_path)
    path = tmp_path / "meta" / "info.json"
    values = {"name": "x", "format": "lerobot", "path": str(tmp_path), "episode": 9}
    stream = {"time": {"source": "t", "unit": "ns"}, "signals": written.WIDE}
    missing = recording_source(values | {"streams": {"s": stream}})
    refused(missing, "'episode_000009.parquet' is not in .*; it has: episode_000003.parquet")
    info = json.loads(path.read_text())
    info["features"] = {}
    path.write_text(json.dumps(info))
    refused(source, "the joints of stream 'states' are not named in it")


def test_a_bag_that_lost_its_end_tells_the_time_that_is_missing_inside(tmp_path: Path) -> None:
    """Pages of messages in the middle of an SQLite bag are overwritten."""
    source = written.bag2(tmp_path)
    path = next(source.path.glob("*.db3"))
    content = bytearray(path.read_bytes())
    # The messages lie on the last four pages of 4096 bytes; the second of them is lost.
    start = len(content) - 3 * 4096
    content[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    recording = read(source)
    (stream,) = recording.streams
    np.testing.assert_array_equal(stream.t_ns, np.intersect1d(stream.t_ns, T_NS))
    lost = len(T_NS) - len(stream.t_ns)
    assert 0 < lost < 60
    (damage,) = recording.damage
    assert damage.lost_s == pytest.approx((lost + 1) * 0.01)
    np.testing.assert_array_equal(stream.signals["position"], Q[np.isin(T_NS, stream.t_ns)])
