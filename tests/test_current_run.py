"""A log with motor currents and no effort, from the command line: gains come out, and are used."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Friction
from envs.stage.tree import reduce_tree
from envs.world.sensing import sensor_torque
from tests.envs.telemetry.tiny import PANDA
from tests.test_run import run

GAINS = np.array([11.0, 12.0, 10.5, 9.5, 6.2, 5.8, 5.4])
"""N·m/A."""
NOISE_A = 0.02
RATE_HZ = 250.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of a Panda whose links are a tenth heavier than the stage's, and whose joints rub."""
    folder = tmp_path_factory.mktemp("current")
    scene = read_stage(write_rig(folder / "n.usda", scene=None, robot=robot_asset("panda_arm")))
    tree = reduce_tree(scene.robot, PANDA, scene.gravity_mps2)
    joints = [
        replace(scene.robot.joint(n), armature=0.1, friction=Friction(0.4, 0.6)) for n in PANDA
    ]
    rng = np.random.default_rng(0)
    t = np.arange(0, 20, 1 / RATE_HZ)
    w, phase = rng.uniform(0.5, 5, (5, 7)), rng.uniform(0, 6, (5, 7))
    angle = t[:, None, None] * w + phase
    middle = np.array([0, 0.2, 0, -1.6, 0, 1.8, 0])
    q, qd = middle + 0.2 * np.sin(angle).sum(axis=1), 0.2 * (w * np.cos(angle)).sum(axis=1)
    qdd = -0.2 * (w**2 * np.sin(angle)).sum(axis=1)
    heavy = replace(tree, pi=1.1 * tree.pi)
    torque = sensor_torque(heavy, joints, q, qd, qdd, 1 / RATE_HZ)
    current = torque / GAINS + rng.normal(size=torque.shape) * NOISE_A
    names = ["t", *(f"{s}{i}" for s in "qvi" for i in range(7))]
    table = np.column_stack([t, q, qd, 1e3 * current])
    np.savetxt(folder / "log.csv", table, delimiter=",", header=",".join(names), comments="")
    return folder


def describe(folder: Path, name: str, **said: object) -> None:
    signals = {
        "position": {"source": "q{i}", "unit": "rad"},
        "velocity": {"source": "v{i}", "unit": "rad/s"},
        "current": {"source": "i{i}", "unit": "mA", **said},
    }
    stream = {"joints": list(PANDA), "time": {"source": "t", "unit": "s"}, "signals": signals}
    described = {
        "robot": "panda_arm", "format": "csv", "path": "log.csv", "streams": {"arm": stream},
    }  # fmt: skip
    OmegaConf.save(OmegaConf.create(described), folder / name)


@pytest.mark.slow
def test_gains_are_found_written_and_used_by_replays(folder: Path) -> None:
    describe(folder, "mine.yaml", drive_gain=[0, 12.0, 0, 0, 0, 0, 0], drive_gain_std=[0])
    code, out, err = run("task=calibrate", "recording=mine.yaml", "hydra.run.dir=run", cwd=folder)
    assert code == 0, err
    flat = " ".join(out.split())
    assert "method auto takes torch (the motors' currents were measured" in flat
    assert "drive gains that are not given" in flat
    assert "A, calibrated" in flat
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    told = [f"panda_joint{i}" for i in (1, 3, 4, 5, 6)]
    for name, gain in zip(PANDA, GAINS, strict=True):
        found = metrics["parameters"][f"{name}.drive_gain"]
        if name in told:
            assert found["identifiable"], name
            assert abs(found["value"] - gain) < 4 * found["std"], name
            assert found["std"] < 0.1 * gain
    assert metrics["parameters"]["panda_joint2.drive_gain"]["interval95"] is None
    assert metrics["parameters"]["panda_joint2.drive_gain"]["value"] == 12.0
    # White noise of 250 Hz below 10 Hz.
    floor = NOISE_A * np.sqrt(2 * 9.3 / RATE_HZ)
    assert max(metrics["heldout_rmse_a"]) < 1.5 * floor
    assert min(metrics["nominal_rmse_a"]) > 3 * floor
    assert "heldout_rmse_nm" not in metrics
    verdict = json.loads((folder / "run" / "verdict.json").read_text())
    assert verdict["written"]
    assert verdict["signals"]["current"]["decides"]
    assert set(verdict["whiteness"]["mine"]) == {"current"}
    report = (folder / "run" / "report.html").read_text()
    assert "held-out current error, calibrated" in report
    assert "current, A (calibrated)" in report

    # The layer knows the gains: another log of currents can be replayed, gains of its own or none.
    describe(folder, "bare.yaml")
    code, _, err = run(
        "task=replay", "recording=bare.yaml", "layer=run/calibration.usda", "hydra.run.dir=again",
        cwd=folder,
    )  # fmt: skip
    assert code == 0, err
    again = json.loads((folder / "again" / "metrics.json").read_text())
    np.testing.assert_allclose(again["heldout_rmse_a"], metrics["heldout_rmse_a"], rtol=1e-6)


@pytest.mark.slow
def test_what_currents_cannot_do_is_said(folder: Path) -> None:
    describe(folder, "bare.yaml")
    code, out, err = run("task=replay", "recording=bare.yaml", "hydra.run.dir=bare", cwd=folder)
    assert code == 0, err
    assert "currents of bare are not compared: no drive gains are known" in " ".join(out.split())
    code, out, err = run(
        "task=calibrate", "method=torch", "recording=bare.yaml", "hydra.run.dir=free", cwd=folder
    )
    assert code == 0, err
    assert "but not how large they are all together" in " ".join(out.split())
    parameters = json.loads((folder / "free" / "metrics.json").read_text())["parameters"]
    assert not any(parameters[f"{name}.drive_gain"]["identifiable"] for name in PANDA)
    describe(folder, "turned.yaml", signs=[1, 1, 1, -1, 1, 1, 1])
    describe(folder, "short.yaml", drive_gain=[1.0, 2.0])
    for overrides, message in (
        (["recording=turned.yaml"], "current of panda_joint4 runs against its motion"),
        (["recording=short.yaml"], "2 values of drive_gain for 7 joints"),
        (["recording=bare.yaml", "method=lm"], "lm needs recorded commands"),
    ):
        code, _, err = run("task=calibrate", *overrides, "hydra.run.dir=no", cwd=folder)
        assert code == 2, err
        assert message in err.strip().splitlines()[-1]
        assert not (folder / "no").exists()
