"""Coverage-guided fuzzing of the parsers that are ours: `python fuzz_parsers.py bag1 -runs=10000`.

Atheris is not among the project's packages: `pip install atheris` brings it, where it has a wheel.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["envs.telemetry"]):
    from envs.errors import RecordingError
    from envs.telemetry.readers import bag1, bag2, delimited, json_table, mcap_file, text
from tests.envs.telemetry.written import WRITERS

PARSERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "bag1": (".bag", bag1.load),
    "bag2": (".db3", bag2.load),
    "mcap_json": (".mcap", mcap_file.load),
    "csv": (".csv", delimited.load),
    "json_rows": (".json", json_table.load),
    "json_lines": (".jsonl", json_table.load),
    "text": (".txt", text.numbers),
}


def main(name: str, options: list[str]) -> None:
    suffix, parse = PARSERS[name]
    folder = Path(tempfile.mkdtemp())
    path = folder / f"fuzzed{suffix}"
    seeds = folder / "seeds"
    seeds.mkdir()
    if name in WRITERS:
        source = WRITERS[name](folder)
        whole = next(source.path.glob("*.db3")) if source.path.is_dir() else source.path
        (seeds / "whole").write_bytes(whole.read_bytes())

    def one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            parse(path)
        except RecordingError as error:
            assert "\n" not in str(error)

    atheris.Setup([sys.argv[0], *options, "-timeout=30", "-rss_limit_mb=4096", str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
