"""Light on what a rasteriser saw: sun with soft shadows, sky with ambient occlusion, a backdrop.

Colours come in at the centres and at the corners of the pixels, so that edges are smooth; light is
worked out at the centres, from their depth. Linear RGB until the last step. Labels are never
touched.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt8

from envs.frames import inverse
from envs.stage.looks import Light
from generators.camera import Camera, look_at
from generators.environment import Dome

RGB = tuple[float, float, float]

GOLDEN_ANGLE_RAD = np.pi * (3 - np.sqrt(5))
"""Points on a spiral with this step cover a disc evenly (Vogel, Math. Biosciences 44, 1979)."""

SHADOW_TAPS = 12
OCCLUSION_TAPS = 12
OCCLUSION_RADIUS_M = 0.12
BACKDROP_M = (1.7, 4.5)
"""Horizontal distance from the focus at which the ground begins, and has ended, to turn into the
backdrop, as on the curved paper of a photographer's table."""

_SRGB_TO_LINEAR = np.array(
    [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.arange(256) / 255],
    np.float32,
)
_LINEAR_STEPS = np.linspace(0.0, 1.0, 4097)
_LINEAR_TO_SRGB = np.round(
    255
    * np.where(
        _LINEAR_STEPS <= 0.0031308,
        12.92 * _LINEAR_STEPS,
        1.055 * _LINEAR_STEPS ** (1 / 2.4) - 0.055,
    )
).astype(np.uint8)


@dataclass(frozen=True)
class Lighting:
    """One distant light, a sky above and the light that comes back from below; linear RGB.

    Attributes:
        direction_W: Unit vector towards the distant light.
        sun: What it adds to a white surface that faces it.
        sky: What a white surface gets from above.
        ground: What it gets from below.
        backdrop: What is seen where there is nothing.
        penumbra_m: Half the width of a shadow's soft edge, m.
        focus_W: The point around which shadows are drawn and the ground is seen, m.
        dome: What is all around, in place of sky, ground and backdrop; None for these. PyBullet's
            renderer leaves it out.
        lamps: The stage's, in place of the distant light, levelled; PyBullet's renderer takes the
            distant light all the same.
    """

    direction_W: Float[np.ndarray, "3"]
    sun: RGB
    sky: RGB
    ground: RGB
    backdrop: RGB
    penumbra_m: float
    focus_W: Float[np.ndarray, "3"]
    dome: Dome | None = None
    lamps: tuple[Light, ...] = ()


@dataclass(frozen=True)
class Surface:
    """What the rasteriser saw, from the camera and from the light.

    Attributes:
        albedo: sRGB colours at the pixel centres.
        body: Whose surface it is; −1 for none.
        depth_m: Along the optical axis; inf where there is nothing.
        cosine: Between normal and light, at least 0.
        corner_albedo: Colours at the corners of the pixels, half a pixel up and left of each.
        corner_body: Whose surface that is.
        shadow_camera: Stands where the light comes from.
        shadow_depth_m: The depth it sees.
    """

    albedo: UInt8[np.ndarray, "h w 3"]
    body: Int32[np.ndarray, "h w"]
    depth_m: Float32[np.ndarray, "h w"]
    cosine: Float32[np.ndarray, "h w"]
    corner_albedo: UInt8[np.ndarray, "h+1 w+1 3"]
    corner_body: Int32[np.ndarray, "h+1 w+1"]
    shadow_camera: Camera
    shadow_depth_m: Float32[np.ndarray, "s s"]


def shadow_camera(lighting: Lighting, *, radius_m: float, size: int) -> Camera:
    """Return the square camera from which the light sees all within a radius of its focus."""
    distance = 5 * radius_m
    return Camera.with_view(
        look_at(lighting.focus_W + distance * lighting.direction_W, lighting.focus_W),
        2 * float(np.arcsin(radius_m / distance)),
        (size, size),
        near_m=distance - 2 * radius_m,
        far_m=distance + 3 * radius_m,
    )


