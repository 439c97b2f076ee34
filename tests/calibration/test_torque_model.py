"""Derivatives of the torque model against finite differences, its torque against Pinocchio."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from calibration.inertia import rigid_groups
from calibration.regression import (
    STRIBECK_RANGE,
    build_regression,
    stribeck_nodes,
    stribeck_weights,
)
from calibration.torque_model import FIELDS, TorqueModel, model_torque, torque_near
from calibration.torque_prior import INERTIA_WIDTH, Prior, model_prior
from envs.errors import CalibrationError
from envs.stage.tree import reduce_tree
from envs.telemetry.filtering import Motion, lowpass
from tests.small_arm import GRAVITY, arm, arm_joints, pinocchio_model

RNG = np.random.default_rng(0)
ROBOT = arm(RNG)
TREE = reduce_tree(ROBOT, arm_joints(), GRAVITY)
MODEL = TorqueModel(TREE, rigid_groups(TREE, ROBOT))
JOINTS = [ROBOT.joint(name) for name in TREE.joints]
STEP = 1e-6
LAG = [name for name, *_ in FIELDS].index("torque_lag_s")


def some_motion(seconds: float = 4.0) -> Motion:
    t = np.arange(round(seconds * 1000)) * 1e-3
    w, phase = RNG.uniform(2, 6, (4, 3)), RNG.uniform(0, 6, (4, 3))
    angle = t[:, None, None] * w + phase
    return Motion(
        t_s=t,
        joints=TREE.joints,
        q=np.sin(angle).sum(axis=1) * 0.4,
        qd=(w * np.cos(angle)).sum(axis=1) * 0.4,
        qdd=-(w**2 * np.sin(angle)).sum(axis=1) * 0.4,
        tau=RNG.normal(size=(len(t), 3)),
        use=np.ones(len(t), bool),
    )


def a_point() -> np.ndarray:
    """Somewhere off the model's own numbers, all links feasible."""
    links = TREE.pi.ravel()
    fields = RNG.uniform(0.1, 0.5, (len(FIELDS), 3))
    fields[LAG] = 0.0  # only to first order among the columns; it has a test of its own
    fields[-1] = np.log(RNG.uniform(*STRIBECK_RANGE, 3))
    p = np.concatenate([links, fields.ravel()])
    return MODEL.move(p, np.concatenate([RNG.normal(size=30) * 0.1, np.zeros(3 * len(FIELDS))]))


def assert_derivatives(
    model: TorqueModel, prior: Prior, p: np.ndarray, *, step: float, values_atol: float
) -> None:
    """Hold coefficients', values' and the prior's derivatives against central differences."""
    D, of, gradient = model.derivative(p), model.values(p)[1], prior.gradient(p)
    for k, unit in enumerate(np.eye(len(p))):
        plus, minus = model.move(p, step * unit), model.move(p, -step * unit)
        change = model.coefficients(plus) - model.coefficients(minus)
        np.testing.assert_allclose(D[:, k], change / (2 * step), atol=1e-7)
        change = model.values(plus)[0] - model.values(minus)[0]
        np.testing.assert_allclose(of[:, k], change / (2 * step), atol=values_atol)
        slope = (prior.cost(plus) - prior.cost(minus)) / (2 * step)
        assert gradient[k] == pytest.approx(slope / 2, rel=1e-5, abs=1e-6)


def test_derivatives_agree_with_finite_differences() -> None:
    p = a_point()
    prior = model_prior(MODEL, JOINTS, some_motion(), np.ones(4000, bool))
    assert_derivatives(MODEL, prior, p, step=STEP, values_atol=1e-7)


def test_the_priors_hessian_is_that_along_straight_lines() -> None:
    p = a_point()
    prior = model_prior(MODEL, JOINTS, some_motion(), np.ones(4000, bool))
    H, h = prior.hessian, 1e-4
    for unit in [*np.eye(len(p)), RNG.normal(size=len(p)) * 0.1]:
        around = [prior.cost(MODEL.move(p, s * h * unit)) for s in (-1, 0, 1)]
        bend = (around[0] - 2 * around[1] + around[2]) / h**2
        assert unit @ H @ unit == pytest.approx(bend / 2, rel=1e-3, abs=1e-3)
    assert prior.cost(np.concatenate([TREE.pi.ravel(), prior.mean])) == pytest.approx(0, abs=1e-10)
    assert INERTIA_WIDTH > 0


