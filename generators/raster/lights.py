"""The lights of a launch: where shadow maps are drawn from, and what the kernels are told."""

from collections.abc import Sequence

import numpy as np
import warp as wp
from jaxtyping import Float

from generators.camera import Camera, look_at
from generators.raster import shadow
from generators.raster.buffer import VisibilityBuffer
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry, Lamp, Lights, Sky
from generators.raster.views import Mirror, View
from generators.renderer import Part
from generators.scenario import FLOORS, Scenario
from generators.shading import BACKDROP_M

MAP_SIZE = 640
"""Of a shadow map, in texels."""

MOST_RADIUS_M = 1.7
"""Around the focus, that a shadow map covers, where things stand farther apart than that."""

FAR_AWAY = 60.0
"""In radii: from there a distant lamp's map is drawn."""

LAMPS = 1


class LightRig:
    """Draws the shadow maps of a launch and describes its lights."""

    def __init__(
        self,
        parts: Sequence[Part],
        instances: Instances,
        geometry: Geometry,
        count: int,
        device: str,
    ) -> None:
        self._instances, self._device, self._count = instances, device, count
        # A floor throws no shadow on anything, and would fill most of a map.
        self._floors = {p.body.name for p in parts if p.body.label in FLOORS}
        standing = [parts[p].body.name not in self._floors for p in instances.part]
        self._standing = np.array(standing, bool)
        self._maps = VisibilityBuffer(
            instances, geometry, count * LAMPS, (MAP_SIZE, MAP_SIZE), device
        )
        self._skies = Mirror(count, Sky, device)
        self._lamps = Mirror((count, LAMPS), Lamp, device)
        tiles = (count * LAMPS, (MAP_SIZE // 8) ** 2)
        self._bounds = wp.zeros(tiles, dtype=wp.vec2, device=device)
        self.lights = Lights()
        self.lights.skies, self.lights.lamps = self._skies.array, self._lamps.array
        self.lights.tiles = wp.zeros(tiles, dtype=wp.vec2, device=device)
        self.lights.depths = self._maps.target.seen

    def set(self, scenarios: Sequence[Scenario]) -> None:
        """Draw the shadow maps of some scenarios."""
        shown = []
        for index, scenario in enumerate(scenarios):
            lighting = scenario.lighting
            sky, lamp = self._skies.values[index], self._lamps.values[index, 0]
            above, below = np.array(lighting.sky), np.array(lighting.ground)
            sky["constant"], sky["toward_z"] = (above + below) / 2, (above - below) / 2
            sky["backdrop"], sky["focus_W"] = lighting.backdrop, lighting.focus_W
            sky["fade_m"], sky["exposure"], sky["lamps"] = BACKDROP_M, 1.0, 1
            poses = {k: v for k, v in scenario.poses.items() if k not in self._floors}
            middle, radius = self._casters(scenario)
            camera = _distant(middle, radius, lighting.direction_W)
            shown.append(View(camera, poses))
            texel = 1.0 / camera.fx
            lamp["kind"], lamp["toward_W"], lamp["strength"] = 0, lighting.direction_W, lighting.sun
            lamp["map"], lamp["texel"] = index * LAMPS, texel
            lamp["penumbra"] = lighting.penumbra_m / (texel * FAR_AWAY * radius)
        self._skies.push()
        self._lamps.push()
        self._maps.fill(shown)
        self.lights.maps = self._maps.views
        tiles = self._bounds.shape
        wp.launch(
            shadow.bound_tiles, dim=tiles, inputs=[self.lights, self._bounds], device=self._device
        )
        wp.launch(
            shadow.widen_tiles,
            dim=tiles,
            inputs=[LAMPS, self.lights, self._bounds],
            device=self._device,
        )

    def _casters(self, scenario: Scenario) -> tuple[Float[np.ndarray, "3"], float]:
        """Return a sphere about all that throws a shadow, no larger than a map should cover."""
        names, focus = self._instances.names, scenario.lighting.focus_W
        X_WB = [scenario.poses.get(names[p]) for p in self._instances.part]
        there = [i for i, X in enumerate(X_WB) if X is not None and self._standing[i]]
        if not there:
            return focus, 0.1
        X_WS = np.array([X_WB[i] for i in there]) @ self._instances.X_BS[there]
        centres = np.einsum("ijk,ik->ij", X_WS[:, :3, :3], self._instances.middle[there])
        centres += X_WS[:, :3, 3]
        reach = self._instances.radius_m[there]
        low = (centres - reach[:, None]).min(axis=0)
        high = (centres + reach[:, None]).max(axis=0)
        middle = (low + high) / 2
        radius = float((np.linalg.norm(centres - middle, axis=1) + reach).max())
        return (middle, radius) if radius < MOST_RADIUS_M else (focus, MOST_RADIUS_M)


def _distant(
    middle: Float[np.ndarray, "3"], radius: float, toward: Float[np.ndarray, "3"]
) -> Camera:
    """Return the camera that sees a sphere from so far that its rays are nearly parallel."""
    distance = FAR_AWAY * radius
    return Camera.with_view(
        look_at(middle + distance * toward, middle),
        2 * float(np.arcsin(1.01 / FAR_AWAY)),
        (MAP_SIZE, MAP_SIZE),
        near_m=distance - 1.1 * radius,
        far_m=distance + 1.1 * radius,
    )
