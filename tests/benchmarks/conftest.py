"""What the benchmarks find goes to outputs/bench.json: name → figure."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "outputs" / "bench.json"

Record = Callable[[str, float], None]


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, float]]:
    """Collect the figures of a session, and write them among those of earlier ones."""
    found: dict[str, float] = {}
    yield found
    before = json.loads(BENCH.read_text(encoding="utf-8")) if BENCH.is_file() else {}
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(json.dumps(dict(sorted({**before, **found}.items())), indent=1) + "\n")
    print(f"\nfigures: {BENCH}")


@pytest.fixture
def record(figures: dict[str, float]) -> Record:
    """Return what takes a figure under a name, and prints it."""

    def take(name: str, value: float) -> None:
        figures[name] = float(f"{value:.4g}")
        print(f"\n{name}: {value:.4g}")

    return take


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave timings to `make bench`: beside other work they tell nothing."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