def test_no_step_leaves_what_is_feasible() -> None:
    prior = model_prior(MODEL, JOINTS, some_motion(), np.ones(4000, bool))
    for _ in range(10):
        p = a_point()
        # Each may go 19/20 of the way to the edge; after many the edge is lost in rounding.
        for _ in range(5):
            p = MODEL.move(p, RNG.normal(size=len(p)) * 3)
            assert np.isfinite(prior.cost(p))


def test_a_stribeck_velocity_between_the_nodes_is_interpolated_to_two_thousandths() -> None:
    v, at = np.linspace(0, 1, 1001)[:, None], np.geomspace(*STRIBECK_RANGE, 101)
    nodes = np.exp(-((v / stribeck_nodes()) ** 2))
    error = nodes @ stribeck_weights(np.log(at)).T - np.exp(-((v / at) ** 2))
    assert np.abs(error).max() < 2.1e-3


def test_columns_and_coefficients_give_the_models_torque() -> None:
    p, motion = a_point(), some_motion()
    regression = build_regression(TREE, motion, motion.use, 10.0)
    regression = regression.near(
        motion, 10.0, *torque_near(*MODEL.fitted(p, JOINTS), motion, 10.0, np.zeros(3))
    )
    expected = model_torque(*MODEL.fitted(p, JOINTS), motion, 10.0)
    rows = np.round(regression.t_s * 1000).astype(int)
    for j, joint in enumerate(regression.joints):
        tau = joint.columns @ MODEL.coefficients(p)[joint.index]
        # Two thousandths of an excess of at most 0.5 N·m; the ends are the filter's.
        middle = slice(50, -50)
        np.testing.assert_allclose(tau[middle], expected[rows[middle], j], atol=1.1e-3)


def test_a_late_sensors_column_is_the_change_of_the_torque_with_its_lag() -> None:
    p, motion, lag_s = a_point(), some_motion(), 2e-4
    in_time = model_torque(*MODEL.fitted(p, JOINTS), motion, 10.0)
    regression = build_regression(TREE, motion, motion.use, 10.0)
    regression = regression.near(
        motion, 10.0, *torque_near(*MODEL.fitted(p, JOINTS), motion, 10.0, np.zeros(3))
    )
    at = 30 + 3 * LAG
    late = p.copy()
    late[at : at + 3] = lag_s
    change = model_torque(*MODEL.fitted(late, JOINTS), motion, 10.0) - in_time
    rows = np.round(regression.t_s * 1000).astype(int)[20:-20]
    for j, joint in enumerate(regression.joints):
        slope = joint.columns @ MODEL.derivative(p)[joint.index, at + j]
        np.testing.assert_allclose(
            lag_s * slope[20:-20], change[rows, j], atol=0.02 * np.abs(change[rows, j]).max()
        )


def test_the_torque_is_pinocchios_and_the_friction_law() -> None:
    motion = some_motion(1.0)
    model, joints = pinocchio_model(TREE), JOINTS
    data = model.createData()
    rows = [
        pinocchio.rnea(model, data, *x) for x in zip(motion.q, motion.qd, motion.qdd, strict=True)
    ]
    f = [j.friction for j in joints]
    excess = [
        a.stribeck * np.exp(-((v / a.stribeck_velocity) ** 2))
        for a, v in zip(f, motion.qd.T, strict=True)
    ]
    dry = np.array([a.coulomb for a in f]) + np.array(excess).T
    tau = np.array(rows) + np.array([j.armature for j in joints]) * motion.qdd
    tau += dry * np.tanh(motion.qd / 0.01) + np.array([a.viscous for a in f]) * motion.qd
    joints = [replace(j, spring=0.3 + k, torque_lag_s=0.02) for k, j in enumerate(joints)]
    tau += np.array([0.3, 1.3, 2.3]) * motion.q
    tau = np.concatenate([np.repeat(tau[:1], 20, axis=0), tau[:-20]])
    np.testing.assert_allclose(
        model_torque(TREE, joints, motion, 10.0), lowpass(tau, 1e-3, 10.0), atol=1e-10
    )


def test_too_short_a_span_is_refused() -> None:
    motion = some_motion(1.0)
    with pytest.raises(CalibrationError, match=r"too few for the .* coefficients of joint0"):
        build_regression(TREE, motion, motion.t_s < 0.5, 10.0)
