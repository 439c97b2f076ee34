"""Bodies and joints to articulations: which body is the base, which side of a joint the parent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.errors import StageError
from envs.frames import inverse
from envs.stage.joints import JointEnd, JointPrim, read_mimic
from envs.stage.scene import MASSLESS, Articulation, Body, Joint
from envs.stage.units import Units

_WORLD = ""


def assemble(
    bodies: Mapping[str, Body],
    kinematic: set[str],
    joints: Sequence[JointPrim],
    roots: Sequence[Any],
    names: Mapping[str, str],
    units: Units,
) -> tuple[list[Articulation], list[Body]]:
    """Return the articulations, and the bodies that no joint holds.

    Args:
        bodies: By path, in authored order.
        kinematic: Paths of bodies that never move.
        joints: In authored order.
        roots: Prims with PhysicsArticulationRootAPI.
        names: Path → unique name of each joint.
        units: The stage's.

    Raises:
        StageError: The joints close a loop.
    """
    group = {path: path for path in bodies}

    def find(path: str) -> str:
        while group[path] != path:
            path = group[path]
        return path

    for joint in joints:
        held = [end.body for end in joint.ends if end.body != _WORLD]
        if len(held) == 2:
            group[find(held[1])] = find(held[0])
    jointed = {find(end.body) for j in joints for end in j.ends if end.body != _WORLD}
    mimics = _mimics(joints, names, units)

    articulations = []
    for component in [p for p in bodies if p in jointed]:
        members = [path for path in bodies if find(path) == component]
        own = [j for j in joints if {e.body for e in j.ends} & set(members)]
        base = _base(members, own, roots, kinematic)
        articulations.append(_tree(members, own, base, bodies, roots, names, mimics))
    return articulations, [body for path, body in bodies.items() if find(path) not in jointed]


def _mimics(
    joints: Sequence[JointPrim], names: Mapping[str, str], units: Units
) -> dict[str, tuple[str, float, float]]:
    kinds = {j.path: j.kind for j in joints if j.kind != "fixed"}
    mimics = {}
    for joint in joints:
        mimic = read_mimic(joint, kinds, units) if joint.kind != "fixed" else None
        if mimic is not None:
            mimics[joint.path] = (names[mimic[0]], mimic[1], mimic[2])
    return mimics


def _base(
    members: Sequence[str], joints: Sequence[JointPrim], roots: Sequence[Any], kinematic: set[str]
) -> str:
    """Return the path of the base, or "" where a movable joint leads straight to the world."""
    to_world = [j for j in joints if any(e.body == _WORLD for e in j.ends)]
    if len(to_world) > 1:
        paths = ", ".join(j.path for j in to_world)
        raise StageError(f"several joints hold one articulation to the world: {paths}")
    if to_world:
        fixed = to_world[0].kind == "fixed"
        return next(e.body for e in to_world[0].ends if e.body != _WORLD) if fixed else _WORLD
    marked = {str(root.GetPath()) for root in roots}
    children = {j.ends[1].body for j in joints}
    for choice in (
        [m for m in members if m in kinematic],
        [m for m in members if m in marked],
        [m for m in members if m not in children],
    ):
        if choice:
            return choice[0]
    return members[0]


def _tree(
    members: Sequence[str],
    joints: Sequence[JointPrim],
    base: str,
    bodies: Mapping[str, Body],
    roots: Sequence[Any],
    names: Mapping[str, str],
    mimics: Mapping[str, tuple[str, float, float]],
) -> Articulation:
    anchor = [j for j in joints if j.kind == "fixed" and any(e.body == _WORLD for e in j.ends)]
    prim = _root_prim(members, joints, roots)
    if base == _WORLD:
        first = Body(_WORLD, prim, np.eye(4), MASSLESS, label="robot")
    else:
        first = _anchored(bodies[base], base, anchor)
    ordered, tree, used = [first], [], {j.path for j in anchor}
    stack = [base]
    # Depth first, children in authored order: pushed last to first, popped first to last.
    pending: list[tuple[str, JointPrim]] = []

    def push(parent: str) -> None:
        touching = [j for j in joints if j.path not in used and parent in _held(j)]
        pending.extend((parent, j) for j in reversed(touching))

    push(stack.pop())
    reached = {base}
    while pending:
        parent, joint = pending.pop()
        if joint.path in used:
            continue
        used.add(joint.path)
        swapped = joint.ends[1].body == parent
        parent_end, child_end = joint.ends[::-1] if swapped else joint.ends
        child = child_end.body
        if child in reached:
            raise StageError(f"{joint.path}: closes a loop, which is not supported")
        reached.add(child)
        ordered.append(bodies[child])
        parent_name = first.name if parent == base else bodies[parent].name
        tree.append(
            _joint(joint, parent_end, child_end, swapped, parent_name, bodies[child].name, names)
        )
        if joint.path in mimics:
            tree[-1] = replace(tree[-1], mimic=mimics[joint.path])
        push(child)
    fixed = base == _WORLD or bool(anchor)
    return Articulation(prim.rsplit("/", 1)[-1], prim, tuple(ordered), tuple(tree), fixed)


def _held(joint: JointPrim) -> set[str]:
    return {end.body for end in joint.ends}


def _anchored(body: Body, path: str, anchor: Sequence[JointPrim]) -> Body:
    """Put the base where its joint to the world holds it; joint frames come before the pose."""
    if not anchor or not anchor[0].framed:
        return body
    world, own = anchor[0].ends if anchor[0].ends[0].body == _WORLD else anchor[0].ends[::-1]
    return replace(body, X_WB=world.X_EJ @ inverse(own.X_EJ))


def _joint(
    joint: JointPrim,
    parent: JointEnd,
    child: JointEnd,
    swapped: bool,
    parent_name: str,
    child_name: str,
    names: Mapping[str, str],
) -> Joint:
    """Return a joint that leads from parent to child.

    USD moves body 1's frame in body 0's. Seen from the other side the same position is the inverse
    motion, which is a motion by q about the opposite axis.
    """
    return Joint(
        name=names[joint.path],
        prim=joint.path,
        kind=joint.kind,
        parent=parent_name,
        child=child_name,
        X_PJ=parent.X_EJ,
        X_CJ=child.X_EJ,
        axis=-joint.axis if swapped else joint.axis,
        **joint.values,
    )


def _root_prim(members: Sequence[str], joints: Sequence[JointPrim], roots: Sequence[Any]) -> str:
    """Return the prim that stands for the articulation: a marked one above it, else its top."""
    from pxr import Sdf

    paths = [Sdf.Path(m) for m in members]
    marked = [root.GetPath() for root in roots]
    above = [p for p in marked if all(m.HasPrefix(p) for m in paths)]
    if above:
        return str(max(above, key=lambda p: p.pathElementCount))
    common = paths[0]
    for path in [*paths[1:], *(Sdf.Path(j.path) for j in joints)]:
        common = common.GetCommonPrefix(path)
    return str(common if not common.IsAbsoluteRootPath() else paths[0])
