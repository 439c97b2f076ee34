"""The MCAP reader: it returns what was written, or says in one line what is wrong."""

import hashlib
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordingError
from envs.telemetry.description import recording_source
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.recording import Signal
from envs.telemetry.source import RecordingSource
from tests.envs.telemetry.tiny import joint_state, mcap_source, write_mcap

FULL = {
    signal: {"source": signal, "unit": unit}
    for signal, unit in (("position", "rad"), ("velocity", "rad/s"), ("effort", "N.m"))
}
finite = st.floats(-1e6, 1e6)


def one(path: Path, **fields: Any) -> Path:
    return write_mcap(path, [("/joint_states", 5, joint_state(7, **fields))])


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2**62), st.lists(finite, min_size=6, max_size=6)),
        min_size=1,
        max_size=30,
    )
)
def test_a_round_trip_returns_every_bit_in_the_order_of_the_file(
    rows: list[tuple[int, list[float]]],
) -> None:
    messages = [
        (
            "/joint_states",
            log_ns,
            joint_state(t_ns, name=["a", "b"], position=v[:2], velocity=v[2:4], effort=v[4:]),
        )
        for log_ns, (t_ns, v) in enumerate(rows)
    ]
    with TemporaryDirectory() as folder:
        path = write_mcap(Path(folder) / "x.mcap", messages)
        result = read(mcap_source(path, signals=FULL))
        logged = read(mcap_source(path, time={"source": "log_time"})).streams[0]
        assert result.sha256 == {"x.mcap": hashlib.sha256(path.read_bytes()).hexdigest()}
    (stream,) = result.streams
    values = np.array([v for _, v in rows])
    assert stream.t_ns.tolist() == [t for t, _ in rows]
    assert logged.t_ns.tolist() == list(range(len(rows)))
    assert stream.joints == ("a", "b")
    signals: tuple[Signal, ...] = ("position", "velocity", "effort")
    for i, signal in enumerate(signals):
        np.testing.assert_array_equal(stream.signals[signal], values[:, 2 * i : 2 * i + 2])


def test_joints_may_change_their_order_and_come_later(tmp_path: Path) -> None:
    messages = [
        ("/joint_states", 1, joint_state(1, name=["a", "b"], position=[1.0, 2.0])),
        ("/joint_states", 2, joint_state(2, name=["c", "b", "a"], position=[6.0, 5.0, 4.0])),
        ("/joint_states", 3, joint_state(3, name=["a"], position=[None])),
        ("/joint_states", 4, joint_state(4, name=["a"], position=[])),
    ]
    (stream,) = read(mcap_source(write_mcap(tmp_path / "x.mcap", messages))).streams
    nan = np.nan
    expected = [[1, 2, nan], [4, 5, 6], [nan, nan, nan], [nan, nan, nan]]
    assert stream.joints == ("a", "b", "c")
    np.testing.assert_array_equal(stream.signals["position"], expected)


def test_units_become_si_and_names_the_stages(tmp_path: Path) -> None:
    path = one(tmp_path / "x.mcap", name=["a", "b"], position=[180.0, -90.0])
    states = {
        "topic": "/joint_states",
        "time": {"source": "header.stamp"},
        "signals": {"position": {"source": "position", "unit": "deg"}},
    }
    values = {"name": "x", "format": "mcap", "path": str(path), "streams": {"s": states}}
    (stream,) = read(recording_source(values | {"joint_names": {"b": "joint_b"}})).streams
    assert stream.joints == ("a", "joint_b")
    np.testing.assert_allclose(stream.signals["position"], [[np.pi, -np.pi / 2]], rtol=1e-15)
    with pytest.raises(RecordingError, match=r"'c' is not in recording 'x'; it has: a, b"):
        read(recording_source(values | {"joint_names": {"c": "joint_c"}}))
    with pytest.raises(RecordingError, match="two joints one name: a, a"):
        read(recording_source(values | {"joint_names": {"b": "a"}}))


def refused(source: RecordingSource, message: str) -> None:
    with pytest.raises(RecordingError) as error:
        read(source)
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    refused(mcap_source(tmp_path / "no.mcap"), r"no file .*no\.mcap; .*recording\.path=FILE")


def test_an_unknown_topic_lists_the_topics(tmp_path: Path) -> None:
    path = one(tmp_path / "x.mcap", name=["a"], position=[1.0])
    refused(mcap_source(path, topic="/joint_state"), "it has: /joint_states. Did you mean")


