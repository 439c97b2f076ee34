"""The lights of a launch: where shadow maps are drawn from, and what the kernels are told."""

from collections.abc import Sequence

import numpy as np
import warp as wp
from jaxtyping import Float

from generators.camera import Camera, look_at
from generators.environment import FACTORS, Dome
from generators.raster import shadow
from generators.raster.buffer import VisibilityBuffer
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry, Lamp, Lights, Sky
from generators.raster.tables import disc
from generators.raster.views import Mirror, View
from generators.renderer import Part
from generators.scenario import FLOORS, Scenario
from generators.shading import BACKDROP_M, Lighting

MAP_SIZE = 512
"""Of a shadow map, in texels."""

MOST_RADIUS_M = 1.7
"""Around the focus, that a shadow map covers, where things stand farther apart than that."""

FAR_AWAY = 60.0
"""In radii: from there a distant lamp's map is drawn."""

LAMPS = 1

NEVER_M = (1e6, 2e6)
"""Where a floor turns into the backdrop under a dome."""

_TERMS = ("constant", "toward_y", "toward_z", "toward_x", "xy", "yz", "zz", "xz", "xx")
"""Names of the terms that `environment.FACTORS` belong to."""


class LightRig:
    """Draws the shadow maps of a launch and describes its lights."""

    def __init__(
        self,
        parts: Sequence[Part],
        casters: tuple[Instances, Geometry],
        count: int,
        device: str,
    ) -> None:
        instances, geometry = casters
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
        tiles = (count * LAMPS, (MAP_SIZE // int(shadow.TILE)) ** 2)
        self._bounds = wp.zeros(tiles, dtype=wp.vec2, device=device)
        self._texels = 1
        self._domes = Mirror(count, wp.vec3, device)
        self._shown: list[Dome | None] = [None] * count
        self.lights = Lights()
        self.lights.domes = self._domes.array
        self.lights.skies, self.lights.lamps = self._skies.array, self._lamps.array
        self.lights.tiles = wp.zeros(tiles, dtype=wp.vec2, device=device)
        points = disc(int(shadow.TAPS))
        self.lights.disc = wp.array(points, dtype=wp.vec2, device=device)
        texels = self._maps.target.seen.shape
        self.lights.depths = wp.zeros(texels, dtype=wp.float32, device=device)

    def set(self, scenarios: Sequence[Scenario]) -> None:
        """Draw the shadow maps of some scenarios."""
        shown = []
        self._make_room(scenarios)
        for index, scenario in enumerate(scenarios):
            lighting = scenario.lighting
            sky, lamp = self._skies.values[index], self._lamps.values[index, 0]
            self._surround(index, lighting)
            sky["focus_W"], sky["exposure"], sky["lamps"] = lighting.focus_W, 1.0, 1
            poses = {k: v for k, v in scenario.poses.items() if k not in self._floors}
            middle, radius = self._casters(scenario)
            camera = _distant(middle, radius, lighting.direction_W)
            shown.append(View(camera, poses))
            texel = 1.0 / camera.fx
            lamp["toward_W"], lamp["strength"] = lighting.direction_W, lighting.sun
            lamp["map"], lamp["texel"] = index * LAMPS, texel
            lamp["penumbra"] = lighting.penumbra_m / (texel * FAR_AWAY * radius)
        self._skies.push()
        self._domes.push()
        self._lamps.push()
        self._maps.fill(shown)
        self.lights.maps = self._maps.views
        tiles = self._bounds.shape
        wp.launch(
            shadow.bound_tiles,
            dim=tiles,
            inputs=[self.lights, self._maps.target.seen, self._bounds],
            device=self._device,
        )
        wp.launch(
            shadow.widen_tiles,
            dim=tiles,
            inputs=[LAMPS, self.lights, self._bounds],
            device=self._device,
        )

    def _surround(self, index: int, lighting: Lighting) -> None:
        """Describe what comes from all around: a dome, or a sky, a ground and a backdrop."""
        sky, dome = self._skies.values[index], lighting.dome
        sky["backdrop"], sky["dome"] = lighting.backdrop, -1
        if dome is None:
            above, below = np.array(lighting.sky), np.array(lighting.ground)
            sky["constant"], sky["toward_z"] = (above + below) / 2, (above - below) / 2
            sky["toward_x"] = sky["toward_y"] = 0.0
            sky["fade_m"] = BACKDROP_M
            return
        rows, columns, _ = dome.radiance.shape
        first = index * self._texels
        sky["dome"], sky["rows"], sky["columns"] = first, rows, columns
        sky["R_DW"], sky["fade_m"] = dome.R_WD.T, NEVER_M
        sky["gain"] = np.mean(lighting.sky)
        if self._shown[index] is not dome:
            self._domes.values[first : first + rows * columns] = dome.radiance.reshape(-1, 3)
            self._shown[index] = dome
        # What a white surface gives back is its irradiance over π.
        terms = FACTORS[:, None] * dome.coefficients / np.pi
        for name, term in zip(_TERMS, terms, strict=True):
            sky[name] = term

    def _make_room(self, scenarios: Sequence[Scenario]) -> None:
        """Give each view of the launch room for the picture of its dome."""
        domes = [s.lighting.dome for s in scenarios if s.lighting.dome is not None]
        texels = max((d.radiance[..., 0].size for d in domes), default=0)
        if texels > self._texels:
            self._texels, self._shown = texels, [None] * self._count
            self._domes = Mirror(self._count * texels, wp.vec3, self._device)
            self.lights.domes = self._domes.array

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
