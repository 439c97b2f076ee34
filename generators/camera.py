"""A camera. The centre of the top-left pixel is (0, 0), so cx = (width − 1)/2 is centred.

The optical frame C has x to the right, y down and z forward. Depth is the coordinate z, in metres.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from envs.errors import ConfigError
from envs.frames import Pose, inverse, pose
from envs.stage.looks import StageCamera
from generators.distortion import NONE, Distortion

ASPECT_TOLERANCE = 0.01
"""Apertures of a stage's camera that have the picture's aspect to this, are those of its pixels."""


@dataclass(frozen=True)
class Lens:
    """What a calibration finds: focal lengths and principal point in pixels, and distortion."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Distortion = NONE


@dataclass(frozen=True)
class Camera:
    """Where a camera stands and how it projects.

    Attributes:
        fx: Focal length in pixels, along a row; fy along a column.
        cx: Column of the optical axis, cy its row.
        X_WC: Optical frame in the world.
        near_m: Nothing nearer than this is seen.
        far_m: Nothing farther than this is seen.
        distortion: Of the lens; each pixel of the picture must be one that it shows.
        shift_px: How far right and down everything is moved before the lens distorts it, as if
            shift_px / (fx, fy) were added to all x/z and y/z; off the middle of a lens's opening.
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
    distortion: Distortion = NONE
    shift_px: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse an image without pixels, planes the wrong way round, a lens that folds it over."""
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"an image must have pixels, not {self.width}×{self.height}")
        if not (self.fx > 0 and self.fy > 0 and 0 < self.near_m < self.far_m < np.inf):
            raise ConfigError(
                f"a camera needs focal lengths > 0 and 0 < near < far, not fx {self.fx}, "
                f"fy {self.fy}, near {self.near_m} m, far {self.far_m} m"
            )
        if self.distortion.present:
            check_border(self.lens, self.width, self.height)

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
    def from_stage(
        camera: StageCamera, size: tuple[int, int], lens: Lens | None = None
    ) -> "Camera":
        """Return a camera of the stage at the given (width, height).

        The horizontal aperture spans the width. Pixels are square, unless both apertures together
        have the picture's aspect but for what a calibration could find.

        Args:
            camera: Where it stands, and its lens.
            size: Of the picture.
            lens: What a calibration found, in place of the stage's lens.
        """
        width, height = size
        if lens is None:
            (across, down), (right, up) = camera.aperture_m, camera.aperture_offset_m
            fx = fy = camera.focal_m * width / across
            if abs(across / down * height / width - 1) < ASPECT_TOLERANCE:
                fy = camera.focal_m * height / down
            # An offset moves the window that is seen: up and right, so the axis goes down and left.
            cx = (width - 1) / 2 - fx * right / camera.focal_m
            cy = (height - 1) / 2 + fy * up / camera.focal_m
            lens = Lens(fx, fy, cx, cy)
        return Camera(
            lens.fx,
            lens.fy,
            lens.cx,
            lens.cy,
            width,
            height,
            camera.X_WC,
            camera.near_m,
            camera.far_m,
            lens.distortion,
        )

    @property
    def intrinsics(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy) of what the lens distorts, with the shift in cx and cy."""
        right, down = self.shift_px
        return self.fx, self.fy, self.cx + right, self.cy + down

    @property
    def lens(self) -> Lens:
        """Its calibration."""
        return Lens(self.fx, self.fy, self.cx, self.cy, self.distortion)

    @property
    def _shear(self) -> Float[np.ndarray, "2"]:
        """What is added to slopes before the lens distorts them."""
        return np.array(self.shift_px) / [self.fx, self.fy]

    def project(
        self, p_W: Float[np.ndarray, "*n 3"]
    ) -> tuple[Float[np.ndarray, "*n 2"], Float[np.ndarray, "*n"]]:
        """Return the pixel coordinates (column, row) and the depths (m) of points in the world.

        A point with depth ≤ 0 lies behind the camera; its pixel means nothing. A point so far off
        the axis that the distortion's model does not hold there has the pixel NaN.
        """
        X_CW = inverse(self.X_WC)
        p_C = np.asarray(p_W) @ X_CW[:3, :3].T + X_CW[:3, 3]
        z = p_C[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            xy = p_C[..., :2] / z[..., None]
        return self.seen_at(xy), z

    def seen_at(self, slopes: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Return the pixel coordinates of directions x/z, y/z in the optical frame.

        NaN where the distortion's model does not hold.
        """
        xy = slopes + self._shear
        if self.distortion.present:
            xy = self.distortion.distort(xy)
        uv: Float[np.ndarray, "*n 2"] = xy * [self.fx, self.fy] + [self.cx, self.cy]
        return uv

    def slopes_at(self, uv: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Return x/z and y/z, in the optical frame, of what is seen at pixels (column, row).

        NaN for a pixel, outside of the picture, that the distortion's model never shows.
        """
        slopes: Float[np.ndarray, "*n 2"] = undistorted(self.lens, uv) - self._shear
        return slopes

    def unproject(
        self, uv: Float[np.ndarray, "*n 2"], depth_m: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 3"]:
        """Return the points in the world that are seen at pixels (column, row) and depths.

        NaN for a pixel, outside of the picture, that the distortion's model never shows.
        """
        xy = self.slopes_at(uv)
        p_C = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
        p_C = p_C * np.asarray(depth_m)[..., None]
        p_W: Float[np.ndarray, "*n 3"] = p_C @ self.X_WC[:3, :3].T + self.X_WC[:3, 3]
        return p_W

    def slopes(self) -> Float[np.ndarray, "h w 2"]:
        """Return x/z and y/z, in the optical frame, of what is seen at each pixel's centre."""
        seen = lens_slopes(self.lens, self.width, self.height)
        return seen - self._shear if any(self.shift_px) else seen

    def rays(self) -> Float[np.ndarray, "h w 3"]:
        """Return for each pixel the direction in the world along which depth grows by one."""
        slopes, R_WC = self.slopes(), self.X_WC[:3, :3]
        x, y = slopes[..., :1], slopes[..., 1:]
        directions: Float[np.ndarray, "h w 3"] = x * R_WC[:, 0] + y * R_WC[:, 1] + R_WC[:, 2]
        return directions


def undistorted(lens: Lens, uv: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    """Return x/z and y/z of what a lens without a shift shows at pixels (column, row)."""
    xy: Float[np.ndarray, "*n 2"] = (np.asarray(uv) - [lens.cx, lens.cy]) / [lens.fx, lens.fy]
    return lens.distortion.undistort(xy) if lens.distortion.present else xy


@lru_cache(maxsize=2)
def lens_slopes(lens: Lens, width: int, height: int) -> Float[np.ndarray, "h w 2"]:
    """Return what `undistorted` does at each pixel's centre of a picture."""
    slopes = np.empty((height, width, 2))
    slopes[..., 0] = (np.arange(width) - lens.cx) / lens.fx
    slopes[..., 1] = ((np.arange(height) - lens.cy) / lens.fy)[:, None]
    if lens.distortion.present:
        slopes = lens.distortion.undistort(slopes)
    slopes.flags.writeable = False
    return slopes


def border(width: int, height: int) -> Float[np.ndarray, "n 2"]:
    """Return the pixels' corners along the edge of a picture: top, bottom, left, right."""
    u, v = np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5
    rows = [np.stack([u, np.full_like(u, edge)], axis=1) for edge in (v[0], v[-1])]
    columns = [np.stack([np.full_like(v, edge), v], axis=1) for edge in (u[0], u[-1])]
    return np.concatenate(rows + columns)


@lru_cache(maxsize=8)
def check_border(lens: Lens, width: int, height: int) -> None:
    """Refuse a lens whose model does not reach the edge; what is inside it then reaches too."""
    edge = border(width, height)
    lost = np.isnan(undistorted(lens, edge)).any(axis=1)
    if lost.any():
        u, v = edge[lost][0]
        raise ConfigError(
            f"the distortion {list(lens.distortion.coefficients)} folds the picture over: it shows "
            f"nothing at pixel ({u:g}, {v:g}) of {width}×{height}; it holds up to "
            f"{np.degrees(np.arctan(lens.distortion.valid_radius)):.1f} degrees off the axis"
        )


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
