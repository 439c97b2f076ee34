"""A user's own arm and what a camera saw of it: offsets and frames come out, and are applied."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pinocchio
import pytest
from jaxtyping import Float
from omegaconf import OmegaConf
from scipy.linalg import expm

from calibration.markers import Marker, first_guess
from envs.frames import Pose, axis_angle, inverse, pose, to_quaternion
from envs.stage.identified import Value
from envs.stage.layers import write_overrides, write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from tests.small_arm import pinocchio_model
from tests.test_run import run

BODY = "panda_link7"
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
X_WC = pose(axis_angle(np.array([1.0, 0, 0]), np.asarray(-1.9)), np.array([0.1, -3.0, 1.2]))
X_BM = pose(axis_angle(np.array([0.0, 1, 0]), np.asarray(0.4)), np.array([0.02, -0.03, 0.11]))
NOISE_M, NOISE_RAD = 3e-4, 1e-3


def screw_motion(screw: Float[np.ndarray, "6"]) -> Pose:
    """Return the rigid motion of a screw (v, ω), m and rad, by another way than ours."""
    v, w = screw[:3], screw[3:]
    W = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    M = np.zeros((4, 4))
    M[:3, :3], M[:3, 3] = W, v
    return np.asarray(expm(M))


def nominal(folder: Path) -> Scene:
    return read_stage(
        write_rig(folder / "nominal.usda", scene=None, robot=robot_asset("panda_arm"))
    )


def tables(folder: Path, *, geometry: bool) -> tuple[np.ndarray, Scene]:
    """Write what was seen in 80 poses, in degrees and millimetres; return offsets and true robot.

    The marker's poses are Pinocchio's.
    """
    rng = np.random.default_rng(3)
    scene = nominal(folder)
    offsets = rng.normal(0, 0.02, 7)
    joints = tuple(
        replace(
            j,
            encoder_offset=float(offsets[JOINTS.index(j.name)]),
            X_PJ=j.X_PJ @ screw_motion(rng.normal(size=6) * np.repeat([2e-3, 4e-3], 3))
            if geometry
            else j.X_PJ,
        )
        if j.name in JOINTS
        else j
        for j in scene.robot.joints
    )
    true = replace(scene, articulations=(replace(scene.robot, joints=joints),))
    tree = reduce_tree(true.robot, JOINTS, true.gravity_mps2)
    model = pinocchio_model(tree)
    data = model.createData()
    lower, upper = np.array([(j.lower, j.upper) for j in joints if j.name in JOINTS]).T
    rows = []
    for k in range(80):
        q = rng.uniform(0.8 * lower, 0.8 * upper)
        pinocchio.forwardKinematics(model, data, q + offsets)
        X_WL = data.oMi[7].homogeneous @ tree.groups[6][BODY]
        X_CM = inverse(X_WC) @ X_WL @ X_BM
        v = rng.normal(0, NOISE_RAD, 3)
        R = X_CM[:3, :3] @ axis_angle(v / np.linalg.norm(v), np.asarray(np.linalg.norm(v)))
        p = X_CM[:3, 3] + rng.normal(0, NOISE_M, 3)
        rows.append([k, *np.rad2deg(q), *(1e3 * p), *to_quaternion(R)])
    names = ["time", *(f"arm_{i}" for i in range(7)), "mx", "my", "mz", "qw", "qx", "qy", "qz"]
    for name, part in (("poses.csv", rows), ("first.csv", rows[:60]), ("second.csv", rows[60:])):
        np.savetxt(folder / name, part, delimiter=",", header=",".join(names), comments="")
    return offsets, true


def describe(folder: Path, name: str, table: str, **changes: object) -> None:
    marker = {
        "body": BODY,
        "angle_unit": "deg",
        "length_unit": "mm",
        "columns": {"mx": "x", "my": "y", "mz": "z"},
        "ignore": ["time"],
        **changes,
    }
    described = {
        "robot": "panda_arm",
        "format": "csv",
        "path": table,
        "joint_names": {f"arm_{i}": joint for i, joint in enumerate(JOINTS)},
        "marker": marker,
    }
    OmegaConf.save(OmegaConf.create(described), folder / name)


def calibrate(folder: Path, *overrides: str) -> tuple[int, str, str]:
    return run("task=calibrate", "hydra.run.dir=run", *overrides, cwd=folder)


def test_offsets_and_frames_are_found_written_and_applied(tmp_path: Path) -> None:
    _, true = tables(tmp_path, geometry=True)
    describe(tmp_path, "mine.yaml", "poses.csv")
    code, out, err = calibrate(tmp_path, "recording=mine.yaml", "calibration.geometry=true")
    assert code == 0, err
    assert "note: method auto takes kinematics: the recording holds poses of a marker" in out
    folder = tmp_path / "run"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["train_poses"], metrics["heldout_poses"]) == (56, 24)
    # Three components of the measurement's own noise, and a little for what 34 parameters cost.
    assert metrics["heldout_rms_position_m"] < 1.3 * NOISE_M * np.sqrt(3)
    assert metrics["nominal_rms_position_m"] > 5 * metrics["heldout_rms_position_m"]
    assert metrics["rank"] == 4 * 7 + 6
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["written"]
    assert verdict["reasons"] == metrics["reasons"]
    assert (folder / "report.html").stat().st_size > 10_000

    # What the layer says moves the robot as the true one moves, up to where camera and marker are.
    found = read_stage(folder / "calibrated.usda")
    middle = np.array([0, 0, 0, -1.5, 0, 1.8, 0])
    q = middle + np.random.default_rng(9).uniform(-1.0, 1.0, (40, 7))
    poses = []
    for scene in (true, found, nominal(tmp_path)):
        tree = reduce_tree(scene.robot, JOINTS, scene.gravity_mps2)
        model = pinocchio_model(tree)
        data = model.createData()
        own = np.array([scene.robot.joint(name).encoder_offset for name in JOINTS])
        there = []
        for row in q:
            pinocchio.forwardKinematics(model, data, row + own)
            there.append(data.oMi[7].homogeneous @ tree.groups[6][BODY])
        poses.append(np.array(there))
    after, before = (moved_apart(poses[0], other) for other in poses[1:])
    assert after < 5e-4
    assert before > 10 * after


def moved_apart(X_WA: np.ndarray, X_WB: np.ndarray) -> float:
    """Return how far (m) two motions of a body are apart, once one is moved onto the other.

    Between any two poses of a motion the body's own displacement does not depend on where the
    camera stands; that it is seen from another frame of the body turns and shifts it alike.
    """
    camera, marker = first_guess(
        Marker(np.zeros((len(X_WA), 7)), p_CM=X_WB[:, :3, 3], R_CM=X_WB[:, :3, :3]), X_WA
    )
    off = (X_WA @ marker)[:, :3, 3] - (camera @ X_WB)[:, :3, 3]
    return float(np.sqrt((off**2).sum(axis=1).mean()))


@pytest.mark.slow
def test_offsets_alone_judged_by_another_file(tmp_path: Path) -> None:
    offsets, _ = tables(tmp_path, geometry=False)
    describe(tmp_path, "mine.yaml", "first.csv")
    describe(tmp_path, "other.yaml", "second.csv")
    code, _, err = calibrate(
        tmp_path, "method=kinematics", "recording=mine.yaml", "recording.test=other.yaml"
    )
    assert code == 0, err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["train_poses"], metrics["heldout_poses"]) == (60, 20)
    for name, true in zip(JOINTS, offsets, strict=True):
        found = metrics["parameters"][f"{name}.encoder_offset"]
        if found["identifiable"]:
            assert abs(found["value"] - true) < 4 * found["std"], name
        else:  # the first and the last joint move with camera and marker
            assert name in (JOINTS[0], JOINTS[-1])
    assert sum(p["identifiable"] for p in metrics["parameters"].values()) == 5


@pytest.mark.slow
def test_what_is_wrong_with_a_table_of_poses_is_one_line(tmp_path: Path) -> None:
    tables(tmp_path, geometry=False)
    describe(tmp_path, "mine.yaml", "poses.csv")
    describe(tmp_path, "unit.yaml", "poses.csv", length_unit="inch")
    describe(tmp_path, "body.yaml", "poses.csv", body="panda_hand")
    describe(tmp_path, "column.yaml", "poses.csv", columns={"mx": "x", "my": "y", "mw": "z"})
    for overrides, message in (
        (["recording=mine.yaml", "method=lm"], "only task=calibrate with method=kinematics"),
        (["method=kinematics"], "has no 'marker'"),
        (["recording=unit.yaml"], "unit 'inch' is not in marker.length_unit"),
        (["recording=body.yaml"], "body 'panda_hand' is not in what the joints move"),
        (["recording=column.yaml"], "column 'mw'"),
        (["recording=mine.yaml", "recording.test=[200,300]"], "recording.test covers none"),
    ):
        code, _, err = calibrate(tmp_path, *overrides)
        assert code == 2, err
        # USD may warn above it of the scene's own robot, where that was never built.
        assert err.strip().splitlines()[-1].startswith("error: "), err
        assert message in err.strip().splitlines()[-1]
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_replay_applies_offsets(tmp_path: Path) -> None:
    """A layer with an offset, and readings that are less by it, are the robot without either."""
    shift = 0.05
    stage = write_rig(tmp_path / "n.usda", scene=None, robot=robot_asset("panda_arm"))
    write_overrides(
        tmp_path / "off.usda",
        stage=stage,
        joints={"panda_joint2": {"encoder_offset": Value(shift)}},
    )
    t = np.arange(0, 3, 0.004)
    q = np.array([0.0, 0.4, 0.0, -1.8, 0.0, 1.9, 0.3]) + 0.2 * np.sin(2 * t)[:, None]
    torques = {}
    for name, off in (("plain", 0.0), ("shifted", shift)):
        read = q - off * np.eye(7)[1]
        table = np.column_stack([t, read, np.zeros_like(read)])
        head = ",".join(["t", *(f"q{i}" for i in range(7)), *(f"e{i}" for i in range(7))])
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header=head, comments="")
        signals = {
            "position": {"source": "q{i}", "unit": "rad"},
            "effort": {"source": "e{i}", "unit": "N.m"},
        }
        time = {"source": "t", "unit": "s"}
        described = {
            "robot": "panda_arm",
            "format": "csv",
            "path": f"{name}.csv",
            "streams": {"s": {"joints": list(JOINTS), "time": time, "signals": signals}},
        }
        OmegaConf.save(OmegaConf.create(described), tmp_path / f"{name}.yaml")
        layer = ["layer=off.usda"] if off else []
        code, _, err = run(
            "task=replay", f"recording={name}.yaml", f"hydra.run.dir={name}", *layer, cwd=tmp_path
        )
        assert code == 0, err
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        torques[name] = metrics["heldout_rmse_nm" if off else "nominal_rmse_nm"]
    # The measured effort is 0, so that the error is the twin's own torque.
    assert min(torques["plain"][1:4]) > 1
    np.testing.assert_allclose(torques["shifted"], torques["plain"], rtol=1e-6)
