"""Rigid-body dynamics against Pinocchio, on random trees with sliding joints and branches."""

import numpy as np
import pinocchio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.stage.scene import Inertial
from envs.stage.tree import Tree, inertial_parameters
from envs.world.dynamics import (
    TreeDynamics,
    forward_kinematics,
    inverse_dynamics,
    mass_matrix_and_bias,
    pseudo_inertia,
)
from tests.random_tree import random_tree
from tests.small_arm import pinocchio_model

# Two libraries, double precision, torques up to some 100 N·m over up to 8 joints.
RELATIVE = 1e-10


cases = st.tuples(st.integers(1, 8), st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(cases)
def test_everything_agrees_with_pinocchio_on_random_trees(case: tuple[int, int]) -> None:
    n, seed = case
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, n)
    model = pinocchio_model(tree)
    data = model.createData()
    q, qd, qdd = rng.normal(size=(3, 4, n)) * 2
    M, h = mass_matrix_and_bias(tree, q, qd)
    tau = inverse_dynamics(tree, q, qd, qdd)
    X = forward_kinematics(tree, q)
    for b in range(4):
        expected = pinocchio.rnea(model, data, q[b], qd[b], qdd[b])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(tau[b], expected, rtol=0, atol=RELATIVE * scale)
        # Pinocchio's own mass matrix wants a depth-first order of joints; its rnea does not.
        at_rest = pinocchio.rnea(model, data, q[b], np.zeros(n), np.zeros(n))
        full = np.array([pinocchio.rnea(model, data, q[b], np.zeros(n), e) for e in np.eye(n)])
        full = (full - at_rest).T
        scale = max(np.abs(full).max(), np.abs(at_rest).max())
        np.testing.assert_allclose(M[b], full, rtol=0, atol=RELATIVE * scale)
        bias = pinocchio.nonLinearEffects(model, data, q[b], qd[b])
        np.testing.assert_allclose(h[b], bias, rtol=0, atol=RELATIVE * np.abs(bias).max())
        pinocchio.forwardKinematics(model, data, q[b])
        for i in range(n):
            np.testing.assert_allclose(X[b, i], data.oMi[i + 1].homogeneous, atol=1e-12)


def test_a_robot_far_from_the_origin_keeps_its_figures() -> None:
    # 1 km away, second moments about the world's origin would cost six digits.
    rng = np.random.default_rng(5)
    tree = random_tree(rng, 6)
    chain = Tree(**{**vars(tree), "parent": np.arange(-1, 5)})
    moved = chain.X_PJ.copy()
    moved[0, :3, 3] += 1000.0
    q, qd, qdd = rng.normal(size=(3, 6))
    near = inverse_dynamics(chain, q, qd, qdd)
    far = inverse_dynamics(Tree(**{**vars(chain), "X_PJ": moved}), q, qd, qdd)
    np.testing.assert_allclose(far, near, rtol=0, atol=RELATIVE * np.abs(near).max())


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_leading_axes_are_kept(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    dynamics = TreeDynamics(random_tree(rng, 5))
    q, qd, qdd = rng.normal(size=(3, *lead, 5))
    M, h = dynamics.mass_matrix_and_bias(q, qd)
    tau = dynamics.inverse_dynamics(q, qd, qdd)
    assert M.shape == (*lead, 5, 5)
    assert dynamics.forward_kinematics(q).shape == (*lead, 5, 4, 4)
    np.testing.assert_allclose((M @ qdd[..., None])[..., 0] + h, tau, atol=1e-11)
    one = dynamics.inverse_dynamics(
        q.reshape(-1, 5)[-1], qd.reshape(-1, 5)[-1], qdd.reshape(-1, 5)[-1]
    )
    np.testing.assert_allclose(tau.reshape(-1, 5)[-1], one, atol=1e-12)


def test_a_pendulum_by_hand() -> None:
    # 2 kg at 0.5 m on a horizontal axis: τ = m·l²·q̈ + m·g·l·cos q, q from the horizontal.
    pi = inertial_parameters(Inertial(2.0, np.array([0.5, 0, 0]), np.zeros((3, 3))), np.eye(4))
    tree = Tree(
        joints=("hinge",),
        parent=np.array([-1]),
        prismatic=np.array([False]),
        X_PJ=np.eye(4)[None],
        axis=np.array([[0.0, -1.0, 0.0]]),
        groups=({"bob": np.eye(4)},),
        base={},
        pi=pi[None],
        gravity=np.array([0, 0, -9.81]),
    )
    tau = inverse_dynamics(tree, np.array([0.3]), np.array([2.0]), np.array([1.5]))
    assert tau[0] == pytest.approx(2 * 0.25 * 1.5 + 2 * 9.81 * 0.5 * np.cos(0.3), abs=1e-12)


def test_the_pseudo_inertia_is_the_second_moment_of_points() -> None:
    rng = np.random.default_rng(2)
    x, m = rng.normal(size=(9, 3)), rng.uniform(0.1, 1, 9)
    com = m @ x / m.sum()
    r = x - com
    inertia = sum(
        mk * (rk @ rk * np.eye(3) - np.outer(rk, rk)) for mk, rk in zip(m, r, strict=True)
    )
    J = pseudo_inertia(inertial_parameters(Inertial(m.sum(), com, np.asarray(inertia)), np.eye(4)))
    points = np.concatenate([x, np.ones((9, 1))], axis=1)
    np.testing.assert_allclose(J, np.einsum("k,ki,kj->ij", m, points, points), atol=1e-12)
