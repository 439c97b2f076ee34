"""The table at the end of a run: it fits the console, whatever number of joints there is."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from conf.summary import table


def outcome(joints: int) -> Any:
    """Return what a table is made from, of a robot with so many joints."""
    errors = {"nominal": np.linspace(1, 2, joints), "calibrated": np.linspace(0, 1, joints)}
    names = tuple(f"left_shoulder_{k:02d}_joint" for k in range(joints))
    data = SimpleNamespace(
        trajectory=SimpleNamespace(joints=names), recording=SimpleNamespace(name="log")
    )
    judged = (SimpleNamespace(data=data),)
    return SimpleNamespace(
        data=data,
        judged=judged,
        torque_rmse=lambda: errors,
        current_rmse=dict,
        position_rmse=lambda: errors,
    )


def printed(joints: int, width: int) -> list[str]:
    """Return the lines of the table below its title, printed without folding."""
    made = table(outcome(joints), width)
    console = Console(width=1000)
    with console.capture() as capture:
        console.print(made)
    return [line.rstrip() for line in capture.get().splitlines()[1:]]


@pytest.mark.parametrize(
    ("joints", "width", "tall"), [(3, 80, False), (12, 80, True), (12, 400, False), (43, 120, True)]
)
def test_joints_are_rows_where_their_columns_do_not_fit(
    joints: int, width: int, tall: bool
) -> None:
    lines = printed(joints, width)
    assert len(lines) == (joints if tall else 4) + 1
    assert max(map(len, lines)) <= width
    # Each figure once, and whole.
    figures = " ".join(lines).split()
    assert sum(f == "2.000" for f in figures) == 1
    assert sum(f == "2000.00" for f in figures) == 1
    if tall:
        assert lines[-1].split()[1:] == ["2.000", "1.000", "2000.00", "1000.00"]


def test_nothing_judged_is_no_table() -> None:
    nothing = outcome(3)
    nothing.torque_rmse = nothing.position_rmse = dict
    assert table(nothing, 80) is None
