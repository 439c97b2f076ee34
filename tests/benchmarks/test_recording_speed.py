"""From Parquet to a trajectory, against what polars alone needs to read that file.

A million samples of 7 joints and 3 signals, 168 MB of numbers. Both are timed in one process of
their own, turn by turn, and the least of seven tries counts: a busy machine only ever adds.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.conftest import Record

SAMPLES, JOINTS = 1_000_000, tuple(f"joint{i}" for i in range(1, 8))
SIGNALS = {"q": ("position", "rad"), "dq": ("velocity", "rad/s"), "tau": ("effort", "N.m")}
DATA_BYTES = SAMPLES * len(JOINTS) * len(SIGNALS) * 8

TIMED = """
import json, resource, sys, time
import polars as pl
from envs.telemetry.alignment import align
from envs.telemetry.read import read
from envs.telemetry.description import recording_source

path, values = sys.argv[1], json.loads(sys.argv[2])
source = recording_source(values)
joints = values["streams"]["states"]["joints"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ours, theirs = [], []
peak = 0
for _ in range(7):
    start = time.perf_counter()
    trajectory = align(read(source), joints)
    ours.append(time.perf_counter() - start)
    peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    samples = len(trajectory.t_s)
    del trajectory
    start = time.perf_counter()
    frame = pl.read_parquet(path)
    theirs.append(time.perf_counter() - start)
    del frame
print(json.dumps([min(ours), min(theirs), (peak - before) * 1024, samples]))
"""


@pytest.mark.slow
def test_a_million_samples_from_parquet_to_a_trajectory(tmp_path: Path, record: Record) -> None:
    rng = np.random.default_rng(0)
    t_ns = np.arange(SAMPLES) * 1_000_000 + rng.integers(-200_000, 200_000, SAMPLES)
    columns = {
        f"{key}_{joint}": np.sin(t_ns * 1e-9 * (i + 1)) + rng.normal(0, 1e-4, SAMPLES)
        for key in SIGNALS
        for i, joint in enumerate(JOINTS)
    }
    path = tmp_path / "x.parquet"
    pl.DataFrame({"t": t_ns, **columns}).write_parquet(path)
    signals = {s: {"source": f"{key}_{{joint}}", "unit": u} for key, (s, u) in SIGNALS.items()}
    stream = {"joints": JOINTS, "time": {"source": "t", "unit": "ns"}, "signals": signals}
    values = {"name": "x", "format": "parquet", "path": str(path), "streams": {"states": stream}}
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", TIMED, str(path), json.dumps(values)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    ours_s, theirs_s, peak_bytes, samples = json.loads(done.stdout)
    record("recording.million_samples_s", ours_s)
    record("recording.million_samples_to_polars", ours_s / theirs_s)
    record("recording.peak_memory_to_data", peak_bytes / DATA_BYTES)
    assert samples == pytest.approx(SAMPLES, abs=2)
    assert ours_s <= 4 * theirs_s, f"{ours_s:.3f} s against {theirs_s:.3f} s"
    assert peak_bytes <= 4 * DATA_BYTES, f"{peak_bytes / 1e6:.0f} MB for {DATA_BYTES / 1e6:.0f} MB"
