"""What a structured-light depth camera measures, in place of the exact depth.

C. V. Nguyen, S. Izadi and D. Lovell, Modeling Kinect sensor noise for improved 3D reconstruction
and tracking, 3DIMPVT 2012: axial noise grows with the square of the distance and towards grazing
angles, lateral noise moves edges by about a pixel, and beyond an angle nothing comes back.
K. Khoshelham and S. O. Elberink, Accuracy and resolution of Kinect depth data for indoor mapping
applications, Sensors 12, 2012: depth comes in steps of disparity, 2.85e-3·z² m.
"""

import numpy as np
from jaxtyping import Float, Float32

from envs.errors import ConfigError
from generators.renderer import Frame

DISPARITY_STEP_PER_M = 2.85e-3
"""Of 1/z, between two neighbouring disparities."""

NEAREST_M, FARTHEST_M = 0.4, 5.0
"""Where a Kinect measures."""

GRAZING_RAD = np.radians(80.0)
"""The model was fitted up to here; what is seen more aslant is not measured."""


def axial_noise_m(
    z_m: Float[np.ndarray, "*n"], angle_rad: Float[np.ndarray, "*n"]
) -> Float[np.ndarray, "*n"]:
    """Return the standard deviation of a depth, m; the angle is between ray and normal.

    Nguyen et al., equation 5; below 10 degrees the angle's part is 0, as there equation 4 holds.
    """
    aslant = np.where(angle_rad > np.radians(10), angle_rad, 0.0)
    bent = 0.0001 / np.sqrt(z_m) * aslant**2 / (np.pi / 2 - aslant) ** 2
    deviation: Float[np.ndarray, "*n"] = 0.0012 + 0.0019 * (z_m - 0.4) ** 2 + bent
    return deviation


def lateral_noise_px(angle_rad: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return the standard deviation of where a depth is taken from, in pixels (equation 2)."""
    deviation: Float[np.ndarray, "*n"] = 0.8 + 0.035 * angle_rad / (np.pi / 2 - angle_rad)
    return deviation


def measured_depth(frame: Frame, rng: np.random.Generator) -> Float32[np.ndarray, "h w"]:
    """Return depth along the axis as it is measured, m; inf where nothing is.

    Lateral noise takes depth from another pixel where that one shows another part; on one and the
    same part, what it does is in the axial noise, which was measured with it.

    Args:
        frame: The exact picture; it is not changed.
        rng: Noise is drawn from it.

    Raises:
        ConfigError: The renderer does not know normals.
    """
    if frame.normal_W is None:
        raise ConfigError("a depth sensor's noise needs normals, which this renderer does not give")
    rays = frame.camera.rays()
    cosine = np.abs((rays * frame.normal_W).sum(axis=-1)) / np.linalg.norm(rays, axis=-1)
    angle = np.minimum(np.arccos(np.clip(cosine, 0.0, 1.0)), GRAZING_RAD)
    height, width = frame.depth_m.shape
    lateral = lateral_noise_px(angle)
    row, column = np.indices((height, width))
    u = np.rint(column + lateral * rng.standard_normal((height, width))).astype(int)
    v = np.rint(row + lateral * rng.standard_normal((height, width))).astype(int)
    noise = rng.standard_normal((height, width))
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    here = frame.part_id[v, u] == frame.part_id
    z = np.where(here, frame.depth_m, frame.depth_m[v, u]).astype(float)
    seen = np.isfinite(z) & (angle < GRAZING_RAD)
    z = np.where(seen, z, FARTHEST_M)
    z = np.maximum(z + axial_noise_m(z, angle) * noise, NEAREST_M / 2)
    steps = np.rint(1 / z / DISPARITY_STEP_PER_M)
    z = 1 / (steps * DISPARITY_STEP_PER_M)
    measured = seen & (z >= NEAREST_M) & (z <= FARTHEST_M)
    return np.where(measured, z, np.inf).astype(np.float32)
