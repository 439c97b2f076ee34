"""The sample's robot as it truly was: the stage of the Panda with the hidden truth in it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from assets.recordings import make_sample
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from envs.stage.scene import MASSLESS, Drive, Friction, Inertial, Scene

TRUTH: dict[str, Any] = json.loads(make_sample.TRUTH.read_text())


def true_panda(*, actuators: bool = True) -> Scene:
    """Return the true robot; without actuators, only inertias and Stribeck's excess are true."""
    scene = read_stage(robot_asset("panda"))
    robot = scene.robot
    links = TRUTH["links"]
    bodies = []
    for body in robot.bodies:
        inertial = MASSLESS if body.inertial.mass_kg == 0 else body.inertial
        if body.name in links:
            link = links[body.name]
            inertial = Inertial(
                link["mass_kg"], np.array(link["com_m"]), np.array(link["inertia_kgm2"])
            )
        bodies.append(replace(body, inertial=inertial))
    joints = []
    for joint in robot.joints:
        if joint.name in TRUTH["joints"]:
            i = TRUTH["joints"].index(joint.name)
            stribeck = TRUTH["stribeck"][i], TRUTH["stribeck_velocity"][i]
            joint = replace(joint, friction=Friction(0.0, 0.0, *stribeck))
            if actuators:
                names = ("stiffness", "damping", "max_force")
                joint = replace(
                    joint,
                    drive=Drive(*(TRUTH[name][i] for name in names)),
                    armature=TRUTH["armature"][i],
                    friction=Friction(TRUTH["coulomb"][i], TRUTH["viscous"][i], *stribeck),
                    delay_s=TRUTH["delay_s"],
                )
        joints.append(joint)
    return replace(
        scene, articulations=(replace(robot, bodies=tuple(bodies), joints=tuple(joints)),)
    )
