"""The terms of each joint's equation, chosen by blocks of time inside the training part."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.gradient import fit_torque
from calibration.structure import TERMS, candidates, margins, simplest, words
from envs.stage.scene import Joint
from envs.stage.tree import Tree, reduce_tree
from envs.telemetry.filtering import Motion, motion
from envs.telemetry.trajectory import Trajectory
from envs.world.sensing import sensor_torque
from tests.small_arm import GRAVITY, arm, arm_joints, scene

NONE = frozenset[str]()


def test_every_law_comes_with_and_without_spring_and_lag() -> None:
    found = candidates()
    assert len(found) == len(set(found)) == 16
    assert found[0] == NONE
    assert frozenset.union(*found) == set(TERMS)
    assert words(frozenset({"lag", "stribeck"})) == "coulomb and viscous + stribeck + lag"


def test_the_simplest_within_one_standard_error_of_the_gain_is_taken() -> None:
    found = (NONE, frozenset({"lag"}), frozenset({"spring"}), frozenset({"spring", "lag"}))
    rng = np.random.default_rng(0)
    block = np.exp(rng.normal(size=10) * 0.3)  # blocks differ in difficulty, for all alike
    gain = np.exp(np.array([-0.1, 0.1] * 5))
    # Joint 0: nothing gains as much as a hundredth. Joint 1: the lag halves the error, and a spring
    # takes another 0.01 ± 0.033. Joint 2: spring and lag gain 0.02 ± 0.033.
    one = np.ones(10)
    scores = np.stack(
        [
            np.stack([one, one, one]),
            np.stack([one * 1.01, one * 0.5, one]),
            np.stack([one * 0.995, one * 0.999, one]),
            np.stack([one * 1.03, one * 0.495 * gain, one * 0.98 * gain]),
        ]
    )
    scores *= block
    assert simplest(found, scores) == (NONE, frozenset({"lag"}), NONE)
    # Ten gains of ±0.1 about their mean: 0.1·√(10/9)/√10.
    np.testing.assert_allclose(margins(scores), [0, 0.1 / 3, 0.1 / 3], atol=1e-12)


def swung(
    rng: np.random.Generator, tree: Tree, joints: list[Joint], *, samples: int, noise_nm: float
) -> tuple[Motion, np.ndarray]:
    """Motion and raw torque of joints that follow a sum of five sines, 1000 samples a second."""
    t = np.arange(samples) * 1e-3
    w, phase = rng.uniform(0.5, 5, (5, 3)), rng.uniform(0, 6, (5, 3))
    angle = t[:, None, None] * w + phase
    q, qd = np.sin(angle).sum(axis=1) * 0.3, (w * np.cos(angle)).sum(axis=1) * 0.3
    qdd = -(w**2 * np.sin(angle)).sum(axis=1) * 0.3
    tau = sensor_torque(tree, joints, q, qd, qdd, 1e-3)
    tau += rng.normal(size=tau.shape) * noise_nm
    return motion(Trajectory(t_s=t, joints=tree.joints, q=q, qd=qd, tau=tau)), tau


def excited(seed: int, *, noise_nm: float) -> tuple[Motion, np.ndarray]:
    """Motion and raw torque of a small arm.

    Joint 1 has a spring and a late sensor, joint 2 Stribeck's excess.
    """
    rng = np.random.default_rng(seed)
    truth = arm(np.random.default_rng(11))
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    joints = [truth.joint(name) for name in tree.joints]
    joints[1] = replace(joints[1], spring=3.0, torque_lag_s=0.02)
    for j, excess in enumerate((0.0, 0.0, 0.8)):
        friction = replace(joints[j].friction, stribeck=excess, stribeck_velocity=0.1)
        joints[j] = replace(joints[j], friction=friction)
    return swung(rng, tree, joints, samples=16_000, noise_nm=noise_nm)


def test_planted_terms_are_found_and_no_others() -> None:
    moved, _ = excited(1, noise_nm=0.05)
    nominal = scene(arm(np.random.default_rng(11)))
    found = fit_torque(nominal, moved, train=moved.t_s < 14.0, heldout=moved.t_s >= 14.3)
    told = found.metrics["structure"]
    chosen = {joint: of["chosen"].removeprefix("coulomb and viscous") for joint, of in told.items()}
    assert chosen == {"joint0": "", "joint1": " + spring + lag", "joint2": " + stribeck"}
    scores = told["joint2"]["blocks_rmse_nm"]
    assert len(scores) == 16
    assert scores["coulomb and viscous + stribeck"] < 0.5 * scores["coulomb and viscous"]
    spring, lag = found.parameters["joint1.spring"], found.parameters["joint1.torque_lag_s"]
    assert spring.value == pytest.approx(3.0, rel=0.1)
    assert lag.value == pytest.approx(0.02, abs=1e-3)
    absent = found.parameters["joint0.spring"]
    assert (absent.value, absent.std, absent.identifiable) == (0.0, 0.0, False)
    # The floor that the noise leaves below 10 Hz; see test_fit_torque.
    floor = 0.05 * np.sqrt(2 * 9.3 / 1000)
    assert max(found.metrics["heldout_rmse_nm"]) < 2 * floor


def test_a_recording_too_short_to_choose_gets_the_plainest_law() -> None:
    moved, _ = excited(2, noise_nm=0.05)
    nominal = scene(arm(np.random.default_rng(11)))
    found = fit_torque(nominal, moved, train=moved.t_s < 1.7, heldout=moved.t_s >= 2.1)
    told = found.metrics["structure"]["joint1"]
    assert (told["chosen"], told["blocks_rmse_nm"]) == ("coulomb and viscous", {})


@pytest.mark.parametrize("seed", [3, 4])
def test_outliers_bend_least_squares_and_not_hubers_loss(seed: int) -> None:
    moved, tau = excited(seed, noise_nm=0.05)
    rng = np.random.default_rng(seed)
    struck = tau.copy()
    for at in rng.choice(14_000, 25, replace=False):
        struck[at : at + 20] += 40.0
    raw = Trajectory(t_s=moved.t_s, joints=moved.joints, q=moved.q, qd=moved.qd, tau=struck)
    planted = replace(moved, tau=motion(raw).tau)
    nominal = scene(arm(np.random.default_rng(11)))
    structure = (NONE, frozenset({"spring", "lag"}), frozenset({"stribeck"}))
    errors = {}
    for loss in ("huber", "squares"):
        found = fit_torque(
            nominal,
            planted,
            train=moved.t_s < 14.3,
            heldout=moved.t_s >= 14.7,
            structure=structure,
            loss=loss,
        )
        errors[loss] = np.array(found.metrics["heldout_rmse_nm"])
        if loss == "huber":
            assert min(found.metrics["outliers"]) > 0.02
    assert (errors["huber"] < 0.3 * errors["squares"]).all(), errors


def test_friction_that_would_drive_a_joint_is_not_fitted() -> None:
    """A joint is pushed along in one direction: no friction does that, whatever the data ask."""
    rng = np.random.default_rng(5)
    truth = arm(np.random.default_rng(11))
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    joints = [truth.joint(name) for name in tree.joints]
    for j, (viscous, asymmetry) in enumerate(((0.3, 0.0), (0.2, 0.6), (0.5, 0.3))):
        friction = replace(joints[j].friction, viscous=viscous, asymmetry=asymmetry, stribeck=0.0)
        joints[j] = replace(joints[j], friction=friction)
    moved, _ = swung(rng, tree, joints, samples=12_000, noise_nm=0.02)
    found = fit_torque(scene(truth), moved, train=moved.t_s < 9.0, heldout=moved.t_s >= 9.5)
    told = found.metrics["structure"]
    chosen = {joint: of["chosen"].removeprefix("coulomb and viscous") for joint, of in told.items()}
    assert "asymmetric" not in chosen["joint1"] and chosen["joint2"] == " + asymmetric"
    for joint in tree.joints:
        value = {
            f: found.parameters[f"{joint}.friction.{f}"].value for f in ("viscous", "asymmetry")
        }
        assert abs(value["asymmetry"]) <= value["viscous"]
    assert found.parameters["joint1.friction.asymmetry"].value == 0.0
    assert found.parameters["joint2.friction.asymmetry"].value == pytest.approx(0.3, abs=0.03)
    said = found.metrics["identifiability"]["sentences"]
    assert any("friction of joint1 that would drive it" in words for words in said)
