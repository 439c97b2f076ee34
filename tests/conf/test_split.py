"""Which instants train and which judge, as the configuration's words say."""

from typing import Any

import numpy as np
import pytest

from conf.split import Part, Split, part
from envs.errors import ConfigError, RecordingError

T = np.arange(100) * 0.1


def split(train: Any = None, test: Any = None) -> Split:
    return Split(part("recording.train", train), part("recording.test", test), 0.7)


def chosen(train: Any = None, test: Any = None) -> tuple[list[float], list[float]]:
    """First and last instant of both parts."""
    masks = split(train, test).within(T)
    return tuple([round(float(x), 9) for x in T[m][[0, -1]]] if m.any() else [] for m in masks)  # type: ignore[return-value]


def test_spans_and_what_follows_from_them() -> None:
    assert chosen() == ([0.0, 6.9], [7.0, 9.9])
    assert chosen(train=[0, 5]) == ([0.0, 4.9], [5.0, 9.9])
    assert chosen(test=[0, 2.5]) == ([2.5, 9.9], [0.0, 2.4])
    assert chosen(train=[1, 3], test=[6, 8.05]) == ([1.0, 2.9], [6.0, 8.0])
    train, test = split(test=[[1, 2], [5, 6]]).within(T)
    assert test.sum() == 20
    np.testing.assert_array_equal(train, ~test)


def test_another_recording_judges_or_trains_all_of_this_one() -> None:
    assert chosen(test="other") == ([0.0, 9.9], [])
    assert chosen(train=[0, 3], test=["a", "b"]) == ([0.0, 2.9], [])
    assert chosen(train="other") == ([], [0.0, 9.9])
    assert chosen(train="other", test=[5, 6]) == ([], [5.0, 5.9])
    assert split(train=[0, 3], test=["a", "b"]).judged_on == ("a", "b")
    assert split(train="other").trains_on == ("other",)


@pytest.mark.parametrize(
    "value", [[3, 1], [-1, 2], [1, 2, 3], [1], 4, [0, float("nan")], ["a", 2], [[0, 1], 2]]
)
def test_what_is_neither_a_span_nor_a_name_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"recording\.train is .*allowed: a span"):
        part("recording.train", value)


def test_no_sample_may_train_and_judge() -> None:
    with pytest.raises(RecordingError, match=r"share the instant 4\.000 s"):
        split(train=[0, 5], test=[4, 9]).within(T)
    with pytest.raises(ConfigError, match="share a"):
        split(train=["a", "b"], test="a")
    with pytest.raises(RecordingError, match=r"recording\.test covers none .* to 9\.900 s"):
        split(test=[20, 30]).within(T)
    with pytest.raises(RecordingError, match=r"recording\.test covers none"):
        split(train=[0, 30]).within(T)


def test_nothing_given_is_nothing_said() -> None:
    assert part("recording.train", None) is None
    assert part("recording.train", []) is None
    assert part("recording.train", [0, 1]) == Part(spans=((0.0, 1.0),))
