"""A clear or hazy sky by day, after Preetham, Shirley and Smits.

A. J. Preetham, P. Shirley and B. Smits, A practical analytic model for daylight, SIGGRAPH 1999: the
distribution of luminance and chromaticity over the sky is Perez's formula, whose coefficients are
linear in turbidity (appendix A.2); its values at the zenith are polynomials.
"""

import numpy as np
from jaxtyping import Float

from envs.errors import ConfigError
from generators.environment import Radiance, directions, solid_angles

TURBIDITY = (2.0, 10.0)
"""From clear to hazy: where the model was fitted."""

ELEVATION_RAD = (np.radians(1.0), np.pi / 2)
"""Of the sun; the model is one of the day."""

# Rows A to E of Perez's formula for luminance Y and chromaticities x and y: slope in turbidity,
# and value at 0 (appendix A.2).
_PEREZ = np.array(
    [
        [(0.1787, -1.4630), (-0.0193, -0.2592), (-0.0167, -0.2608)],
        [(-0.3554, 0.4275), (-0.0665, 0.0008), (-0.0950, 0.0092)],
        [(-0.0227, 5.3251), (-0.0004, 0.2125), (-0.0079, 0.2102)],
        [(0.1206, -2.5771), (-0.0641, -0.8989), (-0.0441, -1.6537)],
        [(-0.0670, 0.3703), (-0.0033, 0.0452), (-0.0109, 0.0529)],
    ]
)

# Chromaticity at the zenith: powers 3 to 0 of the sun's angle from it, for turbidity squared, to
# the first, and to the zeroth power (appendix A.2).
_ZENITH_X = np.array(
    [
        [0.00166, -0.00375, 0.00209, 0.0],
        [-0.02903, 0.06377, -0.03202, 0.00394],
        [0.11693, -0.21196, 0.06052, 0.25886],
    ]
)
_ZENITH_Y = np.array(
    [
        [0.00275, -0.00610, 0.00317, 0.0],
        [-0.04214, 0.08970, -0.04153, 0.00516],
        [0.15346, -0.26756, 0.06670, 0.26688],
    ]
)

# XYZ to linear sRGB, IEC 61966-2-1.
_RGB_FROM_XYZ = np.array(
    [
        [3.2406, -1.5372, -0.4986],
        [-0.9689, 1.8758, 0.0415],
        [0.0557, -0.2040, 1.0570],
    ]
)


def daylight(
    sun_W: Float[np.ndarray, "3"],
    *,
    turbidity: float,
    ground: tuple[float, float, float],
    rows: int = 64,
) -> Radiance:
    """Return a sky without its sun, as an equirectangular picture twice as wide as high.

    It is scaled so that a level surface gets the irradiance 1 (its mean over RGB); the sun is a
    light of its own.

    Args:
        sun_W: Unit vector to the sun, which stands above the horizon.
        turbidity: 2 for clear, 10 for hazy air.
        ground: What the lower half gives off, times the irradiance over π: its albedo.
        rows: Of the picture.

    Raises:
        ConfigError: The turbidity or the sun's height is beyond the model.
    """
    elevation = float(np.arcsin(np.clip(sun_W[2], -1, 1)))
    if not TURBIDITY[0] <= turbidity <= TURBIDITY[1]:
        raise ConfigError(f"turbidity must lie in {TURBIDITY[0]}..{TURBIDITY[1]}, not {turbidity}")
    # A unit vector's z is known to 1e-8 near the zenith.
    if not ELEVATION_RAD[0] - 1e-6 <= elevation <= ELEVATION_RAD[1]:
        raise ConfigError(f"a daylight sun stands 1..90 degrees high, not {np.degrees(elevation)}")
    d = directions(rows, 2 * rows)
    above = d[..., 2] > 0
    rgb = _rgb(luminance_and_chromaticity(d[above], np.asarray(sun_W, float), turbidity))
    picture = np.zeros(d.shape)
    picture[above] = np.maximum(rgb, 0.0)
    level = (picture * (d[..., 2:] * solid_angles(rows, 2 * rows)[..., None])).sum(axis=(0, 1))
    picture /= level.mean()
    picture[~above] = np.array(ground) / np.pi
    return np.asarray(picture, np.float32)


def luminance_and_chromaticity(
    d: Float[np.ndarray, "n 3"], sun: Float[np.ndarray, "3"], turbidity: float
) -> Float[np.ndarray, "n 3"]:
    """Return luminance (kcd/m²) and the chromaticities x, y of the sky in directions above it."""
    s = float(np.arccos(np.clip(sun[2], -1, 1)))
    coefficients = _PEREZ @ [turbidity, 1.0]
    zenith = np.array([_zenith_luminance(s, turbidity), *_zenith_chromaticity(s, turbidity)])
    up = np.maximum(d[:, 2], 1e-3)
    towards = np.clip(d @ sun, -1, 1)
    F = _perez(coefficients, up[:, None], np.arccos(towards)[:, None])
    values: Float[np.ndarray, "n 3"] = zenith * F / _perez(coefficients, np.ones(1), np.array([s]))
    return values


def _perez(
    coefficients: Float[np.ndarray, "5 3"],
    cos_zenith: Float[np.ndarray, "*n 1"],
    from_sun_rad: Float[np.ndarray, "*n 1"],
) -> Float[np.ndarray, "*n 3"]:
    """Return Perez's distribution (equation 3 of Preetham et al.)."""
    A, B, C, D, E = coefficients
    gradient = 1 + A * np.exp(B / cos_zenith)
    glow = 1 + C * np.exp(D * from_sun_rad) + E * np.cos(from_sun_rad) ** 2
    distribution: Float[np.ndarray, "*n 3"] = gradient * glow
    return distribution


def _zenith_luminance(sun_rad: float, turbidity: float) -> float:
    """Return the luminance of the zenith, kcd/m²; the angle is the sun's from the zenith."""
    chi = (4 / 9 - turbidity / 120) * (np.pi - 2 * sun_rad)
    return float((4.0453 * turbidity - 4.9710) * np.tan(chi) - 0.2155 * turbidity + 2.4192)


def _zenith_chromaticity(sun_rad: float, turbidity: float) -> tuple[float, float]:
    powers_t, powers_s = turbidity ** np.arange(2.0, -1, -1), sun_rad ** np.arange(3.0, -1, -1)
    return float(powers_t @ _ZENITH_X @ powers_s), float(powers_t @ _ZENITH_Y @ powers_s)


def _rgb(Yxy: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return linear sRGB, as bright as the luminance."""
    Y, x, y = Yxy.T
    XYZ = np.stack([x / y * Y, Y, (1 - x - y) / y * Y], axis=1)
    rgb: Float[np.ndarray, "n 3"] = XYZ @ _RGB_FROM_XYZ.T
    return rgb
