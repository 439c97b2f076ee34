"""Joints that follow others: where the followers stand when their leaders are somewhere."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from envs.stage.scene import Joint


@dataclass(frozen=True)
class Follower:
    """A joint that follows another: `q = multiplier·q_leader + offset`, rad or m.

    Attributes:
        leader: A joint that follows none; chains of followers are resolved.
    """

    leader: str
    multiplier: float
    offset: float

    def position(self, leader: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Return where it stands when its leader is there."""
        return self.multiplier * leader + self.offset


def followers(joints: Iterable[Joint]) -> dict[str, Follower]:
    """Return each joint that follows another, by name; the reader has refused circles."""
    mimics = {j.name: j.mimic for j in joints if j.mimic is not None}
    found: dict[str, Follower] = {}
    for name in mimics:
        leader, multiplier, offset = name, 1.0, 0.0
        while leader in mimics:
            # q = multiplier·(factor·q_next + shift) + offset
            leader, factor, shift = mimics[leader]
            multiplier, offset = multiplier * factor, multiplier * shift + offset
        found[name] = Follower(leader, multiplier, offset)
    return found
