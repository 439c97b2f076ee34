"""The rasteriser against rays cast one by one: which body, how far, which colour."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.errors import StageError
from envs.frames import Pose, axis_angle, pose
from envs.stage.scene import MASSLESS, Body, Mesh, Shape
from envs.world.primitives import to_mesh
from envs.world.tiny_renderer import MAX_VERTICES, Buffers, Paint, TinyRenderer, to_srgb
from generators.camera import Camera, look_at
from tests.generators.raycast import away_from_edges, cast
from tests.generators.small_table import ROOT, at, body, scene, shape

# Nothing about it is symmetric, so that a swapped or mirrored axis cannot hide.
CAMERA = Camera(
    fx=150.0,
    fy=143.0,
    cx=71.3,
    cy=58.6,
    width=160,
    height=117,
    X_WC=look_at(np.array([1.1, -0.7, 0.75]), np.array([0.25, 0.02, 0.1]), roll_rad=0.2),
    near_m=0.05,
    far_m=20.0,
)


def things() -> tuple[Body, ...]:
    small = scene()
    return small.objects + small.static


def poses() -> dict[str, Pose]:
    turned = axis_angle(np.array([0.6, 0.0, 0.8]), np.asarray(0.7))
    return {b.name: b.X_WB for b in things()} | {"cube": pose(turned, np.array([0.3, 0.2, 0.1]))}


def grey(bodies: tuple[Body, ...]) -> dict[str, list[Paint]]:
    return {b.name: [Paint((0.2, 0.4, 0.8))] * len(b.visuals) for b in bodies}


def capture(renderer: TinyRenderer, camera: Camera, light: np.ndarray | None = None) -> Buffers:
    return renderer.capture(
        camera.X_WC,
        camera.intrinsics,
        (camera.width, camera.height),
        (camera.near_m, camera.far_m),
        light_W=light,
    )


def world_triangles(bodies: tuple[Body, ...], where: Mapping[str, Pose]) -> tuple[np.ndarray, ...]:
    corners, owner = [], []
    for index, b in enumerate(bodies):
        for s in b.visuals if b.name in where else ():
            mesh, X = to_mesh(s), where[b.name] @ s.X_BS
            corners.append((mesh.vertices @ X[:3, :3].T + X[:3, 3])[mesh.triangles])
            owner.append(np.full(len(mesh.triangles), index))
    return np.concatenate(corners), np.concatenate(owner)


@pytest.fixture(scope="module")
def renderer() -> Iterator[TinyRenderer]:
    with TinyRenderer(things()) as made:
        yield made


def test_bodies_and_depth_are_those_of_a_ray_through_each_pixel_centre(
    renderer: TinyRenderer,
) -> None:
    renderer.arrange(poses(), grey(things()))
    camera = replace(CAMERA, fx=105.0, fy=100.0, cx=49.9, cy=41.1, width=112, height=82)
    seen = capture(renderer, camera)
    rays = cast(camera, *world_triangles(things(), poses()))
    inner = away_from_edges(rays.owner)
    wrong = seen.body != rays.owner
    assert set(np.unique(rays.owner)) == {-1, 0, 1, 2, 3, 4, 5}
    assert not wrong[inner].any()
    # The rasteriser leaves out triangles of less than 0.005 pixels, as a ball's silhouette has
    # them; measured: 2 of 9184 pixels.
    assert wrong.sum() <= 3
    same = ~wrong & (rays.owner >= 0)
    error = np.abs(seen.depth_m[same] - rays.depth_m[same])
    # Measured 0.037 mm, all of it on the floor 5 m away, where float32 depth is that coarse.
    assert np.quantile(error, 0.99) < 5e-5
    assert np.isinf(seen.depth_m[seen.body < 0]).all()


def test_half_a_pixel_beside_the_centre_fits_worse(renderer: TinyRenderer) -> None:
    # Without the ball, whose edge-on triangles are smaller than what the rasteriser draws.
    flat = {name: X for name, X in poses().items() if name != "ball"}
    renderer.arrange(flat, grey(things()))
    seen = capture(renderer, CAMERA)
    triangles = world_triangles(things(), flat)
    assert (seen.body == cast(CAMERA, *triangles).owner).all()
    for shift in [(0.5, 0.0), (0.0, -0.5)]:
        assert (seen.body != cast(CAMERA, *triangles, shift_px=shift).owner).sum() > 100


def test_color_is_the_srgb_of_the_linear_one(renderer: TinyRenderer) -> None:
    renderer.arrange(poses(), grey(things()))
    seen = capture(renderer, CAMERA)
    expected = 255 * to_srgb(np.array([0.2, 0.4, 0.8]))
    # PyBullet cuts off what is behind the point, where it should round.
    assert np.abs(seen.rgb[seen.body >= 0] - expected).max() <= 1.0
    # IEC 61966-2-1: linear 0.2140 is sRGB one half.
    assert to_srgb(np.array([0.21404]))[0] == pytest.approx(0.5, abs=1e-4)


def test_light_is_the_cosine_to_the_normal(renderer: TinyRenderer) -> None:
    paints = {b.name: [Paint((1.0, 1.0, 1.0))] * len(b.visuals) for b in things()}
    renderer.arrange(poses(), paints)
    light = np.array([0.3, -0.2, 0.9]) / np.linalg.norm([0.3, -0.2, 0.9])
    lit = capture(renderer, CAMERA, light)
    top = [b.name for b in things()].index("top")
    high = CAMERA.X_WC[2, 3] + CAMERA.rays()[..., 2] * lit.depth_m > -1e-3
    values = lit.rgb[away_from_edges(np.where(high, lit.body, -2)) & (lit.body == top) & high]
    assert len(values) > 1000
    assert np.abs(values - 255 * light[2]).max() <= 1.0


def test_texture_lies_upright_and_unmirrored(tmp_path: Path) -> None:
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), np.tile([0.0, 0, 1], (4, 1)), uvs)
    board = Body("b", "/b", np.eye(4), MASSLESS, (Shape("/b", "mesh", np.eye(4), (), mesh),))
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:32, :32], rgb[:32, 32:], rgb[32:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    rgb[32:, 32:] = (255, 255, 255)
    image = tmp_path / "image.png"
    image.write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
    # From above, the top of the picture is +y: the board lies as the image does.
    camera = replace(CAMERA, X_WC=look_at(np.array([0, 0, 2.0]), np.zeros(3)), cx=79.5, cy=58.0)
    with TinyRenderer([board]) as renderer:
        renderer.arrange({"b": np.eye(4)}, {"b": [Paint((1.0, 1.0, 1.0), image)]})
        seen = capture(renderer, camera).rgb
        renderer.arrange({"b": np.eye(4)}, {"b": [Paint((1.0, 1.0, 1.0))]})
        plain = capture(renderer, camera)
    assert [seen[y, x].tolist() for y in (40, 76) for x in (60, 99)] == [
        [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255],
    ]  # fmt: skip
    assert (plain.rgb[plain.body == 0] == 255).all()


def test_a_picture_does_not_depend_on_the_one_before(renderer: TinyRenderer) -> None:
    def take() -> Buffers:
        renderer.arrange(poses(), grey(things()))
        return capture(renderer, CAMERA)

    first = take()
    few = {"ball": at(0.2, 0.1, 0.3)}
    renderer.arrange(few, {"ball": [Paint((0.9, 0.1, 0.1))]})
    other = capture(renderer, replace(CAMERA, near_m=0.2, width=130), np.array([0.0, 0.0, 1.0]))
    assert set(np.unique(other.body)) == {-1, 1}
    again = take()
    for name in ("rgb", "depth_m", "body"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_mesh_too_large_and_image_that_is_none_are_refused(tmp_path: Path) -> None:
    count = MAX_VERTICES + 1
    large = Mesh(np.zeros((count, 3)), np.array([[0, 1, 2]]), np.zeros((count, 3)))
    giant = Body("g", "/g", np.eye(4), MASSLESS, (Shape("/g", "mesh", np.eye(4), (), large),))
    with pytest.raises(StageError, match="/g: a visual mesh of 131073 vertices"):
        TinyRenderer([giant])
    ball = body("b", "ball", np.eye(4), shape("b", "sphere", (0.1,)))
    missing = tmp_path / "missing.png"
    with TinyRenderer([ball]) as renderer, pytest.raises(StageError, match=r"missing\.png: not an"):
        renderer.arrange({"b": np.eye(4)}, {"b": [Paint((1.0, 1.0, 1.0), missing)]})


def test_importing_it_says_nothing() -> None:
    run = [sys.executable, "-c", "import envs.world.tiny_renderer"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout + done.stderr == ""
