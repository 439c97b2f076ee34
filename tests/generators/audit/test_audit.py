"""The audit passes the renderer, and fails each that is wrong, for what is wrong with it."""

import cv2
import numpy as np
import pytest

from envs.world import tiny_renderer
from generators.audit.audit import WIDE_ANGLE, Audit, Make, audit
from generators.audit.compare import inside
from generators.audit.criteria import Criterion
from generators.baseline import BaselineRenderer
from generators.raster.renderer import RasterRenderer
from tests.generators.audit.renderers import Blind, Far, Leaky, Shifted, Straight, Tilted
from tests.generators.small_table import ranges, recording, scene

IDS, INNER = "instance ids wrong, of object pixels", "of them, more than 1 px from a silhouette"
DEPTH, NORMALS = "depth, 99th percentile", "normals, 99th percentile"
AMODAL, HIDDEN = (
    "amodal masks wrong, of silhouettes",
    "visible fraction, in pixels of the silhouette",
)
FLOW, TRUNCATION = "flow, 99th percentile", "truncation"


def of(make: Make, views: int = 2) -> Audit:
    return audit(
        scene(), recording(), make, views=views, seed=16, width=240, height=180, workers=1,
        ranges=ranges(),
    )  # fmt: skip


def failed(criteria: tuple[Criterion, ...]) -> set[str]:
    return {c.name for c in criteria if not c.passed}


def test_the_renderer_passes() -> None:
    calls: list[tuple[int, int]] = []
    found = audit(
        scene(), recording(), RasterRenderer, views=4, seed=16, width=240, height=180, workers=1,
        ranges=ranges(), progress=lambda done, of: calls.append((done, of)),
    )  # fmt: skip
    assert found.passed, failed(found.pinhole) | failed(found.distorted)
    assert [view.distorted for view in found.views] == [False, True, False, True]
    assert calls[-1] == (4, 4)
    assert all(c.found is not None for c in (*found.pinhole, *found.distorted))
    assert sum(view.difference.object_pixels for view in found.views) > 5000
    assert len(found.worst(2)) == 2
    # Something was hidden, and something cut off: else those criteria would show nothing.
    assert any(
        view.difference.amodal_pixels > view.difference.object_pixels for view in found.views
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Shifted, {IDS, DEPTH, AMODAL, HIDDEN}),
        (Far, {DEPTH}),
        (Tilted, {NORMALS}),
        (Blind, {AMODAL, HIDDEN}),
        (Leaky, {INNER}),
    ],
)
def test_what_is_wrong_fails_for_that(make: Make, expected: set[str]) -> None:
    found = of(make, views=1)
    assert not found.passed
    assert expected <= failed(found.pinhole)
    if make is Far:
        assert failed(found.pinhole) <= {DEPTH, FLOW}


def test_a_renderer_that_ignores_the_lens_fails_under_distortion_only() -> None:
    found = of(Straight)
    assert not failed(found.pinhole)
    assert {IDS, DEPTH} <= failed(found.distorted)
    assert WIDE_ANGLE.present


def test_tiny_renderer_fails_with_its_half_pixel_and_for_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exact(c: tuple[Criterion, ...], name: str) -> float | None:
        return next(x.found for x in c if x.name == name)

    corrected = of(BaselineRenderer, views=1).pinhole
    assert {NORMALS, AMODAL, FLOW, TRUNCATION} <= failed(corrected)
    assert exact(corrected, NORMALS) is None
    centred = tiny_renderer.projection

    def as_bullet_has_it(
        intrinsics: tuple[float, float, float, float],
        size: tuple[int, int],
        planes: tuple[float, float],
    ) -> np.ndarray:
        P = centred(intrinsics, size, planes)
        P[0, 2] -= 1 / size[0]
        P[1, 2] -= 1 / size[1]
        return P

    monkeypatch.setattr(tiny_renderer, "projection", as_bullet_has_it)
    naive = of(BaselineRenderer, views=1).pinhole
    before, after = exact(corrected, IDS), exact(naive, IDS)
    assert before is not None and after is not None
    # At full size 3.47 % against 0.01 %; silhouettes are longer in a small picture.
    assert after > 2.0 > 0.2 > before
    assert {IDS, DEPTH} <= failed(naive)
    assert DEPTH not in failed(corrected)


def test_error_maps_show_the_wrong_pixels_in_red() -> None:
    (view,) = of(Shifted, views=1).views
    picture = cv2.imdecode(np.frombuffer(view.error_map, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (330, 4 * 406, 3)
    red = (picture == (40, 40, 235)).all(axis=-1)
    assert red[:, 406:812].sum() > 100
    assert not red[:, 812:].any()


def test_inside_by_hand() -> None:
    ids = np.ones((6, 8), np.int32)
    ids[:, 5:] = 2
    expected = np.ones((6, 8), bool)
    expected[:, 4:6] = False
    np.testing.assert_array_equal(inside(ids), expected)


def test_no_number_passes_no_limit() -> None:
    assert not Criterion("x", 1.0, "", None).passed
    assert not Criterion("x", 1.0, "", float("nan")).passed
    assert Criterion("x", 1.0, "", 1.0).passed
