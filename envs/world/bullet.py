"""The PyBullet world of a scene.

Robots are built link by link from the `Scene` (never from a URDF). Welded bodies are merged into
the link that carries them, so that a moving link of PyBullet is a link of `tree.weld`, with the
same frame. Joint limits are not enforced and joints have no friction of their own here: the drive
of `envs.world.actuators` says what a joint does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Float

from envs.errors import StageError, unknown
from envs.frames import Pose, inverse
from envs.stage.following import Follower, followers
from envs.stage.scene import MASSLESS, Articulation, Scene
from envs.stage.tree import Tree, reduce_tree, to_inertial, weld
from envs.world.bullet_parts import (
    End,
    Placed,
    base_pose,
    build,
    build_object,
    close_loop,
    connect,
    couple,
    hold_exactly,
    put,
    to_pose,
)
from envs.world.multibody import base_inertial, principal_axes, robot_links, seen_from_base
from envs.world.quiet import quiet_stderr

# PyBullet greets each process with its build time.
with quiet_stderr():
    import pybullet as bullet

LINKS_PER_BODY = 28
"""Identical robots share a multibody up to here: measured fastest (12 µs per robot and step with 4
seven-joint robots, 24 µs with one, 30 µs with eighteen). Robots that share only a world cost more
still, as Bullet's time grows with the square of its multibodies."""


@dataclass(frozen=True)
class _Island:
    """A multibody with joints: one robot, or several copies of it that share a fixed base.

    Attributes:
        name: Of the robot.
        base: How PyBullet knows its base.
        floats: Whether that moves; the tree's poses are then those in the base's frame.
        copies: Which copies it holds.
        columns: Which columns of the joints are its own.
        links: The link of each joint, copy by copy.
        X_IL: Of each joint's link, in the frame that PyBullet reports.
        pieces: Body name → links with its colliders, of the first copy.
    """

    name: str
    client: int
    base: Placed
    floats: bool
    tree: Tree
    copies: slice
    columns: slice
    links: list[int]
    X_IL: list[Pose]
    pieces: Mapping[str, list[int]]


