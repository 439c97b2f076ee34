"""Inertial parameters that matter can have, against Pinocchio and the triangle rule."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.inertia import (
    divergence,
    factor,
    from_pseudo_inertia,
    is_feasible,
    nearest_feasible,
    rigid_groups,
    tangent,
    upper_factor,
)
from envs.stage.scene import MASSLESS, Inertial
from envs.stage.tree import inertial_parameters, reduce_tree, to_inertial
from envs.world.dynamics import pseudo_inertia
from tests.small_arm import GRAVITY, arm, arm_joints, random_inertial, random_pose

thetas = st.lists(st.floats(-1.5, 1.5), min_size=10, max_size=10).map(np.array)


@settings(max_examples=100, deadline=None)
@given(thetas)
def test_log_cholesky_coordinates_are_pinocchios(theta: np.ndarray) -> None:
    U = upper_factor(torch.from_numpy(theta))
    pi = from_pseudo_inertia(U @ U.mT)
    expected = pinocchio.LogCholeskyParameters(theta).toDynamicParameters()
    np.testing.assert_allclose(
        pi.numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max()
    )
    assert is_feasible(pi.numpy())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_feasible_is_the_triangle_rule_of_principal_moments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = random_pose(rng, 1.0)
    moments = rng.uniform(0.001, 0.1, 3)
    inertia = turn[:3, :3] @ np.diag(moments) @ turn[:3, :3].T
    pi = inertial_parameters(Inertial(rng.uniform(0.1, 5), turn[:3, 3], inertia), np.eye(4))
    assert is_feasible(pi) == (2 * moments.max() < moments.sum())
    # In other units (g, mm) it is the same body.
    units = 1e3 * np.array([1, *[1e3] * 3, *[1e6] * 6])
    assert is_feasible(pi * units) == is_feasible(pi)


def test_what_cannot_be_is_told_and_mended() -> None:
    flat = inertial_parameters(
        Inertial(2.0, np.array([0.1, 0.0, 0.2]), np.diag([0.01, 0.01, 0.05])), np.eye(4)
    )
    point = inertial_parameters(Inertial(1.0, np.ones(3), np.zeros((3, 3))), np.eye(4))
    good = inertial_parameters(random_inertial(np.random.default_rng(0)), np.eye(4))
    assert is_feasible(np.array([flat, point, good, -good])).tolist() == [False, False, True, False]
    for pi in (flat, point):
        mended = nearest_feasible(pi)
        assert is_feasible(mended)
        np.testing.assert_allclose(mended[:4], pi[:4], atol=1e-12)
    np.testing.assert_array_equal(nearest_feasible(good), good)


def test_a_pseudo_inertia_and_its_parameters_are_one_to_one() -> None:
    rng = np.random.default_rng(1)
    pi = np.array(
        [inertial_parameters(random_inertial(rng), random_pose(rng, 1)) for _ in range(5)]
    )
    back = from_pseudo_inertia(torch.from_numpy(pseudo_inertia(pi))).numpy()
    np.testing.assert_allclose(back, pi, atol=1e-12)
    L = factor(pi)
    np.testing.assert_allclose(L @ L.swapaxes(-1, -2), pseudo_inertia(pi), atol=1e-12)
    assert np.array_equal(L, np.triu(L))


def test_the_tangent_is_the_derivative_of_the_square() -> None:
    for k, S in enumerate(tangent()):
        theta = np.eye(10)[k] * 1e-6
        plus, minus = (upper_factor(torch.from_numpy(t)).numpy() for t in (theta, -theta))
        np.testing.assert_allclose(S, (plus @ plus.T - minus @ minus.T) / 2e-6, atol=1e-9)


def test_the_divergence_is_what_its_text_says() -> None:
    rng = np.random.default_rng(2)
    pi = inertial_parameters(random_inertial(rng), np.eye(4))
    L = factor(pi)
    assert divergence(pi, L) == pytest.approx(0.0, abs=1e-12)
    theta = rng.normal(size=10) * 1e-3
    alpha, d, s, t = theta[0], theta[1:4], theta[4:7], theta[7:]
    moved = torch.from_numpy(L) @ upper_factor(torch.from_numpy(theta))
    other = from_pseudo_inertia(moved @ moved.mT).numpy()
    near = s @ s + t @ t + 2 * ((alpha + d) ** 2).sum() + 2 * alpha**2
    # Third order is left out: 1e-3 relative.
    assert divergence(other, L) == pytest.approx(near, rel=1e-2)
    # The same bodies seen from another frame and in other units.
    A = random_pose(rng, 1.0) * 7.0
    J = torch.from_numpy(A @ pseudo_inertia(other) @ A.T)
    assert divergence(from_pseudo_inertia(J).numpy(), A @ L) == pytest.approx(
        float(divergence(other, L)), rel=1e-6
    )
    assert divergence(-pi, L) == np.inf
    assert divergence(pi * [1, 1, 1, 1, 1, 1, 1, 1, 1, 9], L) == np.inf


def test_a_group_is_moved_as_one_and_each_body_stays_feasible() -> None:
    rng = np.random.default_rng(3)
    robot = arm(rng)
    # The fixed tool is the heaviest of the last group; between joints 1 and 2 a massless frame.
    bodies = list(robot.bodies)
    bodies[4] = replace(bodies[4], inertial=Inertial(0.0, np.zeros(3), 0.1 * np.eye(3)))
    robot = replace(robot, bodies=tuple(bodies))
    tree = reduce_tree(robot, arm_joints(), GRAVITY)
    groups = rigid_groups(tree, robot)
    assert [g.link for g in groups] == [0, 1, 2]
    last = groups[2]
    assert last.names == ("link2", "link4")
    assert last.massless == ("link3",)
    np.testing.assert_allclose(last.factor @ last.factor.T, pseudo_inertia(tree.pi[2]), atol=1e-12)

    for scale in (0.0, 1.0):
        move = upper_factor(torch.from_numpy(scale * rng.normal(size=10)))
        for group in groups:
            whole = torch.from_numpy(group.factor) @ move
            inertials = group.inertials(whole)
            total = np.zeros(10)
            for name, inertial in inertials.items():
                if name == "link3":
                    assert inertial is MASSLESS
                    continue
                assert is_feasible(inertial_parameters(inertial, np.eye(4)))
                total += inertial_parameters(inertial, tree.groups[group.link][name])
            expected = from_pseudo_inertia(whole @ whole.mT).numpy()
            np.testing.assert_allclose(total, expected, atol=1e-10)
    # Where nothing moves, a group without massless frames is what the model says.
    same = groups[0].inertials(torch.from_numpy(groups[0].factor))["link0"]
    model = robot.bodies[1].inertial
    assert same.mass_kg == pytest.approx(model.mass_kg)
    np.testing.assert_allclose(same.com_m, model.com_m, atol=1e-12)
    np.testing.assert_allclose(same.inertia_kgm2, model.inertia_kgm2, atol=1e-12)
    assert to_inertial(tree.pi[0]).mass_kg == pytest.approx(model.mass_kg)


def test_a_link_without_mass_has_no_group() -> None:
    robot = arm(np.random.default_rng(4))
    bodies = list(robot.bodies)
    bodies[2] = replace(bodies[2], inertial=MASSLESS)
    robot = replace(robot, bodies=tuple(bodies))
    groups = rigid_groups(reduce_tree(robot, arm_joints(), GRAVITY), robot)
    assert [g.link for g in groups] == [0, 2]
