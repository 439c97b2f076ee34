"""The servo's identification: on logs with known parameters, and on a real XL330."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import calibration.servo
from calibration.layer import write_calibration
from calibration.result import Parameter, from_json
from calibration.rollout.servo import PARAMETERS
from calibration.servo import fit_servo
from calibration.servo_laws import ALWAYS, LAWS
from calibration.servo_runs import Playback, nominal
from calibration.servo_told import FIELD
from envs.errors import CalibrationError
from envs.stage.reader import read_stage
from tests.calibration.servo_logs import COUNT, TRUTH, pendulum, played, real_runs, written_run


def test_known_parameters_and_their_law_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.servo, "GENERATIONS", 60)
    monkeypatch.setattr(calibration.servo, "LAWS", {k: LAWS[k] for k in ("coulomb", "saturating")})
    scene, rng = pendulum(tmp_path), np.random.default_rng(0)
    t = np.arange(2000) * 1e-3
    commands = (1.6 * np.sin(2.5 * t), np.sin(4 * t + 2.5 * t**2))
    runs = [
        played(scene, written_run(c, kp=kp), TRUTH, rng.normal(0, 5e-4, 400))
        for kp in (100, 200, 800)
        for c in commands
    ]
    result = fit_servo(scene, runs[:4], heldout=runs[4:], seed=0)
    assert result.metrics["law"] == "saturating"
    scores = result.metrics["cross_validation_mae_rad"]
    assert scores["saturating"] < 0.6 * scores["coulomb"]
    assert result.metrics["heldout_mae_rad"][0] < 0.02 < result.metrics["nominal_mae_rad"][0]
    found = {name.split(".", 1)[1]: p for name, p in result.parameters.items()}
    assert found["servo.torque_constant"].value == pytest.approx(0.42, rel=0.15)
    assert found["servo.resistance"].value == pytest.approx(3.1, rel=0.2)
    assert found["delay_s"].value == pytest.approx(0.006, abs=0.003)
    assert found["encoder_offset"].value == pytest.approx(0.02, abs=0.01)
    assert from_json(result.to_json()) is not None

    # The layer gives the same servo back, and the stage's own is untouched.
    layer = write_calibration(tmp_path / "c.usda", tmp_path / "rig.usda", result)
    (tmp_path / "all.usda").write_text(
        f'#usda 1.0\n(\n    subLayers = [@./{layer.name}@, @./rig.usda@]\n    upAxis = "Z"\n'
        "    metersPerUnit = 1\n    kilogramsPerUnit = 1\n)\n"
    )
    calibrated = read_stage(tmp_path / "all.usda")
    candidate = np.array([list(nominal(calibrated.robot.joint("pendulum")).values())])
    again = Playback(calibrated, runs[4:]).errors(candidate).mean()
    assert again == pytest.approx(result.metrics["heldout_mae_rad"][0], rel=1e-9)
    assert list(nominal(scene.robot.joint("pendulum"))) == list(PARAMETERS)


def plain_fits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seeds: range, noise_rad: float
) -> Iterator[tuple[dict[str, Parameter], dict[str, float]]]:
    """Fit logs of a motor that does not saturate and whose friction does not know the load.

    Yields what was found and the truth, by field.
    """
    monkeypatch.setattr(calibration.servo, "GENERATIONS", 60)
    monkeypatch.setattr(calibration.servo, "LAWS", {"coulomb": LAWS["coulomb"]})
    scene, t = pendulum(folder), np.arange(4000) * 1e-3
    free = [name for name in PARAMETERS if name in (*ALWAYS, *LAWS["coulomb"])]
    absent = ("saturation", "motor_load", "external_load", "breakaway_load")
    plain = np.where(np.isin(PARAMETERS, absent), 0.0, TRUTH)
    true = {FIELD[name][0]: plain[PARAMETERS.index(name)] for name in free}
    commands = (1.6 * np.sin(2.5 * t), 0.7 * np.sin(4 * t + 2.5 * t**2))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        runs = [
            played(scene, written_run(c, kp=kp), plain, rng.normal(0, noise_rad, 800))
            for kp in (100, 200)
            for c in commands
        ]
        found = fit_servo(scene, runs, heldout=runs[:1], seed=seed).parameters
        yield {name.split(".", 1)[1]: p for name, p in found.items()}, true


OPEN = {"servo.torque_constant", "servo.resistance", "friction.viscous"}
"""A motor that does not saturate is `V·k/R − q̇·(k²/R + viscous)`: two numbers for these three."""


def test_what_the_motor_leaves_open_is_not_called_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((found, true),) = plain_fits(tmp_path, monkeypatch, range(2, 3), 5e-4)
    assert {field for field, p in found.items() if not p.identifiable} == OPEN
    for field, p in found.items():
        assert abs(p.value - true[field]) < 4 * p.std, field
    # The prior on torque constant and resistance is all that is known of them, 15 %, less what
    # each tells of the other.
    for field in ("servo.torque_constant", "servo.resistance"):
        assert 0.08 < found[field].std / found[field].value < 0.15


@pytest.mark.slow
def test_intervals_hold_against_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 logs, 95 % intervals of all that is called known: 94 % held the truth when measured."""
    held = [
        abs(p.value - true[field]) < 1.96 * p.std
        for found, true in plain_fits(tmp_path, monkeypatch, range(16), 2e-3)
        for field, p in found.items()
        if p.identifiable
    ]
    assert len(held) >= 16 * 4
    # Of 64 checks a share of 0.89 is two standard deviations below 0.95.
    assert np.mean(held) >= 0.89


