"""Bodies and joints to articulations: which body is the base, which side of a joint the parent."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from envs.errors import StageError
from envs.frames import inverse
from envs.stage.chain import Edge, dof_name, expand, rest_gap
from envs.stage.diagnostics import Diagnostics
from envs.stage.joints import JointPrim
from envs.stage.mimics import read_mimics
from envs.stage.scene import MASSLESS, Articulation, Body, Loop
from envs.stage.units import Units

_WORLD = ""
_GAP_M, _GAP_RAD = 1e-4, 1e-3
"""Rest poses within this of their joint frames agree: float32 poses far from the origin do not."""


@dataclass(frozen=True)
class Parts:
    """What articulations are assembled from.

    Attributes:
        bodies: By path, in authored order.
        kinematic: Paths of bodies that never move.
        joints: In authored order.
        roots: Prims with PhysicsArticulationRootAPI.
        names: Path → unique name of each joint.
        fixed_base: What the caller says of the bases; None where the stage says it.
    """

    bodies: Mapping[str, Body]
    kinematic: set[str]
    joints: Sequence[JointPrim]
    roots: Sequence[Any]
    names: Mapping[str, str]
    fixed_base: bool | None = None


def assemble(
    parts: Parts, units: Units, notes: Diagnostics
) -> tuple[list[Articulation], list[Body]]:
    """Return the articulations, and the bodies that no joint holds.

    Raises:
        StageError: A joint follows one that is not there, or a base is to float that cannot.
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
    mimics = _mimics(parts, units, notes)

    articulations = []
    for component in [p for p in parts.bodies if p in jointed]:
        members = [path for path in parts.bodies if find(path) == component]
        joints = [j for j in parts.joints if {e.body for e in j.ends} & set(members)]
        articulations.append(_articulation(members, joints, parts, mimics, notes))
    return articulations, [b for path, b in parts.bodies.items() if find(path) not in jointed]


def _mimics(parts: Parts, units: Units, notes: Diagnostics) -> dict[str, tuple[str, float, float]]:
    """Return joint name → (name of the leader, multiplier, offset) of the joints that follow."""
    joints = {j.path: j for j in parts.joints}
    names = {
        (path, dof.name): dof_name(parts.names[path], joint, dof)
        for path, joint in joints.items()
        for dof in joint.dofs
    }
    found = read_mimics(joints, units, notes)
    return {
        names[key]: (names[leader], multiplier, offset)
        for key, (leader, multiplier, offset) in found.items()
    }


def _articulation(
    members: Sequence[str],
    joints: Sequence[JointPrim],
    parts: Parts,
    mimics: Mapping[str, tuple[str, float, float]],
    notes: Diagnostics,
) -> Articulation:
    if parts.fixed_base is False:
        joints = _freed(joints, notes)
    base, anchor = _base(members, joints, parts, notes)
    prim = _root_prim(members, joints, parts.roots)
    if base == _WORLD:
        bodies = [Body(_WORLD, prim, np.eye(4), MASSLESS, label="robot", mass_source="none")]
    else:
        bodies = [_anchored(parts.bodies[base], anchor, notes)]
    at = {base: bodies[0]}
    authored = {_WORLD: Body(_WORLD, prim, np.eye(4), MASSLESS), **parts.bodies}
    tree, closing = [], []
    edges, left = _span(base, joints, anchor)
    for edge in edges:
        parent, child = at[edge.parent.body], parts.bodies[edge.child.body]
        at[edge.child.body] = child
        chain, moved = expand(edge, parts.names[edge.joint.path], parent, child, mimics)
        bodies += chain
        tree += moved
        _note_gap(edge, authored[edge.parent.body], child, notes)
    for joint in left:
        first, second = joint.ends[::-1] if joint.ends[1].body == _WORLD else joint.ends
        closing.append(
            Loop(
                parts.names[joint.path],
                joint.path,
                at[first.body].name if first.body in at else _WORLD,
                at[second.body].name,
                first.X_EJ,
                second.X_EJ,
                tuple(dof.freedom for dof in joint.dofs),
            )
        )
        said = {
            field
            for dof in joint.dofs
            for field, source in dof.values["sources"].items()
            if source != "default"
        }
        if said:
            what = ", ".join(sorted(said))
            notes.add("refused", joint.path, f"closes a loop; left out of it: {what}")
    fixed = base == _WORLD or anchor is not None or base in parts.kinematic
    if parts.fixed_base is not None:
        fixed = parts.fixed_base
    return Articulation(
        prim.rsplit("/", 1)[-1],
        prim,
        tuple(bodies),
        tuple(tree),
        fixed,
        tuple(closing),
        "" if anchor is None else anchor.path,
    )


