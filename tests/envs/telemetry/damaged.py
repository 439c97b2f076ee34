"""Read many damaged copies of one file within limits: `python damaged.py FORMAT N`.

A process of its own, since a limit of memory holds for a whole process, and a crash ends one.
"""

import faulthandler
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.inspection import inspect
from envs.telemetry.quality import check
from envs.telemetry.read import read
from tests.envs.telemetry.written import WRITERS

# Files of some 20 kB: 512 MB more than was in use before is out of all proportion.
MEMORY_BYTES = 512 << 20
SECONDS = 60
# What lengths and counts look like that a reader must not believe.
LENGTHS = [0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x40000000, 0]


def damaged(content: bytes, rng: np.random.Generator, count: int) -> Iterator[bytes]:
    """Yield copies that were cut off, with bits that fell over, or with absurd lengths."""
    for _ in range(count):
        data = bytearray(content)
        for _ in range(rng.integers(0, 4)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        if rng.random() < 0.5:
            width = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(np.array(LENGTHS, object))) % (1 << (8 * width))
            at = int(rng.integers(max(1, len(data) - width)))
            order: Literal["little", "big"] = "little" if rng.random() < 0.7 else "big"
            data[at : at + width] = value.to_bytes(width, order)
        end = len(data) if rng.random() < 0.6 else int(rng.integers(len(data)))
        yield bytes(data[:end])


def late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main(name: str, count: int) -> None:
    source = WRITERS[name](Path(tempfile.mkdtemp()))
    path = source.path
    if path.is_dir():
        kinds = (".parquet", ".db3", ".mcap")
        (path,) = (p for p in path.rglob("*") if p.suffix in kinds)
    content = path.read_bytes()
    read(source)
    inspect(source.path, episode=source.episode)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, -1))
    signal.signal(signal.SIGALRM, late)
    outcomes = {"read": 0, "salvaged": 0, "refused": 0}
    rng = np.random.default_rng(len(name))
    for data in damaged(content, rng, count):
        path.write_bytes(data)
        signal.alarm(SECONDS)
        # A hang inside a C library never comes to the alarm's handler.
        faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
        try:
            recording = read(source)
            check(recording)
            inspect(source.path, episode=source.episode)
            outcomes["salvaged" if recording.damage else "read"] += 1
        except RecordingError as error:
            assert "\n" not in str(error), error
            outcomes["refused"] += 1
        finally:
            signal.alarm(0)
    print(name, outcomes)


if __name__ == "__main__":
    faulthandler.enable()
    main(sys.argv[1], int(sys.argv[2]))