def test_a_seed_gives_the_same_result_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.servo, "GENERATIONS", 3)
    scene = pendulum(tmp_path)
    command = np.sin(np.arange(600) * 4e-3)
    runs = [played(scene, written_run(command, kp=kp), TRUTH, np.zeros(120)) for kp in (90, 200)]
    one, two, other = (
        fit_servo(scene, runs, heldout=runs[:1], seed=seed).parameters for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


def test_what_cannot_be_fitted_is_told(tmp_path: Path) -> None:
    scene, run = pendulum(tmp_path), written_run(np.zeros(100), kp=100)
    with pytest.raises(CalibrationError, match="no run is held out"):
        fit_servo(scene, [run, run], heldout=[], seed=0)
    with pytest.raises(CalibrationError, match="two training runs"):
        fit_servo(scene, [run], heldout=[run], seed=0)
    robot = scene.robot
    plain = replace(robot, joints=(replace(robot.joints[0], servo=None),))
    with pytest.raises(CalibrationError, match="'pendulum' is no servo in the stage: author twin"):
        fit_servo(replace(scene, articulations=(plain,)), [run, run], heldout=[run], seed=0)
    with pytest.raises(CalibrationError, match="needs recorded commands"):
        replace(run, trajectory=replace(run.trajectory, q_command=None))


@pytest.mark.slow
@pytest.mark.parametrize(("kp", "most_rad"), [(100, 0.050), (200, 0.050), (800, 0.080)])
def test_a_gain_that_was_never_seen_is_foretold(kp: int, most_rad: float, tmp_path: Path) -> None:
    """Measured: 0.020, 0.022 and 0.037 rad; a plain 12-parameter fit 0.054, 0.051 and 0.091."""
    runs = real_runs()
    heldout = [run for run in runs if run.gain == pytest.approx(kp * COUNT)]
    train = [run for run in runs if run not in heldout]
    assert (len(train), len(heldout)) == (8, 4)
    result = fit_servo(pendulum(tmp_path), train, heldout=heldout, seed=0)
    assert result.metrics["heldout_mae_rad"][0] <= most_rad
    assert result.metrics["law"] == "saturating"
    assert result.metrics["fit_cpu_s"] < 120


def test_the_real_servo_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration.servo, "GENERATIONS", 30)
    monkeypatch.setattr(calibration.servo, "LAWS", {"saturating": LAWS["saturating"]})
    runs = real_runs()
    heldout = [run for run in runs if run.gain == pytest.approx(200 * COUNT)]
    train = [run for run in runs if run not in heldout]
    result = fit_servo(pendulum(tmp_path), train, heldout=heldout, seed=0)
    assert result.metrics["heldout_mae_rad"][0] <= 0.050 < result.metrics["nominal_mae_rad"][0]
