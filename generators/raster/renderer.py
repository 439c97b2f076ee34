"""The renderer: what a picture shows comes from the visibility buffer."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import warp as wp

from envs.errors import ConfigError
from envs.stage.scene import Scene
from generators.lamps import MOST, stage_lamps
from generators.raster import cells, resolve
from generators.raster.buffer import VisibilityBuffer
from generators.raster.device import choose
from generators.raster.geometry import upload, words
from generators.raster.paints import Painter
from generators.raster.shader import Shader
from generators.raster.views import View
from generators.renderer import Frame, Part, parts_of
from generators.scenario import Scenario

ROOMS = 3
"""Of different sizes, that are kept: a picture's, that of what lies around it, one more."""


class RasterRenderer:
    """Draws scenarios of one scene with kernels for a CPU or a GPU."""

    def __init__(
        self,
        scene: Scene,
        textures: Sequence[Path],
        *,
        device: str = "auto",
        antialias: bool = True,
    ) -> None:
        """Put a scene on a device.

        Args:
            scene: What can be seen.
            textures: The patterns that scenarios name by number.
            device: "auto", "cpu" or "cuda".
            antialias: Whether colours are smooth at edges; it costs as much as all the rest.
        """
        self._antialias = antialias
        self._parts = parts_of(scene)
        self._device = choose(device)
        self._words = words(self._parts)
        # At least the sun; each has a shadow map of its own.
        self._lamps = max(1, min(MOST, len(stage_lamps(scene.lights))))
        self._instances, self._geometry = upload(self._parts, self._device)
        self._casters = upload(self._parts, self._device, stand_ins=True)
        self._painter = Painter(self._parts, self._instances, textures, self._device)
        self._rooms: OrderedDict[tuple[int, int, int], tuple[VisibilityBuffer, Shader]] = (
            OrderedDict()
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """All bodies of the scene."""
        return self._parts

    @property
    def stored_triangles(self) -> int:
        """How many triangles the device holds; instances share them."""
        return int(self._geometry.triangles.shape[0])

    def close(self) -> None:
        """Give the device's memory back."""
        self._rooms.clear()

    def render(self, scenario: Scenario, *, colors: bool = True) -> Frame:
        """Draw one scenario; without colours `rgb` is black, and the rest costs less."""
        return self.render_batch([scenario], colors=colors)[0]

    def render_batch(self, scenarios: Sequence[Scenario], *, colors: bool = True) -> list[Frame]:
        """Draw several scenarios in one launch, so that a GPU is filled.

        Where only some lenses distort there are two, as each picture is to be what it is alone.

        Raises:
            ConfigError: Their pictures are not all of one size.
        """
        sizes = {(s.camera.width, s.camera.height) for s in scenarios}
        if len(sizes) != 1:
            raise ConfigError(f"pictures of one launch need one size, not {sorted(sizes)}")
        width, height = sizes.pop()
        bent = [k for k, s in enumerate(scenarios) if s.camera.distortion.present]
        if 0 < len(bent) < len(scenarios):
            straight = [k for k in range(len(scenarios)) if k not in bent]
            frames = {
                k: frame
                for some in (straight, bent)
                for k, frame in zip(
                    some,
                    self.render_batch([scenarios[k] for k in some], colors=colors),
                    strict=True,
                )
            }
            return [frames[k] for k in range(len(scenarios))]
        buffer, shader = self._room((len(scenarios), width, height))
        buffer.fill([View(s.camera, s.poses) for s in scenarios])
        buffer.find_filled()
        across, run = (-(-pixels // int(cells.CELL)) for pixels in (width, buffer.run))
        shape = (len(scenarios), height, width)

        def room(dtype: type) -> wp.array:
            return wp.empty(shape, dtype=dtype, device=self._device)

        depth, part, instance = room(wp.float32), room(wp.int32), room(wp.int32)
        normal, smooth, shares = room(wp.vec3), room(wp.vec3), room(wp.vec2)
        wp.launch(
            resolve.label,
            dim=(len(scenarios), height, -(-across // run)),
            inputs=[
                self._geometry,
                buffer.views,
                run,
                buffer.target.seen,
                buffer.cells,
            ],
            outputs=[depth, part, instance, normal, smooth, shares],
            device=self._device,
        )
        if colors:
            rgb = room(wp.vec3ub)
            shader.shade(scenarios, depth, normal, smooth, shares, rgb)
            if self._antialias:
                shader.smooth(depth, smooth, rgb)
        else:
            rgb = wp.zeros(shape, dtype=wp.vec3ub, device=self._device)
        arrays = {
            "rgb": rgb,
            "depth_m": depth,
            "part_id": part,
            "instance_id": instance,
            "normal_W": normal,
            "smooth_normal_W": smooth,
            "cover": buffer.target.cover.reshape((*shape, self._words)),
        }
        shown = {name: _one_by_one(array) for name, array in arrays.items()}
        return [
            Frame(camera=scenario.camera, **{name: shown[name][k] for name in shown})
            for k, scenario in enumerate(scenarios)
        ]

    def _room(self, shape: tuple[int, int, int]) -> tuple[VisibilityBuffer, Shader]:
        """Return what pictures of a size are made in; it is kept for the next ones."""
        if shape not in self._rooms:
            while len(self._rooms) >= ROOMS:
                self._rooms.popitem(last=False)
            count, *size = shape
            buffer = VisibilityBuffer(
                self._instances,
                self._geometry,
                count,
                (size[0], size[1]),
                self._device,
                words=self._words,
            )
            shader = Shader(
                self._parts, self._geometry, self._casters, self._painter, buffer, self._lamps
            )
            self._rooms[shape] = (buffer, shader)
        self._rooms.move_to_end(shape)
        return self._rooms[shape]


def _one_by_one(pictures: wp.array) -> Sequence[np.ndarray]:
    """Return the pictures of a launch; from a GPU each in memory of its own, which is quicker."""
    if pictures.device.is_cpu:
        whole: np.ndarray = pictures.numpy()
        return list(whole)
    return [pictures[k].numpy() for k in range(len(pictures))]
