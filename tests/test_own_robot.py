"""A new user's own robot: a URDF, a log, a description of it, and nothing else of this project."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from conf.own_recording import adopt
from envs.errors import ConfigError
from tests.envs.stage.robots import source

ROOT = Path(__file__).resolve().parents[1]
COULOMB, ARMATURE, VISCOUS = 2.0, 0.3, 4.0
STIFFNESS = np.array([6e3, 6e3, 4e3, 8e2, 8e2, 4e2])
DAMPING = np.array([400.0, 400.0, 250.0, 40.0, 40.0, 20.0])
NOISE = np.array([[1e-4], [1e-3], [0.05]])
"""Of an encoder, rad and rad/s, and of a torque, N·m."""
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
DESCRIPTION = """
format: csv
path: log.csv
joint_names: {arm_0: shoulder_pan_joint, arm_1: shoulder_lift_joint, arm_2: elbow_joint,
              arm_3: wrist_1_joint, arm_4: wrist_2_joint, arm_5: wrist_3_joint}
streams:
  states:
    joints: [arm_0, arm_1, arm_2, arm_3, arm_4, arm_5]
    time: {source: ms, unit: ms}
    signals:
      position: {source: "q{i}", unit: deg}
      velocity: {source: "v{i}", unit: deg/s}
      effort: {source: "t{i}", unit: N.m}
      command_position: {source: "c{i}", unit: deg}
"""


def run(folder: Path, *overrides: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *overrides],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def log(urdf: Path, folder: Path) -> None:
    """Let MuJoCo follow a sum of sines with armature and friction that no URDF can say; 8 s."""
    text = re.sub(r"<(visual|collision)>.*?</\1>", "", urdf.read_text(), flags=re.DOTALL)
    model = mujoco.MjModel.from_xml_string(text)
    model.opt.timestep = 1e-3
    model.dof_armature[:] = ARMATURE
    model.dof_frictionloss[:] = COULOMB
    model.dof_damping[:] = VISCOUS
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    # How soft dry friction is depends on the inertia, which now has rotors.
    mujoco.mj_setConst(model, data)
    speed, phase = rng.uniform(1, 5, (6, 3)), rng.uniform(0, 6, (6, 3))
    rows, n = [], 8000
    for k in range(n):
        t = k * 1e-3
        command = min(t, 1.0) * 0.3 * np.sin(speed * t + phase).sum(1)
        tau = STIFFNESS * (command - data.qpos) - DAMPING * data.qvel
        data.qfrc_applied[:] = tau
        if k % 5 == 0:
            read = np.array([data.qpos, data.qvel, tau]) + rng.normal(size=(3, 6)) * NOISE
            degrees = np.rad2deg([*read[:2], command])
            rows.append([t * 1e3, *degrees[0], *degrees[1], *read[2], *degrees[2]])
        mujoco.mj_step(model, data)
    names = ["ms", *(f"{s}{i}" for s in "qvtc" for i in range(6))]
    table = np.array(rows)
    np.savetxt(folder / "log.csv", table, delimiter=",", header=",".join(names), comments="")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A UR10 imported by its name, its log and the log's description in one scratch folder."""
    folder, name = tmp_path_factory.mktemp("own"), f"test_own_{os.getpid()}"
    urdf = source("ur10")
    try:
        roots = f"package_roots=[{urdf.parents[2]}]"
        code, _, err = run(
            folder, "task=import", f"urdf={urdf}", f"name={name}", roots, "hydra.run.dir=import"
        )
        assert code == 0, err
        log(urdf, folder)
        (folder / "my_arm.yaml").write_text(DESCRIPTION)
        yield folder, name
    finally:
        shutil.rmtree(ROOT / "assets" / "robots" / name, ignore_errors=True)


