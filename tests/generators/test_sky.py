"""The daylight sky: Preetham's formulas at their known points, and what a picture of it gives."""

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.environment import directions, irradiance, irradiance_harmonics, lookup
from generators.sky import daylight, luminance_and_chromaticity

GREY = (0.2, 0.2, 0.2)


def sun(elevation_deg: float, azimuth_deg: float = 30.0) -> np.ndarray:
    e, a = np.radians([elevation_deg, azimuth_deg])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


@pytest.mark.parametrize(("turbidity", "elevation"), [(2.0, 60.0), (4.0, 25.0), (8.0, 80.0)])
def test_the_zenith_has_the_paper_s_values(turbidity: float, elevation: float) -> None:
    """Perez's distribution is scaled to the zenith, so there the polynomials must come out."""
    Y, x, y = luminance_and_chromaticity(np.array([[0, 0, 1.0]]), sun(elevation), turbidity)[0]
    T, s = turbidity, np.pi / 2 - np.radians(elevation)
    chi = (4 / 9 - T / 120) * (np.pi - 2 * s)
    assert pytest.approx((4.0453 * T - 4.9710) * np.tan(chi) - 0.2155 * T + 2.4192) == Y
    assert x == pytest.approx(
        T**2 * (0.00166 * s**3 - 0.00375 * s**2 + 0.00209 * s)
        + T * (-0.02903 * s**3 + 0.06377 * s**2 - 0.03202 * s + 0.00394)
        + (0.11693 * s**3 - 0.21196 * s**2 + 0.06052 * s + 0.25886)
    )
    assert 0.2 < x < 0.34
    assert 0.2 < y < 0.36


def test_a_level_surface_gets_one() -> None:
    picture = daylight(sun(40), turbidity=3, ground=GREY)
    coefficients = irradiance_harmonics(picture)
    assert irradiance(coefficients, np.array([0, 0, 1.0])).mean() == pytest.approx(1, abs=0.03)
    assert picture.shape == (64, 128, 3)
    assert picture.min() >= 0


def test_it_is_blue_and_brightest_around_the_sun() -> None:
    picture = daylight(sun(40), turbidity=2.5, ground=GREY)
    above = directions(64, 128)[..., 2] > 0.1
    brightness = np.where(above, picture.mean(axis=-1), 0)
    brightest = directions(64, 128)[np.unravel_index(brightness.argmax(), (64, 128))]
    assert np.degrees(np.arccos(brightest @ sun(40))) < 5
    away = lookup(picture, sun(50, 210))
    assert away[2] > 1.5 * away[0]
    # Haze takes the colour away.
    hazy = lookup(daylight(sun(40), turbidity=9, ground=GREY), sun(50, 210))
    assert hazy[2] / hazy[0] < away[2] / away[0]


def test_the_ground_gives_off_its_albedo_s_part() -> None:
    picture = daylight(sun(40), turbidity=3, ground=(0.3, 0.2, 0.1))
    np.testing.assert_allclose(picture[40:].reshape(-1, 3), [[0.3 / np.pi, 0.2 / np.pi, 0.1 / np.pi]] * (24 * 128), rtol=1e-6)  # fmt: skip # noqa: E501


def test_it_is_light_from_the_lowest_sun_to_the_highest() -> None:
    for elevation in (1.0, 10.0, 90.0):
        for turbidity in (2.0, 10.0):
            picture = daylight(sun(elevation), turbidity=turbidity, ground=GREY)
            assert np.isfinite(picture).all()
            assert picture[:32].mean(axis=(0, 1)).min() > 0.05


def test_the_sun_turns_the_sky() -> None:
    # A quarter turn of the sun about z moves the picture by a quarter of its columns.
    one = daylight(sun(40, 0), turbidity=3, ground=GREY)
    turned = daylight(sun(40, 90), turbidity=3, ground=GREY)
    np.testing.assert_allclose(np.roll(one, -32, axis=1), turned, atol=1e-5)


@pytest.mark.parametrize(("turbidity", "elevation"), [(1.5, 40.0), (11.0, 40.0), (3.0, 0.5), (float("nan"), 40.0)])  # fmt: skip # noqa: E501
def test_what_the_model_does_not_hold_is_refused(turbidity: float, elevation: float) -> None:
    with pytest.raises(ConfigError, match=r"turbidity must|degrees high"):
        daylight(sun(elevation), turbidity=turbidity, ground=GREY)
