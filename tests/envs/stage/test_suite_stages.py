"""Third-party stages, counted against a survey of them that was made by other means."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pxr import Usd, UsdGeom

from envs.stage.reader import read_stage
from envs.stage.scene import Scene

SUITE = Path(os.environ.get("KINETWIN_SHARED", "../shared")) / "usd_suite"

STAGES = (
    "fiveages_robot_usds/manipulators/rm65/rm65.usd",
    "fiveages_robot_usds/grippers/Robotiq_85/Robotiq_85.usd",
    "fiveages_robot_usds/grippers/Galaxea_G1/Galaxea_G1.usd",
    "newton/newton/examples/assets/ant.usda",
    "newton/newton/examples/assets/cartpole.usda",
    "newton/newton/tests/assets/cartpole_mjc.usda",
    "newton/newton/tests/assets/actuator_test.usda",
    "physx/ovphysx/tests/data/links_chain_sample.usda",
    "physx/ovphysx/tests/data/revolute_joint_scene.usda",
    "newton/newton/tests/assets/kamino/testing/joints/test_joint_revolute_passive.usda",
    "newton/newton/tests/assets/kamino/testing/joints/test_joint_prismatic_passive_unary.usda",
    "newton/newton/tests/assets/kamino/testing/joints/test_joint_fixed_unary.usda",
    "newton/newton/tests/assets/kamino/testing/joints/test_joint_universal_passive.usda",
    "newton/newton/tests/assets/pendulum_revolute_vs_d6.usda",
    "newton/newton/tests/assets/negative_scale_cube.usda",
    "physx/ovphysx/tests/data/simple_physics_scene.usda",
    "newton/newton/tests/assets/kamino/testing/geoms/test_geom_capsule.usda",
    "newton/newton/tests/assets/kamino/testing/geoms/test_geom_cone.usda",
)


def surveyed(name: str) -> dict[str, Any]:
    file = SUITE / "survey.json"
    if not file.is_file():
        pytest.skip(f"{file} is not there; KINETWIN_SHARED names the folder that holds usd_suite")
    return next(entry for entry in json.loads(file.read_text()) if entry["file"] == name)


def rest_gap(scene: Scene) -> float:
    """The largest distance between the two sides of a joint, all bodies at their authored poses."""
    gaps = [0.0]
    for robot in scene.articulations:
        poses = {b.name: b.X_WB for b in robot.bodies}
        for joint in robot.joints:
            a, b = poses[joint.parent] @ joint.X_PJ, poses[joint.child] @ joint.X_CJ
            gaps.append(float(np.linalg.norm(a[:3, 3] - b[:3, 3])))
    return max(gaps)


@pytest.mark.parametrize("name", STAGES, ids=[Path(s).stem for s in STAGES])
def test_counts_are_the_survey_s(name: str) -> None:
    expected = surveyed(name)
    scene = read_stage(SUITE / name)
    robots = scene.articulations
    joints = {j.prim for robot in robots for j in robot.joints}
    # A chain has massless bodies with the joint's own prim; a kinematic body counts as one too.
    links = [b for robot in robots for b in robot.bodies if b.name and b.prim not in joints]
    bodies = [*links, *scene.objects, *(b for b in scene.static if b.mass_source != "static")]
    assert len(bodies) == expected["bodies"]
    assert len(joints) == expected["tree"]
    assert sum(len(robot.loops) for robot in robots) == expected["loops"]
    mimics = {j.prim for robot in robots for j in robot.joints if j.mimic is not None}
    assert len(mimics) == expected["mimic"]
    assert sum(len(b.colliders) for b in bodies) == expected["cols"]
    seen = {s.prim for b in bodies for s in b.visuals}
    if expected["subsets"] == 0:
        assert len(seen) == expected["vis"]
    if name.endswith("actuator_test.usda"):
        # Its base is kinematic, which the survey does not count, and a diagnostic says so.
        assert robots[0].fixed_base
        (why,) = (
            d
            for d in scene.diagnostics
            if d.prim == robots[0].bodies[0].prim and d.kind == "approximated"
        )
        assert "kinematic" in why.message
    else:
        assert any(r.fixed_base for r in robots) == expected["fixed"]
    # Sliding joints of a resting robot keep their sides apart; the others meet.
    assert rest_gap(scene) == pytest.approx(expected["rest_gap"], abs=2e-6)


def test_all_stages_of_the_survey_are_counted() -> None:
    file = SUITE / "survey.json"
    if not file.is_file():
        pytest.skip(f"{file} is not there; KINETWIN_SHARED names the folder that holds usd_suite")
    assert sorted(entry["file"] for entry in json.loads(file.read_text())) == sorted(STAGES)


def test_units_of_a_stage_in_centimetres() -> None:
    name = "physx/ovphysx/tests/data/revolute_joint_scene.usda"
    assert surveyed(name)["mpu"] == 0.01
    body = read_stage(SUITE / name).robot.bodies[1]
    stage = Usd.Stage.Open(str(SUITE / name))
    prim = stage.GetPrimAtPath(body.prim)
    in_centimetres = UsdGeom.XformCache().GetLocalToWorldTransform(prim).ExtractTranslation()
    assert max(in_centimetres) > 100
    np.testing.assert_allclose(body.X_WB[:3, 3], np.array(in_centimetres) / 100)
