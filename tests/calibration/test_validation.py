"""The verdict on a calibration, whiteness of residuals, and folds in time."""

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from calibration.validation import Comparison, Verdict, blocked_folds, ljung_box, whiteness

JOINTS = ("a", "b")


def compare(nominal: list[float], calibrated: list[float], *, decides: bool = True) -> Comparison:
    return Comparison("torque", np.array(nominal), np.array(calibrated), decides)


def test_the_geometric_mean_over_the_joints_decides() -> None:
    # One joint twice as good weighs up another a half as bad again, whatever their sizes.
    assert Verdict(JOINTS, (compare([10.0, 0.1], [5.0, 0.15]),)).improved
    assert not Verdict(JOINTS, (compare([10.0, 0.1], [5.0, 0.3]),)).improved
    assert compare([10.0, 0.1], [5.0, 0.1]).ratio == pytest.approx(np.sqrt(0.5))


def test_every_signal_that_was_fitted_must_be_better_and_others_do_not_count() -> None:
    better, worse = compare([1.0, 1.0], [0.5, 0.5]), compare([1.0, 1.0], [2.0, 2.0])
    aside = compare([1.0, 1.0], [2.0, 2.0], decides=False)
    assert not Verdict(JOINTS, (better, worse)).improved
    assert Verdict(JOINTS, (better, aside)).improved
    assert "which was not fitted" in Verdict(JOINTS, (better, aside)).text
    assert not Verdict(JOINTS, (aside,)).improved
    assert "nothing shows" in Verdict(JOINTS, ()).text


def test_json_tells_joint_by_joint() -> None:
    verdict = Verdict(JOINTS, (compare([1.0, 1.0], [0.2, 1.5]),)).to_dict()
    back = json.loads(json.dumps(verdict))
    assert back["improved"] is True
    assert back["signals"]["torque"]["joints"]["a"]["improved"] is True
    assert back["signals"]["torque"]["joints"]["b"] == {
        "nominal": 1.0,
        "calibrated": 1.5,
        "improved": False,
    }
    assert "better on 1 of 2 joints" in back["why"]


def test_white_noise_passes_as_often_as_it_should_and_memory_is_seen() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 1000))
    # 1000 draws give a share of 5 % to 0.7 %.
    assert np.mean(ljung_box(noise) < 0.05) == pytest.approx(0.05, abs=0.021)
    remembers = lfilter([1.0], [1.0, -0.4], noise[:, :50], axis=0)
    assert (ljung_box(remembers) < 0.05).all()
    told = whiteness(
        np.hstack([noise[:, :1], remembers[:, :1]]), np.ones(400, bool), JOINTS, stride=1
    )
    assert [told[j]["white"] for j in JOINTS] == [True, False]
    assert whiteness(noise[:, :2], np.ones(400, bool), JOINTS, stride=100) == {}


def test_each_instant_is_held_out_once_and_its_neighbours_do_not_train() -> None:
    use = np.ones(100, bool)
    use[40:45] = False
    folds = blocked_folds(use, 4, reach=3)
    assert sum(judge.astype(int) for _, judge in folds).tolist() == use.astype(int).tolist()  # type: ignore[union-attr]
    for train, judge in folds:
        apart = np.abs(np.flatnonzero(train)[:, None] - np.flatnonzero(judge)).min()
        assert apart == 4
        assert not (train & ~use).any()
