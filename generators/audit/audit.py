"""The audit: some scenarios, each drawn by a renderer and cast by Embree, and what differs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from envs.errors import ConfigError
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from generators.audit.compare import Difference, View, compare
from generators.audit.criteria import Criterion, judge
from generators.audit.maps import error_map
from generators.audit.raycaster import RayCaster
from generators.camera import Camera, Lens
from generators.distortion import Distortion
from generators.labelling import FLOW_STEP_S
from generators.labels.solids import Solid, solids_of
from generators.labels.truncation import canvas_camera, on_canvas, reaches_beyond
from generators.ranges import Ranges
from generators.renderer import Renderer
from generators.scenario import Scenario, Studio, at_another_time, draw, prepare
from generators.textures import write_textures
from generators.workers import run

WIDE_ANGLE = Distortion(-0.25, 0.06, 0.001, -0.0015)
"""A usual wide-angle lens, for the views that test distortion where the camera has none."""

Make = Callable[[Scene, tuple[Path, ...]], Renderer]
"""What makes the renderer that is audited; it must be importable by name."""


@dataclass(frozen=True)
class Audited:
    """One view.

    Attributes:
        index: Of its scenario.
        distorted: Its lens distorts.
        error_map: A picture of it, PNG.
    """

    index: int
    distorted: bool
    difference: Difference
    error_map: bytes


@dataclass(frozen=True)
class Audit:
    """All views.

    Attributes:
        pinhole: Criteria over the views without distortion; empty where there is none.
        distorted: Over those with it.
    """

    views: tuple[Audited, ...]
    pinhole: tuple[Criterion, ...]
    distorted: tuple[Criterion, ...]

    @property
    def passed(self) -> bool:
        """Whether every criterion is met."""
        return all(c.passed for c in (*self.pinhole, *self.distorted))

    def worst(self, count: int) -> list[Audited]:
        """Return the views with most wrong ids, the worst first."""
        return sorted(self.views, key=lambda view: -view.difference.wrong)[:count]


@dataclass(frozen=True)
class _Plan:
    """What a worker must know to audit any view."""

    studio: Studio
    trajectory: Trajectory
    ranges: Ranges
    seed: int
    size: tuple[int, int]
    textures: tuple[Path, ...]
    make: Make


def audit(
    scene: Scene,
    trajectory: Trajectory,
    make: Make,
    *,
    views: int,
    seed: int,
    width: int,
    height: int,
    workers: int,
    ranges: Ranges,
    lens: Lens | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Compare a renderer with the ray caster on the scenarios that a data set begins with.

    Every second view gets `WIDE_ANGLE` where the camera does not distort and that lens fits.

    Args:
        scene: What is shown.
        trajectory: The recording that the poses are taken from.
        make: Makes the renderer.
        views: How many.
        seed: Of the scenarios.
        width: Of a picture, in pixels.
        height: Of a picture, in pixels.
        workers: Processes.
        ranges: What varies, and how far.
        lens: A calibrated one; None for that of the stage's camera.
        progress: Called after each view.

    Raises:
        ConfigError: Embree is not installed.
    """
    studio = prepare(scene, trajectory.joints, lens)
    RayCaster(scene).close()  # says at once, and in this process, that Embree is missing
    with TemporaryDirectory() as scrap:
        textures = write_textures(Path(scrap), seed)
        plan = _Plan(studio, trajectory, ranges, seed, (width, height), textures, make)
        found: dict[int, Audited] = {}
        for index, audited in run(partial(_session, plan), views, workers):
            found[index] = audited
            if progress is not None:
                progress(len(found), views)
    ordered = tuple(found[index] for index in range(views))
    groups = {
        bent: [a.difference for a in ordered if a.distorted == bent] for bent in (False, True)
    }
    judged = {bent: judge(group) if group else () for bent, group in groups.items()}
    return Audit(ordered, judged[False], judged[True])


@contextmanager
def _session(plan: _Plan) -> Iterator[Callable[[int], Audited]]:
    """Hold both renderers, and give what audits view after view with them."""
    cv2.setNumThreads(1)
    renderer = plan.make(plan.studio.scene, plan.textures)
    caster = RayCaster(plan.studio.scene)
    solids = solids_of(caster.parts)
    try:
        yield partial(_audit_view, plan, renderer, caster, solids)
    finally:
        renderer.close()


def _audit_view(
    plan: _Plan,
    renderer: Renderer,
    caster: RayCaster,
    solids: tuple[Solid | None, ...],
    index: int,
) -> Audited:
    """Draw, cast and compare one view."""
    now = draw(
        plan.studio, plan.trajectory, plan.ranges, seed=plan.seed, index=index, size=plan.size
    )
    if index % 2:
        now = replace(now, camera=_bent(now.camera))
    then = at_another_time(plan.studio, plan.trajectory, now, FLOW_STEP_S)
    moving = [s for s, p in zip(solids, caster.parts, strict=True) if not p.instance.static]
    beyond = reaches_beyond(now.camera, moving, now.poses)
    ours = _view(renderer, now, then, beyond)
    truth = _view(caster, now, then, beyond)
    difference = compare(ours, truth, caster.parts, now, then)
    return Audited(
        index, now.camera.distortion.present, difference, error_map(ours.frame, truth.frame)
    )


def _view(renderer: Renderer, now: Scenario, then: Scenario, beyond: bool) -> View:
    """Return what a renderer makes of a view."""
    frame, canvas = renderer.render(now), None
    if beyond and frame.cover is not None:
        wide = renderer.render(replace(now, camera=canvas_camera(now.camera)), colors=False)
        canvas = on_canvas(wide, now.camera)
    return View(frame, renderer.render(then, colors=False), canvas)


def _bent(camera: Camera) -> Camera:
    """Return a camera with a lens that distorts, or as it is where it has or cannot have one."""
    if camera.distortion.present:
        return camera
    try:
        return replace(camera, distortion=WIDE_ANGLE)
    except ConfigError:  # the lens does not reach the corners of so wide a picture
        return camera
