"""What a stage holds as plain data: counts, links, joints with units and sources, diagnostics."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from envs.stage.scene import Articulation, Body, Joint, Scene

SERVO_UNITS = {
    "torque_constant": "N·m/A",
    "resistance": "ohm",
    "saturation": "1/A",
    "motor_load": "1",
    "external_load": "1",
    "breakaway_load": "1",
}


def inspect_scene(
    scene: Scene, layers: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """Return a summary of a scene that can be written as JSON; what is infinite or absent is None.

    Counts follow the stage's prims: a joint of several degrees of freedom is one joint, and the
    massless bodies inside its chain are none.

    Args:
        scene: What was read.
        layers: From `provenance.speaking_layers`, to be told with the joints' values.

    Returns:
        bodies: Rigid bodies, kinematic ones included.
        joints: Joints in the tree, closing a loop, or fixing a base to the world.
        dofs: Degrees of freedom of the tree's joints, followers included, floating bases not.
        tree_joints, loop_joints, mimics: Joints in the tree; closing a loop; following another.
        colliders, visuals: Pieces of geometry of the bodies; `static_…` those of no body.
        links: Each body: name, prim, mass_kg, com_m (in the body's frame), inertia_kgm2 (about the
            centre of mass, in the body's axes), mass_source, articulation ("" for a free body).
        joint_list: Each degree of freedom with its values in SI, and whose schema and layer spoke.
        articulations, gravity_mps2, diagnostics, files: As in `Scene`.
    """
    robots = scene.articulations
    tree = [j for robot in robots for j in robot.joints]
    loops = [loop for robot in robots for loop in robot.loops]
    anchors = [robot.anchor for robot in robots if robot.anchor]
    links = [(robot.name, body) for robot in robots for body in _links(robot)]
    links += [("", b) for b in (*scene.objects, *scene.static) if b.mass_source != "static"]
    static = [b for b in scene.static if b.mass_source == "static"]
    in_tree = {j.prim for j in tree}
    return {
        "bodies": len(links),
        "joints": len(in_tree) + len(loops) + len(anchors),
        "dofs": sum(j.kind != "fixed" for j in tree),
        "tree_joints": len(in_tree),
        "loop_joints": len(loops),
        "mimics": len({j.prim for j in tree if j.mimic is not None}),
        "colliders": sum(len(body.colliders) for _, body in links),
        "visuals": _visuals(body for _, body in links),
        "static_colliders": sum(len(body.colliders) for body in static),
        "static_visuals": _visuals(static),
        "gravity_mps2": scene.gravity_mps2.tolist(),
        "articulations": [
            {
                "name": robot.name,
                "prim": robot.prim,
                "fixed_base": robot.fixed_base,
                "bodies": len(_links(robot)),
                "dofs": sum(j.kind != "fixed" for j in robot.joints),
            }
            for robot in robots
        ],
        "links": [_link(name, body) for name, body in links],
        "joint_list": [_joint(j, (layers or {}).get(j.name, {})) for j in tree],
        "loops": [
            {
                "name": loop.name,
                "prim": loop.prim,
                "parent": loop.parent,
                "child": loop.child,
                "free": list(loop.free),
            }
            for loop in loops
        ],
        "diagnostics": [
            {"kind": d.kind, "prim": d.prim, "message": d.message} for d in scene.diagnostics
        ],
        "files": [str(file) for file in scene.files],
    }


def _links(robot: Articulation) -> list[Body]:
    """Return the bodies that the stage has, without the world and the insides of chains."""
    joints = {j.prim for j in robot.joints}
    return [b for b in robot.bodies if b.name and b.prim not in joints]


def _visuals(bodies: Iterable[Body]) -> int:
    return len({shape.part_of or shape.prim for body in bodies for shape in body.visuals})


def _link(articulation: str, body: Body) -> dict[str, Any]:
    return {
        "name": body.name,
        "prim": body.prim,
        "articulation": articulation,
        "mass_kg": body.inertial.mass_kg,
        "com_m": body.inertial.com_m.tolist(),
        "inertia_kgm2": body.inertial.inertia_kgm2.tolist(),
        "mass_source": body.mass_source,
        "colliders": len(body.colliders),
        "visuals": _visuals([body]),
        "label": body.label,
    }


def _joint(joint: Joint, layers: Mapping[str, str]) -> dict[str, Any]:
    turns = joint.kind == "revolute"
    values = {
        "lower": joint.lower,
        "upper": joint.upper,
        "velocity_limit": joint.velocity_limit,
        "effort_limit": joint.effort_limit,
        "armature": joint.armature,
        "friction.coulomb": joint.friction.coulomb,
        "friction.viscous": joint.friction.viscous,
        "friction.stribeck": joint.friction.stribeck,
        "friction.stribeck_velocity": joint.friction.stribeck_velocity,
        "friction.asymmetry": joint.friction.asymmetry,
        "friction.load": joint.friction.load,
        "drive.stiffness": None if joint.drive is None else joint.drive.stiffness,
        "drive.damping": None if joint.drive is None else joint.drive.damping,
        "delay_s": joint.delay_s,
        "torque_offset": joint.torque_offset,
        "encoder_offset": joint.encoder_offset,
        "spring": joint.spring,
        "drive_gain": joint.drive_gain,
    }
    unit, force = ("rad", "N·m") if turns else ("m", "N")
    units = {
        "lower": unit,
        "upper": unit,
        "velocity_limit": f"{unit}/s",
        "effort_limit": force,
        "armature": "kg·m²" if turns else "kg",
        "friction.coulomb": force,
        "friction.viscous": f"{force}·s/{unit}",
        "friction.stribeck": force,
        "friction.stribeck_velocity": f"{unit}/s",
        "friction.asymmetry": f"{force}·s/{unit}",
        "friction.load": "",
        "drive.stiffness": f"{force}/{unit}",
        "drive.damping": f"{force}·s/{unit}",
        "delay_s": "s",
        "torque_offset": force,
        "encoder_offset": unit,
        "spring": f"{force}/{unit}",
        "drive_gain": f"{force}/A",
    }
    if joint.servo is not None:
        values |= {f"servo.{field}": value for field, value in vars(joint.servo).items()}
        units |= {f"servo.{field}": unit for field, unit in SERVO_UNITS.items()}
    fixed = joint.kind == "fixed"
    return {
        "name": joint.name,
        "prim": joint.prim,
        "kind": joint.kind,
        "parent": joint.parent,
        "child": joint.child,
        "axis": None if fixed else joint.axis.tolist(),
        "mimic": None
        if joint.mimic is None
        else dict(zip(("joint", "multiplier", "offset"), joint.mimic, strict=True)),
        "values": {}
        if fixed
        else {
            field: {
                "value": value if value is not None and math.isfinite(value) else None,
                "unit": units[field],
                "source": joint.sources.get(field, "default"),
                "layer": layers.get(field),
            }
            for field, value in values.items()
        },
    }
