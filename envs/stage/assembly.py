"""Bodies and joints to articulations: which body is the base, which side of a joint the parent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from envs.errors import StageError
from envs.frames import inverse
from envs.stage.joints import JointEnd, JointPrim, read_mimic
from envs.stage.scene import MASSLESS, Articulation, Body, Joint
from envs.stage.units import Units

_WORLD = ""


@dataclass(frozen=True)
class Parts:
    """What articulations are assembled from.

    Attributes:
        bodies: By path, in authored order.
        kinematic: Paths of bodies that never move.
        joints: In authored order.
        roots: Prims with PhysicsArticulationRootAPI.
        names: Path → unique name of each joint.
    """

    bodies: Mapping[str, Body]
    kinematic: set[str]
    joints: Sequence[JointPrim]
    roots: Sequence[Any]
    names: Mapping[str, str]


def assemble(parts: Parts, units: Units) -> tuple[list[Articulation], list[Body]]:
    """Return the articulations, and the bodies that no joint holds.

    Raises:
        StageError: The joints close a loop, or follow a joint that is not there.
    """
    group = {path: path for path in parts.bodies}

    def find(path: str) -> str:
        while group[path] != path:
            path = group[path]
        return path

    for joint in parts.joints:
        held = [end.body for end in joint.ends if end.body != _WORLD]
        if len(held) == 2:
            group[find(held[1])] = find(held[0])
    jointed = {find(end.body) for j in parts.joints for end in j.ends if end.body != _WORLD}
    mimics = _mimics(parts, units)

    articulations = []
    for component in [p for p in parts.bodies if p in jointed]:
        members = [path for path in parts.bodies if find(path) == component]
        joints = [j for j in parts.joints if {e.body for e in j.ends} & set(members)]
        articulations.append(_articulation(members, joints, parts, mimics))
    return articulations, [b for path, b in parts.bodies.items() if find(path) not in jointed]


def _mimics(parts: Parts, units: Units) -> dict[str, tuple[str, float, float]]:
    """Return path → (name of the leader, multiplier, offset) of the joints that follow another."""
    kinds = {j.path: j.kind for j in parts.joints if j.kind != "fixed"}
    mimics = {}
    for joint in parts.joints:
        mimic = read_mimic(joint, kinds, units) if joint.kind != "fixed" else None
        if mimic is not None:
            mimics[joint.path] = (parts.names[mimic[0]], mimic[1], mimic[2])
    return mimics


def _articulation(
    members: Sequence[str],
    joints: Sequence[JointPrim],
    parts: Parts,
    mimics: Mapping[str, tuple[str, float, float]],
) -> Articulation:
    base, anchor = _base(members, joints, parts)
    prim = _root_prim(members, joints, parts.roots)
    if base == _WORLD:
        bodies = [Body(_WORLD, prim, np.eye(4), MASSLESS, label="robot")]
    else:
        bodies = [_anchored(parts.bodies[base], anchor)]
    tree = []
    for joint, parent, child, swapped in _walk(base, joints, anchor):
        bodies.append(parts.bodies[child.body])
        tree.append(
            Joint(
                name=parts.names[joint.path],
                prim=joint.path,
                kind=joint.kind,
                parent=bodies[0].name if parent.body == base else parts.bodies[parent.body].name,
                child=bodies[-1].name,
                X_PJ=parent.X_EJ,
                X_CJ=child.X_EJ,
                # USD moves body 1's frame in body 0's. Seen from the other side the same position
                # is the inverse motion, which is a motion by q about the opposite axis.
                axis=-joint.axis if swapped else joint.axis,
                mimic=mimics.get(joint.path),
                **joint.values,
            )
        )
    fixed = base == _WORLD or anchor is not None or base in parts.kinematic
    return Articulation(prim.rsplit("/", 1)[-1], prim, tuple(bodies), tuple(tree), fixed)


def _base(
    members: Sequence[str], joints: Sequence[JointPrim], parts: Parts
) -> tuple[str, JointPrim | None]:
    """Return the base, and the joint that fixes it to the world.

    The base is "", the world itself, where a movable joint leads straight to it.
    """
    to_world = [j for j in joints if any(e.body == _WORLD for e in j.ends)]
    if len(to_world) > 1:
        paths = ", ".join(j.path for j in to_world)
        raise StageError(f"several joints hold one articulation to the world: {paths}")
    if to_world and to_world[0].kind != "fixed":
        return _WORLD, None
    if to_world:
        return next(e.body for e in to_world[0].ends if e.body != _WORLD), to_world[0]
    marked = {str(root.GetPath()) for root in parts.roots}
    children = {j.ends[1].body for j in joints}
    for choice in (
        [m for m in members if m in parts.kinematic],
        [m for m in members if m in marked],
        [m for m in members if m not in children],
    ):
        if choice:
            return choice[0], None
    return members[0], None


def _walk(
    base: str, joints: Sequence[JointPrim], anchor: JointPrim | None
) -> Iterator[tuple[JointPrim, JointEnd, JointEnd, bool]]:
    """Yield each joint with its parent's and its child's side, and whether these are swapped.

    Depth first from the base, siblings in authored order.
    """
    used = {anchor.path} if anchor is not None else set()
    reached = {base}
    pending: list[tuple[str, JointPrim]] = []

    def push(parent: str) -> None:
        touching = [j for j in joints if j.path not in used and parent in _held(j)]
        pending.extend((parent, j) for j in reversed(touching))

    push(base)
    while pending:
        parent, joint = pending.pop()
        if joint.path in used:
            continue
        used.add(joint.path)
        swapped = joint.ends[1].body == parent
        parent_end, child_end = joint.ends[::-1] if swapped else joint.ends
        if child_end.body in reached:
            raise StageError(f"{joint.path}: closes a loop, which is not supported")
        reached.add(child_end.body)
        yield joint, parent_end, child_end, swapped
        push(child_end.body)


def _held(joint: JointPrim) -> set[str]:
    return {end.body for end in joint.ends}


def _anchored(body: Body, anchor: JointPrim | None) -> Body:
    """Put the base where its joint to the world holds it; joint frames come before the pose."""
    if anchor is None or not anchor.framed:
        return body
    world, own = anchor.ends if anchor.ends[0].body == _WORLD else anchor.ends[::-1]
    return replace(body, X_WB=world.X_EJ @ inverse(own.X_EJ))


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
