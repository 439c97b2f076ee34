"""Run-length strings against pycocotools, letter by letter."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from generators.rle import decode, encode, run_lengths


def blob(height: int, width: int) -> np.ndarray:
    rows, columns = np.indices((height, width))
    return (rows - height / 3) ** 2 + (columns - width / 2) ** 2 < (height / 4) ** 2


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
@example(np.ones((3, 4), bool))
@example(np.zeros((3, 4), bool))
@example(blob(480, 640))
@example(~blob(480, 640))
def test_string_is_that_of_pycocotools(mask: np.ndarray) -> None:
    text = encode(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert text == theirs["counts"].decode()
    back = coco.decode({"size": list(mask.shape), "counts": text})
    np.testing.assert_array_equal(back.astype(bool), mask)
    np.testing.assert_array_equal(decode(text, mask.shape), mask)
    assert coco.area({"size": list(mask.shape), "counts": text.encode()}) == mask.sum()


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=8), st.booleans())
def test_long_runs(lengths: list[int], first: bool) -> None:
    column = np.repeat(np.arange(len(lengths)) % 2 == int(first), lengths)[:, None]
    assert run_lengths(column).sum() == len(column)
    theirs = coco.encode(np.asfortranarray(column.astype(np.uint8)))
    assert encode(column) == theirs["counts"].decode()
    np.testing.assert_array_equal(decode(encode(column), column.shape), column)
