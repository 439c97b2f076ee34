"""Excitations keep all limits on a fine grid, and tell more than a naive motion."""

import numpy as np
import pytest

from calibration.excitation import Design, Fourier, design, information, limits_of
from envs.errors import CalibrationError
from envs.stage.tree import reduce_tree
from envs.world.dynamics import inverse_dynamics
from tests.small_arm import GRAVITY, arm, arm_joints

ROBOT = arm(np.random.default_rng(5))
TREE = reduce_tree(ROBOT, arm_joints(), GRAVITY)
JOINTS = [ROBOT.joint(name) for name in TREE.joints]
LIMITS = limits_of(JOINTS, 12.0)
PERIOD_S = 5.0
FINE = np.linspace(0, PERIOD_S, 4001)


def far(q: np.ndarray) -> float:
    return 1.0


def designed(clearance=far, **options: int) -> Fourier:  # type: ignore[no-untyped-def]
    return both(clearance, **options).series


def both(clearance=far, *, evaluations: int = 320, seed: int = 0, progress=None) -> Design:  # type: ignore[no-untyped-def]
    return design(
        TREE,
        LIMITS,
        centre=np.zeros(3),
        clearance=clearance,
        margin_m=0.02,
        period_s=PERIOD_S,
        harmonics=4,
        evaluations=evaluations,
        seed=seed,
        progress=progress,
    )


@pytest.fixture(scope="module")
def found() -> Fourier:
    return designed()


def test_all_limits_hold_between_the_instants_of_the_search(found: Fourier) -> None:
    q, qd, qdd = found.at(FINE)
    assert (q > LIMITS.lower).all()
    assert (q < LIMITS.upper).all()
    assert (np.abs(qd) < LIMITS.velocity).all()
    assert (np.abs(qdd) < LIMITS.acceleration).all()
    assert (np.abs(inverse_dynamics(TREE, q, qd, qdd)) < LIMITS.effort).all()
    # Some limit is nearly reached: the motion is not just small.
    used = [np.abs(q).max() / np.pi, (np.abs(qd) / LIMITS.velocity).max(), np.abs(qdd).max() / 12.0]
    assert max(used) > 0.8


def test_it_starts_and_ends_at_rest_and_its_derivatives_are_its_own(found: Fourier) -> None:
    q, qd, qdd = found.at(FINE)
    for end in (0, -1):
        np.testing.assert_allclose(q[end], 0, atol=1e-9)
        np.testing.assert_allclose(qd[end], 0, atol=1e-9)
        np.testing.assert_allclose(qdd[end], 0, atol=1e-8)
    dt = FINE[1]
    np.testing.assert_allclose(np.gradient(q, dt, axis=0)[1:-1], qd[1:-1], atol=2e-4)
    np.testing.assert_allclose(np.gradient(qd, dt, axis=0)[1:-1], qdd[1:-1], atol=2e-3)


def test_it_tells_more_than_one_sine_of_each_joint_as_fast_as_allowed(found: Fourier) -> None:
    sine = np.zeros((3, 4))
    sine[:, 0] = 1.0
    naive = Fourier(PERIOD_S, np.zeros(3), sine, np.zeros((3, 4)))
    speed = np.abs(naive.at(FINE)[1]).max(axis=0)
    naive = naive.scaled(0.9 * LIMITS.velocity / speed)
    assert information(TREE, found) > information(TREE, naive) + 5
    assert information(TREE, found) > information(TREE, designed(evaluations=16)) + 1


def test_the_motion_shrinks_until_nothing_touches(found: Fourier) -> None:
    def wall(q: np.ndarray) -> float:
        return 0.5 - float(np.abs(q).max())

    assert np.abs(found.at(FINE)[0]).max() > 0.6
    assert np.abs(designed(wall).at(FINE)[0]).max() < 0.49
    with pytest.raises(CalibrationError, match=r"-0.1 m of clearance"):
        designed(lambda q: -0.1)


def test_among_obstacles_it_still_tells_more_than_the_plain_motion_there() -> None:
    def narrow(q: np.ndarray) -> float:
        return 0.2 - float(np.abs(q[1]))

    found = both(narrow)
    for series in (found.series, found.plain):
        assert np.abs(series.at(FINE)[0][:, 1]).max() < 0.181
    # A joint that has nothing to do with the obstacle goes on using its room.
    assert np.abs(found.plain.at(FINE)[0][:, 0]).max() > 0.5
    assert information(TREE, found.series) > information(TREE, found.plain) + 2


def test_the_same_seed_gives_the_same_motion() -> None:
    first, again = designed(evaluations=160), designed(evaluations=160)
    np.testing.assert_array_equal(first.sine, again.sine)
    assert not np.array_equal(first.sine, designed(evaluations=160, seed=1).sine)


def test_the_search_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    both(evaluations=32, progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 32) for k in range(1, 33)]