def _freed(joints: Sequence[JointPrim], notes: Diagnostics) -> list[JointPrim]:
    """Return the joints without those that fix a body to the world."""
    kept = []
    for joint in joints:
        if _WORLD not in _held(joint):
            kept.append(joint)
        elif joint.dofs:
            raise StageError(f"{joint.path}: leads to the world, so that its robot cannot float")
        else:
            notes.add("refused", joint.path, "left out: the caller says that the base floats")
    return kept


def _base(
    members: Sequence[str], joints: Sequence[JointPrim], parts: Parts, notes: Diagnostics
) -> tuple[str, JointPrim | None]:
    """Return the base, and the joint that fixes it to the world.

    The base is "", the world itself, where nothing but movable joints leads to it.
    """
    to_world = [j for j in joints if any(e.body == _WORLD for e in j.ends) and not j.excluded]
    anchors = [j for j in to_world if not j.dofs]
    if anchors:
        return next(e.body for e in anchors[0].ends if e.body != _WORLD), anchors[0]
    if to_world:
        return _WORLD, None
    marked = {str(root.GetPath()) for root in parts.roots}
    children = {j.ends[1].body for j in joints}
    still = [m for m in members if m in parts.kinematic]
    for choice in (
        still,
        [m for m in members if m in marked],
        [m for m in members if m not in children],
    ):
        if choice:
            break
    base = (choice or members)[0]
    if still and parts.fixed_base is None:
        notes.add("approximated", base, "a kinematic body: its robot has a fixed base")
    return base, None


def _span(
    base: str, joints: Sequence[JointPrim], anchor: JointPrim | None
) -> tuple[list[Edge], list[JointPrim]]:
    """Return the joints of the tree, depth first with siblings in authored order, and the others.

    Each body hangs as near to the base as it can, so that a ring is cut far from the base. A joint
    that the stage keeps out of the tree is used only where nothing else leads to a body.
    """
    below: dict[str, list[Edge]] = {}
    used = {anchor.path} if anchor is not None else set()
    # The base stands in the world, or the world has no part in it.
    reached = {base, _WORLD}

    def hang(joint: JointPrim, parent: str) -> str | None:
        swapped = joint.ends[1].body == parent
        parent_end, child_end = joint.ends[::-1] if swapped else joint.ends
        if child_end.body in reached or joint.path in used:
            return None
        used.add(joint.path)
        reached.add(child_end.body)
        below.setdefault(parent, []).append(Edge(joint, parent_end, child_end, swapped))
        return child_end.body

    def grow(start: str) -> None:
        queue = deque([start])
        while queue:
            parent = queue.popleft()
            for joint in joints:
                if not joint.excluded and parent in _held(joint):
                    child = hang(joint, parent)
                    if child is not None:
                        queue.append(child)

    grow(base)
    grown = True
    while grown:
        grown = False
        for joint in joints:
            hung = (reached - {_WORLD}) | {base}
            for parent in sorted(_held(joint) & hung) if joint.excluded else ():
                child = hang(joint, parent)
                if child is not None:
                    grow(child)
                    grown = True
    edges: list[Edge] = []
    pending = list(reversed(below.get(base, [])))
    while pending:
        edge = pending.pop()
        edges.append(edge)
        pending.extend(reversed(below.get(edge.child.body, [])))
    left = [j for j in joints if j.path not in used]
    return edges, left


def _held(joint: JointPrim) -> set[str]:
    return {end.body for end in joint.ends}


def _note_gap(edge: Edge, parent: Body, child: Body, notes: Diagnostics) -> None:
    gap_m, gap_rad = rest_gap(edge, parent, child)
    if gap_m > _GAP_M or gap_rad > _GAP_RAD:
        notes.add(
            "approximated",
            edge.joint.path,
            f"the poses of its bodies are {gap_m:.3g} m and {gap_rad:.3g} rad away from what its "
            "frames allow; the frames win",
        )


def _anchored(body: Body, anchor: JointPrim | None, notes: Diagnostics) -> Body:
    """Put the base where its joint to the world holds it; joint frames come before the pose."""
    if anchor is None or not anchor.framed:
        return body
    world, own = anchor.ends if anchor.ends[0].body == _WORLD else anchor.ends[::-1]
    X_WB = world.X_EJ @ inverse(own.X_EJ)
    gap_m = float(np.linalg.norm(X_WB[:3, 3] - body.X_WB[:3, 3]))
    if gap_m > _GAP_M:
        notes.add(
            "approximated",
            anchor.path,
            f"holds its body {gap_m:.3g} m from where that stands; the joint's frames win",
        )
    return replace(body, X_WB=X_WB)


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
