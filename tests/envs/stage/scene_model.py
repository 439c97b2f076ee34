"""Pinocchio's model of an articulation, built joint by joint and not through `reduce_tree`."""

import numpy as np
import pinocchio as pin

from envs.frames import inverse
from envs.stage.scene import Articulation, Inertial


def inertia(inertial: Inertial) -> pin.Inertia:
    return pin.Inertia(inertial.mass_kg, inertial.com_m, inertial.inertia_kgm2)


def model_of(robot: Articulation, gravity: np.ndarray) -> pin.Model:
    """A fixed base; each body is a frame of its own name."""
    model = pin.Model()
    model.gravity = pin.Motion(gravity, np.zeros(3))
    at = {robot.bodies[0].name: (0, robot.bodies[0].X_WB)}
    bodies = {b.name: b for b in robot.bodies}
    for joint in robot.joints:
        index, X_IP = at[joint.parent]
        X_IJ = X_IP @ joint.X_PJ
        if joint.kind != "fixed":
            kind = pin.JointModelRevoluteUnaligned
            if joint.kind == "prismatic":
                kind = pin.JointModelPrismaticUnaligned
            index = model.addJoint(index, kind(joint.axis), pin.SE3(X_IJ), joint.name)
            X_IJ = np.eye(4)
        at[joint.child] = (index, X_IJ @ inverse(joint.X_CJ))
    for name, (index, X_IB) in at.items():
        placement = pin.SE3(X_IB)
        if index:
            model.appendBodyToJoint(index, inertia(bodies[name].inertial), placement)
        model.addFrame(pin.Frame(name, index, 0, placement, pin.FrameType.BODY))
    return model
