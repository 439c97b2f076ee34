"""All labels of a picture, with what has to be rendered besides it to know them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.telemetry.trajectory import Trajectory
from generators.labels.conventions import Label
from generators.labels.flow import flow
from generators.labels.keypoints import Keypoints, keypoints
from generators.labels.masks import InstanceLabel, instance_labels
from generators.labels.solids import Box3, Solid, instance_box, solids_of
from generators.labels.truncation import Canvas, canvas_camera, on_canvas, reaches_beyond
from generators.renderer import Frame, Part, Renderer, instances_of
from generators.scenario import Scenario, Studio, at_another_time
from generators.writers.pixels import Shown

FLOW_STEP_S = 1 / 30
"""Between the times that flow is about: a frame of a usual camera."""


@dataclass(frozen=True)
class Labelled:
    """The labels of one picture.

    Attributes:
        instances: Of those instances that are seen.
        boxes: Instance id → 3D box.
        joints: The robot's.
        shown: What labels per pixel are made from.
    """

    instances: tuple[InstanceLabel, ...]
    boxes: dict[int, Box3]
    joints: Keypoints
    shown: Shown


@dataclass(frozen=True)
class Labeller:
    """What labels take from a scene, made ready once.

    Attributes:
        solids: Of the renderer's parts.
        wanted: Labels per pixel that are asked for.
    """

    studio: Studio
    trajectory: Trajectory
    parts: tuple[Part, ...]
    solids: tuple[Solid | None, ...]
    wanted: tuple[Label, ...]

    @staticmethod
    def of(
        studio: Studio, trajectory: Trajectory, parts: tuple[Part, ...], wanted: Sequence[Label]
    ) -> "Labeller":
        """Return a labeller for a renderer's parts."""
        return Labeller(studio, trajectory, parts, solids_of(parts), tuple(wanted))

    def label(self, renderer: Renderer, scenario: Scenario, frame: Frame) -> Labelled:
        """Return the labels of a frame that a renderer has made of a scenario."""
        things = [i for i in instances_of(self.parts) if not i.static]
        canvas = self._canvas(renderer, scenario, frame)
        boxes = {
            i.id: box
            for i in things
            for box in [instance_box(i, self.parts, self.solids, scenario.poses)]
            if box is not None
        }
        return Labelled(
            instances=instance_labels(frame, things, canvas),
            boxes=boxes,
            joints=keypoints(frame, self.parts, self.studio.tree, scenario.q),
            shown=self._shown(renderer, scenario, frame),
        )

    def _canvas(self, renderer: Renderer, scenario: Scenario, frame: Frame) -> Canvas | None:
        """Return what lies around the picture; None where it cuts nothing off."""
        moving = [s for s, p in zip(self.solids, self.parts, strict=True) if not p.instance.static]
        camera = scenario.camera
        if frame.cover is None or not reaches_beyond(camera, moving, scenario.poses):
            return None
        wide = renderer.render(replace(scenario, camera=canvas_camera(camera)), colors=False)
        return on_canvas(wide, camera)

    def _shown(self, renderer: Renderer, scenario: Scenario, frame: Frame) -> Shown:
        """Return what labels per pixel are made from."""
        flows = []
        for step_s in (FLOW_STEP_S, -FLOW_STEP_S) if Label.flow in self.wanted else ():
            then = at_another_time(self.studio, self.trajectory, scenario, step_s)
            there = renderer.render(then, colors=False)
            flows.append(flow(frame, there, self.parts, scenario.poses, then.poses))
        return Shown(frame, scenario, self.parts, *flows)
