"""The lights of a launch: where shadow maps are drawn from, and what the kernels are told."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float

from envs.stage.looks import Light
from generators.camera import Camera, look_at
from generators.environment import FACTORS, Dome
from generators.lamps import KINDS, facing_light, half_axes, intensity_m2
from generators.raster import shadow
from generators.raster.buffer import VisibilityBuffer
from generators.raster.geometry import Instances
from generators.raster.layout import Geometry, Lamp, Lights, Sky
from generators.raster.tables import disc, packed_split_sum
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

WIDEST_RAD = 2.0
"""View of a shadow map that is drawn from a lamp nearby."""

OVER_FLOOR_M = 0.2
"""How high above what they shade things are taken to be, for the width of a shadow's edge."""

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
        lamps: int,
        device: str,
    ) -> None:
        instances, geometry = casters
        self._instances, self._device, self._count = instances, device, count
        self._most = lamps
        # A floor throws no shadow on anything, and would fill most of a map.
        self._floors = {p.body.name for p in parts if p.body.label in FLOORS}
        standing = [parts[p].body.name not in self._floors for p in instances.part]
        self._standing = np.array(standing, bool)
        self._maps = VisibilityBuffer(
            instances, geometry, count * lamps, (MAP_SIZE, MAP_SIZE), device
        )
        self._skies = Mirror(count, Sky, device)
        self._lamps = Mirror((count, lamps), Lamp, device)
        tiles = (count * lamps, (MAP_SIZE // int(shadow.TILE)) ** 2)
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
        self.lights.split_sum = wp.array(packed_split_sum(), dtype=wp.uint32, device=device)
        texels = self._maps.target.seen.shape
        self.lights.depths = wp.zeros(texels, dtype=wp.float32, device=device)

    def set(self, scenarios: Sequence[Scenario]) -> None:
        """Draw the shadow maps of some scenarios."""
        shown = []
        self._make_room(scenarios)
        for index, scenario in enumerate(scenarios):
            lighting = scenario.lighting
            sky = self._skies.values[index]
            self._surround(index, lighting)
            sky["focus_W"] = lighting.focus_W
            poses = {k: v for k, v in scenario.poses.items() if k not in self._floors}
            sphere = self._casters(scenario)
            cameras = self._place(index, lighting, *sphere)
            sky["lamps"] = len(cameras)
            shown += [View(camera, poses) for camera in cameras]
            shown += [View(cameras[0], {})] * (self._most - len(cameras))
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
            inputs=[self._most, self.lights, self._bounds],
            device=self._device,
        )

    def _place(
        self, index: int, lighting: Lighting, middle: Float[np.ndarray, "3"], radius: float
    ) -> list[Camera]:
        """Describe the lamps of a view; return the cameras that their shadow maps are drawn by.

        Args:
            index: Of the view.
            lighting: What lights it.
            middle: Of a sphere about all that throws a shadow, m.
            radius: Of that sphere, m.
        """
        cameras = []
        for number, lamp in enumerate(lighting.lamps or (None,)):
            record = self._lamps.values[index, number]
            record["map"] = index * self._most + number
            if lamp is None or lamp.kind == "distant":
                toward, edge_m = lighting.direction_W, lighting.penumbra_m
                record["kind"], record["radius"] = KINDS.index("distant"), 0.0
                record["strength"] = lighting.sun
                if lamp is not None:
                    toward = lamp.X_WL[:3, 2] / np.linalg.norm(lamp.X_WL[:3, 2])
                    record["strength"] = facing_light(lamp, middle)
                    record["radius"] = np.tan(min(lamp.angle_rad, 3.0) / 2)
                    edge_m = float(record["radius"]) * OVER_FLOOR_M
                record["toward_W"] = toward
                camera, away = _distant(middle, radius, toward), FAR_AWAY * radius
            else:
                camera, away = _nearby(lamp, middle, radius), _away(lamp, middle)
                edge_m = _describe(record, lamp) * OVER_FLOOR_M / away
            cameras.append(camera)
            record["texel"] = 1.0 / camera.fx
            widest = MAP_SIZE / 16
            record["penumbra"] = min(edge_m * camera.fx / away, widest)
        return cameras

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


def _away(lamp: Light, middle: Float[np.ndarray, "3"]) -> float:
    return max(float(np.linalg.norm(middle - lamp.X_WL[:3, 3])), 1e-3)


def _nearby(lamp: Light, middle: Float[np.ndarray, "3"], radius: float) -> Camera:
    """Return the camera in a lamp's middle that sees a sphere, as far as one camera can."""
    origin, away = lamp.X_WL[:3, 3], _away(lamp, middle)
    if np.linalg.norm(middle - origin) < 1e-6:
        # It stands in the midst of them, and sees those that it shines at.
        middle = origin - lamp.X_WL[:3, 2]
    angle = 2 * np.arcsin(min(1.01 * radius / away, 1.0))
    far_m = away + 1.1 * radius
    return Camera.with_view(
        look_at(origin, middle),
        float(min(angle, WIDEST_RAD)),
        (MAP_SIZE, MAP_SIZE),
        # All may lie within the lamp.
        near_m=min(max(away - 1.1 * radius, lamp.radius_m, 0.02), 0.99 * far_m),
        far_m=far_m,
    )


def _describe(record: Any, lamp: Light) -> float:
    """Write a sphere or rectangle down as the kernels read it, and return how wide it is, m."""
    record["kind"], record["p_W"] = KINDS.index(lamp.kind), lamp.X_WL[:3, 3]
    record["radius"] = lamp.radius_m
    if lamp.kind == "sphere":
        record["strength"] = intensity_m2(lamp) * np.array(lamp.color)
        return lamp.radius_m
    record["toward_W"] = lamp.X_WL[:3, 2] / np.linalg.norm(lamp.X_WL[:3, 2])
    record["x_W"], record["y_W"] = half_axes(lamp)
    record["strength"] = np.array(lamp.radiance) / np.pi
    return float(np.sqrt(lamp.size_m[0] * lamp.size_m[1])) / 2
