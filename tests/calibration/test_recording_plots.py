"""The figures of a recording's faults show them where they are."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from calibration import recording_plots
from calibration.recording_plots import UNITS, closer_look, sampling, timeline
from envs.telemetry.quality import check
from tests.envs.telemetry.inject import INJECTORS, clean
from tests.envs.telemetry.tiny import recording

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the figures instead of rendering them."""
    figures: list[Any] = []

    def kept(figure: Any) -> bytes:
        figures.append(figure)
        return b""

    monkeypatch.setattr(recording_plots, "png", kept)
    return figures


def test_the_timeline_has_each_fault_at_its_time(drawn: list[Any]) -> None:
    rng = np.random.default_rng(2)
    injected = INJECTORS["spike"](clean(rng, 20.0), rng)
    both = INJECTORS["clock_jump"](injected.recording, rng)
    findings = check(both.recording)
    timeline(both.recording, findings)
    (axis,) = drawn[0].axes
    at = {
        label.get_text().split()[-1] + label.get_text().split()[0]: line.get_xdata()
        for label, line in zip(axis.get_yticklabels(), axis.lines, strict=False)
    }
    states = injected.recording.streams[0]
    t_s = (states.t_ns - states.t_ns.min()) * 1e-9
    for channel, rows in injected.truth.items():
        np.testing.assert_allclose(at[f"{channel}spike"], t_s[rows], atol=0.05)
    # A wrong stamp is shown where its sample was taken, not where it points to.
    (rows,) = both.truth.values()
    np.testing.assert_allclose(at["statesclock_jump"], t_s[rows], atol=0.005)
    assert axis.get_xlim()[1] == pytest.approx(20.0, abs=0.1)


def test_a_closer_look_marks_the_samples_that_have_the_fault(drawn: list[Any]) -> None:
    rng = np.random.default_rng(2)
    injected = INJECTORS["stuck"](clean(rng, 20.0), rng)
    closer_look(injected.recording, check(injected.recording))
    (axis,) = [a for a in drawn[0].axes if a.get_visible()]
    ((channel, rows),) = injected.truth.items()
    assert axis.get_title(loc="left") == f"stuck: {channel}"
    assert axis.get_ylabel() == UNITS[channel.split("/")[0]]
    marked = axis.lines[1]
    assert len(marked.get_xdata()) == np.sum(rows < rows[0] + 80)
    assert len(set(marked.get_ydata())) == 1


def test_sampling_tells_gaps_from_steps(drawn: list[Any]) -> None:
    t = np.delete(np.arange(100) * 0.01, np.s_[40:60])
    sampling(recording(t, {"position": np.zeros((80, 2))}))
    (axis,) = drawn[0].axes
    steps, gaps, limit = axis.lines[:3]
    assert len(steps.get_xdata()) == 78
    np.testing.assert_allclose(gaps.get_ydata(), 210.0)
    np.testing.assert_allclose(limit.get_ydata(), 40.0)


@pytest.mark.parametrize("longest_s", [0.05, 0.4, 300.0])
def test_names_of_steps_do_not_stand_in_each_other(drawn: list[Any], longest_s: float) -> None:
    t = np.arange(100) * 0.004
    t[50:] += longest_s
    sampling(recording(np.insert(t, 7, t[7]), {"position": np.zeros((101, 2))}))
    FigureCanvasAgg(drawn[0]).draw()
    (axis,) = drawn[0].axes
    low, high = axis.get_ylim()
    at = zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
    boxes = [name.get_window_extent() for y, name in at if low <= y <= high]
    assert len(boxes) >= 2
    for lower, upper in pairwise(sorted(boxes, key=lambda box: box.y0)):
        assert lower.y1 <= upper.y0


def test_figures_are_pictures_and_none_is_drawn_of_nothing() -> None:
    whole = clean(np.random.default_rng(0), 4.0)
    assert sampling(whole).startswith(PNG)
    assert timeline(whole, ()) is None
    assert closer_look(whole, check(whole)) is None
    rng = np.random.default_rng(1)
    faulty = INJECTORS["not_finite"](clean(rng, 8.0), rng).recording
    for figure in (timeline(faulty, check(faulty)), closer_look(faulty, check(faulty))):
        assert figure is not None and figure.startswith(PNG)
