"""The task that designs what a robot should be recorded doing: `task=excite robot=NAME`."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
from jaxtyping import Float

from calibration.excitation import design, information, limits_of
from conf.preparing import rig
from conf.session import STAGE, Session
from envs.errors import StageError
from envs.files import write_whole
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Scene
from envs.stage.tree import Tree, reduce_tree
from envs.world.bullet import BulletWorld


def excite(session: Session) -> None:
    """Design an excitation of all joints that motors turn, and leave it as a table to follow."""
    options = session.config.excitation
    with session.stage("stage", f"compose {session.config.robot}"):
        scene = read_stage(rig(session, STAGE))
    tree = reduce_tree(scene.robot, motors(scene.robot), scene.gravity_mps2)
    joints = [scene.robot.joint(name) for name in tree.joints]
    limits = limits_of(joints, options.acceleration)
    centre = (limits.lower + limits.upper) / 2
    with (
        session.stage("excite", "search the most informative motion") as report,
        BulletWorld(scene, joints=tree.joints) as world,
    ):
        clearance, touching = self_clearance(world, scene, tree, centre, options.margin_m)
        found = design(
            tree,
            limits,
            centre=centre,
            clearance=clearance,
            margin_m=options.margin_m,
            period_s=options.period_s,
            harmonics=options.harmonics,
            evaluations=options.evaluations,
            seed=session.config.seed,
            progress=report,
        )
        t_s = np.arange(round(options.period_s * options.rate_hz) + 1) / options.rate_hz
        q, qd, _ = found.series.at(t_s)
        least_m = min(clearance(row) for row in q[:: max(1, len(q) // 200)])
    for pair in touching:
        session.note(f"{pair[0]} and {pair[1]} are close wherever the robot is: not kept apart")
    head = ["time_s", *(f"{n}.q" for n in tree.joints), *(f"{n}.qd" for n in tree.joints)]
    rows = [",".join(head)]
    # A robot is told positions as its encoders read them.
    readings = q - [j.encoder_offset for j in joints]
    rows += [",".join(f"{x:.9g}" for x in row) for row in np.column_stack([t_s, readings, qd])]
    path = write_whole(session.directory / "excitation.csv", "\n".join(rows) + "\n")
    told, plain = (information(tree, s) for s in (found.series, found.plain))
    session.write_json(
        "excitation.json",
        {
            "joints": list(tree.joints),
            "log_det": told,
            "naive": plain,
            "least_clearance_m": least_m if np.isfinite(least_m) else None,
            "largest": {
                name: {"qd": float(v), "from": float(a), "to": float(b)}
                for name, v, a, b in zip(
                    tree.joints, np.abs(qd).max(axis=0), q.min(axis=0), q.max(axis=0), strict=True
                )
            },
        },
    )
    session.console.print(f"information  log det {told:.1f}; one sine a joint: {plain:.1f}")
    session.console.print(f"trajectory   {path}", soft_wrap=True)


def motors(robot: Articulation) -> list[str]:
    """Return the turning joints that have a drive, or all that follow no other where none has one.

    A URDF says nothing of drives.

    Raises:
        StageError: No joint turns.
    """
    turning = [j for j in robot.joints if j.kind == "revolute"]
    driven = [j for j in turning if j.drive is not None]
    free = [j for j in turning if j.mimic is None]
    if not (driven or free):
        raise StageError(f"robot '{robot.name}' has no turning joint that could be excited")
    return [j.name for j in driven or free]


def self_clearance(
    world: BulletWorld,
    scene: Scene,
    tree: Tree,
    centre: Float[np.ndarray, "joint"],
    margin_m: float,
) -> tuple[Callable[[Float[np.ndarray, "joint"]], float], list[tuple[str, str]]]:
    """Return position → distance of parts that must not touch, and the pairs that always do.

    Neighbours in the tree are not looked at, since their shapes overlap at the joint; nor are pairs
    that are closer than the margin at the centre.
    """
    link = {name: k for k, group in enumerate(tree.groups) for name in group}
    solid = [b.name for b in scene.robot.bodies if b.colliders]

    def apart(a: str, b: str) -> bool:
        i, j = link.get(a, -1), link.get(b, -1)
        return i != j and int(tree.parent[max(i, j)]) != min(i, j)

    pairs = [(a, b) for a, b in combinations(solid, 2) if apart(a, b)]
    pairs += [(a, b.name) for a in solid if a in link for b in scene.static if b.colliders]

    def distance(q: Float[np.ndarray, "joint"], of: list[tuple[str, str]]) -> list[float]:
        world.set_state(q[None], 0 * q[None])
        return [world.closest_distance(a, b) for a, b in of]

    near = [pair for pair, d in zip(pairs, distance(centre, pairs), strict=True) if d < margin_m]
    kept = [pair for pair in pairs if pair not in near]
    return lambda q: min(distance(q, kept), default=np.inf), near
