"""Rollouts of many candidates, spread over processes that never outlive their parent."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import connection, get_context, parent_process, resource_tracker
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from calibration.segments import Segments, rollout_residuals
from envs.errors import CalibrationError
from envs.world.actuators import ActuatorParameters
from envs.world.bullet import BulletWorld

SEGMENTS_A_TASK = 2
"""A unit of work is the same whatever number of workers shares them, so that no result depends on
that number, not by a bit."""

Job = tuple[Any, ...]
Residuals = Float[np.ndarray, "candidate part bin joint signal"]
Share = Callable[[Sequence[Job]], list[Residuals]]
"""Runs jobs and returns what came of each."""
Evaluate = Callable[
    [ActuatorParameters],
    Float[np.ndarray, "candidate segment bin joint signal"],
]


class Worker(Protocol):
    """What runs jobs, one after the other, in a process of its own or in ours."""

    def run(self, *job: Any) -> Residuals:
        """Return what comes of a job; it depends on nothing else."""

    def close(self) -> None:
        """Leave nothing behind."""


class SegmentWorker:
    """Worlds with a robot for each candidate and segment, kept for the next candidates."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._worlds: dict[int, BulletWorld] = {}
        self._open = ExitStack()

    def run(self, which: Int[np.ndarray, "part"], drives: ActuatorParameters) -> Residuals:
        """Return whitened residuals on some segments; see `segments.rollout_residuals`."""
        copies = len(drives.stiffness) * len(which)
        if copies not in self._worlds:
            world = BulletWorld(
                self._segments.scene,
                joints=self._segments.joints,
                copies=copies,
                colliders=False,
                dt_s=self._segments.dt_s,
            )
            self._worlds[copies] = self._open.enter_context(world)
        return rollout_residuals(self._segments, self._worlds[copies], which, drives)

    def close(self) -> None:
        """Take the worlds down."""
        self._open.close()


@contextmanager
def evaluation(segments: Segments, *, candidates: int, workers: int) -> Iterator[Evaluate]:
    """Give a function that rolls candidates out and returns their whitened residuals.

    It takes any number of candidates and runs `candidates` at a time; see `sharing`.

    Args:
        segments: What the candidates are held against.
        candidates: Robots in a world for each segment, at most.
        workers: Processes.
    """
    count = len(segments.start)
    tasks = [
        np.arange(first, min(first + SEGMENTS_A_TASK, count))
        for first in range(0, count, SEGMENTS_A_TASK)
    ]
    with sharing(partial(SegmentWorker, segments), workers=min(workers, len(tasks))) as run:

        def evaluate(
            drives: ActuatorParameters,
        ) -> Float[np.ndarray, "candidate segment bin joint signal"]:
            rows = np.arange(len(drives.stiffness))
            batches = np.split(rows, range(candidates, len(rows), candidates))
            parts = run([(which, drives.of(batch)) for batch in batches for which in tasks])
            found = [
                np.concatenate(parts[k : k + len(tasks)], axis=1)
                for k in range(0, len(parts), len(tasks))
            ]
            return np.concatenate(found)

        yield evaluate


@contextmanager
def sharing(make: Callable[[], Worker], *, workers: int) -> Iterator[Share]:
    """Give a function that runs jobs on several workers.

    With one worker it runs in this process. At the end of the block, also after Ctrl-C, the
    processes are gone: a worker ends with the job it is in (about a second), or at once where its
    parent was killed.

    Args:
        make: Makes a worker, in its process.
        workers: Processes.
    """
    with ExitStack() as stack:
        if workers == 1:
            worker = make()
            stack.callback(worker.close)
            yield lambda jobs: [worker.run(*job) for job in jobs]
            return
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(make,)
        )
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        yield partial(_share, pool)


def _share(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> list[Residuals]:
    try:
        with _deaf_to_ctrl_c():  # the first jobs start the processes
            futures = [pool.submit(_run, *job) for job in jobs]
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise CalibrationError(
            "a worker process died; with fewer workers there is more memory for each"
        ) from error


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that are started here not hear of Ctrl-C; ours hears of it at the end.

    Ctrl-C reaches the whole group of processes: one that still imports what it needs would end with
    a traceback. It is not ignored meanwhile, since a start can take seconds.
    """
    # It starts with the first process otherwise, and lets Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: Worker | None = None


def _begin(make: Callable[[], Worker]) -> None:
    """Make this process a worker."""
    global _worker
    # Ctrl-C reaches the whole group of processes; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = make()


def _end_with_parent() -> None:
    """Wait for the parent to die, which may happen without a word to its children."""
    parent = parent_process()
    assert parent is not None, "a worker has a parent"
    connection.wait([parent.sentinel])
    os._exit(1)


def _run(*job: Any) -> Residuals:
    assert _worker is not None, "_begin runs first"
    return _worker.run(*job)
