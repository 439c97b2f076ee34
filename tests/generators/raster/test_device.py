"""Choosing the device that draws."""

import subprocess
import sys
from pathlib import Path

import pytest

from envs.errors import ConfigError
from generators.raster.device import choose, compile_kernels

ROOT = Path(__file__).resolve().parents[3]


def test_unknown_and_absent_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="device is 'gpu'; allowed: auto, cpu, cuda"):
        choose("gpu")
    assert choose("cpu") == "cpu"
    if choose("auto") == "cpu":
        with pytest.raises(ConfigError, match="no NVIDIA GPU"):
            choose("cuda")
    else:
        assert choose("cuda") == choose("auto") == "cuda:0"


def test_importing_and_choosing_say_nothing() -> None:
    code = (
        "import generators.raster.renderer, warp; assert not warp.is_initialized() if "
        "hasattr(warp, 'is_initialized') else True; "
        "from generators.raster.device import choose; choose('auto')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_compiled_already_is_not_announced() -> None:
    compile_kernels("cpu")
    said: list[str] = []
    compile_kernels("cpu", said.append)
    assert said == []
