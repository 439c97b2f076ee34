"""What a renderer is: a scenario goes in, a picture with exact labels comes out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8, UInt64

from envs.stage.scene import Body, Scene
from generators.camera import Camera
from generators.scenario import Scenario


@dataclass(frozen=True)
class Instance:
    """One thing that a picture can show.

    Attributes:
        id: From 1; 0 is where nothing is.
        name: Of the robot or the object; of the surroundings their class.
        label: Its semantic class.
        static: It belongs to the surroundings, which never move.
    """

    id: int
    name: str
    label: str
    static: bool


@dataclass(frozen=True)
class Part:
    """A body as a piece of an instance: a link of the robot, or an object as a whole."""

    body: Body
    instance: Instance


@dataclass(frozen=True)
class Frame:
    """One picture and its labels; all arrays have a value per pixel centre.

    Attributes:
        rgb: sRGB colours, smooth at edges.
        depth_m: Distance along the optical axis, m; inf where nothing is seen.
        part_id: Index into the renderer's parts; −1 where nothing is seen.
        instance_id: `Instance.id`; 0 where nothing is seen.
        normal_W: Unit normal of the triangle that is seen, on the camera's side, in the world; zero
            where nothing is seen. None where a renderer does not know it.
        smooth_normal_W: The same with the mesh's own normals interpolated over the triangle.
        cover: Which instances lie along the pixel's ray between the near and the far plane, hidden
            or not: bit k of word j stands for the instance with id 64·j + k + 1. None where a
            renderer does not know it.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    part_id: Int32[np.ndarray, "h w"]
    instance_id: Int32[np.ndarray, "h w"]
    camera: Camera
    normal_W: Float32[np.ndarray, "h w 3"] | None = None
    smooth_normal_W: Float32[np.ndarray, "h w 3"] | None = None
    cover: UInt64[np.ndarray, "h w words"] | None = None

    def covers(self, instance_id: int) -> Bool[np.ndarray, "h w"]:
        """Return the amodal mask of an instance: where it would be seen if nothing hid it."""
        assert self.cover is not None, "this renderer does not know what is hidden"
        word, bit = divmod(instance_id - 1, 64)
        mask: Bool[np.ndarray, "h w"] = (self.cover[..., word] & np.uint64(1 << bit)) != 0
        return mask


class Renderer(Protocol):
    """Draws scenarios of one scene. Equal scenarios give equal frames, whatever came before."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What `part_id` counts, see `parts_of`."""

    def render(self, scenario: Scenario, *, colors: bool = True) -> Frame:
        """Draw one scenario; without colours `rgb` is black, and the rest costs less."""

    def close(self) -> None:
        """Give back what the renderer holds."""


def parts_of(scene: Scene) -> tuple[Part, ...]:
    """Return all bodies of a scene with the instances they belong to.

    Each articulation is one instance and so is each object; of the surroundings, all bodies of one
    class are: a table is its top and its legs.
    """
    parts: list[Part] = []
    for robot in scene.articulations:
        instance = Instance(_count(parts) + 1, robot.name, robot.bodies[0].label, False)
        parts += [Part(body, instance) for body in robot.bodies]
    for body in scene.objects:
        parts.append(Part(body, Instance(_count(parts) + 1, body.name, body.label, False)))
    for label in dict.fromkeys(body.label for body in scene.static):
        instance = Instance(_count(parts) + 1, label, label, True)
        parts += [Part(body, instance) for body in scene.static if body.label == label]
    return tuple(parts)


def _count(parts: list[Part]) -> int:
    """Return how many instances there are."""
    return parts[-1].instance.id if parts else 0


def instances_of(parts: tuple[Part, ...]) -> tuple[Instance, ...]:
    """Return each instance once, by ascending id."""
    return tuple(dict.fromkeys(part.instance for part in parts))
