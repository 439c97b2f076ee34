"""The renderer of record: what a picture shows comes from the visibility buffer."""

from collections.abc import Sequence
from pathlib import Path

import warp as wp

from envs.stage.scene import Scene
from generators.raster import resolve
from generators.raster.buffer import VisibilityBuffer
from generators.raster.device import choose
from generators.raster.geometry import upload, words
from generators.raster.paints import Painter
from generators.raster.shader import Shader
from generators.raster.views import View
from generators.renderer import Frame, Part, parts_of
from generators.scenario import Scenario


class RasterRenderer:
    """Draws scenarios of one scene with kernels for a CPU or a GPU."""

    def __init__(self, scene: Scene, textures: Sequence[Path], *, device: str = "auto") -> None:
        self._parts = parts_of(scene)
        self._device = choose(device)
        self._words = words(self._parts)
        self._instances, self._geometry = upload(self._parts, self._device)
        self._painter = Painter(self._parts, self._instances, textures, self._device)
        self._buffer: VisibilityBuffer | None = None
        self._shader: Shader | None = None

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
        self._buffer = self._shader = None

    def render(self, scenario: Scenario) -> Frame:
        """Draw one scenario."""
        return self.render_batch([scenario])[0]

    def render_batch(self, scenarios: Sequence[Scenario]) -> list[Frame]:
        """Draw several scenarios in one launch; their pictures have one size."""
        sizes = {(s.camera.width, s.camera.height) for s in scenarios}
        assert len(sizes) == 1, "pictures of one launch have one size"
        size = sizes.pop()
        buffer = self._room(len(scenarios), size)
        buffer.fill([View(s.camera, s.poses) for s in scenarios])
        shape = (len(scenarios), size[1], size[0])
        dtypes = (wp.float32, wp.int32, wp.int32, wp.vec3, wp.vec3)
        outputs = [wp.empty(shape, dtype=dtype, device=self._device) for dtype in dtypes]
        run = buffer.run
        wp.launch(
            resolve.label,
            dim=(len(scenarios), size[1], -(-size[0] // run)),
            inputs=[self._geometry, buffer.views, run, buffer.target.seen, *outputs],
            device=self._device,
        )
        colors = wp.empty(shape, dtype=wp.vec3ub, device=self._device)
        assert self._shader is not None
        self._shader.shade(scenarios, outputs[0], outputs[3], colors)
        rgb = colors.numpy()
        depth, part, instance, normal, smooth = (o.numpy() for o in outputs)
        cover = buffer.target.cover.numpy().reshape(*shape, self._words).copy()
        return [
            Frame(
                rgb=rgb[k],
                depth_m=depth[k],
                part_id=part[k],
                instance_id=instance[k],
                camera=scenario.camera,
                normal_W=normal[k],
                smooth_normal_W=smooth[k],
                cover=cover[k],
            )
            for k, scenario in enumerate(scenarios)
        ]

    def _room(self, count: int, size: tuple[int, int]) -> VisibilityBuffer:
        """Return the buffer for so many views of a size; it is kept for the next ones."""
        if self._buffer is None or self._buffer.shape != (count, *size):
            self._buffer = VisibilityBuffer(
                self._instances, self._geometry, count, size, self._device, words=self._words
            )
            self._shader = Shader(
                self._parts, self._instances, self._geometry, self._painter, self._buffer
            )
        return self._buffer
