"""The doctor's advice for machines that are not at hand, and that nothing stops it on this one."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conf import doctor
from conf.schema import Config
from conf.session import Session
from generators.raster import survey
from generators.raster.survey import Gpu, Survey

GOOD: dict[str, Any] = {
    "packages": {"numpy": "2.0"},
    "installed": {"numpy", "embreex", "opencv-python-headless"},
    "survey": Survey("cuda:0", "13.0", (Gpu("H100", 80.0),), Path("/cache"), True, 6),
    "cores": 8,
    "memory_gib": 32.0,
    "workers": 8,
}
CPU = Survey("cpu", None, (), Path("/cache"), True, 6)


def session(folder: Path) -> Session:
    return Session(cast(Config, SimpleNamespace(workers=2)), folder)


def test_nothing_to_improve() -> None:
    assert doctor.advise(**GOOD) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"survey": CPU}, "no CUDA device: rendering on the CPU; use workers=8"),
        ({"survey": None}, "Warp does not start"),
        ({"workers": 2}, "workers=2 of 8 cores: workers=8 makes images faster"),
        ({"workers": 9}, "workers=9 on 8 cores"),
        ({"memory_gib": 2.0}, "2.0 GiB of memory hold about 2 workers: workers=2"),
        ({"packages": {"numpy": None}}, "pip install numpy"),
        ({"installed": {"numpy"}}, r"pip install 'kinetwin[dev]'"),
        ({"installed": GOOD["installed"] | {"opencv-python"}}, "overwrite each other"),
        ({"survey": Survey("cuda:0", "13.0", (Gpu("H100", 80.0),), Path("/cache"), False, 6)},
         "set WARP_CACHE_PATH"),
        ({"survey": Survey("cuda:0", "13.0", (Gpu("H100", 80.0),), Path("/cache"), True, 0)},
         "the first run compiles them"),
    ],
)  # fmt: skip
def test_advice(changes: dict[str, Any], expected: str) -> None:
    (line,) = doctor.advise(**{**GOOD, **changes})
    assert expected in line


def test_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.doctor(session(tmp_path))
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert found["rendering"]["device"] in ("cpu", "cuda:0")
    assert "kernel cache" in found["rendering"]
    assert all(found["packages"][name] != "MISSING" for name in ("warp-lang", "torch", "usd-core"))
    assert found["machine"]["cores"] == str(doctor.cores())
    printed = capsys.readouterr().out
    assert "kernel cache" in printed and "doctor.json" in printed


def test_a_machine_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Survey:
        raise OSError("libwarp.so: cannot open")

    monkeypatch.setattr(survey, "survey", broken)
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    monkeypatch.delattr(os, "sysconf")
    doctor.doctor(session(tmp_path))
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert found["rendering"]["device"] == "none: libwarp.so: cannot open"
    assert found["machine"]["memory"] == "not known"
    assert any("packages are missing" in line for line in found["advice"])
