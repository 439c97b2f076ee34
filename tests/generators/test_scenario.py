"""Scenarios: pure in (seed, index), within their ranges, with the robot in the picture."""

from dataclasses import replace

import numpy as np
import pytest

from envs.errors import ConfigError, RecordingError, StageError
from envs.frames import axis_angle, pose
from envs.stage.looks import Light
from generators.distributions import Uniform
from generators.environment import directions
from generators.placement import robot_hulls
from generators.ranges import Ranges
from generators.scenario import Scenario, body_poses, draw, prepare, with_followers
from tests.generators.small_table import ranges, recording, scene

SCENE, RECORDING, RANGES = scene(), recording(), ranges()
STUDIO = prepare(SCENE, RECORDING.joints)


def take(index: int, *, seed: int = 3, within: Ranges = RANGES) -> Scenario:
    return draw(STUDIO, RECORDING, within, seed=seed, index=index, size=(160, 120))


def same(a: Scenario, b: Scenario) -> bool:
    one, two = [
        np.concatenate(
            [
                s.q,
                s.camera.X_WC.ravel(),
                s.camera.intrinsics,
                s.lighting.direction_W,
                s.lighting.sun,
                s.lighting.sky,
                s.lighting.backdrop,
                *(s.poses[name].ravel() for name in sorted(s.poses)),
            ]
        )
        for s in (a, b)
    ]
    return a.looks == b.looks and np.array_equal(one, two)


def test_equal_keys_give_equal_scenarios_in_any_order() -> None:
    first = [take(i) for i in range(6)]
    again = [take(i) for i in reversed(range(6))][::-1]
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], first[1])
    assert not same(take(0), take(0, seed=4))


def test_an_axis_changes_nothing_else() -> None:
    other = replace(RANGES, light_sun=Uniform(0.1, 0.2), texture_share=0.0)
    a, b = take(2), take(2, within=other)
    np.testing.assert_array_equal(a.camera.X_WC, b.camera.X_WC)
    assert a.poses.keys() == b.poses.keys()
    assert all((a.poses[name] == b.poses[name]).all() for name in a.poses)
    assert a.lighting.sun != b.lighting.sun


def test_robot_stands_as_recorded() -> None:
    for index in range(5):
        shown = take(index)
        sample = round(shown.t_s / 0.01)
        elbow, shoulder = RECORDING.q[sample]
        np.testing.assert_array_equal(shown.q, [shoulder, elbow])
        # By hand: the lower link hangs at the elbow, 0.3 m along the upper one.
        turn = axis_angle(np.array([0.0, 1.0, 0.0]), np.asarray(shoulder))
        expected = np.array([0, 0, 0.1]) + turn @ [0, 0, 0.3]
        np.testing.assert_allclose(shown.poses["lower"][:3, 3], expected, atol=1e-12)


def test_poses_are_spread_over_what_was_measured() -> None:
    times = np.sort([take(i).t_s for i in range(40)])
    assert not ((times >= 3) & (times < 4)).any()
    # 9 s of samples: evenly spread means one each 0.225 s; the golden ratio is at most 2.7 off.
    measured = np.where(times >= 4, times - 1, times)
    assert np.diff(measured).max() < 2.7 * 9 / 40


def test_robot_and_objects_are_in_the_picture() -> None:
    tight = replace(RANGES, camera_fill=Uniform(0.9, 0.9))
    for index in range(20):
        shown = take(index, within=tight)
        points = [
            h.points @ shown.poses[h.body][:3, :3].T + shown.poses[h.body][:3, 3]
            for h in robot_hulls(SCENE.robot)
        ]
        points += [shown.poses[b.name][None, :3, 3] for b in SCENE.objects if b.name in shown.poses]
        uv, depth = shown.camera.project(np.concatenate(points))
        assert depth.min() > shown.camera.near_m
        assert uv.min() > -0.5
        assert (uv.max(axis=0) < [159.5, 119.5]).all()
        # They fill nine tenths of the picture along one of its sides, but for what six steps of
        # centring leave over.
        spread = np.ptp(uv, axis=0) / [160, 120]
        assert spread.max() == pytest.approx(0.9, abs=0.02)


def test_values_stay_in_their_ranges() -> None:
    lens = SCENE.cameras[0]
    for index in range(30):
        shown = take(index)
        zoom = shown.camera.fx / (80 / np.tan(lens.fov_x_rad / 2))
        assert 1.0 <= zoom <= 1.4
        elevation = np.degrees(np.arcsin(-shown.camera.X_WC[2, 2]))
        assert 12 <= elevation <= 48
        assert 30 <= np.degrees(np.arcsin(shown.lighting.direction_W[2])) <= 75
        objects = [b.name for b in SCENE.objects if b.name in shown.poses]
        assert 2 <= len(objects) <= 4
        for name in objects:
            x, y = shown.poses[name][:2, 3]
            assert 0.28 <= np.hypot(x, y) <= 0.65
            assert abs(np.degrees(np.arctan2(y, x))) <= 95


def test_pictures_differ_in_everything_that_is_varied() -> None:
    shown = [take(i) for i in range(12)]
    assert len({s.camera.fx for s in shown}) == 12
    assert len({s.lighting.sun for s in shown}) == 12
    assert len({s.looks["top"].color for s in shown}) == 12
    assert len({s.looks["upper"].tint for s in shown}) == 12
    assert {s.looks["top"].texture is None for s in shown} == {True, False}
    assert "leg" not in shown[0].looks
    # The robot keeps its own colours, only shaded.
    assert all(s.looks["upper"].color is None for s in shown)


