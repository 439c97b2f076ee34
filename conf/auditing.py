"""task=validate: is the renderer right on this scene? A table, validate.json and a page."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.table import Table

from calibration.report import Page
from conf.session import Session, versions
from envs.errors import KinetwinError
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from generators.audit.audit import Audit, Make, audit
from generators.audit.criteria import Criterion
from generators.raster.device import compile_kernels
from generators.raster.renderer import RasterRenderer

SHOWN = 4
"""Views of which the page shows error maps."""


def rasterizer(session: Session) -> Make:
    """Return what makes the renderer of record on the run's device, its kernels compiled."""
    device = compile_kernels(session.config.device.name, session.note)
    return partial(RasterRenderer, device=device.split(":")[0])


def validate(session: Session, scene: Scene, trajectory: Trajectory, make: Make) -> None:
    """Audit a renderer on the run's own scene, recording and seed.

    Raises:
        KinetwinError: A criterion is not met; what was found is written all the same.
    """
    config = session.config
    options = config.images
    with session.stage("validate", "render, and cast rays with Embree") as report:
        found = audit(
            scene,
            trajectory,
            make,
            views=options.count,
            seed=config.seed,
            width=options.width,
            height=options.height,
            workers=config.workers,
            ranges=config.randomization.ranges(),
            lens=config.camera.lens(options.width, options.height),
            progress=report,
        )
    session.write_json("validate.json", _figures(found))
    page = session.directory / "validate.html"
    _page(session, found).write(page)
    for title, criteria in _groups(found):
        session.console.print(_table(title, criteria))
    session.console.print(f"page         {page}", soft_wrap=True)
    session.console.print(f"figures      {session.directory / 'validate.json'}", soft_wrap=True)
    if not found.passed:
        failed = [c.name for _, group in _groups(found) for c in group if not c.passed]
        raise KinetwinError(
            f"the renderer fails {len(failed)} of {sum(len(g) for _, g in _groups(found))} "
            f"criteria, the first is: {failed[0]}; see {page}"
        )


def _groups(found: Audit) -> list[tuple[str, Sequence[Criterion]]]:
    bent = sum(view.distorted for view in found.views)
    groups = [
        (f"without distortion: {len(found.views) - bent} views", found.pinhole),
        (f"under lens distortion: {bent} views", found.distorted),
    ]
    return [(title, criteria) for title, criteria in groups if criteria]


def _cells(criterion: Criterion) -> list[str]:
    found = "not given"
    if criterion.found is not None:
        found = f"{criterion.found:.3g} {criterion.unit}".strip()
    limit = f"{criterion.limit:g} {criterion.unit}".strip()
    return [criterion.name, found, limit, "pass" if criterion.passed else "FAIL"]


def _table(title: str, criteria: Sequence[Criterion]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("criterion")
    for column in ("found", "limit", ""):
        table.add_column(column, justify="right")
    for criterion in criteria:
        table.add_row(*_cells(criterion), style=None if criterion.passed else "bold red")
    return table


def _page(session: Session, found: Audit) -> Page:
    config = session.config
    page = Page(
        title="Audit of the renderer",
        lead=f"Scene {config.scene}, robot {config.robot}, recording {config.recording.name}: "
        f"{len(found.views)} views of {config.images.width}×{config.images.height}, each drawn by "
        "the renderer and cast by Embree from the same geometry.",
    )
    pixels = sum(view.difference.object_pixels for view in found.views)
    page.cards(
        [
            ("passed" if found.passed else "FAILED", "all criteria"),
            (str(len(found.views)), "views"),
            (f"{pixels:,}", "pixels of objects and robot"),
            (str(sum(view.difference.wrong for view in found.views)), "of them with a wrong id"),
        ]
    )
    for title, criteria in _groups(found):
        page.section(title[0].upper() + title[1:])
        page.table(
            ["criterion", "found", "limit", ""],
            [_cells(c) for c in criteria],
            text_columns=(0, 3),
            marks=["good" if c.passed else "bad" for c in criteria],
        )
    page.section(
        "Error maps",
        "The views with most wrong ids, the worst first. Errors of depth and normals are black "
        "where there is none and bright where they are large; white: nothing to compare.",
    )
    for view in found.worst(SHOWN):
        page.text(f"View {view.index}{', distorted' if view.distorted else ''}")
        page.image(view.error_map, f"error map of view {view.index}")
    page.section("Provenance")
    rows = [["seed", str(config.seed)], *([k, v] for k, v in versions().items())]
    page.table(["what", "value"], rows, text_columns=(0, 1))
    return page


def _figures(found: Audit) -> dict[str, Any]:
    """Return validate.json."""

    def listed(criteria: Sequence[Criterion]) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "found": c.found, "limit": c.limit, "unit": c.unit, "pass": c.passed}
            for c in criteria
        ]

    return {
        "passed": found.passed,
        "pinhole": listed(found.pinhole),
        "distorted": listed(found.distorted),
        "views": [
            {
                "index": view.index,
                "distorted": view.distorted,
                "object_pixels": view.difference.object_pixels,
                "wrong_ids": view.difference.wrong,
            }
            for view in found.views
        ],
        "versions": versions(),
    }
