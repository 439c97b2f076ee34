"""What a recording's YAML may say, and what it is told when it says something else."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from envs.errors import RecordingError
from envs.telemetry.description import recording_source

ROOT = Path(__file__).resolve().parents[3]

MCAP: dict[str, Any] = {
    "name": "mine",
    "format": "mcap",
    "path": "mine.mcap",
    "streams": {
        "states": {
            "topic": "/joint_states",
            "time": {"source": "header.stamp"},
            "signals": {"position": {"source": "position", "unit": "rad"}},
        }
    },
}
TEXT: dict[str, Any] = {
    "name": "mine",
    "format": "text",
    "path": "folder",
    "streams": {
        "states": {
            "joints": ["a", "b"],
            "time": {"source": "t.txt", "unit": "ms"},
            "signals": {"position": {"source": "q.txt", "unit": "deg"}},
        }
    },
}


def changed(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = deepcopy(values)
    *parents, key = path.split("/")
    node = result
    for parent in parents:
        node = node[parent]
    node[key] = value
    return result


@pytest.mark.parametrize("name", ["sample", "panda_gaz2019"])
def test_the_shipped_recordings_are_described_in_thirty_lines(name: str) -> None:
    path = ROOT / "conf" / "recording" / f"{name}.yaml"
    assert len(path.read_text().splitlines()) <= 30
    values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    source = recording_source(
        {k: v for k, v in values.items() if k not in ("robot", "individual", "truth")}
    )
    given = {signal for stream in source.streams for signal in stream.signals}
    assert {"position", "velocity", "effort"} < given
    assert given & {"command_position", "command_velocity"}


def test_plain_values_become_a_source() -> None:
    source = recording_source(TEXT | {"joint_names": {"a": "joint_a"}})
    (stream,) = source.streams
    assert source.path == Path("folder")
    assert source.joint_names == {"a": "joint_a"}
    assert (stream.joints, stream.time.unit) == (("a", "b"), "ms")
    assert stream.signals["position"].unit == "deg"


def test_empty_values_mean_not_given() -> None:
    # Structured configurations hold every key; an empty one must not count as a choice.
    full = changed(MCAP, "streams/states/joints", [])
    full = changed(full, "streams/states/time/unit", "")
    full = changed(full, "streams/states/signals/position/start", "")
    assert recording_source(full | {"joint_names": {}}) == recording_source(MCAP)


POSITION = "streams/states/signals/position"


@pytest.mark.parametrize(
    ("values", "path", "value", "message"),
    [
        (
            MCAP,
            "format",
            "rosbag",
            "format 'rosbag' is not in .*; it has: mcap, rosbag1, rosbag2, csv, .*, text",
        ),
        (MCAP, "pth", "x", "key 'pth' is not in recording; .*path.* Did you mean 'path'?"),
        (MCAP, "path", None, "'path' is missing"),
        (MCAP, "name", 3, "a text is needed, not 3"),
        (MCAP, "streams", {}, "at least one stream"),
        (MCAP, "streams", ["states"], "names and values are needed"),
        (MCAP, "streams/states/topic", "", "needs its 'topic'"),
        (MCAP, "streams/states/file", "a.mcap", "mcap has no 'file' for a stream"),
        (MCAP, f"{POSITION}/columns", ["a"], "needs either 'source' or 'columns'"),
        (MCAP, f"{POSITION}/signs", [2], r"signs of position are \[2.0\]; allowed: 1, -1"),
        (MCAP, f"{POSITION}/signs", ["1"], "a list of numbers is needed"),
        (MCAP, f"{POSITION}/offsets", [float("nan")], r"offsets of position are \[nan\]; allowed"),
        (MCAP, f"{POSITION}/register_bits", 12, "is 12; allowed: 0, 8, 16, 32"),
        (
            MCAP,
            f"{POSITION}/resample",
            "cubic",
            "'cubic' is not in .*; it has: linear, spline, hold",
        ),
        (MCAP, "streams/states/max_gap_s", 0.0, "max_gap_s is 0.0; allowed: above 0, up to 3600"),
        (MCAP, "streams/states/max_gap_s", "1", "a number of seconds is needed, not '1'"),
        (MCAP, "streams/states/clock", 1, "a text is needed, not 1"),
        (
            MCAP,
            "streams/states/signals/voltage",
            {"source": "u", "unit": "V", "resample": "hold"},
            "voltage is not resampled; leave out 'resample'",
        ),
        (MCAP, f"{POSITION}/drive_gain", [1.0], "only a current has a 'drive_gain'"),
        (
            MCAP,
            "streams/states/signals/current",
            {"source": "i", "unit": "A", "drive_gain": [-2.0]},
            r"drive_gain is \[-2.0\]; allowed: 0 or more",
        ),
        (
            MCAP,
            "streams/states/signals/current",
            {"source": "i", "unit": "A", "drive_gain_std": [0.1]},
            "drive_gain_std of current needs its 'drive_gain'",
        ),
        (MCAP, "episode", -1, "a whole number from 0"),
        (MCAP, "streams/states/time/source", "stamp", "it has: header.stamp, log_time"),
        (MCAP, "streams/states/time/unit", "s", "leave out time.unit"),
        (MCAP, "streams/states/signals", {}, "it gives no signal; allowed: position"),
        (MCAP, "streams/states/signals/postion", {"source": "p", "unit": "rad"}, "'position'"),
        (
            MCAP,
            f"{POSITION}/unit",
            "degree",
            "'degree' of position; allowed: rad, deg, rev, m, mm$",
        ),
        (MCAP, f"{POSITION}/unit", "rad/s", "'rad/s' of position; allowed"),
        (MCAP, f"{POSITION}/scale", "2", "key 'scale'"),
        (MCAP, f"{POSITION}/start", "q0.txt", "only a text command_velocity has a 'start'"),
        (TEXT, "streams/states/time/unit", "min", "unit 'min' of time; allowed: s, ms, us, ns"),
        (TEXT, "streams/states/topic", "/t", "text files have no topics"),
        (TEXT, "streams/states/joints", [], "needs 'joints'"),
        (TEXT, "streams/states/joints", "a", "a list of names is needed"),
        (TEXT, "streams/states/joints", ["a", "a"], "listed twice"),
        (TEXT, "joint_names", {"a": 1}, "joint_names.a: a text is needed"),
        (
            TEXT,
            "streams/states/signals",
            {"velocity": {"source": "v.txt", "unit": "rad/s"}},
            "no stream gives 'position'",
        ),
        (TEXT, "streams/more", TEXT["streams"]["states"], "both give position"),
    ],
)
def test_nonsense_is_refused_with_what_is_allowed(
    values: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(RecordingError) as error:
        recording_source(changed(values, path, value))
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


def test_the_example_of_the_documentation_is_a_description() -> None:
    text = (ROOT / "docs" / "recordings.md").read_text().split("```")[1].removeprefix("yaml\n")
    values: Any = OmegaConf.to_container(OmegaConf.create(text))
    assert (values.pop("robot"), values.pop("individual")) == ("panda", "ours")
    source = recording_source(values)
    assert source.streams[0].signals["load"].register_bits == 16
    assert source.streams[0].signals["position"].signs == (1.0, -1.0)