def shade(surface: Surface, camera: Camera, lighting: Lighting) -> UInt8[np.ndarray, "h w 3"]:
    """Return the sRGB picture."""
    seen = np.isfinite(surface.depth_m)
    depth = np.where(seen, surface.depth_m, np.float32(camera.far_m))
    eye_W, focus_W = camera.X_WC[:3, 3].astype(np.float32), lighting.focus_W.astype(np.float32)
    p_W = camera.rays().astype(np.float32) * depth[..., None] + eye_W
    n_W = _normals(p_W, depth)
    sunlit = surface.cosine * _unshadowed(surface, p_W, lighting.penumbra_m)
    up = _exposed(p_W, n_W, depth, camera.fx)
    down = up * (0.5 - 0.5 * n_W[..., 2])
    up -= down
    distance = np.linalg.norm(p_W[..., :2] - focus_W[:2], axis=-1)
    fade = np.clip((distance - BACKDROP_M[0]) / (BACKDROP_M[1] - BACKDROP_M[0]), 0, 1)
    fade[~seen] = 1.0

    sun, sky, ground, backdrop = np.array(
        [lighting.sun, lighting.sky, lighting.ground, lighting.backdrop], np.float32
    )
    light = sunlit[..., None] * sun + up[..., None] * sky + down[..., None] * ground
    light *= (1 - fade)[..., None]
    picture = cv2.LUT(surface.albedo, _SRGB_TO_LINEAR) * light + fade[..., None] * backdrop
    corners = cv2.LUT(surface.corner_albedo, _SRGB_TO_LINEAR)
    near = _nearest_centres(surface.body, surface.corner_body)
    corners *= light.reshape(-1, 3)[near]
    corners += fade.ravel()[near][..., None] * backdrop
    # Half the centre, and an eighth of each corner.
    around = corners[1:] + corners[:-1]
    picture = 0.5 * picture + 0.125 * (around[:, 1:] + around[:, :-1])
    return _develop(picture)


