"""Streams of random numbers that stay what they are, and what is drawn from them."""

import subprocess
import sys

import numpy as np
import pytest

from envs.errors import ConfigError
from generators.distributions import Choice, Normal, Uniform, stream
from tests.generators.small_table import ROOT

GOLDEN_CAMERA = [0.6293407803722421, 0.845433961453297, 0.43496450253764996]
GOLDEN_LIGHT = [0.11572160210767801, 0.40997455204430666, 0.521193912120707]


def test_streams_are_the_same_for_ever() -> None:
    # Golden: a change of these numbers changes every data set that was ever made.
    golden = {
        (0, 0, "camera"): GOLDEN_CAMERA,
        (7, 3, "light"): GOLDEN_LIGHT,
    }
    for (seed, index, axis), expected in golden.items():
        np.testing.assert_array_equal(stream(seed, index, axis).random(3), expected)


def test_streams_do_not_depend_on_the_process() -> None:
    code = "from generators.distributions import stream as s; print(s(7, 3, 'light').random(3))"
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == str(np.array(GOLDEN_LIGHT))


def test_streams_of_other_seeds_frames_and_axes_are_others() -> None:
    keys = [(s, i, a) for s in (0, 1) for i in (0, 1, 2) for a in ("camera", "light", "paint")]
    first = {stream(*key).integers(2**63) for key in keys}
    assert len(first) == len(keys)
    # Correlation of 1000 numbers is 0 ± 0.03; six of those are hardly ever exceeded.
    a, b = stream(0, 0, "camera").random(1000), stream(0, 1, "camera").random(1000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.2


def test_samples_have_the_mean_and_spread_they_should() -> None:
    rng = stream(1, 0, "test")
    n = 4000
    uniform = np.array([Uniform(2.0, 5.0).sample(rng) for _ in range(n)])
    assert uniform.min() >= 2
    assert uniform.max() <= 5
    # Five standard errors each.
    assert abs(uniform.mean() - 3.5) < 5 * np.sqrt(9 / 12 / n)
    normal = np.array([Normal(1.0, 0.2).sample(rng) for _ in range(n)])
    assert abs(normal.mean() - 1.0) < 5 * 0.2 / np.sqrt(n)
    assert abs(normal.std() - 0.2) < 5 * 0.2 / np.sqrt(2 * n)
    choice = np.array([Choice((1.0, 2.0, 4.0), (1.0, 0.0, 3.0)).sample(rng) for _ in range(n)])
    assert set(choice) == {1.0, 4.0}
    assert abs((choice == 4).mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / n)
    assert Uniform(3.0, 3.0).sample(rng) == 3.0


def test_what_is_no_distribution_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"from low to high, not \[2\.0, 1\.0\]"):
        Uniform(2.0, 1.0)
    with pytest.raises(ConfigError, match="from low to high"):
        Uniform(0.0, np.inf)
    with pytest.raises(ConfigError, match="std ≥ 0"):
        Normal(0.0, -1.0)
    with pytest.raises(ConfigError, match="as many weights as values"):
        Choice((1.0, 2.0), (1.0,))
    with pytest.raises(ConfigError, match="nor all zero"):
        Choice((1.0, 2.0), (0.0, 0.0))
    with pytest.raises(ConfigError, match="must not be negative, not -1 and 0"):
        stream(-1, 0, "camera")
