"""The page of a report: it stands alone and believes no text to be markup."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from calibration.plots import signals
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
