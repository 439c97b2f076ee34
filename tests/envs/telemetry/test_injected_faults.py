"""Faults with known truth: at least 99.9 % are found and rightly named, hardly any is invented."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.telemetry.alignment import align
from envs.telemetry.expected import Limits
from envs.telemetry.quality import Finding, check
from envs.telemetry.quality_report import write_quality
from envs.telemetry.recording import Recording
from tests.envs.telemetry.inject import INJECTORS, JOINTS, LAG_S, Injected, changed, clean, states

# What a clean recording has as well: a drive is behind its command, and logging is uneven.
NORMAL = ("command_lag", "jitter")
SEEDS = range(3)


def score(injected: Injected) -> tuple[int, int, int]:
    """Return how many faults were put in, found there under their name, and told elsewhere."""
    findings = [f for f in check(injected.recording) if f.kind not in NORMAL]
    told = {(f.kind, f.channel): f for f in findings}
    put = found = 0
    for channel, rows in injected.truth.items():
        finding = told.get((injected.kind, channel))
        put += max(1, len(rows))
        if finding is not None:
            found += len(np.intersect1d(finding.rows, rows)) if len(rows) else 1
    true = np.unique(np.concatenate([*injected.truth.values(), np.empty(0, int)]))
    false = 0
    for finding in findings:
        if finding.kind == injected.kind and finding.channel in injected.truth:
            false += len(np.setdiff1d(finding.rows, true)) if len(true) else 0
        else:
            false += max(1, len(finding.rows))
    return put, found, false


@pytest.mark.parametrize("name", INJECTORS)
def test_faults_are_found_where_they_are_and_rightly_named(name: str) -> None:
    totals = np.zeros(3, int)
    samples = 0
    for seed in SEEDS:
        rng = np.random.default_rng([seed, len(name)])
        recording = clean(rng)
        totals += score(INJECTORS[name](recording, rng))
        samples += len(recording.streams[0].t_ns)
    put, found, false = totals
    assert put >= len(SEEDS)
    assert found >= 0.999 * put, f"{found} of {put}"
    assert false <= 0.001 * samples, false


def test_a_clean_recording_has_no_faults_and_the_lag_of_its_drive() -> None:
    for seed in range(5):
        findings = check(clean(np.random.default_rng(seed)))
        assert {f.kind for f in findings} <= set(NORMAL), findings
        lags = [f.detail for f in findings if f.kind == "command_lag"]
        assert len(lags) == 7
        for detail in lags:
            assert float(detail.split(", ")[1].split()[0]) == pytest.approx(LAG_S * 1e3, abs=0.3)


def test_any_order_of_arrival_gives_the_same_trajectory_byte_for_byte() -> None:
    rng = np.random.default_rng(3)
    recording = INJECTORS["duplicate"](clean(rng, 20.0), rng).recording
    old = recording.streams[0]
    # A second sample of one stamp that contradicts the first, too.
    t_ns = old.t_ns.copy()
    t_ns[3000] = t_ns[2999]
    recording = states(recording, t_ns, np.arange(len(t_ns)))
    expected = align(recording, JOINTS)
    for _ in range(5):
        # Each sample up to half the window of one second late.
        arrival = np.argsort(t_ns + rng.uniform(0, 5e8, len(t_ns)), kind="stable")
        shuffled = align(states(recording, t_ns[arrival], arrival), JOINTS)
        for name in ("t_s", "q", "qd", "tau", "q_command", "valid"):
            assert getattr(shuffled, name).tobytes() == getattr(expected, name).tobytes(), name


def of(recording: Recording, kind: str, **given: object) -> list[Finding]:
    return [f for f in check(recording, **given) if f.kind == kind]  # type: ignore[arg-type]


def test_joints_that_lack_are_new_or_renamed_are_told() -> None:
    recording = clean(np.random.default_rng(0), 4.0)
    expected = ["arm_joint1", *JOINTS[1:], "wrist9"]
    assert [f.channel for f in of(recording, "renamed_joint", joints=expected)] == ["joint1"]
    assert [f.channel for f in of(recording, "missing_joint", joints=expected)] == ["wrist9"]
    assert of(recording, "added_joint", joints=expected) == []
    assert [f.channel for f in of(recording, "added_joint", joints=JOINTS[:6])] == ["joint7"]


def test_limits_and_rates_are_told_at_the_sample() -> None:
    recording = clean(np.random.default_rng(0), 4.0)
    q = recording.streams[0].signals["position"]
    high = float(q[:, 2].max()) - 0.01
    limits = {"joint3": Limits(lower=-9.0, upper=high, velocity=5.0)}
    beyond = of(recording, "limit", limits=limits)
    margin = 0.01 * (high + 9.0)
    expected = np.flatnonzero(q[:, 2] > high + margin)
    assert len(beyond) == (1 if len(expected) else 0)
    jumped = q.copy()
    jumped[500:, 2] += 0.5
    (rate,) = of(changed(recording, position=jumped), "rate", limits=limits)
    assert rate.rows.tolist() == [500]
    low = {"joint3": Limits(lower=-9.0, upper=float(np.quantile(q[:, 2], 0.5)) - margin * 2)}
    (limit,) = of(recording, "limit", limits=low)
    assert limit.channel == "position/joint3"


def test_a_recording_all_in_degrees_is_told_by_the_robots_limits() -> None:
    recording = clean(np.random.default_rng(1), 4.0)
    signals = {k: np.degrees(v) for s in recording.streams for k, v in s.signals.items()}
    wrong = changed(recording, **signals)
    limits = {joint: Limits(lower=-2.9, upper=2.9) for joint in JOINTS}
    found = of(wrong, "degrees", limits=limits)
    assert {f.channel for f in found} >= {f"position/{j}" for j in JOINTS[:3]}


def test_what_is_not_used_can_be_looked_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    injected = INJECTORS["not_finite"](clean(rng, 20.0), rng)
    recording = replace(injected.recording, sha256={"x.mcap": "0" * 64})
    findings = check(recording)
    path, quarantine = write_quality(tmp_path, recording, findings)
    frame = pl.read_parquet(quarantine)
    (rows,) = injected.truth.values()
    assert frame["row"].unique().sort().to_list() == rows.tolist()
    assert set(frame["reason"]) == {"not_finite"}
    assert not np.isfinite(frame["value"].to_numpy()).all()
    told = json.loads(path.read_text())
    (entry,) = [f for f in told["findings"] if f["kind"] == "not_finite"]
    assert entry["count"] == 50
    assert entry["first_row"] == rows[0]
    assert told["files"] == {"x.mcap": {"sha256": "0" * 64, "protection": "unprotected"}}
    assert told["quarantined"] == 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["quality.json", "quarantine.parquet"]