def test_the_share_of_domes_decides_what_is_around() -> None:
    for share, around in ((0.0, {False}), (1.0, {True}), (0.5, {True, False})):
        ranges = replace(RANGES, light_dome_share=share)
        shown = [
            draw(STUDIO, RECORDING, ranges, seed=1, index=i, size=(160, 120)) for i in range(8)
        ]
        assert {s.lighting.dome is not None for s in shown} == around
    # The sky's brightest spot is where the sun stands.
    lit = next(s.lighting for s in shown if s.lighting.dome is not None)
    assert lit.dome is not None
    above = lit.dome.radiance[:32].mean(axis=-1)
    row, column = np.unravel_index(above.argmax(), above.shape)
    assert directions(64, 128)[row, column] @ lit.direction_W > np.cos(np.radians(8))


def test_the_share_of_lamps_decides_what_lights_a_picture() -> None:
    bulb = Light("/bulb", "sphere", pose(np.eye(3), np.array([1.0, 1, 2])), 9.0, (1, 1, 1), True)
    studio = replace(STUDIO, lamps=(bulb,))
    for share, found in ((0.0, {0}), (1.0, {1}), (0.5, {0, 1})):
        ranges = replace(RANGES, light_lamp_share=share)
        shown = [
            draw(studio, RECORDING, ranges, seed=1, index=i, size=(160, 120)) for i in range(8)
        ]
        assert {len(s.lighting.lamps) for s in shown} == found
    # As bright as the sun would have been, and nothing else is drawn otherwise.
    lit = next(s.lighting for s in shown if s.lighting.lamps)
    index = next(i for i, s in enumerate(shown) if s.lighting.lamps)
    sunny = draw(STUDIO, RECORDING, ranges, seed=1, index=index, size=(160, 120)).lighting
    assert replace(lit, lamps=(), dome=None, direction_W=SUNWARD, focus_W=SUNWARD) == replace(
        sunny, dome=None, direction_W=SUNWARD, focus_W=SUNWARD
    )


SUNWARD = np.array([0.0, 0.0, 1.0])


def test_static_poses_and_welded_bodies() -> None:
    poses = body_poses(STUDIO.tree, np.zeros(2))
    np.testing.assert_allclose(poses["tool"][:3, 3], [0, 0, 0.67])
    np.testing.assert_array_equal(take(0).poses["top"], SCENE.static[1].X_WB)


def test_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StageError, match="'wrist' is not in the stage"):
        prepare(SCENE, ("shoulder", "wrist"))
    blind = replace(RECORDING, valid=np.zeros(1000, bool))
    with pytest.raises(RecordingError, match="no measured sample"):
        draw(STUDIO, blind, RANGES, seed=0, index=0, size=(64, 48))


def test_ranges_refuse_what_cannot_be_drawn() -> None:
    bounds: dict[str, float | list[float]] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {
            **{n: getattr(RANGES, n) for n in ("object_radius_m", "object_azimuth_deg")},
            **{
                n: getattr(RANGES, n)
                for n in (
                    "object_clearance_m",
                    "texture_share",
                    "light_dome_share",
                    "light_lamp_share",
                )
            },
        }.items()
    }
    for name in Ranges.__dataclass_fields__:
        drawn = getattr(RANGES, name)
        if isinstance(drawn, Uniform):
            bounds[name] = [drawn.low, drawn.high]
    assert Ranges.from_bounds(bounds) == RANGES
    faults: list[tuple[dict[str, float | list[float]], str]] = [
        ({"camera_zom": [1.0, 2.0]}, "'camera_zom' is not in .* Did you mean 'camera_zoom'"),
        ({"camera_zoom": [2.0, 1.0]}, "camera_zoom: a range must go from low to high"),
        ({"camera_zoom": [0.0, 1.0]}, r"camera_zoom must go from low to high in 0\.1\.\.20\.0"),
        ({"camera_zoom": 1.0}, r"camera_zoom must be \[low, high\], not 1.0"),
        ({"texture_share": 1.5}, r"texture_share must lie in 0\.0\.\.1\.0"),
        ({"texture_share": [0.0, 1.0]}, "texture_share must be a number"),
        ({"object_radius_m": [0.5, 0.2]}, "object_radius_m must go from low to high"),
        ({"object_radius_m": [-0.5, 0.2]}, r"object_radius_m must go .* not \[-0.5, 0.2\]"),
        ({"light_sun": [float("nan"), 1.0]}, "light_sun: a range must go"),
    ]
    for fault, message in faults:
        with pytest.raises(ConfigError, match=message):
            Ranges.from_bounds({**bounds, **fault})
    del bounds["light_sun"]
    with pytest.raises(ConfigError, match="randomization lacks light_sun"):
        Ranges.from_bounds(bounds)


def test_followers_of_recorded_joints_move_in_the_pictures() -> None:
    robot = SCENE.robot
    first, second = RECORDING.joints
    joints = tuple(
        replace(j, mimic=(first, -0.5, 0.2)) if j.name == second else j for j in robot.joints
    )
    alone = replace(RECORDING, joints=(first,), q=RECORDING.q[:, :1])
    moved = with_followers(replace(robot, joints=joints), alone)
    assert moved.joints == (first, second)
    np.testing.assert_allclose(moved.q[:, 1], 0.2 - 0.5 * RECORDING.q[:, 0], atol=1e-15)
    # What was measured stays as it was, and what follows nothing recorded is left alone.
    kept = with_followers(replace(robot, joints=joints), RECORDING)
    np.testing.assert_array_equal(kept.q, RECORDING.q)
    assert with_followers(robot, alone).joints == (first,)
