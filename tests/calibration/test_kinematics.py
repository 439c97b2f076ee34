"""Kinematics from a marker: against Pinocchio, finite differences, and robots with known errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest
import torch
from scipy.stats import chi2, f

from calibration.kinematics import _stage, fit_kinematics, unknown_directions
from calibration.markers import Marker, first_guess, read_markers
from calibration.result import CalibrationResult
from calibration.screws import forward_kinematics
from envs.errors import CalibrationError
from envs.frames import axis_angle, inverse, pose, to_quaternion
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from tests.random_tree import random_tree
from tests.small_arm import arm, arm_joints, pinocchio_model, random_pose, scene

N = 5
X_WC = pose(axis_angle(np.array([1.0, 0, 0]), np.asarray(-1.9)), np.array([0.1, -3.0, 1.2]))
K = (600.0, 610.0, 320.0, 240.0)


def truth(rng: np.random.Generator, *, geometry: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets, and screws of the joints' frames."""
    offsets = rng.normal(0, 0.03, N)
    scale = np.repeat([0.003, 0.006], 3) if geometry else np.zeros(6)
    return offsets, rng.normal(size=(N, 6)) * scale


def seen(
    rng: np.random.Generator,
    robot: Scene,
    offsets: np.ndarray,
    screws: np.ndarray,
    poses: int,
    kind: str = "pose",
    noise: float = 1.0,
) -> Marker:
    """Return what a camera saw of a marker on the last link, with 0.3 mm, 1 mrad, 0.3 px."""
    tree = reduce_tree(robot.robot, arm_joints(N), robot.gravity_mps2)
    q = rng.uniform(-1.3, 1.3, (poses, N))
    X_WL = forward_kinematics(tree, *map(torch.from_numpy, (q, offsets, screws))).numpy()[-1]
    X_LB = tree.groups[-1][f"link{N - 1}"]
    X_BM = random_pose(np.random.default_rng(5), 0.05)
    X_CM = inverse(X_WC) @ X_WL @ X_LB @ X_BM
    p = X_CM[:, :3, 3]
    if kind == "pixel":
        uv = np.stack([K[0] * p[:, 0], K[1] * p[:, 1]], 1) / p[:, 2:] + [K[2], K[3]]
        return Marker(q, uv=uv + rng.normal(0, 0.3 * noise, uv.shape), intrinsics=K)
    turned = (
        np.array(
            [
                R @ axis_angle(v / np.linalg.norm(v), np.asarray(np.linalg.norm(v)))
                for R, v in zip(
                    X_CM[:, :3, :3], rng.normal(0, 1e-3, (poses, 3)) * noise, strict=True
                )
            ]
        )
        if noise
        else X_CM[:, :3, :3]
    )
    p = p + rng.normal(0, 3e-4 * noise, p.shape)
    return Marker(q, p_CM=p, R_CM=None if kind == "position" else turned)


def fitted(robot: Scene, train: Marker, heldout: Marker, *, geometry: bool) -> CalibrationResult:
    return fit_kinematics(
        robot, arm_joints(N), train, heldout=heldout, body=f"link{N - 1}", geometry=geometry
    )


NOISE = {"position_m": 3e-4, "turn_rad": 1e-3, "pixel_px": 0.3}
"""Of each row, as in `seen`."""
ROWS = {"position_m": 3, "turn_rad": 3, "pixel_px": 2}
CHANCE = 1e-3
"""That a bound below is crossed though all is well; the seeds are fixed, and so is the outcome."""


def noise_alone(
    unit: str, train: Marker, heldout: Marker, result: CalibrationResult
) -> tuple[float, float]:
    """Return between which errors (root mean squares of distances) a right model's lie.

    The sum of squares of M held-out rows is σ²·χ²(M); a fit of r parameters to m rows adds r/m of
    it in the mean.
    """
    poses, rows = len(heldout.q), sum(ROWS[u] for u in result.metrics["heldout"])
    fit = 1 + result.metrics["rank"] / (len(train.q) * rows)
    least, most = chi2.interval(1 - CHANCE, poses * ROWS[unit])
    return NOISE[unit] * np.sqrt(least / poses), NOISE[unit] * np.sqrt(most / poses * fit)


def by_chance(unit: str, heldout: Marker) -> float:
    """Return how many times larger than another an error of the same variance may come out."""
    rows = len(heldout.q) * ROWS[unit]
    return float(np.sqrt(f.ppf(1 - CHANCE, rows, rows)))


