"""Torch dynamics against Pinocchio, and its gradients against finite differences."""

import numpy as np
import pinocchio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.dynamics import inverse_dynamics, regressor
from tests.random_tree import random_tree
from tests.small_arm import pinocchio_model

# Two libraries, double precision, torques up to some 100 N·m over up to 8 joints.
RELATIVE = 1e-10


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_torque_and_regressor_agree_with_pinocchio(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, n)
    model = pinocchio_model(tree)
    data = model.createData()
    q, qd, qdd = rng.normal(size=(3, 5, n)) * 2
    state = torch.from_numpy(q), torch.from_numpy(qd), torch.from_numpy(qdd)
    Y = regressor(tree, *state).numpy()
    tau = inverse_dynamics(tree, *state, torch.from_numpy(tree.pi)).numpy()
    for b in range(5):
        expected = pinocchio.computeJointTorqueRegressor(model, data, q[b], qd[b], qdd[b])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(Y[b].ravel(), expected.ravel(), rtol=0, atol=RELATIVE * scale)
        torque = pinocchio.rnea(model, data, q[b], qd[b], qdd[b])
        scale = np.abs(torque).max()
        np.testing.assert_allclose(tau[b], torque, rtol=0, atol=RELATIVE * scale)
    np.testing.assert_allclose(Y @ tree.pi.ravel(), tau, rtol=0, atol=RELATIVE * np.abs(tau).max())


def test_gradients_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(3)
    tree = random_tree(rng, 4)
    assert tree.prismatic.any()
    assert not tree.prismatic.all()
    state = [torch.from_numpy(x).requires_grad_() for x in rng.normal(size=(3, 2, 4))]
    pi = torch.from_numpy(tree.pi).requires_grad_()

    def torque(*values: torch.Tensor) -> torch.Tensor:
        return inverse_dynamics(tree, values[0], values[1], values[2], values[3])

    assert torch.autograd.gradcheck(torque, (*state, pi), eps=1e-6, atol=1e-6, rtol=1e-6)