def _normals(
    p_W: Float32[np.ndarray, "h w 3"], depth: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Return the normals of the seen surface, from differences to the nearer neighbour in depth."""
    slopes = []
    for axis in (0, 1):
        step, jump = np.diff(p_W, axis=axis), np.abs(np.diff(depth, axis=axis))
        ends = [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)]
        before = np.pad(step, [*ends, (0, 0)], mode="edge")
        after = np.pad(step, [*(e[::-1] for e in ends), (0, 0)], mode="edge")
        jump_before = np.pad(jump, ends, constant_values=np.inf)
        jump_after = np.pad(jump, [e[::-1] for e in ends], constant_values=np.inf)
        slopes.append(np.where((jump_after < jump_before)[..., None], after, before))
    (ax, ay, az), (bx, by, bz) = (np.moveaxis(s, -1, 0) for s in slopes)
    normals = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    normals /= np.sqrt((normals * normals).sum(axis=-1, keepdims=True)) + np.float32(1e-20)
    return normals


def _unshadowed(
    surface: Surface, p_W: Float32[np.ndarray, "h w 3"], penumbra_m: float
) -> Float32[np.ndarray, "h w"]:
    """Return which part of the light arrives, by percentage-closer filtering of its depth.

    Reeves, Salesin and Cook, Rendering antialiased shadows with depth maps, SIGGRAPH 1987.
    """
    light = surface.shadow_camera
    X_LW = inverse(light.X_WC).astype(np.float32)
    q = p_W @ X_LW[:3, :3].T + X_LW[:3, 3]
    ahead = np.maximum(q[..., 2], np.float32(light.near_m))  # what lies behind has no picture
    u = np.float32(light.fx) * q[..., 0] / ahead + np.float32(light.cx)
    v = np.float32(light.fy) * q[..., 1] / ahead + np.float32(light.cy)
    # A tap lies beside its pixel: on a slope the surface itself must not shade it.
    texel_m = q[..., 2].mean() / light.fx
    slope = np.sqrt(1 - np.minimum(surface.cosine, 1) ** 2) / np.maximum(surface.cosine, 0.15)
    nearest = q[..., 2] - np.float32(0.002) - np.float32(penumbra_m + texel_m) * slope
    arrived: Float32[np.ndarray, "h w"] = np.zeros(u.shape, np.float32)
    for dx, dy in _disc(SHADOW_TAPS) * (penumbra_m / texel_m):
        depth = cv2.remap(
            surface.shadow_depth_m,
            u + np.float32(dx),
            v + np.float32(dy),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=np.inf,
        )
        arrived += depth > nearest
    return arrived / np.float32(SHADOW_TAPS)


def _exposed(
    p_W: Float32[np.ndarray, "h w 3"],
    n_W: Float32[np.ndarray, "h w 3"],
    depth: Float32[np.ndarray, "h w"],
    fx: float,
) -> Float32[np.ndarray, "h w"]:
    """Return how open each point is to the sky: screen-space ambient occlusion at half size.

    After McGuire et al., The Alchemy screen-space ambient obscurance algorithm, HPG 2011.
    """
    p, n, z = (np.ascontiguousarray(a[::2, ::2]) for a in (p_W, n_W, depth))
    row, column = (a.astype(np.float32) for a in np.indices(z.shape))
    # The disc is turned from pixel to pixel, in a pattern that the blur below averages away.
    turn = np.float32(2 * np.pi / 16) * (column % 4 * 4 + row % 4)
    cos, sin = np.cos(turn), np.sin(turn)
    radius = np.float32(fx / 2 * OCCLUSION_RADIUS_M) / z
    hidden = np.zeros_like(z)
    for dx, dy in _disc(OCCLUSION_TAPS).astype(np.float32):
        across, along = radius * (cos * dx - sin * dy), radius * (sin * dx + cos * dy)
        to = cv2.remap(
            p, column + across, row + along, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        to -= p
        square = (to * to).sum(axis=-1) + np.float32(1e-6)
        rise = (to * n).sum(axis=-1) / np.sqrt(square)
        reach = np.maximum(1 - square / np.float32(2.5 * OCCLUSION_RADIUS_M**2), 0)
        hidden += np.maximum(rise - np.float32(0.08), 0) * reach
    hidden = cv2.blur(hidden, (4, 4))
    exposed = np.clip(1 - np.float32(2.2 / OCCLUSION_TAPS) * hidden, 0, 1)
    height, width = depth.shape
    wide: Float32[np.ndarray, "h w"] = cv2.resize(
        exposed, (width, height), interpolation=cv2.INTER_LINEAR
    )
    return wide


def _disc(count: int) -> Float[np.ndarray, "count 2"]:
    """Return points that cover the unit disc evenly."""
    k = np.arange(count)
    radius, angle = np.sqrt((k + 0.5) / count), k * GOLDEN_ANGLE_RAD
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _nearest_centres(
    body: Int32[np.ndarray, "h w"], corner_body: Int32[np.ndarray, "h+1 w+1"]
) -> Int[np.ndarray, "h+1 w+1"]:
    """Return for each corner the flat index of a centre beside it that shows the same body.

    Where none of the four does, it is one of them all the same.
    """
    height, width = body.shape
    row, column = np.arange(height + 1), np.arange(width + 1)
    best = np.zeros(corner_body.shape, int)
    for dy in (0, -1):
        for dx in (0, -1):
            y = np.clip(row + dy, 0, height - 1)[:, None]
            x = np.clip(column + dx, 0, width - 1)
            same = (body[y, x] == corner_body) | (dy == dx == 0)
            best = np.where(same, y * width + x, best)
    return best


def _develop(linear: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return sRGB bytes; above 0.6 the light is compressed, so that it never burns out."""
    knee = np.float32(0.6)
    over = np.maximum(linear - knee, 0) / (1 - knee)
    soft = np.minimum(linear, knee) + (1 - knee) * (1 - np.exp(-over))
    step = np.rint(soft * (len(_LINEAR_TO_SRGB) - 1)).astype(np.int32)
    picture: UInt8[np.ndarray, "h w 3"] = _LINEAR_TO_SRGB[step]
    return picture
