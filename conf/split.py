"""Which part of a recording trains and which judges: spans of it in seconds, or other recordings.

`recording.train` and `recording.test` each hold a span `[0, 14.7]`, several `[[0, 5], [10, 15]]`, a
name `panda_unisa` or several `[a, b]`; where a recording has several runs (`method=servo`), what
the metadata of some say, `{kp: 800}`. What is left out follows from what is given: the rest of the
recording, or all of it where another one judges; with nothing given the first `train_fraction`
trains and the rest judges.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from envs.errors import ConfigError, RecordingError

Span = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """Spans of a recording, start ≤ t < end in s since its first stamp, or names of others.

    Attributes:
        metadata: What the files of some runs say.
    """

    spans: tuple[Span, ...] = ()
    recordings: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def matches(self, metadata: Mapping[str, str]) -> bool:
        """Return whether a run's metadata say all that is asked for."""
        return all(metadata.get(key) == value for key, value in self.metadata.items())

    def covers(self, t_s: Float[np.ndarray, "time"]) -> Bool[np.ndarray, "time"]:
        """Return which instants lie in a span."""
        inside = [(t_s >= a) & (t_s < b) for a, b in self.spans]
        return np.any(inside, axis=0) if inside else np.zeros(len(t_s), bool)


def part(key: str, value: Any) -> Part | None:
    """Return what a key of the configuration names; None where it is not given.

    Raises:
        ConfigError: It is neither a span, nor spans, nor names.
    """
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return Part(metadata={str(k): str(v) for k, v in value.items()})
    entries = value if isinstance(value, list) else [value]
    if all(isinstance(entry, str) for entry in entries):
        return Part(recordings=tuple(entries))
    spans = entries if all(isinstance(entry, list) for entry in entries) else [entries]
    if not all(_is_span(span) for span in spans):
        raise ConfigError(
            f"{key} is {value}; allowed: a span in seconds such as [0, 14.7], several of them "
            "such as [[0, 5], [10, 15]], or names of recordings"
        )
    return Part(spans=tuple((float(a), float(b)) for a, b in spans))


def _is_span(span: Any) -> bool:
    number = isinstance(span, list) and all(isinstance(x, int | float) for x in span)
    return number and len(span) == 2 and math.isfinite(sum(span)) and 0 <= span[0] < span[1]


@dataclass(frozen=True)
class Split:
    """What trains and what judges; None where nothing was said."""

    train: Part | None
    test: Part | None
    train_fraction: float

    def __post_init__(self) -> None:
        """Refuse recordings that would train and judge."""
        both = set(self.trains_on) & set(self.judged_on)
        if both:
            raise ConfigError(f"recording.train and recording.test share {', '.join(sorted(both))}")

    @property
    def trains_on(self) -> tuple[str, ...]:
        """Other recordings to fit; the chosen one is not fitted then."""
        return () if self.train is None else self.train.recordings

    @property
    def judged_on(self) -> tuple[str, ...]:
        """Other recordings to judge by; the chosen one does not judge then."""
        return () if self.test is None else self.test.recordings

    def within(
        self, t_s: Float[np.ndarray, "time"]
    ) -> tuple[Bool[np.ndarray, "time"], Bool[np.ndarray, "time"]]:
        """Return which instants of the chosen recording train, and which judge.

        Raises:
            RecordingError: Some instant would do both, or a span holds nothing.
        """
        neither = np.zeros(len(t_s), bool)
        train, test = (
            None if p is None else neither if p.recordings else p.covers(t_s)
            for p in (self.train, self.test)
        )
        if train is None and test is None:
            train = t_s < t_s[0] + self.train_fraction * (t_s[-1] - t_s[0])
        train = ~test if train is None and test is not None else train
        test = ~train if test is None and train is not None else test
        assert train is not None, "set above"
        assert test is not None, "set above"
        if (train & test).any():
            raise RecordingError(
                f"recording.train and recording.test share the instant {t_s[train & test][0]:.3f} s"
            )
        for key, chosen, given in (("train", train, self.train), ("test", test, self.test)):
            if not chosen.any() and not (given is not None and given.recordings):
                raise RecordingError(
                    f"recording.{key} covers none of the recording, which lasts from {t_s[0]:.3f} "
                    f"to {t_s[-1]:.3f} s"
                )
        return train, test