class BulletWorld:
    """A scene in PyBullet without a window: its robots and its objects.

    Args:
        scene: What to build.
        joints: For a twin of the scene's only robot, which stands on a fixed base: the joints that
            move, each on its own; all others are welded. None for the scene as it is: all its
            robots with all their joints, of which some follow others, loops that are closed, and
            bases that float. Columns follow the stage's order, which `self.joints` gives.
        welded: Position of joints that are not listed, rad or m; 0 where not given.
        copies: Identical twins that share nothing, for rollouts of many candidates.
        colliders: Build colliders and objects. Without, the world holds nothing but robots. A mesh
            collides as its `approximation` says; where that is "none" it stays concave if it never
            moves, and becomes convex pieces otherwise.
        dt_s: The step, s.

    Raises:
        StageError: A joint is unknown, or the scene holds what PyBullet does not take.
        ValueError: Copies with colliders, which would stand inside each other, or of a whole scene.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        joints: Sequence[str] | None = None,
        welded: Mapping[str, float] | None = None,
        copies: int = 1,
        colliders: bool = True,
        dt_s: float = 1e-3,
    ) -> None:
        if copies < 1 or (copies > 1 and (colliders or joints is None)):
            raise ValueError(f"{copies} copies; 1 with colliders or without joints, else 1 or more")
        self.copies = copies
        self.dt_s = dt_s
        self._twin = joints is not None
        self._solid = colliders
        self._clients: list[int] = []
        self._islands: list[_Island] = []
        self._objects: dict[str, Placed] = {}
        self._floating: dict[str, Placed] = {}
        self._static_poses: dict[str, Pose] = {}
        self._followers: list[tuple[int, int, Follower]] = []
        try:
            if joints is None:
                self.joints = self._build_whole(scene, colliders)
            else:
                self.joints = self._build_twins(scene, joints, welded or {}, colliders)
            for body in scene.objects if colliders else ():
                self._objects[body.name] = build_object(self._clients[0], body, fixed=False)
            for body in scene.static if colliders else ():
                self._objects[body.name] = build_object(self._clients[0], body, fixed=True)
                self._static_poses[body.name] = body.X_WB
            for body in (*scene.objects, *scene.static) if colliders else ():
                self.set_object_pose(body.name, body.X_WB)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the world; it is taken down at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the world down."""
        self.close()

    def close(self) -> None:
        """Take the world down; nothing else can be asked of it after that."""
        while self._clients:
            bullet.disconnect(physicsClientId=self._clients.pop())

    @property
    def tree(self) -> Tree:
        """What moves in a twin; each link of the tree is one of PyBullet's, in the same frame."""
        if not self._twin:
            raise ValueError("a whole scene has no tree; name the joints of a twin")
        return self._islands[0].tree

    def set_state(
        self, q: Float[np.ndarray, "*copies joint"], qd: Float[np.ndarray, "*copies joint"]
    ) -> None:
        """Put the robots in a state (rad, rad/s or m, m/s), one for each copy or one for all.

        Followers go where their leaders' columns put them.
        """
        state = np.zeros((2, self.copies, len(self.joints)))
        state[0], state[1] = q, qd
        for own, leader, follower in self._followers:
            state[0, :, own] = follower.position(state[0, :, leader])
            state[1, :, own] = follower.multiplier * state[1, :, leader]
        for island in self._islands:
            values, rates = state[:, island.copies, island.columns].reshape(2, -1, 1).tolist()
            bullet.resetJointStatesMultiDof(
                island.base.id,
                island.links,
                values,
                targetVelocities=rates,
                physicsClientId=island.client,
            )

    def state(self) -> tuple[Float[np.ndarray, "copies joint"], Float[np.ndarray, "copies joint"]]:
        """Return position and velocity of the joints (rad, rad/s or m, m/s)."""
        state = np.empty((self.copies, len(self.joints), 2))
        for island in self._islands:
            own = bullet.getJointStates(island.base.id, island.links, physicsClientId=island.client)
            part = state[island.copies, island.columns]
            part[:] = np.array([s[:2] for s in own], float).reshape(part.shape)
        return state[..., 0], state[..., 1]

    def step(self, tau: Float[np.ndarray, "copies joint"]) -> None:
        """Apply joint torques (N·m or N) for one step of `dt_s`."""
        for island in self._islands:
            bullet.setJointMotorControlArray(
                island.base.id,
                island.links,
                bullet.TORQUE_CONTROL,
                forces=tau[island.copies, island.columns].ravel().tolist(),
                physicsClientId=island.client,
            )
        for client in self._clients:
            bullet.stepSimulation(physicsClientId=client)

    def touches(self) -> bool:
        """Return whether a robot touched anything in the last step."""
        return self._solid and any(
            bullet.getContactPoints(bodyA=island.base.id, physicsClientId=island.client)
            for island in self._islands
        )

    def body_poses(self, copy: int = 0) -> dict[str, Pose]:
        """Return X_WB of the robots' bodies (of one copy) and of all objects, by name."""
        poses: dict[str, Pose] = {}
        for island in self._islands:
            if island.copies.start <= copy < island.copies.stop:
                poses |= _link_poses(island, copy - island.copies.start)
        for name, thing in self._objects.items():
            still = self._static_poses.get(name)
            poses[name] = base_pose(self._clients[0], thing) if still is None else still
        return poses

    def set_object_pose(self, name: str, X_WB: Pose) -> None:
        """Put an object, a static body, or the base of a robot that floats somewhere, at rest."""
        put(self._clients[0], self._object(name), X_WB)
        if name in self._static_poses:
            self._static_poses[name] = np.array(X_WB, float)

    def object_velocity(self, name: str) -> Float[np.ndarray, "6"]:
        """Return the velocity of an object's centre of mass (m/s), then its spin (rad/s)."""
        body = self._object(name).id
        linear, angular = bullet.getBaseVelocity(body, physicsClientId=self._clients[0])
        return np.array([*linear, *angular])

    def closest_distance(self, a: str, b: str, *, within_m: float = 0.1) -> float:
        """Return the distance of two things at their present poses, m; negative where they overlap.

        Args:
            a: The robot (the articulation's name, for all its bodies), one of its bodies, an object
                or a static body.
            b: Likewise.
            within_m: How far to look; things that are further apart give infinity.
        """
        points = [
            contact[8]
            for body_a, link_a in self._pieces(a)
            for body_b, link_b in self._pieces(b)
            for contact in bullet.getClosestPoints(
                body_a, body_b, within_m, link_a, link_b, physicsClientId=self._clients[0]
            )
        ]
        return min(points, default=np.inf)

    def _build_twins(
        self, scene: Scene, joints: Sequence[str], welded: Mapping[str, float], colliders: bool
    ) -> tuple[str, ...]:
        """Build copies of the only robot, some to a multibody, each multibody in its own world."""
        robot = scene.robot
        tree = reduce_tree(robot, joints, scene.gravity_mps2, welded=welded)
        most = max(1, min(self.copies, LINKS_PER_BODY // max(1, len(tree.joints))))
        for first in range(0, self.copies, most):
            copies = slice(first, min(first + most, self.copies))
            self._clients.append(connect(scene, self.dt_s))
            columns = slice(0, len(tree.joints))
            self._islands.append(
                _island(self._clients[-1], robot, tree, copies, columns, colliders=colliders)
            )
        return tree.joints

    def _build_whole(self, scene: Scene, colliders: bool) -> tuple[str, ...]:
        """Build each robot as it is, then what holds loops together and followers to leaders."""
        client = connect(scene, self.dt_s)
        self._clients.append(client)
        names: tuple[str, ...] = ()
        for robot in scene.articulations:
            movable = [j.name for j in robot.joints if j.kind != "fixed"]
            tree = weld(robot, movable, scene.gravity_mps2)
            columns = slice(len(names), len(names) + len(tree.joints))
            island = _island(client, robot, tree, slice(0, 1), columns, colliders=colliders)
            self._islands.append(island)
            names += tree.joints
            if island.floats:
                self._floating[island.name] = island.base
        loops = [loop for robot in scene.articulations for loop in robot.loops]
        follow = followers(j for robot in scene.articulations for j in robot.joints)
        if loops or follow:
            hold_exactly(client)
        for loop in loops:
            ends = self._end(loop.parent, loop.X_PJ), self._end(loop.child, loop.X_CJ)
            # PyBullet takes the world as the second of two.
            close_loop(client, loop, *sorted(ends, key=lambda end: end.body < 0))
        for name, follower in follow.items():
            own, leader = names.index(name), names.index(follower.leader)
            self._followers.append((own, leader, follower))
            couple(client, self._joint_end(own), self._joint_end(leader), follower)
        return names

    def _joint_end(self, column: int) -> End:
        """Return the link that a column of the joints moves."""
        island = next(i for i in self._islands if i.columns.start <= column < i.columns.stop)
        return End(island.base.id, island.links[column - island.columns.start], np.eye(4))

    def _end(self, body: str, X_BJ: Pose) -> End:
        """Return the link that carries a body, or the world, with a frame in it."""
        for island in self._islands if body else ():
            if body in island.tree.base:
                X_IB = inverse(island.base.X_BI) @ island.tree.base[body]
                return End(island.base.id, -1, X_IB @ X_BJ)
            for link, X_IL, group in zip(
                island.links, island.X_IL, island.tree.groups, strict=True
            ):
                if body in group:
                    return End(island.base.id, link, X_IL @ group[body] @ X_BJ)
        return End(-1, -1, X_BJ)

    def _object(self, name: str) -> Placed:
        known = {**self._floating, **self._objects}
        if name not in known:
            raise StageError(unknown("object", name, known, where="the world"))
        return known[name]

    def _pieces(self, name: str) -> list[tuple[int, int]]:
        """Return bullet's body and link of each collider that a name stands for."""
        for island in self._islands:
            if name == island.name:
                return [(island.base.id, k) for group in island.pieces.values() for k in group]
            if name in island.pieces:
                return [(island.base.id, link) for link in island.pieces[name]]
        if name in self._objects:
            body = self._objects[name].id
            colliders = bullet.getNumJoints(body, physicsClientId=self._clients[0])
            return [(body, link) for link in range(colliders)]
        robots = [n for i in self._islands for n in (i.name, *i.pieces)]
        raise StageError(unknown("body", name, [*robots, *self._objects], where="the world"))


def _island(
    client: int, robot: Articulation, tree: Tree, copies: slice, columns: slice, *, colliders: bool
) -> _Island:
    """Build one robot, or copies of it."""
    floats, base, X_BI = not robot.fixed_base, MASSLESS, np.eye(4)
    if floats:
        X_WB = robot.bodies[0].X_WB
        tree = seen_from_base(tree, X_WB)
        base = base_inertial(tree, robot)
        X_BI, _ = principal_axes(robot.prim, base)
    count, n = copies.stop - copies.start, len(tree.joints)
    links = robot_links(tree, robot, copies=count, colliders=colliders)
    made = Placed(build(client, robot.prim, base, links), X_BI)
    if floats:
        put(client, made, X_WB)
    # Every copy holds each joint once; within a copy they stand depth first.
    moved = [(k, link.joint) for k, link in enumerate(links) if link.joint >= 0]
    order = [
        k
        for first in range(0, len(moved), max(1, n))
        for k, _ in sorted(moved[first : first + n], key=lambda m: m[1])
    ]
    pieces: dict[str, list[int]] = {body.name: [] for body in robot.bodies}
    for k, link in enumerate(links):
        if link.shape is not None:
            pieces[link.body].append(k)
    X_IL = [
        inverse(principal_axes(name, to_inertial(pi))[0])
        for name, pi in zip(tree.joints, tree.pi, strict=True)
    ]
    return _Island(robot.name, client, made, floats, tree, copies, columns, order, X_IL, pieces)


def _link_poses(island: _Island, slot: int) -> dict[str, Pose]:
    """Return X_WB of the bodies of one copy."""
    poses = dict(island.tree.base)
    if island.floats:
        X_WB = base_pose(island.client, island.base)
        poses = {name: X_WB @ X_BB for name, X_BB in poses.items()}
    n = len(island.tree.joints)
    links = bullet.getLinkStates(
        island.base.id,
        island.links[slot * n : (slot + 1) * n],
        computeForwardKinematics=True,
        physicsClientId=island.client,
    )
    for link, X_IL, group in zip(links, island.X_IL, island.tree.groups, strict=True):
        # The first two entries are doubles; the link's own frame comes in single precision.
        X_WL = to_pose(link[0], link[1]) @ X_IL
        poses.update({name: X_WL @ X_LB for name, X_LB in group.items()})
    return poses
