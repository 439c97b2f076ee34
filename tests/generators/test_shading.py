"""Light on flat surfaces, where every number can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from envs.world.tiny_renderer import to_srgb
from generators.camera import Camera, look_at
from generators.shading import BACKDROP_M, Lighting, Surface, shade, shadow_camera

WIDTH, HEIGHT = 80, 60
EYE = np.array([0.0, 0.0, 2.0])
CAMERA = Camera.with_view(look_at(EYE, np.zeros(3)), 0.9, (WIDTH, HEIGHT), near_m=0.1, far_m=20.0)
LIGHT = Lighting(
    direction_W=np.array([0.6, 0.0, 0.8]),
    sun=(0.3, 0.2, 0.1),
    sky=(0.1, 0.2, 0.3),
    ground=(0.5, 0.5, 0.5),
    backdrop=(0.05, 0.1, 0.2),
    penumbra_m=0.0,
    focus_W=np.zeros(3),
)


def floor(
    lighting: Lighting = LIGHT, *, hidden_below_x: float | None = None, camera: Camera = CAMERA
) -> Surface:
    """The plane z = 0 seen from above, and from the light, with an occluder over some of it."""
    light = shadow_camera(lighting, radius_m=1.5, size=200)
    rays = light.rays()
    depth = (-light.X_WC[2, 3] / rays[..., 2]).astype(np.float32)
    if hidden_below_x is not None:
        x = light.X_WC[0, 3] + rays[..., 0] * depth
        depth = np.where(x < hidden_below_x, depth - 1.0, depth).astype(np.float32)
    height, width = camera.height, camera.width
    return Surface(
        albedo=np.full((height, width, 3), 255, np.uint8),
        body=np.zeros((height, width), np.int32),
        depth_m=np.full((height, width), 2.0, np.float32),
        cosine=np.full((height, width), 0.8, np.float32),
        corner_albedo=np.full((height + 1, width + 1, 3), 255, np.uint8),
        corner_body=np.zeros((height + 1, width + 1), np.int32),
        shadow_camera=light,
        shadow_depth_m=depth,
    )


def expected(linear: np.ndarray) -> np.ndarray:
    """Below 0.6 the developed value is the sRGB of the linear one."""
    assert linear.max() < 0.6
    return 255 * to_srgb(linear)


def test_lit_floor_gets_sun_times_cosine_and_the_whole_sky() -> None:
    picture = shade(floor(), CAMERA, LIGHT)
    value = expected(0.8 * np.array(LIGHT.sun) + np.array(LIGHT.sky))
    assert np.abs(picture - value).max() <= 1.0


def test_albedo_multiplies_in_linear_light() -> None:
    dark = replace(
        floor(),
        albedo=np.full((HEIGHT, WIDTH, 3), 128, np.uint8),
        corner_albedo=np.full((HEIGHT + 1, WIDTH + 1, 3), 128, np.uint8),
    )
    picture = shade(dark, CAMERA, LIGHT)
    # sRGB 128/255 is linear 0.2159.
    value = expected(0.21586 * (0.8 * np.array(LIGHT.sun) + np.array(LIGHT.sky)))
    assert np.abs(picture - value).max() <= 1.0


def test_shadow_lies_where_the_occluder_is_and_takes_only_the_sun() -> None:
    picture = shade(floor(hidden_below_x=0.1), CAMERA, LIGHT)
    x = CAMERA.X_WC[0, 3] + CAMERA.rays()[..., 0] * 2.0
    # One texel of the light's picture is 15 mm.
    lit, dark = x > 0.13, x < 0.07
    sky = expected(np.array(LIGHT.sky))
    both = expected(0.8 * np.array(LIGHT.sun) + np.array(LIGHT.sky))
    assert np.abs(picture[lit] - both).max() <= 1.0
    assert np.abs(picture[dark] - sky).max() <= 1.0


def test_penumbra_is_as_wide_as_it_says() -> None:
    wide = replace(LIGHT, penumbra_m=0.1)
    picture = shade(floor(wide, hidden_below_x=0.0), CAMERA, wide)[HEIGHT // 2, :, 0].astype(float)
    x = CAMERA.X_WC[0, 3] + CAMERA.rays()[HEIGHT // 2, :, 0] * 2.0
    order = np.argsort(x)
    x, picture = x[order], picture[order]
    assert (np.diff(picture) >= 0).all()
    between = x[(picture > picture.min()) & (picture < picture.max())]
    # The disc of taps is seen from the light, at a slope of 0.8: 0.1 m there are 0.125 m here.
    assert between.min() == pytest.approx(-0.125, abs=0.03)
    assert between.max() == pytest.approx(0.125, abs=0.03)


def test_empty_pixels_and_far_floor_show_the_backdrop() -> None:
    nothing = replace(
        floor(),
        depth_m=np.full((HEIGHT, WIDTH), np.inf, np.float32),
        body=np.full((HEIGHT, WIDTH), -1, np.int32),
        corner_body=np.full((HEIGHT + 1, WIDTH + 1), -1, np.int32),
    )
    backdrop = expected(np.array(LIGHT.backdrop))
    assert np.abs(shade(nothing, CAMERA, LIGHT) - backdrop).max() <= 1.0
    far = replace(LIGHT, focus_W=np.array([BACKDROP_M[1] + 2.0, 0.0, 0.0]))
    assert np.abs(shade(floor(far), CAMERA, far) - backdrop).max() <= 1.0


def test_edges_are_mixed_from_centre_and_corners() -> None:
    left = np.arange(WIDTH) < 40
    albedo = np.where(left[None, :, None], 255, 0).astype(np.uint8).repeat(HEIGHT, 0).repeat(3, 2)
    # The edge of the thing runs through the centres' middle: corner 40 belongs to the right.
    corner = np.where((np.arange(WIDTH + 1) < 40)[None, :, None], 255, 0).astype(np.uint8)
    surface = replace(
        floor(),
        albedo=albedo,
        body=np.where(left, 0, 1)[None].repeat(HEIGHT, 0).astype(np.int32),
        corner_albedo=corner.repeat(HEIGHT + 1, 0).repeat(3, 2),
        corner_body=np.where(np.arange(WIDTH + 1) < 40, 0, 1)[None]
        .repeat(HEIGHT + 1, 0)
        .astype(np.int32),
    )
    row = shade(surface, CAMERA, LIGHT)[HEIGHT // 2]
    full = 0.8 * np.array(LIGHT.sun) + np.array(LIGHT.sky)
    assert np.abs(row[:39] - expected(full)).max() <= 1.0
    # Pixel 39: half its white centre, a quarter of its white left corners, none of the right.
    assert np.abs(row[39] - expected(0.75 * full)).max() <= 1.0
    assert (row[41:] == 0).all()


def test_floor_beside_a_wall_is_less_exposed() -> None:
    camera = Camera.with_view(CAMERA.X_WC, 0.9, (320, 240), near_m=0.1, far_m=20.0)
    x = camera.X_WC[0, 3] + camera.rays()[..., 0] * 2.0
    # At x < 0 the ground rises steeply towards the camera.
    depth = (2.0 - np.clip(-4 * x, 0, 1.0)).astype(np.float32)
    shaded = replace(LIGHT, sun=(0.0, 0.0, 0.0), ground=LIGHT.sky)
    surface = replace(floor(camera=camera), depth_m=depth)
    picture = shade(surface, camera, shaded)[120, :, 2].astype(float)
    beside = picture[(x[120] > 0.0) & (x[120] < 0.03)]
    between = picture[(x[120] > 0.04) & (x[120] < 0.07)]
    far = picture[x[120] > 0.4]
    assert np.ptp(far) == 0
    assert beside.max() < between.min() < far.min() - 3
    assert beside.max() < 0.95 * far.min()


def test_bright_light_never_burns_out_and_stays_in_order() -> None:
    values = []
    for strength in (0.5, 1.0, 2.0, 4.0):
        bright = replace(LIGHT, sun=(strength, strength, strength))
        values.append(int(shade(floor(bright), CAMERA, bright)[30, 40, 0]))
    assert values == sorted(set(values))
    assert values[-1] <= 255
