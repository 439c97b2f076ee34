"""Colours against published values."""

import numpy as np
import pytest

from generators.colors import from_oklch, from_temperature, scaled


@pytest.mark.parametrize(
    ("oklch", "srgb"),
    [
        # The corners of sRGB in OKLCH, from the definition of CSS Color 4.
        ((0.62796, 0.25768, 29.234), (1, 0, 0)),
        ((0.86644, 0.29483, 142.495), (0, 1, 0)),
        ((0.45201, 0.31321, 264.052), (0, 0, 1)),
        ((1.0, 0.0, 0.0), (1, 1, 1)),
        ((0.0, 0.0, 0.0), (0, 0, 0)),
    ],
)
def test_corners_of_srgb(oklch: tuple[float, ...], srgb: tuple[int, ...]) -> None:
    np.testing.assert_allclose(from_oklch(*oklch), srgb, atol=2e-3)


def test_grey_of_middle_lightness() -> None:
    # L is the cube root of luminance for greys.
    np.testing.assert_allclose(from_oklch(0.5, 0.0, 123.0), 0.125, atol=1e-4)


def test_black_body_light() -> None:
    # The white of sRGB, D65, lies a little beside the black body of 6500 K.
    np.testing.assert_allclose(from_temperature(6500.0), 1.0, atol=0.06)
    red, green, blue = from_temperature(3000.0)
    assert red > green > blue > 0
    red, green, blue = from_temperature(10000.0)
    assert red < green < blue
    for kelvin in (1700.0, 2500.0, 4000.0, 6500.0, 12000.0, 25000.0):
        luminance = np.dot(from_temperature(kelvin), (0.2126, 0.7152, 0.0722))
        assert luminance == pytest.approx(1.0, abs=0.01)


def test_planckian_locus_where_the_fits_meet() -> None:
    for kelvin in (2222.0, 4000.0):
        below, above = from_temperature(kelvin - 1), from_temperature(kelvin + 1)
        np.testing.assert_allclose(below, above, atol=6e-3)


def test_scaled() -> None:
    assert scaled((0.1, 0.2, 0.4), 2.0) == (0.2, 0.4, 0.8)
