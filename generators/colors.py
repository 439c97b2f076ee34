"""Colours as a person names them, and the colour of light, in linear RGB."""

import numpy as np

RGB = tuple[float, float, float]


def from_oklch(lightness: float, chroma: float, hue_deg: float) -> RGB:
    """Return the linear RGB of a colour in OKLCH, clipped to what a screen can show.

    Equal steps look equally large (Ottosson, A perceptual color space for image processing, 2020).

    Args:
        lightness: 0 is black, 1 is white.
        chroma: 0 is grey, 0.1 calm, 0.2 vivid.
        hue_deg: 30 is red, 90 yellow, 145 green, 260 blue.
    """
    hue = np.radians(hue_deg)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    rgb = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (float(np.clip(c, 0.0, 1.0)) for c in rgb)
    return red, green, blue


def from_temperature(kelvin: float) -> RGB:
    """Return the linear RGB of a black body's light, 1667–25 000 K, with a luminance of 1.

    The chromaticity is the cubic fit of Kim et al. (US patent 7,024,034, 2006); the white of 6500 K
    is nearly (1, 1, 1).
    """
    t = 1e3 / float(np.clip(kelvin, 1667.0, 25000.0))
    if t > 0.25:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if t > 1 / 2.222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif t > 0.25:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    X, Z = x / y, (1 - x - y) / y
    # XYZ to linear sRGB, IEC 61966-2-1.
    red = 3.2406 * X - 1.5372 - 0.4986 * Z
    green = -0.9689 * X + 1.8758 + 0.0415 * Z
    blue = 0.0557 * X - 0.2040 + 1.0570 * Z
    return max(red, 0.0), max(green, 0.0), max(blue, 0.0)


def scaled(color: RGB, factor: float) -> RGB:
    """Return a colour made brighter or darker."""
    red, green, blue = color
    return red * factor, green * factor, blue * factor
