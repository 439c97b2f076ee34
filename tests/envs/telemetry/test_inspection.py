"""A file that nobody described is told, and the draft of its description reads it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from conf.telemetry import RecordingConfig
from envs.errors import RecordingError
from envs.telemetry.description import recording_source
from envs.telemetry.draft import unit_of
from envs.telemetry.inspection import inspect
from envs.telemetry.naming import joint_of, signal_of
from envs.telemetry.quality import check
from envs.telemetry.read import read
from envs.telemetry.source import RecordingSource
from tests.envs.telemetry.tiny import PANDA, shipped
from tests.envs.telemetry.written import QD, T_NS, WRITERS, Q

UNITS = {"position": "rad", "velocity": "rad/s", "effort": "N.m", "load": "0.1%"}
UNITS |= {f"command_{signal}": unit for signal, unit in UNITS.items() if signal != "load"}


def loaded(text: str) -> Any:
    """Return the values of a draft, as Hydra reads them."""
    return OmegaConf.to_container(OmegaConf.create(text))


def source_of(text: str, **changes: Any) -> RecordingSource:
    """Fill in what a draft leaves open, and take it through the schema as a run would."""
    values = loaded(text)
    assert values["robot"] == "???"
    values |= {"robot": "panda"} | changes
    for stream in values["streams"].values():
        for signal, given in stream["signals"].items():
            if given["unit"] == "???":
                given["unit"] = UNITS[signal]
    merged = OmegaConf.merge(OmegaConf.structured(RecordingConfig), values)
    filled = OmegaConf.to_object(merged)
    assert isinstance(filled, RecordingConfig)
    return filled.source()


@pytest.mark.parametrize("name", WRITERS)
def test_the_draft_reads_what_was_written(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path).path
    lerobot = name.startswith("lerobot")
    told = inspect(path, episode=3 if lerobot else 0)
    (stream,) = read(source_of(told.draft)).streams
    np.testing.assert_array_equal(stream.t_ns, T_NS)
    np.testing.assert_array_equal(stream.signals["position"], Q)
    np.testing.assert_array_equal(stream.signals["velocity"], QD)
    assert told.draft in told.text
    assert all(line in told.text for line in told.found)


@pytest.mark.parametrize(
    "name", ["panda_unisa", "xl330_pendulum", "g1_lerobot", "panda_gaz2019", "sample"]
)
def test_the_draft_of_a_real_recording_gives_what_its_description_gives(name: str) -> None:
    source = shipped(name)
    told = inspect(source.path)
    drafted, described = read(source_of(told.draft)), read(source)
    both = [{k: s for s in r.streams for k in s.signals} for r in (drafted, described)]
    assert set(both[0]) == set(both[1])
    for signal, stream in both[0].items():
        other = both[1][signal]
        np.testing.assert_array_equal(stream.t_ns, other.t_ns)
        np.testing.assert_array_equal(stream.signals[signal], other.signals[signal])
        if stream.start is not None:
            np.testing.assert_array_equal(stream.start, other.start)
    if name == "panda_unisa":
        assert f"joints: {', '.join(j.replace('panda', 'fer') for j in PANDA)}" in told.text
        assert "???" not in told.draft.replace('robot: "???"', "")
    kinds = [line.split()[0] for line in told.findings if not line.startswith("taking")]
    assert kinds == [f.kind for f in check(drafted)]


def test_each_file_of_the_shared_recordings_has_a_draft_that_works() -> None:
    folder = shipped("xl330_pendulum").path.parent.parent
    files = [*folder.glob("*/*.json"), *folder.glob("*/*.parquet"), *folder.glob("*/*.db3")]
    files = [path for path in files if path.name != "info.json"]
    assert len(files) == 16
    for path in files:
        told = inspect(path)
        assert len(read(source_of(told.draft)).streams[0].t_ns) > 300, path
        assert not any("does not work" in line for line in told.findings), path


def test_units_that_names_tell_are_drafted_and_others_are_left_open() -> None:
    names = ["t", "a_pos_deg", "b_pos_deg", "a_vel_deg_s", "b_vel_deg_s", "a_tau", "b_tau"]
    assert unit_of("position", "a_pos_deg") == "deg"
    assert unit_of("velocity", "vel [rad/s]") == "rad/s"
    assert unit_of("effort", "tau_Nm") == "N.m"
    assert unit_of("effort", "tau") == unit_of("velocity", "vel_deg") == "???"
    assert unit_of("temperature", "temp") == "degC"
    assert unit_of("velocity", "velocity", kind="sensor_msgs/msg/JointState") == "rad/s"
    assert [joint_of(n, s) for n in names if (s := signal_of(n))] == ["a", "b"] * 3


def test_a_draft_with_an_open_unit_is_refused_by_its_key() -> None:
    values = {"source": "q", "unit": "???"}
    stream = {
        "joints": ["a"],
        "time": {"source": "t", "unit": "s"},
        "signals": {"position": values},
    }
    with pytest.raises(RecordingError, match=r"unit '\?\?\?' of position; allowed: rad, deg"):
        recording_source(
            {"name": "x", "format": "csv", "path": "x.csv", "streams": {"states": stream}}
        )


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
    with pytest.raises(RecordingError, match="no LeRobot data set, no ROS 2 bag"):
        inspect(tmp_path)


def test_names_that_yaml_would_misread_are_quoted(tmp_path: Path) -> None:
    rows = [{"time": i / 100, "q_on": 0.1 * i, "q_1": 0.2 * i, "q_a b": 0.3 * i} for i in range(9)]
    path = tmp_path / "2026-01-15: first.json"
    path.write_text(json.dumps(rows))
    values = loaded(inspect(path).draft)
    assert values["path"] == str(path)
    assert values["streams"]["states"]["joints"] == ["on", "1", "a b"]


def test_a_signal_of_other_joints_is_not_left_out_without_a_word(tmp_path: Path) -> None:
    rows = "".join(f"{k / 100},{k},{k},{k}\n" for k in range(50))
    path = tmp_path / "log.csv"
    path.write_text("time,a.position,a.velocity,b.velocity\n" + rows)
    told = inspect(path).text
    assert (
        "velocity is left out of the draft: its joints are a, b, and not those of position, a"
        in told
    )


def test_what_is_about_a_whole_recording_has_no_count_and_no_time(tmp_path: Path) -> None:
    rows = "".join(f"{k / 100},{np.sin(k / 9)}\n" for k in range(300) if k not in range(90, 140))
    path = tmp_path / "log.csv"
    path.write_text("time,a.position\n" + rows)
    told = inspect(path).text.splitlines()
    assert "  missing_signal of effort: it was not logged" in told
    assert any(re.match(r"  gap of states: 1, first at 0\.\d+ s; ", line) for line in told), told
