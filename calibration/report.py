"""One self-contained HTML page: text, tables and pictures in a file that can be mailed."""

import base64
import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from envs.files import write_whole

_STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #66727f; --line: #dde3e9; --blue: #1673b1; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1080px;
       margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem;
     border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
p.lead { color: var(--soft); margin: 0 0 1rem; } p.note { color: var(--soft); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .9rem; flex: 1 1 11rem; }
.card b { display: block; font-size: 1.25rem; }
.card span { color: var(--soft); font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
         font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text, th.text { text-align: left; white-space: normal; }
th { color: var(--soft); font-weight: 600; } tr.good td { background: #eef7ee; }
tr.bad td { background: #fdf0ec; }
img { max-width: 100%; height: auto; } pre { background: #f6f8fa; border: 1px solid var(--line);
      border-radius: 6px; padding: .8rem; overflow-x: auto; font-size: .8rem; }
summary { cursor: pointer; color: var(--blue); margin: .8rem 0; }
nav a { margin-right: 1rem; color: var(--blue); text-decoration: none; }
"""


@dataclass
class Page:
    """A page under construction; each method appends and everything is escaped."""

    title: str
    lead: str
    _body: list[str] = field(default_factory=list)
    _sections: list[str] = field(default_factory=list)

    def section(self, title: str, note: str = "") -> None:
        """Begin a section, with a paragraph of explanation where one is given."""
        anchor = title.lower().replace(" ", "-")
        self._sections.append(f'<a href="#{anchor}">{html.escape(title)}</a>')
        self._body.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>')
        if note:
            self._body.append(f'<p class="note">{html.escape(note)}</p>')

    def text(self, text: str) -> None:
        """Append a paragraph."""
        self._body.append(f"<p>{html.escape(text)}</p>")

    def cards(self, cards: Sequence[tuple[str, str]]) -> None:
        """Append a row of (figure, what it is)."""
        inner = "".join(
            f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'
            for value, name in cards
        )
        self._body.append(f'<div class="cards">{inner}</div>')

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        text_columns: Sequence[int] = (0,),
        marks: Sequence[str] | None = None,
    ) -> None:
        """Append a table.

        Args:
            head: Titles of the columns.
            rows: Cells, as they are shown.
            text_columns: Columns which hold words rather than figures.
            marks: A row's tint, "good", "bad" or "".
        """

        def cells(tag: str, row: Sequence[str]) -> str:
            return "".join(
                f"<{tag}{' class=text' if k in text_columns else ''}>{html.escape(cell)}</{tag}>"
                for k, cell in enumerate(row)
            )

        tints = marks or [""] * len(rows)
        body = "".join(
            f'<tr class="{tint}">{cells("td", row)}</tr>'
            for row, tint in zip(rows, tints, strict=True)
        )
        self._body.append(
            f'<div class="wide"><table><tr>{cells("th", head)}</tr>{body}</table></div>'
        )

    def image(self, data: bytes, caption: str) -> None:
        """Append a PNG or JPEG, embedded."""
        kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
        encoded = base64.b64encode(data).decode("ascii")
        self._body.append(
            f'<p><img alt="{html.escape(caption, quote=True)}" '
            f'src="data:image/{kind};base64,{encoded}"></p>'
        )

    def preformatted(self, text: str) -> None:
        """Append text as it stands, such as a configuration."""
        self._body.append(f"<pre>{html.escape(text)}</pre>")

    @contextmanager
    def folded(self, title: str) -> Iterator[None]:
        """Fold what is appended inside away behind its title, for a reader to open."""
        self._body.append(f"<details><summary>{html.escape(title)}</summary>")
        yield
        self._body.append("</details>")

    def render(self) -> str:
        """Return the page."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head><body>"
            f'<h1>{html.escape(self.title)}</h1><p class="lead">{html.escape(self.lead)}</p>'
            f"<nav>{''.join(self._sections)}</nav>{''.join(self._body)}</body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        write_whole(path, self.render())
