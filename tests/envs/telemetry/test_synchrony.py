"""Streams on clocks of their own come onto the recording's clock, and what was done is told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from conf.telemetry import RecordingConfig
from envs.errors import RecordingError
from envs.telemetry.alignment import align
from envs.telemetry.quality import Finding, check
from envs.telemetry.quality_report import write_quality
from envs.telemetry.read import read
from envs.telemetry.recording import Recording, Signal, Stream
from envs.telemetry.synchrony import synchronise
from tests.envs.telemetry.inject import JOINTS, LAG_S, clean
from tests.envs.telemetry.tiny import PANDA, shipped

OFFSET_S, SKEW = 0.1234, 5e-5
JITTER_S = 1e-3


def other_clock(t_ns: np.ndarray, rng: np.random.Generator, *, offset_s: float) -> np.ndarray:
    """Return stamps of a clock that lacks the offset at the middle, runs slow, and jitters."""
    middle = (int(t_ns[0]) + int(t_ns[-1])) // 2
    slow_ns = np.rint((t_ns - middle) * SKEW / (1 + SKEW)).astype(np.int64)
    jitter_ns = np.rint(rng.normal(0, JITTER_S * 1e9, len(t_ns))).astype(np.int64)
    return np.asarray(t_ns - slow_ns - round(offset_s * 1e9) + jitter_ns)


def two_clocks(*, measured: bool, offset_s: float = OFFSET_S) -> tuple[Recording, Recording]:
    """Return a recording on one clock, and with its commands on a clock of their own."""
    rng = np.random.default_rng(4)
    true = clean(rng, 60.0)
    states, commands = true.streams
    signals: dict[Signal, np.ndarray] = dict(commands.signals)
    if measured:
        # The controller logs what it reads of the robot, too, with 0.1 mrad of noise.
        q = np.stack(
            [np.interp(commands.t_ns - 10**18, states.t_ns - 10**18, c)
             for c in states.signals["position"].T], axis=1,
        )  # fmt: skip
        signals["position"] = q + rng.normal(0, 1e-4, q.shape)
    t_ns = other_clock(commands.t_ns, rng, offset_s=offset_s)
    moved = Stream("commands", t_ns, JOINTS, signals, clock="controller")
    return true, replace(true, streams=(states, moved))


def offset_finding(recording: Recording) -> Finding:
    (finding,) = [f for f in check(recording) if f.kind == "clock_offset"]
    return finding


@pytest.mark.parametrize("offset_s", [OFFSET_S, 1.6e9])
def test_a_position_on_both_clocks_takes_offset_and_skew_out(
    offset_s: float, tmp_path: Path
) -> None:
    """Also where the other clock counts from when its machine was started."""
    true, apart = two_clocks(measured=True, offset_s=offset_s)
    one = synchronise(apart)
    found = one.clocks["controller"]
    fit = found.fit
    error_s = found.offset_ns * 1e-9 - offset_s
    # The offset holds at the middle of what both saw, 20 ms at most from that of the recording.
    assert abs(error_s) < 4 * fit.offset_std_s + 2e-6
    assert abs(error_s) < 1e-4
    assert abs(fit.skew - SKEW) < 4 * fit.skew_std
    assert fit.skew_std < 3e-6
    left_ns = one.streams[1].t_ns - true.streams[1].t_ns
    assert abs(np.median(left_ns)) < 1e5
    assert np.std(left_ns) == pytest.approx(JITTER_S * 1e9, rel=0.05)
    # The drive is as late as it was: the clock's offset is not taken for its lag.
    lags = [f.detail for f in check(one) if f.kind == "command_lag"]
    assert len(lags) == 7
    for detail in lags:
        assert float(detail.split(", ")[1].split()[0]) == pytest.approx(LAG_S * 1e3, abs=0.4)
    finding = offset_finding(one)
    assert finding.action == "offset and skew taken out"
    assert f"{found.offset_ns * 1e-9:.6f} ± {fit.offset_std_s:.6f} s" in finding.detail
    path, _ = write_quality(tmp_path, one, check(one))
    told = json.loads(path.read_text())["clocks"]["controller"]
    assert told["offset_std_s"] == fit.offset_std_s
    assert told["offset_taken_out"] is True


def test_of_a_command_alone_the_offset_is_left_in_and_said_to_hold_the_lag() -> None:
    true, apart = two_clocks(measured=False)
    one = synchronise(apart)
    found = one.clocks["controller"]
    assert found.offset_ns * 1e-9 == pytest.approx(OFFSET_S + LAG_S, abs=2e-4)
    assert abs(found.fit.skew - SKEW) < 4 * found.fit.skew_std
    left_s = (one.streams[1].t_ns - true.streams[1].t_ns) * 1e-9 + OFFSET_S
    assert abs(np.median(left_s)) < 1e-4
    # 60 s of 50 ppm are 3 ms from end to end; now there are none.
    assert np.polyfit(np.arange(len(left_s)), left_s, 1)[0] * len(left_s) < 3e-4
    finding = offset_finding(one)
    assert finding.action == "skew taken out, offset left in"
    assert "cannot be told apart" in finding.detail
    _, far = two_clocks(measured=False, offset_s=1.6e9)
    with pytest.raises(RecordingError, match="cannot be told apart: give the position that both"):
        synchronise(far)


def test_nothing_is_moved_that_is_not_declared() -> None:
    _, apart = two_clocks(measured=True)
    streams = tuple(replace(s, clock="") for s in apart.streams)
    undeclared = replace(apart, streams=streams)
    assert synchronise(undeclared) is undeclared


def test_clocks_that_nothing_ties_together_are_refused() -> None:
    _, apart = two_clocks(measured=True)
    states, commands = apart.streams
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 1e-2, (len(commands.t_ns), 7)), axis=0)
    noise: dict[Signal, np.ndarray] = {"position": walk}
    with pytest.raises(RecordingError, match="clock 'controller': position there explains only"):
        synchronise(replace(apart, streams=(states, replace(commands, signals=noise))))
    effort: dict[Signal, np.ndarray] = {"current": commands.signals["position"]}
    with pytest.raises(RecordingError, match=r"nothing that it stamps \(current\) is on"):
        synchronise(replace(apart, streams=(states, replace(commands, signals=effort))))


def test_a_motion_that_repeats_itself_tells_no_offset() -> None:
    t_ns = np.arange(6000) * 10_000_000
    q = np.sin(2 * np.pi * t_ns * 1e-9)[:, None] * np.ones(2)
    both = (
        Stream("states", t_ns, ("a", "b"), {"position": q}),
        Stream("camera", t_ns + 30_000_000, ("a", "b"), {"position": q}, clock="camera"),
    )
    with pytest.raises(RecordingError, match=r"repeats itself, and as well as .* -0.030 s fits"):
        synchronise(Recording("x", both, {}))


def test_the_faults_of_the_second_position_are_told_under_its_streams_name() -> None:
    _, apart = two_clocks(measured=True)
    states, commands = apart.streams
    q = commands.signals["position"].copy()
    q[700, 2] = np.nan
    q[900, 1] += 1.0
    torn = replace(commands, signals={**commands.signals, "position": q})
    found = {
        (f.kind, f.channel) for f in check(synchronise(replace(apart, streams=(states, torn))))
    }
    assert ("not_finite", "commands:position") in found
    assert ("spike", "commands:position/joint2") in found
    assert ("not_finite", "position") not in found


def test_a_gap_on_one_clock_does_not_pull_the_offset() -> None:
    _, apart = two_clocks(measured=True)
    states, commands = apart.streams
    keep = np.ones(len(states.t_ns), bool)
    keep[4000:5500] = keep[9000:9800] = False
    cut = {k: v[keep] for k, v in states.signals.items()}
    holes = replace(states, t_ns=states.t_ns[keep], signals=cut)
    found = synchronise(replace(apart, streams=(holes, commands))).clocks["controller"]
    error_s = found.offset_ns * 1e-9 - OFFSET_S
    assert abs(error_s - SKEW * (found.fit.middle_s - 30.0)) < 4 * found.fit.offset_std_s


def test_a_camera_that_sees_two_joints_of_the_sample_comes_onto_its_clock() -> None:
    """Thirty pictures a second of the real motion, 2 mrad of noise, a clock 0.3 s behind."""
    recording = read(shipped("sample"))
    states = recording.streams[0]
    rng = np.random.default_rng(8)
    trajectory = align(recording, PANDA)
    at = np.arange(200, len(trajectory.t_s) - 200, 33)
    seen = trajectory.q[at][:, [0, 3]]
    start_ns = int(states.t_ns.min())
    t_ns = start_ns + np.rint((trajectory.t_s[at] - 0.3) * 1e9).astype(np.int64)
    signals: dict[Signal, np.ndarray] = {"position": seen + rng.normal(0, 2e-3, seen.shape)}
    camera = Stream("camera", t_ns, (PANDA[0], PANDA[3]), signals, clock="camera")
    one = synchronise(replace(recording, streams=(*recording.streams, camera)))
    found = one.clocks["camera"]
    assert abs(found.offset_ns * 1e-9 - 0.3) < 4 * found.fit.offset_std_s < 2e-3
    assert align(one, PANDA).q.tobytes() == trajectory.q.tobytes()


def test_the_description_says_which_clock_gap_and_policy_a_stream_has(tmp_path: Path) -> None:
    t = np.arange(400) * 0.01
    rows = "".join(f"{a:.6f},{np.sin(7 * a + a * a):.9f}\n" for a in t)
    (tmp_path / "s.csv").write_text("t,q\n" + rows)
    (tmp_path / "c.csv").write_text("t,q\n" + rows)
    signal = {"source": "q", "unit": "rad"}
    stream = {"joints": ["a"], "time": {"source": "t", "unit": "s"}}
    position = {"position": signal | {"resample": "spline"}}
    streams = {
        "states": stream | {"file": "s.csv", "signals": position, "max_gap_s": 0.5},
        "seen": stream | {"file": "c.csv", "clock": "camera", "signals": {"position": signal}},
    }
    values = {"name": "x", "format": "csv", "path": str(tmp_path), "streams": streams}
    # By the schema of the configuration, as a run takes it.
    given = values | {"robot": "panda"}
    filled = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RecordingConfig), given))
    assert isinstance(filled, RecordingConfig)
    first, second = read(filled.source()).streams
    assert (first.clock, first.max_gap_s, first.policies) == ("", 0.5, {"position": "spline"})
    assert (second.clock, second.max_gap_s, second.policies) == ("camera", None, {})
