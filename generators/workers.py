"""A pool of processes that answer numbered jobs, and leave nothing behind when something fails.

Each worker has a pipe of its own: it ends when the pipe does, so it does not outlive its parent.
"""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, cast

from envs.errors import ConfigError, KinetwinError

Result = TypeVar("Result")
Session = Callable[[], AbstractContextManager[Callable[[int], Result]]]
"""What a worker enters first, in its own process: makes what the jobs need, gives the job."""

Crew = dict[Connection, SpawnProcess]


def run(session: Session[Result], count: int, workers: int) -> Iterator[tuple[int, Result]]:
    """Yield (number, result) of jobs 0 … count − 1 as they are done, in any order.

    Args:
        session: Must be importable by name, such as a `functools.partial` of a function.
        count: Of jobs.
        workers: Of processes; 1 does the work here.

    Raises:
        KinetwinError: What a job raised.
        RuntimeError: A job failed in a way that is our own mistake, or its process died.
    """
    if count < 1 or workers < 1:
        raise ConfigError(f"images and workers must be at least 1, not {count} and {workers}")
    if workers == 1:
        with session() as job:
            for number in range(count):
                yield number, job(number)
        return
    context = multiprocessing.get_context("spawn")
    crew: Crew = {}
    try:
        for _ in range(min(workers, count)):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            with _ctrl_c_ignored():
                process.start()
            theirs.close()
            crew[ours] = process
        # By the pipe, not as an argument: a process that starts under a large argument and loses
        # its parent halfway would end with a traceback.
        for pipe in crew:
            _send(pipe, session)
        yield from _collect(crew, count)
    finally:
        for pipe, process in crew.items():
            pipe.close()
            process.terminate()
        for process in crew.values():
            process.join()


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let a process that is started here ignore Ctrl-C from its first instruction on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _collect(crew: Crew, count: int) -> Iterator[tuple[int, Any]]:
    """Hand out jobs one by one, and yield what comes back."""
    following = iter(range(count))
    busy = set()
    for pipe in crew:
        _send(pipe, next(following))
        busy.add(pipe)
    while busy:
        for ready in wait(list(busy)):
            pipe = cast(Connection, ready)
            try:
                number, result, failure = pipe.recv()
            except (EOFError, ConnectionError):
                crew[pipe].join()
                raise RuntimeError(
                    f"a render process died (exit code {crew[pipe].exitcode}); "
                    "a negative one is a signal, and −9 often means that memory ran out"
                ) from None
            if isinstance(failure, KinetwinError):
                raise failure
            if failure is not None:
                raise RuntimeError(f"picture {number} could not be made:\n{failure}")
            yield number, result
            coming = next(following, None)
            if coming is None:
                busy.discard(pipe)
            else:
                _send(pipe, coming)


def _send(pipe: Connection, message: object) -> None:
    """Send to the other end of a pipe; that it is gone is found out when its answer is read."""
    with suppress(ConnectionError):
        pipe.send(message)


def _work(pipe: Connection) -> None:
    """Answer jobs until the pipe ends; an interrupt is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = -1
    try:
        session = pipe.recv()
        with session() as job:
            while True:
                number = pipe.recv()
                pipe.send((number, job(number), None))
    except (EOFError, ConnectionError):
        return
    except KinetwinError as error:
        _send(pipe, (number, None, error))
    except Exception:
        _send(pipe, (number, None, traceback.format_exc()))
