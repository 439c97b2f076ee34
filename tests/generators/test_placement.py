"""Objects on the table: standing on it, apart from one another and from the robot, by Coal."""

import coal  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.frames import Pose
from envs.stage.scene import Body
from envs.world.primitives import to_mesh
from generators.placement import Footing, footing, place, region_of, robot_hulls, stand, touches
from generators.scenario import body_poses, prepare
from tests.generators.small_table import at, body, recording, scene, shape

SCENE = scene()
STUDIO = prepare(SCENE, recording().joints)
BODIES = {b.name: b for b in (*SCENE.robot.bodies, *SCENE.objects)}
CLEARANCE_M = 0.012


def solid(b: Body) -> coal.ConvexBase:
    """The convex hull of the body's only shape, which is convex here."""
    s = b.visuals[0]
    points = to_mesh(s).vertices @ s.X_BS[:3, :3].T + s.X_BS[:3, 3]
    cloud = coal.StdVec_Vec3s()
    for point in points:
        cloud.append(point)
    return coal.Convex.convexHull(cloud, False, "Qt")


SOLIDS = {name: solid(b) for name, b in BODIES.items()}


def distance(a: str, X_a: Pose, b: str, X_b: Pose) -> float:
    """The distance between two bodies, m; negative where they overlap."""
    result = coal.DistanceResult()
    transforms = [coal.Transform3s(X[:3, :3], X[:3, 3]) for X in (X_a, X_b)]
    request = coal.DistanceRequest()
    value = coal.distance(SOLIDS[a], transforms[0], SOLIDS[b], transforms[1], request, result)
    return float(value)


def draw(q: np.ndarray, seed: int) -> tuple[dict[str, Pose], dict[str, Pose]]:
    robot = body_poses(STUDIO.tree, q)
    placed = place(
        STUDIO.feet,
        [b.name for b in SCENE.objects],
        STUDIO.hulls,
        robot,
        STUDIO.region,
        radius_m=(0.05, 0.6),
        azimuth_rad=(-1.5, 1.5),
        clearance_m=CLEARANCE_M,
        rng=np.random.default_rng(seed),
    )
    return robot, placed


# Poses in which the arm lies low over the table, where objects would like to stand.
@settings(max_examples=60, deadline=None)
@given(st.floats(0.8, 1.8), st.floats(-0.5, 1.2), st.integers(0, 2**31))
def test_nothing_touches(shoulder: float, elbow: float, seed: int) -> None:
    robot, placed = draw(np.array([shoulder, elbow]), seed)
    names = list(placed)
    for name in names:
        for link, X in robot.items():
            # 0.1 mm for Coal's own tolerance.
            assert distance(name, placed[name], link, X) > CLEARANCE_M - 1e-4
    for k, a in enumerate(names):
        for b in names[:k]:
            assert distance(a, placed[a], b, placed[b]) > CLEARANCE_M - 1e-4


@pytest.mark.parametrize("name", [b.name for b in SCENE.objects])
def test_objects_stand_upright_on_the_table(name: str) -> None:
    for seed in range(20):
        _, placed = draw(np.array([0.3, 0.5]), seed)
        X = placed[name]
        mesh = to_mesh(BODIES[name].visuals[0]).vertices @ X[:3, :3].T + X[:3, 3]
        assert mesh[:, 2].min() == pytest.approx(0.0, abs=1e-9)
        np.testing.assert_allclose(X[2, :3], [0, 0, 1], atol=1e-12)
        # The table reaches from −0.2 to 0.8 in x and from −0.6 to 0.6 in y.
        low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
        assert (low > [-0.2, -0.6]).all()
        assert (high < [0.8, 0.6]).all()


def test_lying_object_keeps_its_authored_rest() -> None:
    lying = np.array([[1, 0, 0, 0.3], [0, 0, -1, 0.1], [0, 1, 0, 0.5], [0, 0, 0, 1.0]])
    foot = footing(body("can", "can", lying, shape("can", "cylinder", (0.03, 0.1))))
    assert foot.drop_m == pytest.approx(0.03)
    assert foot.radius_m == pytest.approx(np.hypot(0.03, 0.05))
    X = stand(foot, np.array([0.4, -0.2]), 0.7, 0.1)
    # A 64-gon's flats are nearer to the axis by 0.12 %.
    np.testing.assert_allclose(X[:3, 3], [0.4, -0.2, 0.13], atol=1e-4)
    np.testing.assert_allclose(X[:3, 2], [np.sin(0.7), -np.cos(0.7), 0], atol=1e-12)


def test_touching_is_seen_early_but_not_too_early() -> None:
    foot = STUDIO.feet["cube"]
    robot = body_poses(STUDIO.tree, np.array([0.0, 0.0]))
    # The base is a cylinder of radius 0.07 m, the cube's half edge is 0.03 m.
    assert touches(foot, at(0.10 - 1e-4, 0, 0.03), STUDIO.hulls, robot, 0.0)
    assert touches(foot, at(0.10 + 0.019, 0, 0.03), STUDIO.hulls, robot, 0.02)
    early = foot.spacing_m + 1e-3
    assert not touches(foot, at(0.10 + early, 0, 0.03), STUDIO.hulls, robot, 0.0)


def test_samples_cover_the_surface_as_densely_as_they_say() -> None:
    foot: Footing = STUDIO.feet["cube"]
    rng = np.random.default_rng(0)
    for _ in range(200):
        point = rng.uniform(-0.03, 0.03, 3)
        point[rng.integers(3)] = 0.03 * rng.choice([-1, 1])
        assert np.linalg.norm(foot.samples - point, axis=1).min() <= foot.spacing_m


def test_object_without_a_place_is_left_out() -> None:
    wide = footing(body("slab", "slab", np.eye(4), shape("slab", "box", (3.0, 3.0, 0.1))))
    robot = body_poses(STUDIO.tree, np.zeros(2))
    placed = place(
        {"slab": wide, "cube": STUDIO.feet["cube"]}, ["slab", "cube"], STUDIO.hulls, robot,
        STUDIO.region, radius_m=(0.2, 0.5), azimuth_rad=(-1.0, 1.0), clearance_m=0.01,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert list(placed) == ["cube"]


def test_region_is_the_top_of_what_is_labelled_table() -> None:
    region = region_of(SCENE)
    assert region.tops == ("top",)
    assert region.height_m == pytest.approx(0.0)
    np.testing.assert_allclose(region.low, [-0.2, -0.6])
    np.testing.assert_allclose(region.high, [0.8, 0.6])


def test_hulls_hold_all_of_the_robot() -> None:
    for hull in robot_hulls(SCENE.robot):
        shape_of = BODIES[hull.body].visuals[0]
        points = to_mesh(shape_of).vertices @ shape_of.X_BS[:3, :3].T + shape_of.X_BS[:3, 3]
        assert (points @ hull.normals.T <= hull.offsets + 1e-6).all()
