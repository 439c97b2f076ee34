"""A pinhole camera. The centre of the top-left pixel is (0, 0), so cx = (width − 1)/2 is centred.

The optical frame C has x to the right, y down and z forward. Depth is the coordinate z, in metres.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from envs.errors import ConfigError
from envs.frames import Pose, inverse, pose
from envs.stage.scene import StageCamera


@dataclass(frozen=True)
class Camera:
    """Where a camera stands and how it projects.

    Attributes:
        fx: Focal length in pixels, along a row; fy along a column.
        cx: Column of the optical axis, cy its row.
        X_WC: Optical frame in the world.
        near_m: Nothing nearer than this is seen.
        far_m: Nothing farther than this is seen.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    X_WC: Pose
    near_m: float
    far_m: float

    def __post_init__(self) -> None:
        """Refuse an image without pixels, and planes the wrong way round."""
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"an image must have pixels, not {self.width}×{self.height}")
        if not (self.fx > 0 and self.fy > 0 and 0 < self.near_m < self.far_m < np.inf):
            raise ConfigError(
                f"a camera needs focal lengths > 0 and 0 < near < far, not fx {self.fx}, "
                f"fy {self.fy}, near {self.near_m} m, far {self.far_m} m"
            )

    @staticmethod
    def with_view(
        X_WC: Pose,
        fov_x_rad: float,
        size: tuple[int, int],
        *,
        near_m: float,
        far_m: float,
    ) -> "Camera":
        """Return a centred camera with square pixels; `fov_x_rad` reaches from edge to edge."""
        width, height = size
        if not 0 < fov_x_rad < np.pi:
            raise ConfigError(f"a field of view must lie in (0, π), not {fov_x_rad} rad")
        f = width / 2 / np.tan(fov_x_rad / 2)
        return Camera(f, f, (width - 1) / 2, (height - 1) / 2, width, height, X_WC, near_m, far_m)

    @staticmethod
    def from_stage(camera: StageCamera, size: tuple[int, int]) -> "Camera":
        """Return a camera of the stage at the given (width, height)."""
        return Camera.with_view(
            camera.X_WC, camera.fov_x_rad, size, near_m=camera.near_m, far_m=camera.far_m
        )

    @property
    def intrinsics(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy)."""
        return self.fx, self.fy, self.cx, self.cy

    def project(
        self, p_W: Float[np.ndarray, "*n 3"]
    ) -> tuple[Float[np.ndarray, "*n 2"], Float[np.ndarray, "*n"]]:
        """Return the pixel coordinates (column, row) and the depths (m) of points in the world.

        A point with depth ≤ 0 lies behind the camera; its pixel means nothing.
        """
        X_CW = inverse(self.X_WC)
        p_C = np.asarray(p_W) @ X_CW[:3, :3].T + X_CW[:3, 3]
        z = p_C[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            u = self.fx * p_C[..., 0] / z + self.cx
            v = self.fy * p_C[..., 1] / z + self.cy
        return np.stack([u, v], axis=-1), z

    def unproject(
        self, uv: Float[np.ndarray, "*n 2"], depth_m: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 3"]:
        """Return the points in the world that are seen at pixels (column, row) and depths."""
        x = (uv[..., 0] - self.cx) / self.fx
        y = (uv[..., 1] - self.cy) / self.fy
        p_C = np.stack([x, y, np.ones_like(x)], axis=-1) * np.asarray(depth_m)[..., None]
        p_W: Float[np.ndarray, "*n 3"] = p_C @ self.X_WC[:3, :3].T + self.X_WC[:3, 3]
        return p_W

    def rays(self) -> Float[np.ndarray, "h w 3"]:
        """Return for each pixel the direction in the world along which depth grows by one."""
        x = (np.arange(self.width)[None, :, None] - self.cx) / self.fx
        y = (np.arange(self.height)[:, None, None] - self.cy) / self.fy
        R_WC = self.X_WC[:3, :3]
        directions: Float[np.ndarray, "h w 3"] = x * R_WC[:, 0] + y * R_WC[:, 1] + R_WC[:, 2]
        return directions


def look_at(
    eye_W: Float[np.ndarray, "3"], target_W: Float[np.ndarray, "3"], *, roll_rad: float = 0.0
) -> Pose:
    """Return the optical frame at `eye_W` which looks at `target_W`, with the world's z up.

    Looking straight down, the image's top is the world's +y. `roll_rad` turns the camera clockwise
    about its axis.
    """
    eye, target = np.asarray(eye_W, float), np.asarray(target_W, float)
    z = target - eye
    distance = np.linalg.norm(z)
    if not distance > 0:
        raise ConfigError(f"a camera cannot look at the point it stands on: {eye.tolist()}")
    z /= distance
    x = np.cross(z, [0.0, 0.0, 1.0])
    if np.linalg.norm(x) < 1e-9:
        x = np.array([1.0, 0.0, 0.0])
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    return pose(np.stack([c * x + s * y, c * y - s * x, z], axis=1), eye)
