"""Cameras and poses of one launch, put where the kernels read them.

Projection goes to undistorted pixels: (u, v) = (fx·x/z + cx, fy·y/z + cy), where cx and cy have the
camera's shift in them. Without distortion these are the pixels of the picture; with it, `rays` says
for each pixel where among them it looks, which is the lens's alone, whatever the shift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Bool, Float, Float32, UInt8

from envs.frames import Pose, inverse
from generators.camera import Camera, Lens
from generators.raster.geometry import Instances
from generators.raster.layout import Views
from generators.raster.lenses import LensTable, lens_table

HIDDEN, SEEN, OUTSIDE = 0, 1, 2
"""Of an instance in a view: not in it; in it; in it, all of it beyond the near plane."""


@dataclass(frozen=True)
class View:
    """One camera, and where everything is; a body that is not named is not there."""

    camera: Camera
    poses: Mapping[str, Pose]


class Mirror:
    """An array that the host fills and the device reads; on a CPU they are one."""

    def __init__(self, shape: int | tuple[int, ...], dtype: Any, device: str) -> None:
        self._ours = wp.zeros(shape, dtype=dtype, device="cpu")
        self.values: np.ndarray = self._ours.numpy()
        self.array = self._ours
        if device != "cpu":
            self.array = wp.zeros(shape, dtype=dtype, device=device)

    def push(self) -> None:
        """Send what the host has written."""
        if self.array is not self._ours:
            wp.copy(self.array, self._ours)


class ViewBuffers:
    """Room for the views of one launch: so many, of one size, of one scene."""

    def __init__(
        self, instances: Instances, count: int, size: tuple[int, int], device: str
    ) -> None:
        self._instances = instances
        self._device = device
        self._lenses: list[Lens] = []
        # The least u and v, and the largest, that each view's picture reaches to.
        self._extent = np.zeros((count, 4))
        self.size, self.count = size, count
        number = len(instances.part)

        def room(shape: int | tuple[int, ...], dtype: Any) -> Mirror:
            return Mirror(shape, dtype, device)

        self._mirrors = {
            "lens": room(count, wp.vec4d),
            "slopes": room(count, wp.vec4),
            "reach": room(count, wp.vec2),
            "R_WC": room(count, wp.mat33),
            "p_WC": room(count, wp.vec3),
            "X_CS": room((count, number, 3), wp.vec4d),
            "R_WS": room((count, number), wp.mat33),
            "state": room((count, number), wp.uint8),
            "low": room(count, wp.vec4),
            "high": room(count, wp.vec4),
            "margin": room(count, wp.float32),
        }
        self.views = Views()
        self.views.width, self.views.height = size
        for name, mirror in self._mirrors.items():
            setattr(self.views, name, mirror.array)
        self._set_tables([])

    def fill(self, shown: Sequence[View]) -> None:
        """Put cameras and poses where the kernels find them."""
        self._set_lenses([view.camera for view in shown])
        to = {name: mirror.values for name, mirror in self._mirrors.items()}
        for index, view in enumerate(shown):
            camera = view.camera
            to["lens"][index] = fx, fy, cx, cy = camera.intrinsics
            to["slopes"][index] = 1 / fx, 1 / fy, cx / fx, cy / fy
            to["reach"][index] = camera.near_m, camera.far_m
            to["R_WC"][index] = camera.X_WC[:3, :3]
            to["p_WC"][index] = camera.X_WC[:3, 3]
            present, X_CS = self._place(view)
            to["X_CS"][index] = X_CS[:, :3]
            to["R_WS"][index] = camera.X_WC[:3, :3] @ X_CS[:, :3, :3]
            low, high = to["low"][index], to["high"][index]
            for bound, uv in ((low, self._extent[index, :2]), (high, self._extent[index, 2:])):
                x, y = (uv - [cx, cy]) / [fx, fy]
                bound[:] = x, y, np.hypot(1, x), np.hypot(1, y)
            to["state"][index] = self._states(present, X_CS, camera, low, high)
        for mirror in self._mirrors.values():
            mirror.push()

    def _place(self, view: View) -> tuple[Bool[np.ndarray, "i"], Float[np.ndarray, "i 4 4"]]:
        """Return which instances are there, and their poses in the camera."""
        parts = [view.poses.get(name) for name in self._instances.names]
        there = np.array([pose is not None for pose in parts], bool)
        X_WB = np.array([np.eye(4) if pose is None else pose for pose in parts]).reshape(-1, 4, 4)
        X_CB = inverse(view.camera.X_WC) @ X_WB
        return there[self._instances.part], X_CB[self._instances.part] @ self._instances.X_BS

    def _states(
        self,
        present: Bool[np.ndarray, "i"],
        X_CS: Float[np.ndarray, "i 4 4"],
        camera: Camera,
        low: Float32[np.ndarray, "4"],
        high: Float32[np.ndarray, "4"],
    ) -> UInt8[np.ndarray, "i"]:
        """Return HIDDEN, SEEN or OUTSIDE for each instance, from its bounding sphere."""
        middle = (X_CS[:, :3, :3] @ self._instances.middle[..., None])[..., 0] + X_CS[:, :3, 3]
        x, y, z = middle.T
        r = self._instances.radius_m
        seen = present & (z + r > camera.near_m) & (z - r < camera.far_m)
        for value, side in ((x, 0), (y, 1)):
            seen &= low[side] * z - value <= r * low[side + 2]
            seen &= value - high[side] * z <= r * high[side + 2]
        outside = seen & (z - r > camera.near_m)
        return np.where(outside, OUTSIDE, np.where(seen, SEEN, HIDDEN)).astype(np.uint8)

    def _set_lenses(self, cameras: Sequence[Camera]) -> None:
        """Make the tables of the lenses, unless they are those of the launch before."""
        lenses = [camera.lens for camera in cameras]
        if lenses == self._lenses:
            return
        tables = []
        for index, camera in enumerate(cameras):
            left, right, top, bottom = 0.0, camera.width - 1.0, 0.0, camera.height - 1.0
            margin = 0.5
            if any(c.distortion.present for c in cameras):
                table = lens_table(camera.lens, camera.width, camera.height)
                left, top = table.rays.min(axis=0)
                right, bottom = table.rays.max(axis=0)
                margin = table.margin
                tables.append(table)
            self._mirrors["margin"].values[index] = margin
            self._extent[index] = left - margin, top - margin, right + margin, bottom + margin
        self._set_tables(tables)
        self._lenses = lenses

    def _set_tables(self, tables: Sequence[LensTable]) -> None:
        """Send the tables of distorting lenses; none where no lens of the launch distorts."""
        views, device = self.views, self._device
        views.distorted = int(bool(tables))
        most = max((len(t.cells) for t in tables), default=0)
        cells = [np.pad(t.cells, ((0, most - len(t.cells)), (0, 0))) for t in tables]
        grid = [(*t.origin, *t.grid) for t in tables]
        empty = np.zeros((1, 1, 4))
        rays = [t.rays for t in tables] or empty[..., :2]
        views.rays = wp.array(np.array(rays), dtype=wp.vec2, device=device)
        tiles = np.array([t.tiles for t in tables] or empty)
        views.tiles = wp.array(tiles, dtype=wp.vec4, device=device)
        views.cells = wp.array(np.array(cells or empty), dtype=wp.vec4i, device=device)
        views.grid = wp.array(np.array(grid or empty[0]), dtype=wp.vec4, device=device)
