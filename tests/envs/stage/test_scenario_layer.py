"""A moment of a run as a layer: poses that are written are the poses that are read."""

from pathlib import Path

import numpy as np
import pytest
from pxr import Sdf

from assets.catalog import SCENES
from envs.errors import StageError
from envs.stage.identified import Value
from envs.stage.layers import write_overrides, write_rig, write_scenario
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.world.bullet import BulletWorld
from tests.envs.stage.written import HEADER, rigid, world
from tests.small_arm import random_pose


def poses_of(scene: Scene) -> dict[str, np.ndarray]:
    bodies = [b for robot in scene.articulations for b in robot.bodies]
    return {b.name: b.X_WB for b in (*bodies, *scene.objects, *scene.static)}


def test_a_world_s_poses_on_top_of_calibration_and_scene(tmp_path: Path) -> None:
    asset, table = robot_asset("panda", robots=tmp_path / "robots"), SCENES["tabletop"]
    stage = write_rig(tmp_path / "stage.usda", scene=table, robot=asset)
    scene, rng = read_stage(stage), np.random.default_rng(0)
    joints = [f"panda_joint{i}" for i in range(1, 8)]
    with BulletWorld(scene, joints=joints) as built:
        built.set_state(rng.uniform(-1, 1, 7), np.zeros(7))
        for body in scene.objects:
            built.set_object_pose(body.name, random_pose(rng, 1.0))
        poses = built.body_poses()
    scenario = write_scenario(
        tmp_path / "scenario.usda", stage=stage, poses=poses, metadata={"seed": 3, "index": 17}
    )
    armature = {"panda_joint1": {"armature": Value(0.7)}}
    fitted = write_overrides(tmp_path / "calibration.usda", stage=stage, joints=armature)
    run = write_rig(tmp_path / "run.usda", scene=table, robot=asset, sublayers=[scenario, fitted])
    again = read_stage(run)
    found = poses_of(again)
    assert set(found) == set(poses)
    for name, X_WB in poses.items():
        np.testing.assert_allclose(found[name], X_WB, atol=1e-9, err_msg=name)
    assert np.abs(found["panda_hand"] - poses_of(scene)["panda_hand"]).max() > 0.1
    assert again.robot.joint("panda_joint1").armature == pytest.approx(0.7)
    # Poses that the joints allow: nothing is told of them.
    assert [d for d in again.diagnostics if d.kind == "approximated"] == [
        d for d in scene.diagnostics if d.kind == "approximated"
    ]
    about = Sdf.Layer.FindOrOpen(str(scenario)).customLayerData["twin"]
    assert (about["seed"], about["index"]) == (3, 17)
    # The same frame again, above a stage that has a scenario already.
    twice = write_scenario(tmp_path / "twice.usda", stage=run, poses={"panda_hand": np.eye(4)})
    top = write_rig(tmp_path / "top.usda", scene=run, robot=asset, sublayers=[twice])
    np.testing.assert_allclose(poses_of(read_stage(top))["panda_hand"], np.eye(4), atol=1e-12)


def test_units_axes_and_scale_of_the_stage(tmp_path: Path) -> None:
    """Y-up in centimetres, below a scaled prim, with a body inside the prim of another one."""
    inner = rigid("inner").replace("physics:mass = 2", "physics:mass = 1")
    nest = 'double3 xformOp:scale = (2, 2, 2)\nuniform token[] xformOpOrder = ["xformOp:scale"]\n'
    shift = (
        "double3 xformOp:translate = (5, 0, 0)\ndouble3 xformOp:scale = (3, 4, 5)\n"
        'uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]\n'
    )
    cube = 'def Cube "block" {\n' + shift + "}\n"
    text = HEADER.format(length=0.01, mass=1.0, up="Y") + world(
        'def Xform "nest" {\n' + nest + rigid("outer", inner) + "}\n" + cube
    )
    stage = tmp_path / "stage.usda"
    stage.write_text(text.replace("}", "\n}\n"))
    scene, rng = read_stage(stage), np.random.default_rng(1)
    poses = {name: random_pose(rng, 2.0) for name in poses_of(scene)}
    assert set(poses) == {"outer", "inner", "block"}
    layer = write_scenario(tmp_path / "scenario.usda", stage=stage, poses=poses)
    top = tmp_path / "top.usda"
    top.write_text(
        HEADER.format(length=0.01, mass=1.0, up="Y").replace(
            "(\n", f"(\n    subLayers = [@./{layer.name}@, @./{stage.name}@]\n", 1
        )
    )
    again = read_stage(top)
    for name, X_WB in poses_of(again).items():
        np.testing.assert_allclose(X_WB, poses[name], atol=1e-12, err_msg=name)
    (before,), (after,) = (s.static[0].visuals for s in (scene, again))
    assert after.size == pytest.approx(before.size, rel=1e-12)


def test_what_is_no_body_or_no_pose_is_refused(tmp_path: Path) -> None:
    stage = tmp_path / "stage.usda"
    text = HEADER.format(length=1.0, mass=1.0, up="Z") + world(rigid("cube"))
    stage.write_text(text.replace("}", "\n}\n"))
    out = tmp_path / "scenario.usda"
    with pytest.raises(StageError, match=r"body 'cub' is not in the stage.*'cube'"):
        write_scenario(out, stage=stage, poses={"cub": np.eye(4)})
    for bad in (np.diag([2.0, 1, 1, 1]), np.full((4, 4), np.nan)):
        with pytest.raises(StageError, match="pose of body 'cube' must be"):
            write_scenario(out, stage=stage, poses={"cube": bad})
    assert not out.exists()
