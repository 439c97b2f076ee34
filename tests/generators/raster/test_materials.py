"""Materials on a plate against the formulas, written once more in numpy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from envs.stage.looks import Material, Texture
from envs.stage.scene import Mesh, Shape
from generators.raster.renderer import RasterRenderer
from generators.raster.tables import SIDE, developed, packed_split_sum, split_sum
from generators.renderer import Frame
from generators.scenario import Scenario
from tests.generators.raster.random_scenes import body, scene_of
from tests.generators.raster.test_shading import DULL, from_above, plate

BLACK = (0.0, 0.0, 0.0)
RAW = "raw"


def drawn(material: Material, **lighting: Any) -> tuple[Scenario, Frame]:
    """A plate of a metre from above; without light but what is said."""
    scene = scene_of(plate(material))
    shown = from_above(scene)
    shown = replace(shown, lighting=replace(shown.lighting, **lighting))
    return shown, RasterRenderer(scene, (), device="cpu", antialias=False).render(shown)


def places(shown: Scenario, frame: Frame) -> tuple[np.ndarray, Float[np.ndarray, "n 3"]]:
    """Some pixels (column, row) and where on the plate they look."""
    pixels = np.stack(np.meshgrid(np.arange(3, 96, 7), np.arange(3, 96, 7)), -1).reshape(-1, 2)
    depth = frame.depth_m[pixels[:, 1], pixels[:, 0]]
    return pixels, shown.camera.unproject(pixels.astype(float), depth)


def ggx(
    material: Material, v: Float[np.ndarray, "n 3"], light: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "n 3"]:
    """BRDF times π of a level surface: Lambert below GGX, Hammon's shadowing, Schlick's Fresnel.

    What GGX loses to light that meets it twice is given back, in proportion to f0 (Turquin, 2019).
    """
    h = v + light
    h /= np.linalg.norm(h, axis=1, keepdims=True)
    a = material.roughness**2
    D = a**2 / (np.pi * (h[:, 2] ** 2 * (a**2 - 1) + 1) ** 2)
    nl, nv = light[2], v[:, 2]
    V = 0.5 / (2 * nl * nv * (1 - a) + (nl + nv) * a)
    base = np.array(material.base_color)
    dielectric = ((1 - material.ior) / (1 + material.ior)) ** 2
    f0 = dielectric * (1 - material.metallic) + base * material.metallic
    vh = np.sum(v * h, axis=1)[:, None]
    F = f0 + (1 - f0) * (1 - vh) ** 5
    once = split_sum(np.array([material.roughness]), nv).sum(axis=0)[0, :, None]
    brdf: Float[np.ndarray, "n 3"] = np.pi * (D * V)[:, None] * F * (1 + f0 * (1 / once - 1))
    brdf += (1 - F) * base * (1 - material.metallic)
    return brdf


@pytest.mark.parametrize("metallic", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("roughness", [0.1, 0.3, 0.6, 1.0])
def test_the_sun_on_a_plate_is_ggx_over_lambert(roughness: float, metallic: float) -> None:
    material = Material("m", (0.5, 0.3, 0.1), roughness=roughness, metallic=metallic)
    # So low and so turned that a mirror at the plate's middle shows it to the camera above.
    sun = np.array([0.03, -0.05, 1.0]) / np.linalg.norm([0.03, -0.05, 1.0])
    level = 0.3 * min(1.0, roughness**2)
    shown, frame = drawn(material, direction_W=sun, sun=(level, level, level))
    pixels, p_W = places(shown, frame)
    v = shown.camera.X_WC[:3, 3] - p_W
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    light = ggx(material, v, sun) * level * sun[2]
    rgb = frame.rgb[pixels[:, 1], pixels[:, 0]].astype(int)
    assert rgb.max() > 50
    # A highlight, not one tone: but on the roughest.
    assert np.ptp(rgb[:, 0]) > 20 or roughness > 0.5
    # Half a byte for rounding; between a cell's corners light is interpolated.
    assert np.abs(rgb - developed(light)).max() <= 1


@pytest.mark.parametrize("roughness", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_what_is_white_in_a_white_world_is_white(roughness: float, metallic: float) -> None:
    around = {"sun": BLACK, "sky": (0.4, 0.4, 0.4), "ground": (0.4, 0.4, 0.4)}
    white = Material("white", (1.0, 1.0, 1.0), roughness=roughness, metallic=metallic)
    _, frame = drawn(white, **around)
    expected = developed(np.array([0.4]))
    assert np.abs(frame.rgb[30:60, 30:60].astype(int) - expected).max() <= 1


def test_the_split_sum_is_the_integral_over_the_hemisphere() -> None:
    # The roughest microfacets lie every way alike, and reflect 1 − ln 2 of what comes from above.
    assert split_sum(np.ones(1), np.ones(1)).sum() == pytest.approx(1 - np.log(2), abs=1e-3)
    nl, turn = np.meshgrid((np.arange(1000) + 0.5) / 1000, np.pi * (np.arange(1000) + 0.5) / 1000)
    level = np.sqrt(1 - nl**2)
    toward = np.stack([level * np.cos(turn), level * np.sin(turn), nl], axis=-1).reshape(-1, 3)
    for roughness, nv in ((0.4, 0.9), (0.5, 0.2), (0.8, 0.5), (1.0, 0.1)):
        view, a = np.array([np.sqrt(1 - nv**2), 0.0, nv]), roughness**2
        h = toward + view
        h /= np.linalg.norm(h, axis=1, keepdims=True)
        D = a**2 / (np.pi * (h[:, 2] ** 2 * (a**2 - 1) + 1) ** 2)
        given = D * 0.5 / (2 * toward[:, 2] * nv * (1 - a) + (toward[:, 2] + nv) * a)
        given *= 2 * np.pi * toward[:, 2]
        fifth = (1 - h @ view) ** 5
        expected = (given * (1 - fifth)).mean(), (given * fifth).mean()
        found = split_sum(np.array([roughness]), np.array([nv]))[:, 0, 0]
        np.testing.assert_allclose(found, expected, atol=5e-3)
        packed = packed_split_sum().astype(float)
        table = np.stack([packed % 65536, packed // 65536]) / 65535
        at = roughness * (SIDE - 1), np.sqrt(nv) * (SIDE - 1)
        between = [map_coordinates(part, np.array(at)[:, None], order=1)[0] for part in table]
        np.testing.assert_allclose(between, expected, atol=0.015)


def image(tmp_path: Path, values: np.ndarray) -> Path:
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
    return path


def looked_up(
    values: Float[np.ndarray, "h w c"], st: Float[np.ndarray, "n 2"], wrap: tuple[str, str]
) -> Float[np.ndarray, "n c"]:
    """The bilinear value at texture coordinates; (0, 0) is the image's lower left corner."""
    height, width = values.shape[:2]
    flipped = values[::-1]

    def texel(i: np.ndarray, size: int, how: str) -> tuple[np.ndarray, np.ndarray]:
        if how == "repeat":
            return i % size, np.ones(len(i))
        if how == "mirror":
            j = i % (2 * size)
            return np.where(j < size, j, 2 * size - 1 - j), np.ones(len(i))
        there = (i >= 0) & (i < size)
        return np.clip(i, 0, size - 1), there.astype(float) if how == "black" else np.ones(len(i))

    x, y = st[:, 0] * width - 0.5, st[:, 1] * height - 0.5
    left, low = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros((len(st), values.shape[2]))
    for dx in (0, 1):
        for dy in (0, 1):
            i, seen_i = texel(left + dx, width, wrap[0])
            j, seen_j = texel(low + dy, height, wrap[1])
            weight = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - low)) * seen_i * seen_j
            total += weight[:, None] * flipped[j, i]
    return total


