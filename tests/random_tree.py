"""Trees at random, as odd as dynamics must cope with."""

import numpy as np

from envs.frames import axis_angle, pose
from envs.stage.tree import Tree, inertial_parameters
from tests.small_arm import random_inertial, unit


def random_tree(rng: np.random.Generator, n: int) -> Tree:
    """Return n joints with any axes, some sliding, with branches, several roots, odd gravity."""
    parent = [int(rng.integers(-1, i)) if rng.random() < 0.4 else i - 1 for i in range(n)]
    turns = [axis_angle(unit(rng), np.asarray(rng.uniform(-3, 3))) for _ in range(n)]
    return Tree(
        joints=tuple(f"j{i}" for i in range(n)),
        parent=np.array(parent),
        prismatic=rng.random(n) < 0.3,
        X_PJ=np.array([pose(turn, rng.normal(size=3) * 0.3) for turn in turns]),
        axis=np.array([unit(rng) for _ in range(n)]),
        groups=tuple({f"l{i}": np.eye(4)} for i in range(n)),
        base={},
        pi=np.array([inertial_parameters(random_inertial(rng), np.eye(4)) for _ in range(n)]),
        gravity=rng.normal(size=3) * 6,
    )
