"""What the robot can do and is called, against what was recorded."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import inf, radians

import numpy as np

from envs.telemetry.channels import MEASURED, channel
from envs.telemetry.finding import Fault, Finding
from envs.telemetry.recording import Recording, Signal

# Noise and a soft stop carry a reading over its limit by so much of the range.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Limits:
    """What a joint can do: rad or m, rad/s or m/s, N·m or N. Infinite where nobody says."""

    lower: float = -inf
    upper: float = inf
    velocity: float = inf
    effort: float = inf


def joint_findings(recorded: Sequence[str], expected: Sequence[str]) -> Iterator[Finding]:
    """Yield the joints that are missing, added, or called otherwise.

    Two names are one joint where they end in the same number and their letters are half the same.
    """
    lacking = [name for name in expected if name not in recorded]
    extra = [name for name in recorded if name not in expected]
    for name in tuple(lacking):
        alike = [other for other in extra if _alike(name, other)]
        if len(alike) == 1:
            lacking.remove(name)
            extra.remove(alike[0])
            detail = f"'{alike[0]}' looks like '{name}': map it in joint_names"
            yield Finding("renamed_joint", alike[0], 1, 0.0, "flagged", detail)
    for name in lacking:
        yield Finding("missing_joint", name, 1, 0.0, "left out", "it was not recorded")
    for name in extra:
        yield Finding("added_joint", name, 1, 0.0, "flagged", "nothing of that name is expected")


def named_findings(joint_names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield which joints the description calls otherwise, and which it leaves out."""
    renamed = [f"{name} is {to}" for name, to in joint_names.items() if to and to != name]
    if renamed:
        detail = ", ".join(renamed)
        yield Finding("renamed_joint", "joint_names", len(renamed), 0.0, "as declared", detail)
    for name, to in joint_names.items():
        if not to:
            detail = "joint_names leaves it out"
            yield Finding("added_joint", name, 1, 0.0, "left out, as declared", detail)


def limit_findings(
    recording: Recording, limits: Mapping[str, Limits], start_ns: int
) -> Iterator[Finding]:
    """Yield where a joint was beyond its limits, or its position moved faster than it can."""
    for signal in (s for s in MEASURED if s != "current"):  # no stage limits currents
        found = channel(recording, signal)
        if found is None:
            continue
        source = next(s for s in recording.streams if signal in s.signals)
        for j, joint in enumerate(found.joints):
            if joint not in limits:
                continue
            values, limit = found.values[:, j], limits[joint]
            low, high = _range(signal, limit)
            margin = TOLERANCE * (high - low) if high - low < inf else 0.0
            outside = (values < low - margin) | (values > high + margin)
            kind: Fault = "limit"
            detail = f"{values.min():.4g} to {values.max():.4g}; allowed: {low:.4g} to {high:.4g}"
            action = "flagged"
            places = np.flatnonzero(outside)
            if signal == "position" and outside.mean() > 0.2 and _fits(values, low, high):
                kind, detail = "degrees", f"{detail}; in radians it would fit"
            if len(places):
                yield _told(
                    kind,
                    f"{signal}/{joint}",
                    places,
                    found.t_ns,
                    action,
                    detail,
                    source.t_ns,
                    start_ns,
                )
            if signal == "position" and kind == "limit" and limit.velocity < inf:
                step_s = np.diff(found.t_ns) * 1e-9
                speed = np.abs(np.diff(values)) / step_s
                fast = np.flatnonzero(speed > limit.velocity * (1 + TOLERANCE)) + 1
                if len(fast):
                    detail = f"up to {speed.max():.4g}; the joint can do {limit.velocity:.4g}"
                    yield _told(
                        "rate",
                        f"{signal}/{joint}",
                        fast,
                        found.t_ns,
                        action,
                        detail,
                        source.t_ns,
                        start_ns,
                    )


def _told(
    kind: Fault,
    where: str,
    places: np.ndarray,
    t_ns: np.ndarray,
    action: str,
    detail: str,
    source_ns: np.ndarray,
    start_ns: int,
) -> Finding:
    stamps = t_ns[places]
    rows = np.flatnonzero(np.isin(source_ns, stamps))
    first_s = (int(stamps[0]) - start_ns) * 1e-9
    return Finding(kind, where, len(places), first_s, action, detail, rows)


def _range(signal: Signal, limit: Limits) -> tuple[float, float]:
    if signal == "position":
        return limit.lower, limit.upper
    most = limit.velocity if signal == "velocity" else limit.effort
    return -most, most


def _fits(values: np.ndarray, low: float, high: float) -> bool:
    scaled = values * radians(1)
    return bool((scaled >= low).all() and (scaled <= high).all())


def _alike(a: str, b: str) -> bool:
    ends = [m.group(1) if (m := re.search(r"(\d+)\D*$", name)) else "" for name in (a, b)]
    return ends[0] == ends[1] and SequenceMatcher(None, a.lower(), b.lower()).ratio() >= 0.5
