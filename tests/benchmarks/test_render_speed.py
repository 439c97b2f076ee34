"""A labelled picture against PyBullet's TinyRenderer, and two processes against one.

The turns are taken in a process of its own: the tests' checks of types and shapes at run time would
be timed along with our part.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.conftest import Record

ROOT = Path(__file__).resolve().parents[2]


def test_a_labelled_picture_against_tiny_renderer(record: Record) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.render_turns"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    for name, seconds in found["best"].items():
        record(f"render.{name}_cpu_s", seconds)
    for name, seconds in found["passes"].items():
        record(f"render.pass.{name}_cpu_s", seconds)
    for name, part in found["median_share"].items():
        record(f"render.{name}_to_tiny_renderer_median", part)
    share = found["share"]
    for name, part in share.items():
        record(f"render.{name}_to_tiny_renderer", part)
    assert share["labels"] <= 1 / 16
    assert share["labels_and_colors"] <= 1 / 8
    assert share["labels_and_smooth_colors"] <= 1 / 5


ONE_PROCESS = """
import json, sys, time
from tests.benchmarks.render_turns import ours
from generators.raster.renderer import RasterRenderer
scene, scenario = ours()
renderer = RasterRenderer(scene, (), device="cpu")
renderer.render(scenario)
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
for _ in range(30):
    renderer.render(scenario)
print(json.dumps(30 / (time.perf_counter() - start)))
"""


def rates(count: int) -> list[float]:
    """Pictures a second of so many processes at once."""
    command = [sys.executable, "-c", ONE_PROCESS]
    crew = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in crew:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in crew:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in crew]


@pytest.mark.slow
def test_two_processes_draw_nearly_twice_as_much(record: Record) -> None:
    # Wall time, so the best of some tries: it asks for two idle cores.
    gain = max(sum(rates(2)) / rates(1)[0] for _ in range(3))
    record("render.two_processes_to_one", gain)
    assert gain >= 1.8
