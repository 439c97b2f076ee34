"""`method=servo` from the command line, on short logs that a servo with known values wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration.servo_runs import EVERY
from conf.split import Part, part
from tests.calibration.servo_logs import TRUTH, pendulum, played, written_run

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *overrides: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "run.py"),
            "task=calibrate",
            "recording=xl330_pendulum",
            *overrides,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three gains with two trajectories each, 0.8 s, as the real files are laid out."""
    folder = tmp_path_factory.mktemp("logs")
    scene, t = pendulum(folder), np.arange(800) * 1e-3
    for kp in (100, 200, 800):
        for i, command in enumerate((1.5 * np.sin(5 * t), np.sin(9 * t))):
            made = played(scene, written_run(command, kp=kp), TRUTH, np.zeros(800)).trajectory
            assert made.q_command is not None
            entries = [
                {
                    "timestamp": k * 1e-3,
                    "position": float(made.q[k, 0]),
                    "speed": 0.0,
                    "goal_position": float(made.q_command[k, 0]),
                    "load": 0,
                    "input_volts": 7.3,
                    "temp": 30,
                    "torque_enable": True,
                }
                for k in range(0, 800, EVERY)
            ]
            text = json.dumps({"kp": kp, "vin": 7.4, "entries": entries})
            (folder / f"{kp}_{i}.json").write_text(text)
    return folder


def where(logs: Path) -> list[str]:
    names = ",".join(sorted(file.name for file in logs.glob("*.json")))
    return [f"recording.path={logs}/100_0.json", f"recording.runs=[{names}]", "method=servo"]


def test_a_gain_is_held_out_by_what_its_files_say(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = run(
        tmp_path, *where(logs), "recording.test={kp: 200}", f"hydra.run.dir={out}"
    )
    assert code == 0, stderr
    assert "4 runs train and 2 judge" in stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["heldout_mae_rad_by_run"]) == {"200_0", "200_1"}
    assert set(metrics["train_mae_rad_by_run"]) == {"100_0", "100_1", "800_0", "800_1"}
    assert metrics["heldout_mae_rad"][0] < 0.02 < metrics["nominal_mae_rad"][0]
    # The verdict is PyBullet's, the fit's figures are the kernel's.
    verdict = json.loads((out / "verdict.json").read_text())
    judged = verdict["signals"]["position"]["joints"]["pendulum"]
    for of, key in (("calibrated", "heldout_mae_rad"), ("nominal", "nominal_mae_rad")):
        assert judged[of] == pytest.approx(metrics[key][0], rel=1e-6), of
    assert metrics["rollouts"] > 1000
    assert metrics["fit_cpu_s"] > 0
    constant = metrics["parameters"]["pendulum.servo.torque_constant"]
    assert set(constant) == {"value", "std", "identifiable", "interval95"}
    report = (out / "report.html").read_text()
    for word in ("Measured against simulated", "saturating", "200_1", "data:image/png"):
        assert word in report
    assert "twin:torqueConstant" in (out / "calibration.usda").read_text()
    assert {"calibration.json", "calibrated.usda"} <= {f.name for f in out.iterdir()}


def test_what_is_missing_is_one_line(logs: Path, tmp_path: Path) -> None:
    for overrides, message in (
        ([*where(logs), "recording.test={kp: 99}"], "none of the 6 runs has kp=99"),
        (["method=lm", "recording.test={kp: 99}"], "choose by metadata with method=servo only"),
    ):
        out = tmp_path / "out"
        code, _, stderr = run(tmp_path, *overrides, f"hydra.run.dir={out}")
        assert code == 2
        assert message in stderr
        assert len(stderr.strip().splitlines()) == 1
        assert not out.exists()


def test_metadata_choose_runs() -> None:
    chosen = part("recording.test", {"kp": 800})
    assert chosen == Part(metadata={"kp": "800"})
    assert chosen is not None
    assert chosen.matches({"kp": "800", "vin": "7.4"})
    assert not chosen.matches({"kp": "80"})
    assert not chosen.matches({})
