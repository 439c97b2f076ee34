"""Rollouts over processes: the same bits as without, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from calibration.segments import Segments, cut_segments
from calibration.workers import evaluation
from tests.small_arm import arm, arm_joints, made_by_twin, scene, several

ROOT = Path(__file__).resolve().parents[2]
NOISE = {"q": 2e-4, "qd": 2e-3, "tau": 0.05}


def small_segments() -> Segments:
    robot = scene(arm(np.random.default_rng(4), 2))
    recorded = made_by_twin(robot, arm_joints(2), 5.0, np.random.default_rng(0), NOISE)
    return cut_segments(robot, recorded, train_end_s=5.0, count=3)


def test_workers_change_no_bit_of_the_residuals() -> None:
    segments, rng = small_segments(), np.random.default_rng(0)
    drives = several(segments.actuators, rng.uniform(0.8, 1.2, (7, 2, 6)))
    with evaluation(segments, candidates=3, workers=1) as evaluate:
        alone = evaluate(drives)
    with evaluation(segments, candidates=3, workers=2) as evaluate:
        shared = evaluate(drives)
    assert alone.shape == (7, 3, 40, 2, 3)
    np.testing.assert_array_equal(alone, shared)


ENDLESS = """
import sys
from tests.calibration.test_workers import small_segments
from tests.small_arm import several
from calibration.workers import evaluation
import numpy as np

if __name__ == "__main__":
    segments = small_segments()
    true = several(segments.actuators, np.ones((4, 2, 6)))
    with evaluation(segments, candidates=4, workers=2) as evaluate:
        while True:
            evaluate(true)
            print("rolled", flush=True)
"""


def children(pid: int) -> list[int]:
    """Return all processes below one, by what Linux tells."""
    below = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        if parent == pid:
            below += [int(folder.name), *children(int(folder.name))]
    return below


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_ctrl_c_while_workers_start_says_nothing_of_them(tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    run = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        # Two workers, beside the process that looks after what multiprocessing shares.
        while len(children(run.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)  # they import for longer than that
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=90)
        assert said.count(b"Traceback") == 1, said  # the script's own
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_an_interrupted_run(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert run.stdout is not None and run.stdout.readline() == b"rolled\n"
        below = children(run.pid)
        assert len(below) >= 2
        if how == signal.SIGINT:
            # A terminal sends Ctrl-C to the whole group.
            os.killpg(run.pid, how)
        else:
            run.send_signal(how)
        run.wait(timeout=20)
        deadline = time.monotonic() + 5
        while any(alive(pid) for pid in below) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not [pid for pid in below if alive(pid)]
        assert run.returncode != 0
    finally:
        if any(alive(pid) for pid in (run.pid, *children(run.pid))):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
