"""task=doctor: what this machine offers, what is installed, and what would make runs faster.

Nothing here may fail: what cannot be found out is said so.
"""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any

from rich.table import Table

from conf.session import Session

CORE = (
    "kinetwin", "numpy", "scipy", "pybullet", "usd-core", "torch", "warp-lang",
    "opencv-python-headless", "trimesh", "hydra-core", "polars", "mcap", "rosbags", "h5py", "cma",
    "yourdfpy", "matplotlib", "rich", "jaxtyping",
)  # fmt: skip
"""What every run needs."""

OPTIONAL = {
    "embreex": "task=validate",
    "pin": "tests of dynamics",
    "mujoco": "tests; making the sample recording",
    "pycocotools": "tests of annotations",
    "pytest": "tests",
}
"""Package → what it is for."""

WORKER_GIB = 0.8
"""Memory of one rendering process with the Panda's scene: 0.68 measured, and some room."""

Facts = dict[str, str]


def doctor(session: Session) -> None:
    """Print the findings and leave them in doctor.json."""
    found = examine(session.config.workers)
    for title in ("machine", "rendering", "packages", "optional"):
        table = Table(title=title, title_justify="left", box=None, show_header=False)
        table.add_column(min_width=24)
        table.add_column(overflow="fold")
        for name, value in found[title].items():
            table.add_row(name, value)
        session.console.print(table)
    session.console.print("what to do" if found["advice"] else "nothing to improve")
    for line in found["advice"]:
        session.console.print(f"  - {line}", soft_wrap=True, markup=False)
    path = session.write_json("doctor.json", found)
    session.console.print(f"findings     {path}", soft_wrap=True)


def examine(workers: int) -> dict[str, Any]:
    """Return all findings, by title, and advice.

    Args:
        workers: How many processes a run would start.
    """
    packages = {name: _version(name) for name in CORE}
    optional = {
        name: _version(name) if _version(name) else f"missing; for {use}"
        for name, use in OPTIONAL.items()
    }
    rendering, survey = _rendering()
    return {
        "machine": _machine(),
        "rendering": rendering,
        "packages": {name: found or "MISSING" for name, found in packages.items()},
        "optional": optional,
        "advice": advise(
            packages=packages,
            installed={str(d.metadata["Name"]) for d in distributions()},
            survey=survey,
            cores=cores(),
            memory_gib=memory_gib(),
            workers=workers,
        ),
    }


def advise(
    *,
    packages: Mapping[str, str | None],
    installed: set[str],
    survey: Any,
    cores: int,
    memory_gib: float | None,
    workers: int,
) -> list[str]:
    """Return what would make things work, or work faster.

    Args:
        packages: Package that is needed → version, None where it is missing.
        installed: Names of all packages.
        survey: A `generators.raster.survey.Survey`; None where Warp does not start.
        cores: That this process may use.
        memory_gib: Of the machine; None where it is not known.
        workers: How many processes a run would start.
    """
    advice = []
    missing = [name for name, found in packages.items() if found is None]
    if missing:
        advice.append(f"packages are missing: pip install {' '.join(missing)}")
    if "opencv-python" in installed:
        advice.append(
            "opencv-python and opencv-python-headless overwrite each other: uninstall both, then "
            "install opencv-python-headless"
        )
    if survey is None:
        advice.append("Warp does not start: install warp-lang again")
    else:
        if not survey.gpus:
            advice.append(
                f"no CUDA device: rendering on the CPU; use workers={cores}, one for each core"
            )
        if not survey.cache_writable:
            advice.append(
                f"{survey.cache} cannot be written, so that each process compiles its kernels: "
                "set WARP_CACHE_PATH to a folder that can"
            )
        elif not survey.cached:
            advice.append("no kernels are compiled yet: the first run compiles them, once")
    if workers < cores:
        advice.append(f"workers={workers} of {cores} cores: workers={cores} makes images faster")
    if workers > cores:
        advice.append(f"workers={workers} on {cores} cores: more than cores only wait")
    if memory_gib is not None and workers * WORKER_GIB > memory_gib:
        most = max(int(memory_gib / WORKER_GIB), 1)
        advice.append(f"{memory_gib:.1f} GiB of memory hold about {most} workers: workers={most}")
    if "embreex" not in installed:
        advice.append("task=validate needs Embree: pip install 'kinetwin[dev]'")
    return advice


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gib() -> float | None:
    """Return the machine's memory; None where the platform does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def _machine() -> Facts:
    memory = memory_gib()
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_version()} ({sys.executable})",
        "cores": str(cores()),
        "memory": "not known" if memory is None else f"{memory:.1f} GiB",
    }


def _rendering() -> tuple[Facts, Any]:
    """Return what draws, and the survey itself; None where Warp does not start."""
    try:
        from generators.raster.survey import survey as look  # late: it starts Warp

        survey = look()
    except Exception as error:  # the point of a doctor: whatever is wrong is a finding
        return {"device": f"none: {error or type(error).__name__}"}, None
    gpus = ", ".join(f"{g.name}, {g.memory_gib:g} GiB" for g in survey.gpus)
    state = f"{survey.cached} modules compiled" if survey.cached else "empty"
    return {
        "device": survey.device,
        "CUDA driver": survey.driver or "none",
        "CUDA devices": gpus or "none",
        "kernel cache": str(survey.cache),
        "cache state": state + (", writable" if survey.cache_writable else ", NOT writable"),
    }, survey


def _version(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
