"""What Warp finds on this machine, for `task=doctor`: devices, driver, and the kernels' cache."""

import os
from dataclasses import dataclass
from pathlib import Path

import warp as wp

from generators.raster.device import choose


@dataclass(frozen=True)
class Gpu:
    """One CUDA device."""

    name: str
    memory_gib: float


@dataclass(frozen=True)
class Survey:
    """What there is.

    Attributes:
        device: What `device=auto` draws on.
        driver: Version of the CUDA driver; None where there is none.
        gpus: All CUDA devices.
        cache: Where compiled kernels are kept.
        cache_writable: Whether they can be.
        cached: How many of our kernel modules are there already.
    """

    device: str
    driver: str | None
    gpus: tuple[Gpu, ...]
    cache: Path
    cache_writable: bool
    cached: int


def survey() -> Survey:
    """Return what there is; it compiles nothing."""
    device = choose("auto")
    gpus = tuple(Gpu(d.name, round(d.total_memory / 2**30, 1)) for d in wp.get_cuda_devices())
    driver = wp.get_cuda_driver_version() if gpus else None
    cache = Path(wp.config.kernel_cache_dir)
    standing = next(p for p in (cache, *cache.parents) if p.exists())
    return Survey(
        device=device,
        driver=None if driver is None else ".".join(map(str, driver)),
        gpus=gpus,
        cache=cache,
        cache_writable=os.access(standing, os.W_OK | os.X_OK),
        cached=len(list(cache.glob("wp_generators.raster.*"))),
    )
