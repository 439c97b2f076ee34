"""What a recording cannot tell is named, in cases where the answer is known."""

from dataclasses import replace

import numpy as np

from calibration.identifiability import degenerate_cases, identifiability
from envs.stage.tree import reduce_tree
from tests.small_arm import GRAVITY, arm, arm_joints

NAMES = ("armature", "izz", "friction", "stiction")


def test_a_sum_of_two_is_told_and_they_are_not() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(500, 2)) * 10
    J = np.column_stack([A[:, 0], A[:, 0], A[:, 1], np.zeros(500)])
    found = identifiability(NAMES, J, np.eye(4), np.eye(4))
    assert (found.parameters, found.rank) == (4, 2)
    assert found.confounded == (("armature", "izz"),)
    assert found.weak == ("armature", "izz", "stiction")
    assert "armature and izz cannot be told apart" in found.sentences()
    # The two directions that are told: the sum is √2 times as strong.
    assert 1.2 < found.condition < 1.6
    assert found.to_dict()["rank"] == 2


def test_what_the_data_tell_is_not_blamed_for_being_correlated() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 1)) * 100
    J = np.hstack([x, x + rng.normal(size=(500, 1)) * 10])
    found = identifiability(NAMES[:2], J, np.eye(2), np.eye(2))
    assert found.rank == 2
    assert found.weak == ()
    assert found.confounded == ()


def test_still_joints_and_vertical_axes_are_named() -> None:
    tree = reduce_tree(arm(np.random.default_rng(2)), arm_joints(), GRAVITY)
    rng = np.random.default_rng(3)
    qd, use = rng.normal(size=(100, 3)), np.ones(100, bool)
    qd[:, 1] *= 1e-3
    said = degenerate_cases(tree, qd, use)
    assert [line.split(" ")[0] for line in said] == ["joint1"]
    X = tree.X_PJ.copy()
    X[0, :3, :3] = np.eye(3)
    axis = tree.axis.copy()
    axis[0] = [0.0, 0.0, -1.0]
    said = degenerate_cases(replace(tree, X_PJ=X, axis=axis), qd, use)
    assert any(line.startswith("joint0 turns about the vertical") for line in said)
