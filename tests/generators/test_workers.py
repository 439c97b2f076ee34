"""The pool of processes: all results, no orphan, no half answer."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from envs.errors import ConfigError, StageError
from generators.workers import run
from tests.generators.small_table import ROOT


def job(kind: str, number: int) -> tuple[int, int]:
    if number == 3:
        if kind == "refuse":
            raise StageError("three is not allowed")
        if kind == "fail":
            raise ZeroDivisionError("three")
        if kind == "die":
            os._exit(7)
    if kind == "wait":
        time.sleep(4)
    return number * number, os.getpid()


@contextmanager
def session(kind: str) -> Iterator[Callable[[int], tuple[int, int]]]:
    if kind == "no start":
        raise StageError("no start")
    yield partial(job, kind)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_job_is_done_once(workers: int) -> None:
    results = dict(run(partial(session, "fine"), 7, workers))
    assert {number: value for number, (value, _) in results.items()} == {n: n * n for n in range(7)}
    processes = {pid for _, pid in results.values()}
    assert (os.getpid() in processes) == (workers == 1)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("refuse", StageError, "three is not allowed"),
        ("fail", RuntimeError, r"picture 3 could not be made:\n.*ZeroDivisionError: three"),
        ("die", RuntimeError, r"died \(exit code 7\)"),
        ("no start", StageError, "no start"),
    ],
)
def test_a_failure_ends_all_of_it(kind: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        list(run(partial(session, kind), 20, 2))
    assert multiprocessing.active_children() == []


def test_stopping_early_leaves_no_process() -> None:
    results = run(partial(session, "fine"), 20, 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1, not 0 and 2"):
        list(run(partial(session, "fine"), 0, 2))


SCRIPT = """
import multiprocessing, threading, time
from functools import partial
from generators.workers import run
from tests.generators.test_workers import session

def tell():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.05)
    time.sleep(1.0)
    print(*(c.pid for c in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    threading.Thread(target=tell, daemon=True).start()
    list(run(partial(session, "wait"), 4, 2))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(sent: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(sent)
    assert parent.wait(timeout=20) != 0
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        # A busy worker of a killed parent ends with its picture.
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()
