"""Rollouts of many candidates, spread over processes that never outlive their parent."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import connection, get_context, parent_process

import numpy as np
from jaxtyping import Float, Int

from calibration.segments import Segments, rollout_residuals
from envs.errors import CalibrationError
from envs.world.bullet import BulletWorld

SEGMENTS_A_TASK = 2
"""A unit of work is the same whatever number of workers shares them, so that no result depends on
that number, not by a bit."""

Job = tuple[Int[np.ndarray, "part"], Float[np.ndarray, "candidate joint field"]]
Residuals = Float[np.ndarray, "candidate part bin joint signal"]
Evaluate = Callable[
    [Float[np.ndarray, "candidate joint field"]],
    Float[np.ndarray, "candidate segment bin joint signal"],
]


class Worker:
    """Worlds with a robot for each candidate and segment, kept for the next candidates."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._worlds: dict[int, BulletWorld] = {}
        self._open = ExitStack()

    def run(
        self,
        which: Int[np.ndarray, "part"],
        values: Float[np.ndarray, "candidate joint field"],
    ) -> Residuals:
        """Return whitened residuals on some segments; see `segments.rollout_residuals`."""
        copies = len(values) * len(which)
        if copies not in self._worlds:
            world = BulletWorld(
                self._segments.scene,
                joints=self._segments.joints,
                copies=copies,
                colliders=False,
                dt_s=self._segments.dt_s,
            )
            self._worlds[copies] = self._open.enter_context(world)
        return rollout_residuals(self._segments, self._worlds[copies], which, values)

    def run_all(self, jobs: Sequence[Job]) -> list[Residuals]:
        """Return the residuals of each job."""
        return [self.run(*job) for job in jobs]

    def close(self) -> None:
        """Take the worlds down."""
        self._open.close()


@contextmanager
def evaluation(segments: Segments, *, candidates: int, workers: int) -> Iterator[Evaluate]:
    """Give a function that rolls candidates out and returns their whitened residuals.

    It takes any number of candidates and runs `candidates` at a time. With one worker it runs in
    this process. At the end of the block, also after Ctrl-C, the processes are gone: a worker ends
    with the rollout it is in (about a second), or at once where its parent was killed.

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
    with ExitStack() as stack:
        if workers == 1:
            worker = Worker(segments)
            stack.callback(worker.close)
            run: Callable[[Sequence[Job]], list[Residuals]] = worker.run_all
        else:
            pool = ProcessPoolExecutor(
                min(workers, len(tasks)),
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(segments,),
            )
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            run = partial(_share, pool)

        def evaluate(
            values: Float[np.ndarray, "candidate joint field"],
        ) -> Float[np.ndarray, "candidate segment bin joint signal"]:
            batches = np.split(values, range(candidates, len(values), candidates))
            try:
                parts = run([(which, batch) for batch in batches for which in tasks])
            except BrokenProcessPool as error:
                raise CalibrationError(
                    "a worker process died; with fewer workers there is more memory for each"
                ) from error
            rows = [
                np.concatenate(parts[k : k + len(tasks)], axis=1)
                for k in range(0, len(parts), len(tasks))
            ]
            return np.concatenate(rows)

        yield evaluate


def _share(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> list[Residuals]:
    return [future.result() for future in [pool.submit(_run, *job) for job in jobs]]


_worker: Worker | None = None


def _begin(segments: Segments) -> None:
    """Make this process a worker."""
    global _worker
    # Ctrl-C reaches the whole group of processes; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(segments)


def _end_with_parent() -> None:
    """Wait for the parent to die, which may happen without a word to its children."""
    parent = parent_process()
    assert parent is not None, "a worker has a parent"
    connection.wait([parent.sentinel])
    os._exit(1)


def _run(
    which: Int[np.ndarray, "part"], values: Float[np.ndarray, "candidate joint field"]
) -> Residuals:
    assert _worker is not None, "_begin runs first"
    return _worker.run(which, values)
