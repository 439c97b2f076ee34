"""A file that nobody described is told, and the draft of its description reads it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.errors import RecordingError
from envs.telemetry.inspection import inspect
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.source import recording_source
from tests.envs.telemetry.tiny import PANDA, shipped
from tests.envs.telemetry.written import QD, T_NS, WRITERS, Q


def loaded(text: str) -> Any:
    """Return the values of a draft, as Hydra reads them."""
    return OmegaConf.to_container(OmegaConf.create(text))


@pytest.mark.parametrize("name", [n for n in WRITERS if not n.startswith("lerobot")])
def test_the_draft_reads_what_was_written(name: str, tmp_path: Path) -> None:
    told = inspect(WRITERS[name](tmp_path).path)
    values = loaded(told.draft)
    values.pop("robot")
    (stream,) = read(recording_source(values)).streams
    np.testing.assert_array_equal(stream.t_ns, T_NS)
    np.testing.assert_array_equal(stream.signals["position"], Q)
    np.testing.assert_array_equal(stream.signals["velocity"], QD)
    assert told.draft in told.text
    assert all(line in told.text for line in told.found)


@pytest.mark.parametrize("name", ["panda_unisa", "xl330_pendulum", "g1_lerobot", "sample"])
def test_the_draft_of_a_real_recording_gives_what_its_description_gives(name: str) -> None:
    source = shipped(name)
    told = inspect(source.path)
    values = loaded(told.draft)
    values.pop("robot")
    drafted, described = read(recording_source(values)), read(source)
    for signal in ("position", "velocity", "command_position", "load", "effort"):
        found = [
            s.signals[signal]
            for r in (drafted, described)
            for s in r.streams
            if signal in s.signals
        ]
        if found:
            one, other = found
            ratio = np.nanmax(np.abs(one)) / np.nanmax(np.abs(other))
            # Of a load nobody can tell the unit: 1 is drafted where 0.1 % is right.
            np.testing.assert_allclose(one / ratio, other, rtol=1e-12)
            assert ratio == pytest.approx(1.0) or signal == "load"
    if name == "panda_unisa":
        assert f"joints: {', '.join(j.replace('panda', 'fer') for j in PANDA)}" in told.text
    assert len(told.findings) == len(check(drafted))


def test_a_file_without_signals_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    told = inspect(path)
    assert "no column looks like time" in told.text
    assert "streams: {}" in told.draft
    assert "the draft does not work yet" in told.text


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"there is no file or folder .*x\.csv"):
        inspect(tmp_path / "x.csv")
    (tmp_path / "x.docx").write_text("")
    with pytest.raises(RecordingError, match=r"tells no format; known endings: \.mcap"):
        inspect(tmp_path / "x.docx")
    with pytest.raises(RecordingError, match="neither a LeRobot data set nor a ROS 2 bag"):
        inspect(tmp_path)


def test_names_that_yaml_would_misread_are_quoted(tmp_path: Path) -> None:
    rows = [{"time": i / 100, "q_on": 0.1 * i, "q_1": 0.2 * i, "q_a b": 0.3 * i} for i in range(9)]
    path = tmp_path / "2026-01-15: first.json"
    path.write_text(json.dumps(rows))
    values = loaded(inspect(path).draft)
    assert values["path"] == str(path)
    assert values["streams"]["states"]["joints"] == ["on", "1", "a b"]
