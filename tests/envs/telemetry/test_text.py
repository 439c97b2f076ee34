"""The text reader: shapes, units and faults of files of numbers."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.errors import RecordingError
from envs.telemetry.description import recording_source
from envs.telemetry.read import read
from envs.telemetry.source import RecordingSource

FILES = {
    "t.txt": "0\n1.5\n3\n",
    "q.txt": "1\n2\n3\n4\n5\n6\n",
    "tc.txt": "0\n1\n",
    "dq.txt": "10 20\n30 40\n",
    "q0.txt": "90\n-90\n",
}


def source(folder: Path, **files: str) -> RecordingSource:
    for name, content in (FILES | {f"{k}.txt": v for k, v in files.items()}).items():
        (folder / name).write_text(content)
    streams: Any = {
        "states": {
            "joints": ["a", "b"],
            "time": {"source": "t.txt", "unit": "ms"},
            "signals": {"position": {"source": "q.txt", "unit": "deg"}},
        },
        "commands": {
            "joints": ["a", "b"],
            "time": {"source": "tc.txt", "unit": "s"},
            "signals": {
                "command_velocity": {"source": "dq.txt", "unit": "deg/s", "start": "q0.txt"}
            },
        },
    }
    values = {"name": "mine", "format": "text", "path": str(folder), "streams": streams}
    return recording_source(values)


def test_one_number_a_line_or_one_sample_a_line(tmp_path: Path) -> None:
    recording = read(source(tmp_path))
    states, commands = recording.streams
    assert states.t_ns.tolist() == [0, 1_500_000, 3_000_000]
    assert commands.t_ns.tolist() == [0, 1_000_000_000]
    np.testing.assert_allclose(states.signals["position"], np.radians([[1, 2], [3, 4], [5, 6]]))
    np.testing.assert_allclose(
        commands.signals["command_velocity"], np.radians([[10, 20], [30, 40]])
    )
    assert commands.start is not None
    np.testing.assert_allclose(commands.start, [np.pi / 2, -np.pi / 2])
    assert set(recording.sha256) == set(FILES)
    assert [path.name for path in recording.files] == list(FILES)


def test_nan_is_kept_for_the_quality_check(tmp_path: Path) -> None:
    values = read(source(tmp_path, q="1\nnan\n3\n4\n5\ninf\n")).streams[0].signals["position"]
    assert np.isfinite(values).tolist() == [[True, False], [True, True], [True, False]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"q": "1\n2\nx\n"}, r"q\.txt: not a table of numbers: .*'x'"),
        ({"q": "1\n2\n3\n4\n5\n"}, r"q\.txt: 5 numbers are not whole samples of 2 joints"),
        ({"q": "1\n2\n3\n4\n"}, r"q\.txt: 2 samples of 2 joints, but t\.txt has 3 time stamps"),
        ({"q": "1 2 3\n4 5 6\n"}, "1 or 2 numbers a line are needed, not 3"),
        ({"q": "1 2\n3\n"}, "not a table of numbers"),
        ({"q": ""}, "not a table of numbers: .*no data"),
        ({"t": "0 1\n2 3\n4 5\n"}, "one time stamp a line is needed, not 2"),
        ({"t": "0\nnan\n3\n"}, "line 2 is no time in ms: nan"),
        ({"t": "0\n1e300\n3\n"}, "line 2 is no time in ms"),
        ({"q0": "1 2\n3 4\n"}, "2 finite start positions are needed"),
        ({"q0": "1\nnan\n"}, "2 finite start positions are needed"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(RecordingError) as error:
        read(source(tmp_path, **files))
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


def test_a_binary_file_is_named(tmp_path: Path) -> None:
    described = source(tmp_path)
    (tmp_path / "q.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecordingError, match=r"q\.txt: "):
        read(described)


def test_what_is_missing_is_named_with_the_way_out(tmp_path: Path) -> None:
    described = source(tmp_path)
    (tmp_path / "q.txt").unlink()
    (tmp_path / "dq.txt").unlink()
    with pytest.raises(RecordingError, match=r"no file .*q\.txt, .*dq\.txt; .*recording\.path=DIR"):
        read(described)
    elsewhere = recording_source(
        {
            "name": "mine",
            "format": "text",
            "path": str(tmp_path / "nowhere"),
            "streams": {
                "s": {
                    "joints": ["a"],
                    "time": {"source": "t.txt", "unit": "s"},
                    "signals": {"position": {"source": "q.txt", "unit": "rad"}},
                }
            },
        }
    )
    with pytest.raises(RecordingError, match=r"no folder .*nowhere; .*recordings_dir=DIR"):
        read(elsewhere)
