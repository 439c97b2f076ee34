"""The page of a report: it stands alone and believes no text to be markup."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from calibration import plots
from calibration.plots import short_names, signals
from calibration.report import Page

PNG = b"\x89PNG\r\n\x1a\n"


class Seen(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_of_a_recording_is_never_markup() -> None:
    page = Page(title="<script>alert(1)</script>", lead="a & b")
    page.section("<em>joint</em>")
    page.table(["<i>"], [["<img src=x>"]])
    page.preformatted("</pre><script>")
    page.cards([("<u>", "<s>")])
    seen = Seen(page.render())
    assert not {"script", "em", "i", "img", "u", "s"} & set(seen.tags)
    assert "<script>alert(1)</script>" in seen.text
    assert "<img src=x>" in seen.text


def test_page_is_one_file(tmp_path: Path) -> None:
    page = Page(title="t", lead="l")
    page.image(PNG, 'a "plot"')
    page.write(tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert "data:image/png;base64," in (tmp_path / "report.html").read_text()


def test_rows_and_marks_belong_together() -> None:
    page = Page(title="t", lead="l")
    page.table(["a", "b"], [["1", "2"], ["3", "4"]], marks=["", "bad"])
    assert page.render().count('<tr class="bad">') == 1


def test_figures_are_pictures() -> None:
    t_s = np.linspace(0, 1, 50)
    values = np.sin(t_s)[:, None] * [1.0, 2.0]
    use = t_s > 0.1
    drawn = signals(t_s, {"measured": values}, ["a", "b"], unit="rad", heldout=t_s > 0.7, use=use)
    assert drawn.startswith(PNG)


def test_names_in_a_figure_do_not_stand_in_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []

    def kept(figure: Any) -> bytes:
        figures.append(figure)
        return b""

    monkeypatch.setattr(plots, "png", kept)
    t_s = np.linspace(0, 28, 500)
    series = {name: np.sin(t_s)[:, None] for name in ("measured", "nominal", "calibrated")}
    signals(t_s, series, ["a"], unit="N·m", heldout=t_s > 19.6)
    FigureCanvasAgg(figures[0]).draw()
    (axis,) = figures[0].axes
    legend = axis.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [*series, "held out"]
    box = legend.get_window_extent()
    assert not [text for text in axis.texts if text.get_window_extent().overlaps(box)]


@pytest.mark.parametrize(
    ("joints", "short"),
    [
        (["panda_joint1", "panda_joint2"], ["joint1", "joint2"]),
        (["panda_joint1", "panda_finger_joint1"], ["joint1", "finger_joint1"]),
        (["shoulder_pan_joint", "wrist_1_joint"], ["shoulder_pan", "wrist_1"]),
        (["lbr_iiwa_joint_1", "lbr_iiwa_joint_2"], ["joint_1", "joint_2"]),
        (["arm", "arm_arm"], ["arm", "arm_arm"]),
        (["left_elbow", "right_elbow"], ["left", "right"]),
        (["gripper_joint"], ["gripper_joint"]),
        ([], []),
    ],
)  # fmt: skip
def test_short_names_tell_joints_from_each_other(joints: list[str], short: list[str]) -> None:
    assert short_names(joints) == short


@given(st.lists(st.text("ab_1", min_size=1, max_size=7), unique=True, max_size=4))
def test_short_names_of_any_joints_differ(joints: list[str]) -> None:
    assert len(set(short_names(joints))) == len(joints)