@pytest.mark.parametrize(
    "wrap", [("repeat", "repeat"), ("clamp", "mirror"), ("mirror", "clamp"), ("black", "black")]
)
def test_an_images_values_are_wrapped_turned_and_scaled(
    tmp_path: Path, wrap: tuple[Any, Any]
) -> None:
    values = np.random.default_rng(3).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    texture = Texture(
        image(tmp_path, values),
        color_space="raw",
        scale=(0.5, 0.4, 0.3, 1.0),
        bias=(0.01, 0.02, 0.03, 0.0),
        wrap=wrap,
        uv_transform=((0.6, 0.2, 0.1), (-0.2, 0.5, 0.3)),
    )
    # Light that a surface gives off is seen as it is.
    glowing = replace(DULL, base_color=BLACK, emissive_texture=texture)
    shown, frame = drawn(glowing, sun=BLACK)
    pixels, p_W = places(shown, frame)
    # A box's texture coordinates are metres over 0.5 m, from its middle.
    uv = p_W[:, :2] / 0.5
    st = uv @ np.array([[0.6, 0.2], [-0.2, 0.5]]).T + [0.1, 0.3]
    light = looked_up(values / 255, st, wrap) * [0.5, 0.4, 0.3] + [0.01, 0.02, 0.03]
    rgb = frame.rgb[pixels[:, 1], pixels[:, 0]].astype(int)
    assert np.ptp(rgb, axis=0).min() > 60
    assert np.abs(rgb - developed(light)).max() <= 1


