"""The sensor against the moments that its noise must have, and each of its stages by itself."""

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.distributions import Uniform
from generators.optics import Sensor, SensorRanges
from generators.sensor import CONVERTER_BITS, _read_out, falloff, sensed
from generators.srgb import to_linear

CENTRE = (31.5, 23.5)


def grey(value: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("signal", [0.05, 0.2, 0.6])
def test_mean_and_variance_follow_the_photon_transfer_curve(signal: float) -> None:
    """Var = signal/full well + (read/full well)² + step²/12, in units of white."""
    sensor = Sensor(full_well_e=4000, read_noise_e=12)
    light = np.full((400, 400, 3), signal, np.float32)
    measured = _read_out(light, sensor, rng()).astype(float)
    count = measured.size
    step = 1 / (2**CONVERTER_BITS - 1)
    variance = signal / 4000 + (12 / 4000) ** 2 + step**2 / 12
    # Four standard errors of a mean and of a variance of 480 000 samples.
    assert measured.mean() == pytest.approx(signal, abs=4 * np.sqrt(variance / count))
    assert measured.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / count))
    # Pixels and channels know nothing of each other.
    rows = measured.reshape(400, -1) - signal
    neighbours = (rows[:, 3:] * rows[:, :-3]).mean() / variance
    channels = ((measured[..., 0] - signal) * (measured[..., 1] - signal)).mean() / variance
    assert abs(neighbours) < 4 / np.sqrt(count)
    assert abs(channels) < 4 / np.sqrt(count / 3)


def test_an_ideal_sensor_changes_nothing_but_by_a_step() -> None:
    picture = rng(1).integers(60, 256, (48, 64, 3)).astype(np.uint8)
    seen = sensed(picture, Sensor(full_well_e=1e9), rng(), axis=CENTRE)
    assert np.abs(seen.astype(int) - picture).max() <= 1


def test_equal_streams_give_equal_pictures() -> None:
    sensor = Sensor(8000, 4, 0.6, 0.2, (1.05, 1.0, 0.95), 80)
    picture = rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    first, again, other = (sensed(picture, sensor, rng(s), axis=CENTRE) for s in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert picture.flags.writeable
    np.testing.assert_array_equal(picture, rng(1).integers(0, 256, (48, 64, 3)))


def test_vignetting_takes_its_share_at_the_farthest_corner() -> None:
    arrived = falloff((48, 64), 0.4, (20.0, 10.0))
    assert arrived[10, 20] == 1
    assert arrived[47, 63] == pytest.approx(0.6)
    # Half as far from the axis a quarter of it is lost.
    assert falloff((3, 5), 0.4, (0.0, 1.0))[1, 2] == pytest.approx(1 - 0.4 * 4 / 17)
    seen = sensed(grey(200), Sensor(1e9, vignetting=0.4), rng(), axis=CENTRE)
    lost = to_linear(seen)[0, 0, 0] / to_linear(grey(200))[0, 0, 0]
    assert lost == pytest.approx(0.6, abs=0.01)


def test_white_balance_scales_red_and_blue_in_linear_light() -> None:
    seen = sensed(grey(150), Sensor(1e9, gains=(1.2, 1.0, 0.8)), rng(), axis=CENTRE)
    ratio = to_linear(seen).mean(axis=(0, 1)) / to_linear(grey(150))[0, 0]
    np.testing.assert_allclose(ratio, (1.2, 1.0, 0.8), atol=0.01)


def test_blur_spreads_a_point_as_its_deviation_says_and_keeps_its_light() -> None:
    picture = grey(0, (41, 41))
    picture[20, 20] = 255
    # Bright enough to be seen after sRGB: a wide spread is measured on the light itself.
    seen = to_linear(sensed(picture, Sensor(1e9, blur_px=1.5), rng(), axis=(20, 20)))[..., 1]
    assert seen.sum() == pytest.approx(1, abs=0.02)
    x = np.arange(41) - 20
    spread = np.sqrt((seen.sum(axis=0) * x**2).sum() / seen.sum())
    assert spread == pytest.approx(1.5, abs=0.05)


def test_jpeg_is_worse_the_lower_its_quality() -> None:
    picture = rng(2).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    error = [
        np.abs(sensed(picture, Sensor(1e9, jpeg_quality=q), rng(), axis=CENTRE) - 1.0 * picture)
        for q in (95, 60, 20)
    ]
    assert error[0].mean() < error[1].mean() < error[2].mean()


def test_a_sensor_is_drawn_within_its_ranges() -> None:
    ranges = SensorRanges(
        Uniform(5000, 9000), Uniform(2, 4), Uniform(0, 0.5), Uniform(0, 0.3), Uniform(-0.1, 0.1),
        Uniform(60, 90),
    )  # fmt: skip
    drawn = [ranges.draw(rng(seed)) for seed in range(20)]
    assert len({sensor.full_well_e for sensor in drawn}) == 20
    assert all(5000 <= s.full_well_e <= 9000 and 60 <= s.jpeg_quality <= 90 for s in drawn)
    assert all(0.9 <= g <= 1.1 for s in drawn for g in s.gains)
    assert drawn[0].gains[0] != drawn[0].gains[2]


@pytest.mark.parametrize(
    "wrong",
    [
        (0.0, 0.0, 0.0, 0.0),
        (5e3, 0.0, 0.0, 1.5),
        (5e3, float("nan"), 0.0, 0.0),
        (5e3, 0.0, -1.0, 0.0),
    ],
)
def test_a_sensor_that_cannot_be_is_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigError, match="a sensor needs"):
        Sensor(*wrong)
