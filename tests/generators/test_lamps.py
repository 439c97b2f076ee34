"""What the stage's lamps bring to a point: formulas against sums over the lamp's surface."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import pose
from envs.stage.looks import Light
from generators.lamps import MOST, facing_light, half_axes, levelled, stage_lamps, vector_irradiance

SPHERE = Light("/bulb", "sphere", pose(np.eye(3), np.array([0.0, 0.0, 2.0])), 8.0, (1, 0.5, 0.25))


def turned(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    R: Float[np.ndarray, "3 3"] = q * np.sign(np.linalg.det(q))
    return R


def test_a_sphere_gives_what_its_surface_sums_up_to() -> None:
    lamp = replace(SPHERE, radius_m=0.3)
    p = np.array([0.4, -0.2, 0.3])
    # Over the disc of directions in which it is seen: L·cos dω, from the middle of that disc.
    away = np.linalg.norm(lamp.X_WL[:3, 3] - p)
    angle = (np.arange(20000) + 0.5) / 20000 * np.arcsin(0.3 / away)
    summed = np.sum(np.cos(angle) * np.sin(angle)) * 2 * np.pi * (angle[1] - angle[0])
    expected = np.array(lamp.radiance) * summed / np.pi
    np.testing.assert_allclose(facing_light(lamp, p), expected, rtol=1e-6)


def test_light_falls_with_the_square_of_the_distance_and_a_point_keeps_its_power() -> None:
    near, far = (facing_light(SPHERE_1, np.array([0.0, 0.0, 2.0 - d])) for d in (0.5, 1.5))
    np.testing.assert_allclose(near, 9 * far)
    # Normalised, a sphere's light does not depend on its size: a point's is its limit.
    point, ball = (replace(SPHERE, normalize=True, radius_m=r) for r in (0.0, 0.2))
    p = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(facing_light(point, p), facing_light(ball, p))


SPHERE_1 = replace(SPHERE, radius_m=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_rectangles_vector_irradiance_is_the_sum_over_its_surface(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X_WL = pose(turned(rng), rng.uniform(-1, 1, 3))
    lamp = Light("/panel", "rect", X_WL, 3.0, (1, 1, 1), size_m=(0.9, 0.4))
    p = X_WL[:3, 3] + X_WL[:3, :3] @ np.array([*rng.uniform(-0.6, 0.6, 2), -rng.uniform(0.2, 1)])
    x, y = half_axes(lamp)
    grid = (np.arange(400) + 0.5) / 200 - 1
    s, t = np.meshgrid(grid, grid)
    to = X_WL[:3, 3] + s[..., None] * x + t[..., None] * y - p
    away = np.linalg.norm(to, axis=-1)
    shines = to @ X_WL[:3, 2] / away
    # dω = cos dA / d², along each direction.
    summed = (to / away[..., None] * (shines / away**2)[..., None]).sum(axis=(0, 1))
    summed *= 0.9 * 0.4 / 400**2
    np.testing.assert_allclose(vector_irradiance(lamp, p), summed, rtol=1e-4, atol=1e-6)
    behind = p - 2 * (p - X_WL[:3, 3])
    assert (vector_irradiance(lamp, behind) == 0).all()


def test_lamps_keep_their_proportions_when_they_are_levelled() -> None:
    lamps = [replace(SPHERE_1, prim=f"/{k}", intensity=float(k)) for k in range(7)]
    p = np.zeros(3)
    chosen = levelled(lamps, p, 0.8)
    assert [lamp.prim for lamp in chosen] == ["/6", "/5", "/4", "/3"] and len(chosen) == MOST
    total = sum(facing_light(lamp, p).mean() for lamp in chosen)
    assert total == pytest.approx(0.8)
    assert chosen[0].intensity / chosen[-1].intensity == pytest.approx(2)
    # What shines the other way lights nothing.
    panel = Light(
        "/up", "rect", pose(np.diag([1.0, -1, -1]), np.array([0, 0, 1.0])), 1.0, (1, 1, 1)
    )
    assert levelled([replace(panel, size_m=(1, 1))], p, 1.0) == ()


def test_a_panel_without_an_area_takes_no_light_from_the_others() -> None:
    panel = Light("/panel", "rect", np.eye(4), 1.0, (1, 1, 1), normalize=True, size_m=(0.5, 0.0))
    lamps = stage_lamps([panel, SPHERE_1])
    assert [lamp.prim for lamp in levelled(lamps, np.zeros(3), 1.0)] == ["/bulb"]


def test_the_image_of_a_panel_becomes_its_mean_light(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 255
    cv2.imwrite(str(tmp_path / "half.png"), image)
    panel = Light("/panel", "rect", np.eye(4), 1.0, (1, 0.5, 1), size_m=(1, 1))
    lit = replace(panel, texture=tmp_path / "half.png")
    dome = Light("/sky", "dome", np.eye(4), 1.0, (1, 1, 1))
    (plain,) = stage_lamps([lit, dome, replace(SPHERE, intensity=0.0)])
    np.testing.assert_allclose(plain.color, [0.5, 0.25, 0.5], atol=1e-6)
    with pytest.raises(StageError, match=r"none\.png"):
        stage_lamps([replace(panel, texture=tmp_path / "none.png")])
