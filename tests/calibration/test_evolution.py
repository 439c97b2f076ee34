"""The evolution finds what made the data: of a twin of our own, and of another engine's sample."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from calibration.coordinates import Coordinates
from calibration.evolution import Engine, fit_cmaes
from calibration.result import CalibrationResult
from envs.errors import CalibrationError, RecordingError
from envs.stage.scene import Articulation, Drive, Friction
from envs.telemetry.trajectory import Trajectory
from tests.small_arm import arm, arm_joints, made_by_twin, scene

N = 2
ROOT = Path(__file__).resolve().parents[2]
ENGINES: tuple[Engine, ...] = get_args(Engine)
NOISE = {"q": 2e-4, "qd": 2e-3, "tau": 0.05}
NAMES = ("friction.coulomb", "friction.viscous", "armature", "drive.stiffness", "drive.damping")


def true_arm() -> Articulation:
    robot = arm(np.random.default_rng(4), N)
    # A drive as it is tuned usually: stiff, with a time constant of some 0.03 s.
    joints = tuple(replace(j, drive=Drive(900.0, 30.0, 80.0), delay_s=0.009) for j in robot.joints)
    return replace(robot, joints=joints)


def ignorant_arm() -> Articulation:
    """Return the stage before a calibration: gains off by 20 %, nothing else but Stribeck's."""
    joints = tuple(
        replace(
            j,
            drive=Drive(900.0 * 1.2, 30.0 * 0.8, 80.0),
            delay_s=0.0,
            armature=0.0,
            friction=Friction(0.0, 0.0, j.friction.stribeck, j.friction.stribeck_velocity),
        )
        for j in true_arm().joints
    )
    return replace(true_arm(), joints=joints)


@cache
def recording(joints: int = N) -> Trajectory:
    twin = scene(true_arm())
    return made_by_twin(twin, arm_joints(joints), 6.0, np.random.default_rng(0), NOISE)


def test_the_truth_is_found_within_its_standard_deviations() -> None:
    result = fit_cmaes(
        scene(ignorant_arm()),
        recording(),
        seed=3,
        workers=1,
        generations=15,
        candidates=8,
        segments=3,
    )
    assert set(result.parameters) == {
        f"{j}.{field}" for j in arm_joints(N) for field in (*NAMES, "delay_s")
    }
    off = []
    for i, joint in enumerate(true_arm().joints[:N]):
        assert joint.drive is not None
        true = {
            "friction.coulomb": joint.friction.coulomb,
            "friction.viscous": joint.friction.viscous,
            "armature": joint.armature,
            "drive.stiffness": joint.drive.stiffness,
            "drive.damping": joint.drive.damping,
            "delay_s": joint.delay_s,
        }
        for name, value in true.items():
            found = result.parameters[f"joint{i}.{name}"]
            assert found.identifiable and found.method == "cmaes"
            off.append((found.value - value) / found.std)
            if name == "delay_s":
                assert found.value == pytest.approx(value, abs=2e-4)
            else:
                assert found.value == pytest.approx(value, rel=0.05), name
    # Mostly within two standard deviations, which three blocks of time tell roughly themselves.
    assert np.median(np.abs(off)) < 2.0
    assert result.parameters["joint1.drive.stiffness"].nominal == 900.0 * 1.2
    assert result.parameters["joint1.drive.stiffness"].unit == "N.m/rad"
    np.testing.assert_allclose(
        np.sqrt(np.diag(result.covariance)), [p.std for p in result.parameters.values()]
    )
    # Down to the noise, from far above it; the polish does not undo what the evolution found.
    metrics = result.metrics
    assert np.all(np.array(metrics["cost"]) < 1.3)
    assert np.all(np.array(metrics["cost_start"]) > 20)
    assert np.all(np.array(metrics["cost_evolution"]) < 0.1 * np.array(metrics["cost_start"]))
    assert np.all(np.array(metrics["cost"]) <= 1.01 * np.array(metrics["cost_evolution"]))
    assert set(metrics["evolution"]) == set(result.parameters)


