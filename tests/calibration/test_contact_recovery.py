"""Friction of what a robot slides over is found beside its drives, and only if it is touched."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from calibration.evolution import fit_cmaes
from calibration.result import CalibrationResult
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from envs.world.replay import replay_dynamic
from tests.pusher import stylus, table
from tests.small_arm import scene

JOINTS = ("swing", "lift")
FRICTION = 0.5
NOISE = {"q": 1e-4, "qd": 1e-3, "tau": 0.05}


def drawing(friction: float, *, known: bool = True) -> Scene:
    """Return the stylus above a table."""
    return scene(stylus(0.5, known=known), static=(table(friction),))


@cache
def drawn(seconds: float = 4.0) -> Trajectory:
    """Return what the stylus does that swings, and presses on the table now and then."""
    rng, dt_s = np.random.default_rng(0), 4e-3
    t = np.arange(round(seconds / dt_s) + 1) * dt_s
    ramp = np.minimum(t, 1.0)
    swing = ramp * (0.5 * np.sin(3.1 * t) + 0.2 * np.sin(7.3 * t))
    lift = ramp * (-0.01 + 0.012 * np.sin(4.3 * t + 1.0))
    still = Trajectory(t, JOINTS, np.zeros((len(t), 2)), q_command=np.stack([swing, lift], 1))
    moved = replay_dynamic(drawing(FRICTION), still, contacts=True)
    noisy = {k: getattr(moved, k) + rng.normal(0, s, (len(t), 2)) for k, s in NOISE.items()}
    return replace(moved, **noisy)


def fit(recorded: Trajectory, **more: Any) -> CalibrationResult:
    settings: dict[str, Any] = {
        "seed": 3,
        "workers": 2,
        "engine": "bullet",
        "generations": 6,
        "candidates": 8,
        **more,
    }
    return fit_cmaes(drawing(0.2, known=False), recorded, **settings)


@pytest.mark.slow
def test_friction_is_found_beside_the_drives() -> None:
    result = fit(drawn(), contacts=True, friction=["table"])
    found, true = result.parameters["table.contact.friction"], stylus(0.5)
    assert found.identifiable and found.nominal == 0.2
    assert found.value == pytest.approx(FRICTION, rel=0.05)
    assert abs(found.value - FRICTION) < 4 * found.std
    for joint in true.joints:
        assert joint.drive is not None
        values = {
            "friction.coulomb": (joint.friction.coulomb, 0.1),
            "drive.stiffness": (joint.drive.stiffness, 0.05),
            "drive.damping": (joint.drive.damping, 0.1),
        }
        for name, (value, rel) in values.items():
            assert result.parameters[f"{joint.name}.{name}"].value == pytest.approx(value, rel=rel)
        delay = result.parameters[f"{joint.name}.delay_s"]
        assert delay.value == pytest.approx(0.006, abs=1e-3)
    # Down to the noise; a robot that touches nothing cannot get there, whatever its drive.
    assert max(result.metrics["cost"]) < 1.3
    alone = fit(drawn())
    assert max(alone.metrics["cost"]) > 10 * max(result.metrics["cost"])
