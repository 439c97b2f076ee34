"""Which device draws, and what its first use costs: kernels are compiled once and kept."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import warp as wp

from envs.errors import ConfigError
from envs.world.quiet import quiet_stderr

DEVICES = ("auto", "cpu", "cuda")
KERNELS = (
    "visibility",
    "small_triangles",
    "large_triangles",
    "cells",
    "resolve",
    "shadow",
    "occlusion",
    "shading",
    "edges",
    "smoothing",
)
"""The modules of this package that hold kernels, in the order in which they are used."""

COMPILE_S = {"cpu": 12, "cuda": 20}
"""What it takes to compile all kernels, about, on a few cores."""

Note = Callable[[str], None]


def choose(device: str) -> str:
    """Return the name of Warp's device for what a user asked for.

    Raises:
        ConfigError: It is not one of `DEVICES`, there is no such device here, or no folder for
            compiled kernels.
    """
    if device not in DEVICES:
        raise ConfigError(f"device is '{device}'; allowed: {', '.join(DEVICES)}")
    _start()
    if device == "cpu":
        return "cpu"
    if wp.is_cuda_available():
        return "cuda:0"
    if device == "cuda":
        raise ConfigError(
            "device is 'cuda', but no NVIDIA GPU with its driver is found here; "
            "use device=cpu, or device=auto to take one where there is one"
        )
    return "cpu"


def compile_kernels(device: str, note: Note | None = None) -> str:
    """Compile what is not compiled yet, so that the workers find it; return Warp's device.

    Args:
        device: As a user gives it.
        note: Told beforehand where there is something to compile.

    Raises:
        ConfigError: As `choose`.
    """
    chosen = choose(device)
    modules = [
        wp.get_module(importlib.import_module(f"generators.raster.{name}").__name__)
        for name in KERNELS
    ]
    cache = Path(wp.config.kernel_cache_dir)
    # A module's folder is named by a hash of its kernels and options; a file in it, by its device.
    ending = "*.o" if chosen == "cpu" else "*.[cp][ut]*"
    # A folder is named by the threads of a block too: a CPU has blocks of one.
    block = 1 if chosen == "cpu" else None
    missing = [m for m in modules if not any((cache / m.get_module_identifier(block)).glob(ending))]
    if missing and note is not None:
        kind = chosen.split(":")[0]
        seconds = COMPILE_S[kind] * len(missing) // len(modules)
        note(f"compiling the render kernels for {kind}, once: about {seconds} s")
    wp.force_load(chosen, modules, max_workers=os.cpu_count())
    return chosen


def _start() -> None:
    """Start Warp without its greeting."""
    wp.config.log_level = wp.LOG_ERROR
    try:
        # That there is no driver is said without being asked.
        with quiet_stderr():
            wp.init()
    except OSError as error:
        raise ConfigError(f"{_NO_CACHE}: {error}") from error
    if not os.access(wp.config.kernel_cache_dir, os.W_OK):
        raise ConfigError(f"{_NO_CACHE}: {wp.config.kernel_cache_dir} cannot be written")


_NO_CACHE = "compiled kernels cannot be kept; name a folder for them in WARP_CACHE_PATH"