def test_an_unknown_field_lists_the_fields(tmp_path: Path) -> None:
    path = one(tmp_path / "x.mcap", name=["a"], position=[1.0])
    signals = {"position": {"source": "positions", "unit": "rad"}}
    refused(mcap_source(path, signals=signals), "'positions' .* has: header, name, position")


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    messages = [("/joint_states", 1, b"\x00\x01")]
    path = write_mcap(tmp_path / "x.mcap", messages, encoding="cbor")
    refused(mcap_source(path), "encoded as 'cbor'; allowed: json, cdr, ros1")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"{", "message 1 on /joint_states is not JSON"),
        ([1, 2], "is not a joint state"),
        ({"position": [1.0]}, "has no list of joints in 'name'"),
        ({"name": ["a", "a"], "position": [1.0, 2.0]}, "names a joint twice"),
        ({"name": ["a"], "position": [1.0]}, "no header.stamp .*log_time"),
        (joint_state(1, name=["a"], position=[1.0, 2.0]), "for 1 joints"),
        (joint_state(1, name=["a"], position=["x"]), "position='x' for a, not a number"),
        (joint_state(1, name=["a"], position=[True]), "position=True for a, not a number"),
        (joint_state(1, name=["a"], position={"a": 1}), "for 1 joints"),
        (joint_state(10**20, name=["a"], position=[1.0]), "time stamp beyond 64 bits"),
        ({"header": {"stamp": 1.5}, "name": ["a"], "position": [1.0]}, "no header.stamp"),
    ],
)
def test_a_message_that_is_no_joint_state_is_named(
    tmp_path: Path, message: Any, expected: str
) -> None:
    refused(mcap_source(write_mcap(tmp_path / "x.mcap", [("/joint_states", 1, message)])), expected)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    messages = [
        ("/joint_states", i, joint_state(i * 4_000_000, name=["a", "b"], position=[0.1 * i, 1.0]))
        for i in range(200)
    ]
    return write_mcap(tmp_path_factory.mktemp("whole") / "x.mcap", messages).read_bytes()


@settings(deadline=None)
@given(data=st.data())
def test_damage_is_noticed_or_harmless(whole: bytes, data: st.DataObject) -> None:
    """Cut the file, or flip one bit: never may other values come back."""
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(-1, 7))
    damaged = bytearray(whole)
    if bit < 0:
        damaged = damaged[:place]
    else:
        damaged[place] ^= 1 << bit
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mcap"
        path.write_bytes(whole)
        (expected,) = read(mcap_source(path)).streams
        path.write_bytes(damaged)
        try:
            salvaged = read(mcap_source(path))
        except RecordingError as error:
            assert str(path) in str(error)
            return
    (found,) = salvaged.streams
    assert bit >= 0 or salvaged.damage, "a file that was cut off has been read as if it were whole"
    kept = np.isin(expected.t_ns, found.t_ns)
    assert salvaged.damage or kept.all()
    np.testing.assert_array_equal(found.t_ns, expected.t_ns[kept])
    np.testing.assert_array_equal(found.signals["position"], expected.signals["position"][kept])


def test_a_damaged_chunk_costs_that_chunk_and_a_cut_what_lies_behind_it(
    whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "x.mcap"
    middle = len(whole) // 2
    path.write_bytes(whole[:middle])
    cut = read(mcap_source(path))
    assert 60 <= len(cut.streams[0].t_ns) < 200
    assert f"of {middle}" in cut.damage[0].detail
    (finding,) = [f for f in check(cut) if f.kind == "truncated"]
    assert finding.channel == "x.mcap"
    assert finding.action == "what lies before it is kept"
    flipped = bytearray(whole)
    # 40 bytes behind a frame's first: inside the compressed messages of the second chunk.
    place = whole.index(b"\x28\xb5\x2f\xfd", whole.index(b"\x28\xb5\x2f\xfd") + 4) + 40
    flipped[place] ^= 1
    path.write_bytes(flipped)
    rest = read(mcap_source(path))
    (damage,) = rest.damage
    assert "a chunk is damaged and left out" in damage.detail
    # The chunk's own header says which time of logging it spans; here that is 1 ns a message.
    assert damage.lost_s == pytest.approx((200 - len(rest.streams[0].t_ns) - 1) * 1e-9)
    assert rest.protection == {"x.mcap": "crc checked"}
    path.write_bytes(whole[:200])
    refused(mcap_source(path), "'/joint_states' is not in .*; the file is damaged: it is cut off")