def test_a_urdf_and_a_log_are_enough(own: tuple[Path, str]) -> None:
    folder, name = own
    code, out, err = run(
        folder,
        "task=calibrate",
        "method=torch",
        f"robot={name}",
        "recording=my_arm.yaml",
        "hydra.run.dir=out",
    )
    assert code == 0, err
    flat = " ".join(out.split())
    assert f"robot {name} has no position drive: started at 10 Hz" in flat
    assert f"robot {name} has no rotor inertia: fits start from a tenth" in flat
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["recording"] == "my_arm"
    assert metrics["joints"] == [f"{joint}_joint" for joint in JOINTS]
    assert metrics["infeasible_links"] == 0
    for heldout, nominal in zip(
        metrics["heldout_rmse_nm"], metrics["nominal_rmse_nm"], strict=True
    ):
        assert heldout < 0.1 * nominal
    for joint in JOINTS:
        for field, value in (("coulomb", COULOMB), ("viscous", VISCOUS)):
            found = metrics["parameters"][f"{joint}_joint.friction.{field}"]["value"]
            assert found == pytest.approx(value, rel=0.05)
    start = (folder / "out" / f"start_{name}.usda").read_text()
    assert "drive:angular:physics:stiffness" in start
    assert (folder / "out" / "calibration.usda").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lm", "auto", "cmaes"])
def test_its_drives_are_found_from_rollouts(
    own: tuple[Path, str], tmp_path: Path, method: str
) -> None:
    """The URDF has no drive, rotor or friction: what was measured tells where to start."""
    folder, name = own
    code, _, err = run(
        folder,
        "task=calibrate",
        f"method={method}",
        f"robot={name}",
        "recording=my_arm.yaml",
        "calibration.cmaes_generations=12",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert code == 0, err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for heldout, nominal in zip(
        metrics["heldout_rmse_rad"], metrics["nominal_rmse_rad"], strict=True
    ):
        assert heldout < 0.12 * nominal
    found, told = metrics["parameters"], 0
    for joint, stiffness, damping in zip(JOINTS, STIFFNESS, DAMPING, strict=True):
        for field, true in (("stiffness", stiffness), ("damping", damping)):
            drive = found[f"{joint}_joint.drive.{field}"]
            if drive["identifiable"]:
                assert abs(drive["value"] - true) < 4 * drive["std"] < true, (joint, field)
                told += 1
    assert told >= 6
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert verdict["improved"] and verdict["written"]
    assert (tmp_path / "run" / "calibration.usda").is_file()
    assert [m for m in ("torch", "lm", "cmaes") if m in metrics["methods"]] == (
        ["torch", "lm"] if method == "auto" else [method]
    )


def test_what_a_new_user_gets_wrong_is_one_line(own: tuple[Path, str]) -> None:
    folder, name = own
    (folder / "typo.yaml").write_text(DESCRIPTION.replace("streams:", "strems:"))
    wrong = DESCRIPTION.replace("arm_5: wrist_3_joint", "arm_5: wrist_4_joint")
    (folder / "names.yaml").write_text(wrong)
    for overrides, message in (
        ([f"robot={name}", "recording=typo.yaml"], "strems"),
        ([f"robot={name}", "recording=names.yaml"], "wrist_4_joint"),
        (["recording=my_arm.yaml"], "no robot is named: give robot=NAME"),
        (["recording=none.yaml"], "there is no such file; give a name from conf/recording"),
    ):
        code, _, err = run(folder, "task=calibrate", *overrides, "hydra.run.dir=wrong")
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1, err
        assert not (folder / "wrong").exists()


def test_a_file_becomes_a_recording(tmp_path: Path) -> None:
    assert adopt(["run.py", "task=replay", "recording=sample"]) == [
        "run.py",
        "task=replay",
        "recording=sample",
    ]
    (tmp_path / "a.yaml").write_text(DESCRIPTION)
    assert adopt([f"recording={tmp_path}/a.yaml"]) == ["recording=own_a"]
    for text, message in (
        ("", "names and values"),
        ("- 1", "names and values"),
        ("a: [", "no YAML"),
    ):
        (tmp_path / "b.yml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            adopt([f"recording={tmp_path}/b.yml"])
