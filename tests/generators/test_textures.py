"""Surface images: without a seam, light, the same for equal seeds."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from generators.textures import COARSE, COUNT, KINDS, SIZE, paint, write_textures


@pytest.mark.parametrize("number", range(COUNT))
def test_edges_fit_together_as_well_as_the_inside_does(number: int) -> None:
    image = paint(3, number)[..., 0].astype(float)
    for axis in (0, 1):
        seam = np.abs(np.take(image, 0, axis) - np.take(image, -1, axis)).mean()
        steps = np.abs(np.diff(image, axis=axis)).mean(axis=1 - axis)
        # No step inside is exceeded by much; a stripe's edge may be the seam.
        assert seam <= 1.2 * steps.max() + 1.0


def test_patterns_are_light_greys_with_something_on_them() -> None:
    for number in range(COUNT):
        image = paint(3, number)
        assert image.shape == (SIZE, SIZE, 3)
        assert (image[..., :1] == image).all()
        assert image.min() >= 255 * 0.6 - 1
        assert image.std() > 2


def test_seeds_and_numbers_make_the_pattern(tmp_path: Path) -> None:
    files = write_textures(tmp_path, 5)
    assert len(files) == COUNT
    first = cv2.imread(str(files[0]))
    assert first is not None
    np.testing.assert_array_equal(first, paint(5, 0))
    assert (paint(5, 0) != paint(6, 0)).any()
    assert (paint(5, 0) != paint(5, len(KINDS))).any()
    assert all(0 <= number < COUNT for number in COARSE)