def test_forward_kinematics_are_pinocchios() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 4, 9):
        tree = random_tree(rng, n)
        q, offsets = rng.normal(size=(6, n)), rng.normal(size=n) * 0.1
        found = forward_kinematics(
            tree, torch.from_numpy(q), torch.from_numpy(offsets), torch.zeros((n, 6)).double()
        ).numpy()
        model = pinocchio_model(tree)
        data = model.createData()
        for i, row in enumerate(q + offsets):
            pin.forwardKinematics(model, data, row)
            expected = np.array([M.homogeneous for M in data.oMi][1:])
            assert np.abs(found[:, i] - expected).max() < 1e-12


def test_a_screw_moves_the_joint_s_frame_as_pinocchio_s_exponential() -> None:
    rng = np.random.default_rng(1)
    tree, screws = random_tree(rng, 5), rng.normal(size=(5, 6)) * 0.2
    q = rng.normal(size=(1, 5))
    found = forward_kinematics(tree, *map(torch.from_numpy, (q, np.zeros(5), screws))).numpy()
    moved = np.array([pin.exp6(pin.Motion(s)).homogeneous for s in screws])
    other = replace(tree, X_PJ=tree.X_PJ @ moved)
    model = pinocchio_model(other)
    data = model.createData()
    pin.forwardKinematics(model, data, q[0])
    assert np.abs(found[:, 0] - np.array([M.homogeneous for M in data.oMi][1:])).max() < 1e-12


@pytest.mark.parametrize("kind", ["pose", "position", "pixel"])
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    rng = np.random.default_rng(2)
    robot = scene(arm(rng, N))
    marker = seen(rng, robot, *truth(rng, geometry=True), 7, kind)
    tree = reduce_tree(robot.robot, arm_joints(N), robot.gravity_mps2)
    model, zero = _stage(robot, tree, marker, f"link{N - 1}")
    model = replace(model, sigma=np.ones(len(zero)))
    p = rng.normal(size=len(zero)) * 0.05
    J = model.jacobian(p, marker)
    for i, h in enumerate(np.eye(len(p)) * 1e-6):
        difference = (model.values(p + h, marker) - model.values(p - h, marker)) / 2e-6
        # Of values of the order of 1e4 a central difference of this step keeps six digits.
        assert np.abs(J[:, i] - difference).max() < 1e-6 * max(np.abs(J).max(), 1)


@pytest.mark.parametrize("kind", ["pose", "position"])
def test_a_first_guess_without_noise_is_where_camera_and_marker_are(kind: str) -> None:
    rng = np.random.default_rng(3)
    robot = scene(arm(rng, N))
    zero = np.zeros(N), np.zeros((N, 6))
    marker = seen(rng, robot, *zero, 12, kind, noise=0.0)
    tree = reduce_tree(robot.robot, arm_joints(N), robot.gravity_mps2)
    X_WL = forward_kinematics(tree, *map(torch.from_numpy, (marker.q, *zero))).numpy()[-1]
    camera, on_body = first_guess(marker, X_WL @ tree.groups[-1][f"link{N - 1}"])
    assert np.abs(camera - X_WC).max() < 1e-9
    expected = random_pose(np.random.default_rng(5), 0.05)
    assert np.abs((on_body - expected)[: 3 if kind == "pose" else 0]).max(initial=0) < 1e-9
    assert np.abs(on_body[:3, 3] - expected[:3, 3]).max() < 1e-9


@pytest.mark.parametrize("kind", ["pose", "position", "pixel"])
def test_offsets_are_found_and_the_first_is_known_to_be_unknown(kind: str) -> None:
    rng = np.random.default_rng(4)
    robot = scene(arm(rng, N))
    offsets, screws = truth(rng, geometry=False)
    train, heldout = (seen(rng, robot, offsets, screws, n, kind) for n in (40, 15))
    result = fitted(robot, train, heldout, geometry=False)
    for i, (name, p) in enumerate(result.parameters.items()):
        assert name == f"joint{i}.encoder_offset"
        if p.identifiable:
            assert p.value == pytest.approx(offsets[i], abs=5 * p.std)
            assert p.std < 0.01
        else:
            assert i in (0, N - 1)
            assert p.std > 0.05
    assert not result.parameters["joint0.encoder_offset"].identifiable
    unknown = result.metrics["unknown"]
    assert "joint0.encoder_offset and the camera's pose cannot be told apart" in unknown
    # The turn of a marker that is but a point shows no more than the last joint's offset does.
    assert result.metrics["parameters"] - result.metrics["rank"] == (2 if kind == "pose" else 5)
    end = f"joint{N - 1}.encoder_offset and the marker's pose cannot be told apart"
    assert end in unknown
    for unit, error in result.metrics["heldout"].items():
        least, most = noise_alone(unit, train, heldout, result)
        assert least < error < most
        assert result.metrics["nominal"][unit] > by_chance(unit, heldout) * error


