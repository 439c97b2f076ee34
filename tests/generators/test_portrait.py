"""The picture of a stage: all of it is in the picture, whatever its size."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from envs.frames import pose
from envs.stage.scene import Body, Mesh, Scene, Shape
from generators import portrait as module
from generators.portrait import portrait
from tests.small_arm import GRAVITY, box


def seen(picture: np.ndarray) -> np.ndarray:
    """Pixels of the blue in which colliders are drawn."""
    red, _, blue = np.moveaxis(picture.astype(int), -1, 0)
    mask: np.ndarray = blue - red > 25
    return mask


def scene_of(*bodies: Body, static: tuple[Body, ...] = ()) -> Scene:
    return Scene((), bodies, static, (), (), GRAVITY)


@pytest.mark.parametrize("size", [0.001, 0.3, 500.0])
def test_a_thing_of_any_size_fills_the_picture(size: float) -> None:
    cube = box("cube", (size, size, size), (3 * size, -7 * size, 100 * size))
    picture = portrait(scene_of(cube))
    assert picture is not None
    assert picture.shape == (*module.SIZE[::-1], 3)
    rows, columns = np.nonzero(seen(picture))
    height = np.ptp(rows) / picture.shape[0]
    assert 0.7 < height < 0.95
    # Whole, and in the middle.
    assert rows.min() > 5
    assert abs(columns.mean() - picture.shape[1] / 2) < 0.05 * picture.shape[1]


def test_visuals_are_shown_where_there_are_some() -> None:
    cube = box("cube", (1, 1, 1), (0, 0, 0))
    picture = portrait(scene_of(replace(cube, visuals=cube.colliders)))
    assert picture is not None
    assert not seen(picture).any()


def test_ground_much_larger_than_the_rest_is_left_out() -> None:
    cube = box("cube", (1, 1, 1), (0, 0, 0))
    ground = Shape("/g", "box", pose(np.eye(3), np.array([0, 0, -0.05])), (80.0, 80.0, 0.1))
    floor = Body("g", "/g", np.eye(4), cube.inertial, (), (ground,), "floor", "static")
    alone, with_floor = portrait(scene_of(cube)), portrait(scene_of(cube, static=(floor,)))
    assert alone is not None
    np.testing.assert_array_equal(with_floor, alone)


def test_nothing_to_see_is_no_picture() -> None:
    assert portrait(scene_of(replace(box("a", (1, 1, 1), (0, 0, 0)), colliders=()))) is None


def test_a_mesh_of_any_number_of_triangles_is_drawn_whole() -> None:
    """Cut up or not, it is the same picture."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    mesh = Mesh(np.array(ball.vertices), np.array(ball.faces), np.array(ball.vertex_normals))
    shape = Shape("/b", "mesh", np.eye(4), mesh=mesh)
    body = replace(box("b", (1, 1, 1), (0, 0, 0)), visuals=(shape,))
    whole = portrait(scene_of(body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_TRIANGLES", 300)
        parts = portrait(scene_of(body))
    assert whole is not None
    assert parts is not None
    assert np.mean(np.abs(whole.astype(int) - parts)) < 0.1
