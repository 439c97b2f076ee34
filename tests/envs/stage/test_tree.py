"""Welding joints: the reduced tree against Pinocchio's reduced model, and its refusals."""

from pathlib import Path

import numpy as np
import pinocchio as pin
import pybullet_data
import pytest

from envs.errors import StageError
from envs.frames import axis_angle, inverse, pose
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Body, Inertial, Joint
from envs.stage.tree import inertial_parameters, reduce_tree, to_inertial

ARM = tuple(f"panda_joint{i}" for i in range(1, 8))
GRAVITY = np.array([0.0, 0.0, -9.81])


@pytest.fixture(scope="module")
def panda(tmp_path_factory: pytest.TempPathFactory) -> Articulation:
    return read_stage(robot_asset("panda", robots=tmp_path_factory.mktemp("robots"))).robot


def body(name: str, mass: float = 1.0, X_WB: np.ndarray | None = None) -> Body:
    inertial = Inertial(mass, np.array([0.1, 0.0, 0.0]), 0.01 * np.eye(3))
    return Body(name, f"/{name}", np.eye(4) if X_WB is None else X_WB, inertial)


def hinge(name: str, parent: str, child: str, kind: str = "revolute") -> Joint:
    X = pose(np.eye(3), np.array([1.0, 0.0, 0.0]))
    axis = np.array([0.0, 0.0, 1.0])
    return Joint(name, f"/{name}", kind, parent, child, X, np.eye(4), axis)  # type: ignore[arg-type]


@pytest.fixture
def chain() -> Articulation:
    bodies = (body("base"), body("upper"), body("lower"), body("tool", 0.5))
    joints = (
        hinge("shoulder", "base", "upper"),
        hinge("elbow", "upper", "lower"),
        hinge("flange", "lower", "tool", "fixed"),
    )
    return Articulation("chain", "/chain", bodies, joints, True)


@pytest.mark.parametrize("moving", [ARM, ("panda_joint2", "panda_joint4"), ARM[3:]])
def test_welding_is_pinocchio_s_reduced_model(panda: Articulation, moving: tuple[str, ...]) -> None:
    """Joints welded away from 0: parameters of each link against `buildReducedModel`."""
    rng = np.random.default_rng(3)
    model = pin.buildModelFromUrdf(
        str(Path(pybullet_data.getDataPath()) / "franka_panda/panda.urdf")
    )
    names = [n for n in model.names if n != "universe"]
    welded = {n: float(rng.uniform(-0.5, 0.5)) for n in names if n not in moving}
    q = np.array([welded.get(n, 0.0) for n in names])
    reduced = pin.buildReducedModel(model, [model.getJointId(n) for n in welded], q)
    tree = reduce_tree(panda, moving, GRAVITY, welded=welded)
    assert tree.joints == tuple(n for n in reduced.names if n != "universe") == moving
    for i in range(len(moving)):
        assert tree.parent[i] == reduced.parents[i + 1] - 1
        expected = reduced.jointPlacements[i + 1].homogeneous
        np.testing.assert_allclose(tree.X_PJ[i], expected, atol=1e-12)
        parameters = reduced.inertias[i + 1].toDynamicParameters()
        np.testing.assert_allclose(tree.pi[i], parameters, atol=1e-12)


def test_groups_say_where_each_body_rides(chain: Articulation) -> None:
    tree = reduce_tree(chain, ["shoulder"], GRAVITY, welded={"elbow": np.pi / 2})
    assert tree.joints == ("shoulder",)
    assert set(tree.base) == {"base"}
    (group,) = tree.groups
    assert set(group) == {"upper", "lower", "tool"}
    np.testing.assert_allclose(group["lower"][:3, 3], (1, 0, 0))
    np.testing.assert_allclose(group["tool"][:3, 3], (1, 1, 0), atol=1e-15)
    # Masses: 1 at 0.1 along x; 1 at 0.1 along y from (1, 0); 0.5 at 0.1 along y from (1, 1).
    assert tree.pi[0, 0] == pytest.approx(2.5)
    np.testing.assert_allclose(tree.pi[0, 1:4], (0.1 + 1 + 0.5, 0.1 + 0.5 * 1.1, 0), atol=1e-15)


def test_the_stage_s_order_holds_whatever_the_caller_s(chain: Articulation) -> None:
    tree = reduce_tree(chain, ["elbow", "shoulder"], GRAVITY)
    assert tree.joints == ("shoulder", "elbow")
    assert tree.parent.tolist() == [-1, 0]


def test_a_mounted_base_moves_the_whole_tree(chain: Articulation) -> None:
    X = pose(axis_angle(np.array([0, 0, 1.0]), np.array(0.5)), np.array([3.0, 2.0, 1.0]))
    bodies = (body("base", X_WB=X), *chain.bodies[1:])
    moved = Articulation("chain", "/chain", bodies, chain.joints, True)
    tree = reduce_tree(moved, ["shoulder"], GRAVITY)
    np.testing.assert_allclose(tree.X_PJ[0], X @ chain.joints[0].X_PJ)
    np.testing.assert_allclose(tree.base["base"], X)


def test_refusals(chain: Articulation) -> None:
    with pytest.raises(StageError, match="Did you mean 'elbow'"):
        reduce_tree(chain, ["elbwo"], GRAVITY)
    with pytest.raises(StageError, match="joint 'flange' is not in the stage"):
        reduce_tree(chain, ["flange"], GRAVITY)
    with pytest.raises(StageError, match="listed twice"):
        reduce_tree(chain, ["elbow", "elbow"], GRAVITY)
    floating = Articulation("chain", "/chain", chain.bodies, chain.joints, False)
    with pytest.raises(StageError, match="/chain: dynamics need a fixed base"):
        reduce_tree(floating, ["elbow"], GRAVITY)


def test_inertial_parameters_are_pinocchio_s_and_back() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        points = rng.normal(size=(8, 3))
        central = sum(p @ p * np.eye(3) - np.outer(p, p) for p in points)
        inertial = Inertial(float(rng.uniform(0.1, 5)), rng.normal(size=3), np.asarray(central))
        R = axis_angle(np.array([0.6, 0.0, 0.8]), np.array(rng.uniform(-3, 3)))
        X = pose(R, rng.normal(size=3))
        pi = inertial_parameters(inertial, X)
        reference = pin.Inertia(inertial.mass_kg, inertial.com_m, inertial.inertia_kgm2)
        moved = pin.SE3(R, X[:3, 3]).act(reference)
        np.testing.assert_allclose(pi, moved.toDynamicParameters(), atol=1e-12)
        back = to_inertial(inertial_parameters(to_inertial(pi), inverse(X)))
        np.testing.assert_allclose(back.com_m, inertial.com_m, atol=1e-12)
        np.testing.assert_allclose(back.inertia_kgm2, inertial.inertia_kgm2, atol=1e-10)


def test_a_massless_frame_keeps_its_inertia() -> None:
    inertial = Inertial(0.0, np.zeros(3), 0.1 * np.eye(3))
    pi = inertial_parameters(inertial, pose(np.eye(3), np.array([1.0, 2.0, 3.0])))
    np.testing.assert_allclose(pi, [0, 0, 0, 0, 0.1, 0, 0.1, 0, 0, 0.1])
    np.testing.assert_allclose(to_inertial(pi).inertia_kgm2, 0.1 * np.eye(3))
