"""Damaged files of every format: a typed error in one line or a salvage, and never a hang."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.errors import RecordingError
from envs.telemetry.inspection import inspect
from envs.telemetry.read import read
from envs.telemetry.source import RecordingSource
from tests.envs.telemetry.written import T_NS, WRITERS

# Reading a file of a few kilobytes takes milliseconds, and at most five CPU-seconds where HDF5
# loops; this is a hang, on however busy a machine.
MOST_S = 120
SKIPPED = ("tsv", "bag2_without_metadata", "mcap_cdr", "lerobot_v3")
FUZZED = [name for name in WRITERS if name not in SKIPPED]


@pytest.fixture(scope="module", params=FUZZED)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, RecordingSource, Path, bytes]:
    """A file of each format, and its bytes."""
    source = WRITERS[request.param](tmp_path_factory.mktemp(request.param))
    path = source.path
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.suffix in (".parquet", ".db3", ".mcap")]
        (path,) = found
    return request.param, source, path, path.read_bytes()


def late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"reading took more than {MOST_S} s")


def survives(action: Callable[[], Any]) -> Any:
    """Return what an action gives, or None where it refuses in one line."""
    signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_S)
    try:
        return action()
    except RecordingError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 5000
        return None
    finally:
        signal.alarm(0)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_salvaged(
    whole: tuple[str, RecordingSource, Path, bytes], data: st.DataObject
) -> None:
    name, source, path, content = whole
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content) - 1)))
    path.write_bytes(damaged[:end])
    try:
        recording = survives(lambda: read(source))
        survives(lambda: inspect(path))
    finally:
        path.write_bytes(content)
    if recording is not None and damaged[:end] != content:
        (stream,) = recording.streams
        assert all(len(v) == len(stream.t_ns) for v in stream.signals.values())
    if recording is not None and end < len(content) and damaged == content:
        # A shorter file that reads without a word has lost nothing.
        # (lines of text that end where a line ends cannot be told from a whole file).
        lost = len(recording.streams[0].t_ns) < len(T_NS) and not damaged[:end].endswith(b"\n")
        assert recording.damage or not lost, f"{name}: cut at {end} of {len(content)}"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=400), data=st.data())
def test_any_bytes_are_refused_or_read(
    whole: tuple[str, RecordingSource, Path, bytes], content: bytes, data: st.DataObject
) -> None:
    """Any bytes at all, bare or behind the first of a real file."""
    _, source, path, before = whole
    head = before[: data.draw(st.sampled_from([0, 4, 13, 16, 64, 200]))]
    path.write_bytes(head + content)
    try:
        survives(lambda: read(source))
    finally:
        path.write_bytes(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_damage_takes_neither_memory_nor_time_out_of_proportion(name: str) -> None:
    """A hundred damaged copies, absurd lengths among them, within 512 MB and a minute each."""
    script = Path(__file__).with_name("damaged.py")
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, str(script), name, "100"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr
    print(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bag1", "bag2", "mcap_json", "csv", "json_rows", "json_lines", "text"]
)
def test_our_parsers_survive_guided_fuzzing(name: str) -> None:
    """Thirty seconds each, guided by what the inputs reach in our code; needs atheris."""
    pytest.importorskip("atheris")
    script = Path(__file__).with_name("fuzz_parsers.py")
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, str(script), name, "-max_total_time=30", "-max_len=30000"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", ["bag1", "bag2", "mcap_json", "json_lines", "csv"])
def test_a_file_that_was_cut_in_the_middle_keeps_its_beginning(name: str, tmp_path: Path) -> None:
    source = WRITERS[name](tmp_path)
    path = next(source.path.glob("*.db3")) if source.path.is_dir() else source.path
    content = path.read_bytes()
    expected = read(source).streams[0]
    # A ROS 1 bag of this size is one chunk: it is cut behind that, in its index. The messages of
    # the ROS 2 bag are the last four of its eleven pages.
    share = {"bag1": 0.98, "bag2": 0.9}.get(name, 0.7)
    path.write_bytes(content[: int(share * len(content))])
    recording = read(source)
    assert recording.damage
    (found,) = recording.streams
    n = len(found.t_ns)
    assert n >= 0.3 * len(expected.t_ns)
    np.testing.assert_array_equal(found.t_ns, expected.t_ns[:n])
    np.testing.assert_array_equal(found.signals["position"], expected.signals["position"][:n])
