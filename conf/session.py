"""One run while it goes on: its directory, its log, its progress bars and its timings."""

import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from conf.schema import Config
from envs.files import write_whole
from envs.telemetry.recording import Damage

Report = Callable[[int, int], None]
"""Called with (done, total) while a stage goes on."""

PACKAGES = ("pybullet", "numpy", "scipy", "trimesh", "usd-core", "warp-lang", "torch", "cma")
STAGE = "stage.usda"
"""The root layer of a run: the scene with its robot, before any calibration."""
STAGES = "stage*.usda"
"""That of another recording of the run has its name in its own."""
_LOG = "log.jsonl"


class Session:
    """What the stages of a run share. Every file is written under a temporary name first."""

    def __init__(self, config: Config, directory: Path) -> None:
        self.config = config
        self.directory = directory
        # A file has no width: tables are then as wide as a usual terminal.
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self.metrics: dict[str, Any] = {"seconds": {}}
        # What a damaged recording lost; such a run completes, with an exit code of its own.
        self.damage: tuple[Damage, ...] = ()

    @contextmanager
    def stage(self, name: str, label: str) -> Iterator[Report]:
        """Time a stage under `name`, and show `label` with a bar from the first report on."""
        begun = time.perf_counter()
        self.log("begin", stage=name)
        bar = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
        )
        with bar:
            row = bar.add_task(label, total=1)

            def report(done: int, total: int) -> None:
                bar.update(row, completed=done, total=total)

            yield report
            total = bar.tasks[row].total
            bar.update(row, completed=total)
        seconds = round(time.perf_counter() - begun, 3)
        self.metrics["seconds"][name] = seconds
        self.log("end", stage=name, seconds=seconds)

    def log(self, event: str, **fields: Any) -> None:
        """Append one line to the run's log."""
        entry = {"time": datetime.now(UTC).isoformat(), "event": event, **fields}
        with (self.directory / _LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def note(self, text: str) -> None:
        """Tell the user, and the log, something that no stage's result says."""
        self.console.print(f"  note: {text}", soft_wrap=True)
        self.log("note", text=text)

    def warn(self, text: str) -> None:
        """Tell the user on the error stream, and the log, what is wrong with what was made."""
        print(text, file=sys.stderr)
        self.log("warning", text=text)

    def write_json(self, name: str, values: Mapping[str, Any]) -> Path:
        """Write a JSON file into the run directory."""
        return write_whole(self.directory / name, json.dumps(values, indent=1) + "\n")

    def discard_if_empty(self) -> bool:
        """Remove the run directory where it holds only what every run begins with.

        Returns:
            Whether it did.
        """
        made = {entry.name for entry in self.directory.iterdir()} - {".hydra", _LOG}
        empty = all(fnmatch(name, STAGES) for name in made)
        if empty:
            shutil.rmtree(self.directory)
        return empty


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "kinetwin": version("kinetwin"),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