def test_geometry_too() -> None:
    rng = np.random.default_rng(6)
    robot = scene(arm(rng, N))
    offsets, screws = truth(rng, geometry=True)
    train, heldout = (seen(rng, robot, offsets, screws, n) for n in (60, 20))
    result = fitted(robot, train, heldout, geometry=True)
    only_offsets = fitted(robot, train, heldout, geometry=False)
    assert len(result.parameters) == 7 * N
    for unit, error in result.metrics["heldout"].items():
        least, most = noise_alone(unit, train, heldout, result)
        assert least < error < most
        other = only_offsets.metrics["heldout"][unit]
        assert other > by_chance(unit, heldout) * error
    # He, Zhao, Yang and Yang (Kinematic-parameter identification for serial-robot calibration based
    # on POE formula, IEEE Transactions on Robotics 26, 2010): 4 for each turning joint, and 6.
    assert result.metrics["rank"] == 4 * N + 6


@pytest.mark.slow
def test_standard_deviations_hold_their_coverage() -> None:
    """95 % ± 2.5 standard errors of such a share, of 60 robots with 3 offsets that can be told."""
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        robot = scene(arm(rng, N))
        offsets, screws = truth(rng, geometry=False)
        train, heldout = (seen(rng, robot, offsets, screws, n) for n in (25, 6))
        result = fitted(robot, train, heldout, geometry=False)
        inside += [
            abs(p.value - d) < 1.96 * p.std
            for p, d in zip(result.parameters.values(), offsets, strict=True)
            if p.identifiable
        ]
    assert len(inside) >= 170
    assert abs(np.mean(inside) - 0.95) < 2.5 * np.sqrt(0.95 * 0.05 / len(inside))


def test_directions_in_words() -> None:
    J = np.array([[1.0, 1, 0, 0, 0], [0, 0, 2, 0, 0]])
    rank, told = unknown_directions(J, ["a.encoder_offset", "camera.rz", "b.frame.x", "c.x", "m"])
    assert rank == 2
    assert told == [
        "a.encoder_offset and the camera's pose cannot be told apart",
        "c.x does not show in what was measured",
        "m does not show in what was measured",
    ]


def test_a_file_of_poses(tmp_path: Path) -> None:
    file = tmp_path / "poses.csv"
    R = axis_angle(np.array([0, 0, 1.0]), np.asarray(0.3))
    file.write_text(
        "j2,x,y,z,qw,qx,qy,qz,j1\n"
        + "".join(
            f"{0.1 * i},1,2,{i},{','.join(map(str, to_quaternion(R)))},{-i}\n" for i in range(3)
        )
    )
    marker, joints = read_markers(file, ["j1", "j2", "j3"])
    assert joints == ("j1", "j2")
    np.testing.assert_allclose(marker.q, [[0.0, 0.0], [-1.0, 0.1], [-2.0, 0.2]])
    assert marker.p_CM is not None
    assert marker.R_CM is not None
    np.testing.assert_allclose(marker.p_CM[:, 2], [0, 1, 2])
    np.testing.assert_allclose(marker.R_CM[1], R, atol=1e-12)
    file.write_text("j1,u,v\n0,1,2\n")
    with pytest.raises(CalibrationError, match="need the camera's intrinsics"):
        read_markers(file, ["j1"])
    assert read_markers(file, ["j1"], K)[0].uv is not None
    for text, message in {
        "jiont1,x,y,z\n0,1,2,3\n": "column 'jiont1' is not in .*; it has: j1, x",
        "j1,x,y\n0,1,2\n": "x, y, z belong together",
        "j1,x,y,z\n0,1,2,three\n": "a cell is no number",
        "x,y,z\n1,2,3\n": "a line of names",
        "": "a line of names",
    }.items():
        file.write_text(text)
        with pytest.raises(CalibrationError, match=message):
            read_markers(file, ["j1"])
    with pytest.raises(CalibrationError, match="no file of measured poses"):
        read_markers(tmp_path / "none.csv", ["j1"])
