"""Labels drawn into a picture: a class name stands where it hides no other object."""

from typing import Any

import numpy as np
import pytest

from generators.preview import annotated, color_of
from generators.rle import encode

SIZE = (120, 160)
CATEGORIES = [{"id": 1, "name": "capsule"}]


def entry(identity: int, x: int, y: int) -> dict[str, Any]:
    """Return the annotation of an object of 12 × 12 pixels."""
    mask = np.zeros(SIZE, bool)
    mask[y : y + 12, x : x + 12] = True
    return {"instance_id": identity, "category_id": 1, "bbox": [x, y, 12, 12],
            "segmentation": {"size": list(SIZE), "counts": encode(mask)}}  # fmt: skip


@pytest.mark.parametrize(
    "corners",
    [
        [(60, 60)],
        [(60, 60), (60, 44)],  # one right above the other
        [(60, 60), (90, 44), (60, 44)],
        [(0, 0)],  # no room above
        [(148, 108)],
        [(70, 60), (84, 60), (98, 60)],  # side by side, less far apart than a name is long
    ],
)
def test_a_name_covers_no_object(corners: list[tuple[int, int]]) -> None:
    entries = [entry(k + 1, x, y) for k, (x, y) in enumerate(corners)]
    drawn = annotated(np.full((*SIZE, 3), 128, np.uint8), entries, CATEGORIES)
    plates = 0
    for k, (x, y) in enumerate(corners):
        color = np.array(color_of(k + 1), np.uint8)
        plain = (drawn == color).all(axis=-1)
        # Inside of the outlines only the tint of its mask is seen.
        inside = drawn[y + 2 : y + 10, x + 2 : x + 10]
        assert (inside == inside[0, 0]).all(), corners[k]
        assert not plain[y + 2 : y + 10, x + 2 : x + 10].any()
        plates += int(plain.sum() > 150)
    assert plates == len(corners)