def test_roughness_and_metallic_images_are_as_their_values(tmp_path: Path) -> None:
    values = np.zeros((2, 2, 3), np.uint8)
    values[:, 0], values[:, 1] = (51, 255, 0), (204, 0, 0)
    halves = Texture(
        image(tmp_path, values.repeat(16, axis=0).repeat(16, axis=1)),
        channel="r",
        color_space="raw",
        uv_transform=((0.5, 0.0, 0.5), (0.0, 0.5, 0.5)),
    )
    sun = {"direction_W": np.array([0.0, 0.0, 1.0]), "sun": (0.2, 0.2, 0.2)}
    base = Material("m", (0.5, 0.3, 0.1))
    by_image = replace(
        base, roughness_texture=halves, metallic_texture=replace(halves, channel="g")
    )
    _, frame = drawn(by_image, **sun)
    for columns, roughness, metallic in ((slice(20, 40), 0.2, 1.0), (slice(56, 76), 0.8, 0.0)):
        _, plain = drawn(replace(base, roughness=roughness, metallic=metallic), **sun)
        difference = frame.rgb[20:76, columns].astype(int) - plain.rgb[20:76, columns]
        assert np.abs(difference).max() <= 1


def test_a_normal_image_turns_the_normal(tmp_path: Path) -> None:
    turned, texture = normal_image(tmp_path)
    sun = np.array([0.6, 0.0, 0.8])
    _, frame = drawn(replace(DULL, normal_texture=texture), direction_W=sun, sun=(0.9, 0.9, 0.9))
    # On the upper side of a box, s runs along x and t along y.
    light = 0.9 * (turned @ sun) * np.array(DULL.base_color)
    assert turned @ sun > 1.1 * sun[2]
    assert np.abs(frame.rgb[30:60, 30:60].astype(int) - developed(light)).max() <= 1


@pytest.mark.parametrize("upwards", [True, False], ids=["from the front", "from behind"])
@pytest.mark.parametrize("mirrored", [1, -1])
def test_a_normal_image_keeps_its_way_round(tmp_path: Path, upwards: bool, mirrored: int) -> None:
    turned, texture = normal_image(tmp_path)
    corners = np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    mesh = Mesh(
        corners, triangles if upwards else triangles[:, ::-1], None, corners[:, :2] * [mirrored, 1]
    )
    dull = replace(DULL, normal_texture=texture)
    scene = scene_of(body("sheet", Shape("/sheet", "mesh", np.eye(4), (), mesh, dull)))
    # From a side where both s and t tell.
    sun = np.array([0.48, -0.36, 0.8])
    shown = from_above(scene)
    lighting = replace(shown.lighting, direction_W=sun, sun=(0.9, 0.9, 0.9))
    renderer = RasterRenderer(scene, (), device="cpu", antialias=False)
    frame = renderer.render(replace(shown, lighting=lighting))
    light = 0.9 * (turned * [mirrored, 1, 1] @ sun) * np.array(DULL.base_color)
    assert np.abs(frame.rgb[30:60, 30:60].astype(int) - developed(light)).max() <= 1


def normal_image(folder: Path) -> tuple[Float[np.ndarray, "3"], Texture]:
    """A normal in the axes of the surface, and an image that holds it everywhere."""
    turned = np.array([0.48, -0.36, 0.8])
    texel = np.rint((turned + 1) / 2 * 255).astype(np.uint8)
    return turned, Texture(
        image(folder, np.tile(texel, (4, 4, 1))),
        color_space="raw",
        scale=(2.0, 2.0, 2.0, 1.0),
        bias=(-1.0, -1.0, -1.0, 0.0),
    )
