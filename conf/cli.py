"""What a user sees when a run cannot go on: one line, an exit code, and nothing half-written."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf.schema import Config
from envs.errors import KinetwinError, NotImprovedError, guess, unknown

USER_ERROR, NOT_IMPROVED, INTERRUPTED = 2, 4, 130
_NO_OPTION = (
    r"Could not find '(\w+)/(.+?)' Available options in '\w+': ([\w ]+?)(?: Config search path|$)"
)
"""What Hydra says where a group has no such file."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a fault of the input, or an interruption, into one line and an exit code.

    It leaves by SystemExit, which Hydra lets pass: what it catches it would print its own way. A
    fault of our own keeps its traceback.
    """
    try:
        yield
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (HydraException, OmegaConfBaseException) as error:  # some of them are OSErrors too
        _leave(f"error: {explain(error)}", USER_ERROR)
    except NotImprovedError as error:
        _leave(f"not improved: {error}", NOT_IMPROVED)
    except (KinetwinError, OSError) as error:
        _leave(f"error: {error}", USER_ERROR)
    except KeyboardInterrupt as interruption:
        said = f": {interruption}" if str(interruption) else ""
        _leave(f"interrupted{said}", INTERRUPTED)


def prepare() -> None:
    """Make Hydra raise its errors instead of printing them, and SIGTERM act like Ctrl-C.

    What is not yet loaded, torch and the workers' numpy, gets one thread a process: our matrices
    are small, and on busy cores threads that wait for each other took twice the CPU time.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    signal.signal(signal.SIGTERM, _interrupt)


def explain(error: Exception) -> str:
    """Return Hydra's complaint as one line: the key, what is allowed, and the nearest name."""
    parts = [part.strip() for part in _chain(error) if part.strip()]
    text = " ".join(re.sub(r"^Error merging override (.*)", r"\1:", part) for part in parts)
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing:
        return _unknown_key(missing.group(1))
    group = re.search(_NO_OPTION, text)
    if group:
        kind, name, there = group.groups()
        return unknown(kind, name, there.split(), where=f"conf/{kind}")
    chosen = re.search(r"Invalid value '([^']*)', expected one of \[([^]]*)\]", text)
    if chosen:
        # Nearer than elsewhere: who asks for a gpu does not mean the cpu.
        text += guess(chosen.group(1), chosen.group(2).split(", "), nearness=0.7)
    text = re.sub(
        r"Invalid value assigned: (\w+) is not a ListConfig, list or tuple\.",
        "a list is wanted, such as [A,B]; found one value",
        text,
    )
    text = re.sub(r"full_key: (\S*)", lambda m: f"(key: {m.group(1)})" if m.group(1) else "", text)
    text = re.sub(r"object_type=\w+|reference_type=\S+|Config search path:.*", "", text)
    return re.sub(r"\s+", " ", text).strip()


def _chain(error: BaseException) -> list[str]:
    """Return the lines of an error and of its causes, each once."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines += [line for line in str(current).splitlines() if line not in lines]
        current = current.__cause__
    return lines


def _unknown_key(key: str) -> str:
    """Return the message for an override of a key that does not exist, with its siblings."""
    node = OmegaConf.structured(Config)
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not OmegaConf.is_dict(node) or part not in node:
            where = ".".join(parts[:depth]) or "the configuration"
            return f"{key}: " + unknown("key", part, [str(k) for k in node], where=where)
        node = node._get_node(part)
    return f"the key '{key}' cannot be overridden"


def _leave(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr)
    raise SystemExit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into Ctrl-C, so that `finally` runs and workers end."""
    raise KeyboardInterrupt