def test_the_result_does_not_depend_on_the_workers() -> None:
    recorded, seen = recording(1), list[tuple[int, int]]()
    results = [
        fit_cmaes(
            scene(ignorant_arm()),
            recorded,
            seed=3,
            workers=workers,
            generations=2,
            candidates=6,
            segments=3,
            provenance={"recording": "twin"},
            progress=lambda *at: seen.append(at),
        )
        for workers in (1, 2)
    ]
    first, again = results
    assert again.to_json() == first.to_json()
    assert first.provenance["recording"] == "twin"
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1]


def test_both_engines_lead_to_the_same_place() -> None:
    results = [
        fit_cmaes(
            scene(ignorant_arm()),
            recording(1),
            seed=3,
            workers=1,
            engine=engine,
            generations=2,
            candidates=4,
            segments=2,
        )
        for engine in ENGINES
    ]
    twin, bullet = (np.array(list(r.metrics["evolution"].values())) for r in results)
    # The same candidates and, to rounding, the same costs: the same ranks, and the same centre.
    np.testing.assert_allclose(twin, bullet, rtol=1e-9, atol=1e-12)


def test_a_checkpoint_of_another_search_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "generations.json"
    few: dict[str, Any] = {
        "workers": 1,
        "generations": 1,
        "candidates": 4,
        "segments": 2,
        "checkpoint": kept,
    }
    fit_cmaes(scene(ignorant_arm()), recording(1), seed=3, **few)
    with pytest.raises(CalibrationError, match="over other data or with other settings"):
        fit_cmaes(scene(ignorant_arm()), recording(1), seed=4, **few)
    kept.write_text("{", encoding="utf-8")
    with pytest.raises(CalibrationError, match="not the generations of an evolution"):
        fit_cmaes(scene(ignorant_arm()), recording(1), seed=3, **few)


SEARCH = """
import sys
from pathlib import Path
from tests.calibration.test_evolution import search

if __name__ == "__main__":
    search(Path(sys.argv[1]), progress=lambda done, total: print(done, flush=True))
"""


def search(checkpoint: Path | None, **more: Any) -> CalibrationResult:
    return fit_cmaes(
        scene(ignorant_arm()),
        recording(1),
        seed=3,
        workers=1,
        generations=8,
        candidates=4,
        segments=2,
        checkpoint=checkpoint,
        **more,
    )


def test_a_search_that_is_killed_goes_on_to_the_same_result(tmp_path: Path) -> None:
    script, kept = tmp_path / "search.py", tmp_path / "generations.json"
    script.write_text(SEARCH)
    run = subprocess.Popen(
        [sys.executable, str(script), str(kept)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert run.stdout is not None
        while (line := run.stdout.readline()) and int(line) < 3:
            pass
        run.send_signal(signal.SIGKILL)
        run.wait(timeout=20)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == -signal.SIGKILL
    behind = len(json.loads(kept.read_text())["costs"])
    assert 3 <= behind < 8
    resumed = search(kept)
    assert len(json.loads(kept.read_text())["costs"]) == 8
    assert resumed.to_json() == search(None).to_json()


def test_coordinates_stay_within_their_bounds() -> None:
    start = np.array([[0.5, 0.2, 0.1, 900.0, 30.0, 0.005]])
    coordinates = Coordinates(start, np.array([[0.5, 0.2, 0.1, 0.3, 0.3, 0.01]]))
    low, high = coordinates.bounds()
    lowest, highest = coordinates.values(low), coordinates.values(high)
    assert np.all(lowest >= 0) and highest[0, 5] == pytest.approx(0.1)
    np.testing.assert_allclose(lowest[0, [0, 1, 2, 5]], 0, atol=1e-15)
    np.testing.assert_allclose(coordinates.values(0 * low), start)


def test_what_cannot_be_fitted_is_refused() -> None:
    recorded = recording()
    with pytest.raises(RecordingError, match="rollouts need recorded commands"):
        fit_cmaes(
            scene(true_arm()),
            replace(recorded, q_command=None),
            seed=0,
            workers=1,
        )
    limp = replace(
        true_arm(), joints=tuple(replace(j, drive=Drive(0.0, 1.0)) for j in true_arm().joints)
    )
    with pytest.raises(CalibrationError, match=r"without stiffness .*: joint0, joint1"):
        fit_cmaes(scene(limp), recorded, seed=0, workers=1)
