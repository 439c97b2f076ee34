"""Where a search over rollouts starts: the stage, unless what was measured is far from it."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.coordinates import LACKING, start_coordinates
from calibration.segments import FITTED, cut_segments
from envs.stage.scene import Articulation, Drive, Friction
from tests.calibration.test_shooting import N, recording, true_arm
from tests.small_arm import scene


def soft(factor: float) -> Articulation:
    """The robot's stage with drives that are off by a factor, and without friction and rotors."""
    joints = tuple(
        replace(j, drive=Drive(900 * factor, 30 * factor, 80), friction=Friction(), armature=0.0)
        for j in true_arm().joints
    )
    return replace(true_arm(), joints=joints)


def start(robot: Articulation, *, effort: bool = True) -> dict[str, np.ndarray]:
    recorded = recording() if effort else replace(recording(), tau=None)
    stage = scene(robot)
    data = cut_segments(stage, recorded, train_end_s=np.inf, count=4)
    found = start_coordinates(stage, recorded, data).start
    return dict(zip(FITTED, found.T, strict=True))


@pytest.mark.parametrize("factor", [0.01, 0.2, 5.0])
def test_drives_that_measured_torque_contradicts_are_not_started_from(factor: float) -> None:
    found = start(soft(factor))
    # A start: held commands and noise make it low, by less than what a search crosses easily.
    for name, true in (("stiffness", 900.0), ("damping", 30.0)):
        assert (np.abs(np.log(found[name] / true)) < np.log(2)).all(), found[name]
    blind = start(soft(factor), effort=False)
    assert blind["stiffness"] == pytest.approx(np.full(N, 900.0 * factor))


def test_drives_of_the_stage_are_started_from_where_they_are_near() -> None:
    near = LACKING / 2
    assert start(soft(near))["stiffness"] == pytest.approx(np.full(N, 900.0 * near))


def test_a_model_that_lacks_most_of_the_torque_starts_from_what_was_measured() -> None:
    light = tuple(
        replace(b, inertial=replace(b.inertial, mass_kg=b.inertial.mass_kg * 1e-4,
                                    inertia_kgm2=b.inertial.inertia_kgm2 * 1e-4))
        for b in soft(1.0).bodies
    )  # fmt: skip
    lacking, whole = start(replace(soft(1.0), bodies=light)), start(soft(1.0))
    measured = recording().tau
    assert measured is not None
    assert lacking["coulomb"] == pytest.approx(0.1 * measured.std(axis=0))
    for name in ("coulomb", "viscous", "armature"):
        assert (lacking[name] > 0.2 * whole[name]).all()
        assert (lacking[name] < 20 * whole[name]).all()
