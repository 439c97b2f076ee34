"""What `task=validate` leaves: figures, a page, and a failure that a script can see."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from conf.auditing import validate
from conf.schema import Config
from conf.session import Session
from envs.errors import KinetwinError
from generators.raster.renderer import RasterRenderer
from tests.generators.audit.renderers import Shifted
from tests.generators.small_table import ranges, recording, scene


def session(folder: Path) -> Session:
    config = SimpleNamespace(
        seed=5,
        workers=1,
        scene="table",
        robot="arm",
        recording=SimpleNamespace(name="sines"),
        images=SimpleNamespace(count=2, width=160, height=120),
        randomization=SimpleNamespace(ranges=ranges),
        camera=SimpleNamespace(lens=lambda width, height: None),
    )
    return Session(cast(Config, config), folder)


def test_a_renderer_that_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(session(tmp_path), scene(), recording(), RasterRenderer)
    figures = json.loads((tmp_path / "validate.json").read_text())
    assert figures["passed"] is True
    for group in ("pinhole", "distorted"):
        assert len(figures[group]) == 11
        assert all(c["pass"] and c["found"] <= c["limit"] for c in figures[group])
    printed = capsys.readouterr().out
    assert printed.count("pass") == 22 and "FAIL" not in printed
    page = (tmp_path / "validate.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert "error map of view 1" in page


def test_a_renderer_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        KinetwinError, match=r"fails \d+ of 22 criteria, the first is: instance ids"
    ):
        validate(session(tmp_path), scene(), recording(), Shifted)
    figures = json.loads((tmp_path / "validate.json").read_text())
    assert figures["passed"] is False
    assert "FAIL" in capsys.readouterr().out
    assert "FAILED" in (tmp_path / "validate.html").read_text()
