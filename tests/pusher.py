"""Robots that touch things: a slider, and an arm of two vertical axes, on a table with a block."""

from dataclasses import replace

import numpy as np

from envs.frames import pose
from envs.stage.scene import (
    Articulation,
    Body,
    Contact,
    Drive,
    Friction,
    Inertial,
    Joint,
    Scene,
    Shape,
)
from tests.small_arm import box, scene

BLOCK_KG = 1.5
SMOOTH = Friction()


def rough(body: Body, friction: float) -> Body:
    """Return a body of a material with this friction, which does not bounce."""
    contact = Contact(friction, friction, 0.0)
    return replace(body, colliders=tuple(replace(s, contact=contact) for s in body.colliders))


def block(x: float, friction: float, *, y: float = 0.0, mass_kg: float = BLOCK_KG) -> Body:
    """Return a low block that stands on z = 0."""
    made = rough(box("block", (0.3, 0.3, 0.1), (x, y, 0.0)), friction)
    inertial = replace(
        made.inertial,
        mass_kg=mass_kg,
        inertia_kgm2=made.inertial.inertia_kgm2 * mass_kg / made.inertial.mass_kg,
    )
    return replace(made, inertial=inertial)


def table(friction: float) -> Body:
    """Return ground with its top at z = 0."""
    return rough(box("table", (8.0, 8.0, 0.5), (0.0, 0.0, -0.5)), friction)


def slider(drive: Drive, *, armature: float, friction: Friction = SMOOTH) -> Articulation:
    """Return a cube of 1 kg that slides along x, 2 cm above z = 0; its front is at q + 0.05."""
    at = np.array([0.0, 0.0, 0.07])
    inertial = Inertial(1.0, np.zeros(3), np.eye(3) * 0.01)
    shape = Shape("/World/robot/cube/s", "box", np.eye(4), (0.1, 0.1, 0.1))
    cube = Body("cube", "/World/robot/cube", pose(np.eye(3), at), inertial, colliders=(shape,))
    base = Body("base", "/World/robot/base", np.eye(4), inertial)
    joint = Joint(
        "slide",
        "/World/robot/slide",
        "prismatic",
        "base",
        "cube",
        pose(np.eye(3), at),
        np.eye(4),
        np.array([1.0, 0.0, 0.0]),
        armature=armature,
        friction=friction,
        drive=drive,
    )
    cube = rough(cube, 0.0)
    return Articulation("robot", "/World/robot", (base, cube), (joint,), fixed_base=True)


def pushed(robot: Articulation, block: Body, friction: float) -> Scene:
    """Return a robot with a block before it on a table."""
    return scene(robot, objects=(block,), static=(table(friction),))


def stylus(tip: float, *, known: bool = True) -> Articulation:
    """Return an arm that swings about z and lowers a ball, whose lowest point is at 1 cm + q.

    Args:
        tip: Friction of the ball.
        known: False for the stage before a calibration: drives off by a fifth, friction and rotors
            by half, and no delay.
    """
    drives, part = (Drive(300.0, 12.0), Drive(2000.0, 90.0)), 1.0 if known else 0.5
    if not known:
        drives = (Drive(360.0, 10.0), Drive(1700.0, 110.0))
    inertial = Inertial(1.0, np.array([0.2, 0.0, 0.0]), np.diag([0.01, 0.03, 0.03]))
    ball = Shape("/World/robot/pen/s", "sphere", np.eye(4), (0.03,))
    at = pose(np.eye(3), np.array([0.4, 0.0, 0.04]))
    base = Body("base", "/World/robot/base", np.eye(4), inertial)
    boom = Body("boom", "/World/robot/boom", np.eye(4), inertial)
    small = Inertial(0.4, np.zeros(3), np.eye(3) * 1e-3)
    pen = rough(Body("pen", "/World/robot/pen", at, small, colliders=(ball,)), tip)
    joints = tuple(
        Joint(
            name,
            f"/World/robot/{name}",
            kind,  # type: ignore[arg-type]
            parent,
            child,
            X_PJ,
            np.eye(4),
            np.array([0.0, 0.0, 1.0]),
            armature=part * rotor,
            friction=Friction(part * coulomb, part * viscous),
            drive=drive,
            delay_s=0.006 if known else 0.0,
        )
        for name, kind, parent, child, X_PJ, drive, rotor, coulomb, viscous in (
            ("swing", "revolute", "base", "boom", np.eye(4), drives[0], 0.05, 0.3, 0.4),
            ("lift", "prismatic", "boom", "pen", at, drives[1], 0.5, 1.0, 5.0),
        )
    )
    return Articulation("robot", "/World/robot", (base, boom, pen), joints, fixed_base=True)
