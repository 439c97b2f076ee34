"""The PyBullet world of a scene: the one file that knows PyBullet.

The robot is built link by link from the `Scene` (never from a URDF). Its welded bodies are merged
into the link that carries them, so that a moving link of PyBullet is a link of `reduce_tree`, with
the same frame. Where PyBullet's own behaviour would change the physics in silence (default motors
and damping, sleeping, inertia taken from shapes, truncation of long arrays), it is undone or
refused. Joint limits are not enforced and joints have no friction of their own here: the drive of
`envs.world.actuators` says what a joint does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from envs.errors import StageError, unknown
from envs.frames import Pose, from_quaternion, inverse, pose, to_quaternion
from envs.stage.scene import MASSLESS, Body, Inertial, Scene, Shape
from envs.stage.tree import Tree, reduce_tree, to_inertial
from envs.world.multibody import Link, placed_vertices, principal_axes, robot_links, touches
from envs.world.quiet import quiet_stderr

# PyBullet greets each process with its build time.
with quiet_stderr():
    import pybullet as bullet

MAX_LINKS = 127
"""Of one multibody: PyBullet drops the rest without a word."""
MAX_VERTICES = 131072
"""Of one inline mesh: PyBullet drops the rest without a word."""
LINKS_PER_BODY = 28
"""Identical robots share a multibody up to here: measured fastest (12 µs per robot and step with 4
seven-joint robots, 24 µs with one, 30 µs with eighteen). Robots that share only a world cost more
still, as Bullet's time grows with the square of its multibodies."""


@dataclass(frozen=True)
class _Object:
    """A body without joints, as PyBullet knows it.

    Attributes:
        id: PyBullet's number of it.
        X_BI: The frame that PyBullet reports and sets (principal axes), in the body.
    """

    id: int
    X_BI: Pose


class BulletWorld:
    """A scene in PyBullet without a window: its robot (or copies of it) and its objects.

    Args:
        scene: What to build; it holds one articulation on a fixed base.
        joints: The joints that move; all others are welded. Columns follow the stage's order, which
            `self.joints` gives.
        welded: Position of joints that are not listed, rad or m; 0 where not given.
        copies: Identical robots that share nothing, for rollouts of many candidates.
        colliders: Build colliders and objects. Without, the world holds nothing but robots. A
            concave mesh on anything that moves becomes its convex hull; on a static body it stays
            as it is.
        dt_s: The step, s.

    Raises:
        StageError: A joint is unknown, or the scene holds what PyBullet does not take.
        ValueError: Copies with colliders, which would stand inside each other.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        joints: Sequence[str],
        welded: Mapping[str, float] | None = None,
        copies: int = 1,
        colliders: bool = True,
        dt_s: float = 1e-3,
    ) -> None:
        if copies < 1 or (copies > 1 and colliders):
            raise ValueError(f"{copies} copies; 1 with colliders, 1 or more without")
        robot = scene.robot
        self.tree: Tree = reduce_tree(robot, joints, scene.gravity_mps2, welded=welded)
        self.joints = self.tree.joints
        self.copies = copies
        self.dt_s = dt_s
        self._robot_name = robot.name
        self._links: dict[str, list[int]] = {}
        self._objects: dict[str, _Object] = {}
        self._static_poses: dict[str, Pose] = {}
        self._clients: list[int] = []
        self._robots: list[int] = []
        self._per_body = max(1, min(copies, LINKS_PER_BODY // max(1, len(self.joints))))
        self._columns: list[int] = []
        self._X_IL = [
            inverse(principal_axes(name, to_inertial(pi))[0])
            for name, pi in zip(self.joints, self.tree.pi, strict=True)
        ]
        try:
            for first in range(0, copies, self._per_body):
                count = min(self._per_body, copies - first)
                links = robot_links(self.tree, robot, copies=count, colliders=colliders)
                self._clients.append(_connect(scene, dt_s))
                self._robots.append(_create(self._clients[-1], robot.prim, MASSLESS, links))
                if not first:
                    self._map(links, [body.name for body in robot.bodies])
            if colliders:
                for body in scene.objects:
                    self._objects[body.name] = _object(self._clients[0], body, fixed=False)
                for body in scene.static:
                    self._objects[body.name] = _object(self._clients[0], body, fixed=True)
                    self._static_poses[body.name] = body.X_WB
                for body in (*scene.objects, *scene.static):
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

    def set_state(
        self, q: Float[np.ndarray, "*copies joint"], qd: Float[np.ndarray, "*copies joint"]
    ) -> None:
        """Put the robots in a state (rad, rad/s or m, m/s), one for each copy or one for all."""
        state = np.zeros((2, self.copies, len(self.joints)))
        state[0], state[1] = q, qd
        for slots, client, robot, columns in self._bodies():
            values, rates = state[:, slots].reshape(2, -1, 1).tolist()
            bullet.resetJointStatesMultiDof(
                robot, columns, values, targetVelocities=rates, physicsClientId=client
            )

    def state(self) -> tuple[Float[np.ndarray, "copies joint"], Float[np.ndarray, "copies joint"]]:
        """Return position and velocity of the joints (rad, rad/s or m, m/s)."""
        values: list[tuple[float, float]] = []
        for _, client, robot, columns in self._bodies():
            states = bullet.getJointStates(robot, columns, physicsClientId=client)
            values += [s[:2] for s in states]
        qs = np.array(values, float).reshape(self.copies, len(self.joints), 2)
        return qs[..., 0], qs[..., 1]

    def step(self, tau: Float[np.ndarray, "copies joint"]) -> None:
        """Apply joint torques (N·m or N) for one step of `dt_s`."""
        for slots, client, robot, columns in self._bodies():
            bullet.setJointMotorControlArray(
                robot,
                columns,
                bullet.TORQUE_CONTROL,
                forces=tau[slots].ravel().tolist(),
                physicsClientId=client,
            )
            bullet.stepSimulation(physicsClientId=client)

    def body_poses(self, copy: int = 0) -> dict[str, Pose]:
        """Return X_WB of the robot's bodies (of one copy) and of all objects, by name."""
        poses = dict(self.tree.base)
        world, slot = divmod(copy, self._per_body)
        n = len(self.joints)
        links = bullet.getLinkStates(
            self._robots[world],
            self._columns[slot * n : (slot + 1) * n],
            computeForwardKinematics=True,
            physicsClientId=self._clients[world],
        )
        for link, X_IL, group in zip(links, self._X_IL, self.tree.groups, strict=True):
            # The first two entries are doubles; the link's own frame comes in single precision.
            X_WL = _pose(link[0], link[1]) @ X_IL
            poses.update({name: X_WL @ X_LB for name, X_LB in group.items()})
        for name, thing in self._objects.items():
            if name in self._static_poses:
                poses[name] = self._static_poses[name]
            else:
                at = bullet.getBasePositionAndOrientation(
                    thing.id, physicsClientId=self._clients[0]
                )
                poses[name] = _pose(*at) @ inverse(thing.X_BI)
        return poses

    def set_object_pose(self, name: str, X_WB: Pose) -> None:
        """Put an object or a static body somewhere, at rest."""
        thing = self._object(name)
        X_WI = X_WB @ thing.X_BI
        bullet.resetBasePositionAndOrientation(
            thing.id, X_WI[:3, 3].tolist(), _xyzw(X_WI), physicsClientId=self._clients[0]
        )
        bullet.resetBaseVelocity(thing.id, [0.0] * 3, [0.0] * 3, physicsClientId=self._clients[0])
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

    def _bodies(self) -> Iterator[tuple[slice, int, int, list[int]]]:
        """Yield the slice of copies, the client, the body and its joints' links, copy by copy."""
        for world, (client, robot) in enumerate(zip(self._clients, self._robots, strict=True)):
            first = world * self._per_body
            slots = slice(first, min(first + self._per_body, self.copies))
            yield slots, client, robot, self._columns[: (slots.stop - first) * len(self.joints)]

    def _map(self, links: Sequence[Link], bodies: Sequence[str]) -> None:
        """Note which link of the first multibody belongs to which joint, and to which body."""
        n = len(self.joints)
        moved = [(k, link.joint) for k, link in enumerate(links) if link.joint >= 0]
        # Every copy holds each joint once; within a copy they stand depth first.
        for first in range(0, len(moved), max(1, n)):
            self._columns += [k for k, _ in sorted(moved[first : first + n], key=lambda m: m[1])]
        self._links = {name: [] for name in bodies}
        for k, link in enumerate(links):
            if link.shape is not None:
                self._links[link.body].append(k)

    def _object(self, name: str) -> _Object:
        if name not in self._objects:
            raise StageError(unknown("object", name, self._objects, where="the world"))
        return self._objects[name]

    def _pieces(self, name: str) -> list[tuple[int, int]]:
        """Return bullet's body and link of each collider that a name stands for."""
        if name in self._objects:
            body = self._objects[name].id
            colliders = bullet.getNumJoints(body, physicsClientId=self._clients[0])
            return [(body, link) for link in range(colliders)]
        if name != self._robot_name and name not in self._links:
            names = (self._robot_name, *self._links, *self._objects)
            raise StageError(unknown("body", name, names, where="the world"))
        groups = self._links.values() if name == self._robot_name else [self._links[name]]
        return [(self._robots[0], link) for group in groups for link in group]


def _connect(scene: Scene, dt_s: float) -> int:
    client: int = bullet.connect(bullet.DIRECT)
    if client < 0:
        raise StageError("PyBullet opens no further world in this process; use fewer copies")
    bullet.setTimeStep(dt_s, physicsClientId=client)
    bullet.setGravity(*scene.gravity_mps2.tolist(), physicsClientId=client)
    bullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, physicsClientId=client)
    return client


def _object(client: int, body: Body, *, fixed: bool) -> _Object:
    """Make a body without joints."""
    mass_kg = body.inertial.mass_kg
    if not fixed and mass_kg <= 0:
        raise StageError(f"{body.prim}: an object that moves needs a mass, not {mass_kg}")
    inertial = MASSLESS if fixed else body.inertial
    links = [Link(-1, np.eye(4), shape=shape, body=body.name) for shape in body.colliders]
    X_BI, _ = principal_axes(body.prim, inertial)
    return _Object(_create(client, body.prim, inertial, links), X_BI)


def _create(client: int, name: str, base: Inertial, links: Sequence[Link]) -> int:
    """Make one multibody and take away all that PyBullet adds by default; mass 0 fixes its base."""
    n = len(links)
    if n > MAX_LINKS:
        raise StageError(
            f"{name}: PyBullet holds {MAX_LINKS} links in one body, this one needs {n} "
            "(one for each moving joint and one for each collider)"
        )
    axes = [principal_axes(name, link.inertial) for link in links]
    X_BI, base_moments = principal_axes(name, base)
    kinds = [
        bullet.JOINT_FIXED
        if link.joint < 0
        else bullet.JOINT_PRISMATIC
        if link.prismatic
        else bullet.JOINT_REVOLUTE
        for link in links
    ]
    made: int = bullet.createMultiBody(
        baseMass=base.mass_kg,
        baseInertialFramePosition=X_BI[:3, 3].tolist(),
        baseInertialFrameOrientation=_xyzw(X_BI),
        linkMasses=[link.inertial.mass_kg for link in links],
        linkCollisionShapeIndices=[
            -1
            if link.shape is None
            else _shape(client, link.shape, fixed=link.parent < 0 and not base.mass_kg)
            for link in links
        ],
        linkVisualShapeIndices=[-1] * n,
        linkPositions=[link.X_PL[:3, 3].tolist() for link in links],
        linkOrientations=[_xyzw(link.X_PL) for link in links],
        linkInertialFramePositions=[X_LI[:3, 3].tolist() for X_LI, _ in axes],
        linkInertialFrameOrientations=[_xyzw(X_LI) for X_LI, _ in axes],
        linkParentIndices=[link.parent + 1 for link in links],
        linkJointTypes=kinds,
        linkJointAxis=[link.axis.tolist() for link in links],
        physicsClientId=client,
    )
    if made < 0:
        raise StageError(f"{name}: PyBullet refuses to build its {n} links")
    parents = [bullet.getJointInfo(made, i, physicsClientId=client)[16] for i in range(n)]
    assert parents == [link.parent for link in links], "PyBullet numbers links depth first"

    # Some properties redirect the whole call to the base, so: one property a call.
    settings: list[tuple[int, dict[str, Any]]] = [
        (-1, {"linearDamping": 0.0}),
        (-1, {"angularDamping": 0.0}),
        (-1, {"maxJointVelocity": 1e9}),
        (-1, {"activationState": bullet.ACTIVATION_STATE_DISABLE_SLEEPING}),
        *((i, {"jointDamping": 0.0}) for i in range(n)),
        *((i, {"localInertiaDiagonal": m.tolist()}) for i, (_, m) in enumerate(axes) if m.any()),
        *((i, touch) for i, link in enumerate(links) for touch in touches(link.shape)),
    ]
    if base.mass_kg > 0:
        settings.append((-1, {"localInertiaDiagonal": base_moments.tolist()}))
    for link_index, setting in settings:
        bullet.changeDynamics(made, link_index, physicsClientId=client, **setting)
    moving = [i for i, link in enumerate(links) if link.joint >= 0]
    bullet.setJointMotorControlArray(
        made,
        moving,
        bullet.VELOCITY_CONTROL,
        forces=[0.0] * len(moving),
        physicsClientId=client,
    )
    return made


def _shape(client: int, shape: Shape, *, fixed: bool) -> int:
    """Make a collider in the frame of its body."""
    arguments: dict[str, Any] = {}
    if shape.mesh is not None:
        kind = bullet.GEOM_MESH
        vertices = placed_vertices(shape, hull=not fixed, most=MAX_VERTICES)
        arguments["vertices"] = vertices.tolist()
        if fixed:
            # With its faces the mesh stays concave.
            arguments["indices"] = shape.mesh.triangles.ravel().tolist()
            arguments["flags"] = bullet.GEOM_FORCE_CONCAVE_TRIMESH
    else:
        if shape.kind == "box":
            kind = bullet.GEOM_BOX
            arguments["halfExtents"] = [s / 2 for s in shape.size]
        elif shape.kind == "sphere":
            kind = bullet.GEOM_SPHERE
            arguments["radius"] = shape.size[0]
        else:
            kind = bullet.GEOM_CYLINDER if shape.kind == "cylinder" else bullet.GEOM_CAPSULE
            arguments["radius"], arguments["height"] = shape.size
        arguments["collisionFramePosition"] = shape.X_BS[:3, 3].tolist()
        arguments["collisionFrameOrientation"] = _xyzw(shape.X_BS)
    made: int = bullet.createCollisionShape(kind, physicsClientId=client, **arguments)
    if made < 0:
        raise StageError(f"{shape.prim}: PyBullet refuses this {shape.kind}")
    return made


def _xyzw(X_AB: Pose) -> list[float]:
    wxyz = to_quaternion(X_AB[:3, :3])
    xyzw: list[float] = wxyz[[1, 2, 3, 0]].tolist()
    return xyzw


def _pose(position: Sequence[float], xyzw: Sequence[float]) -> Pose:
    return pose(from_quaternion(np.array(xyzw)[[3, 0, 1, 2]]), np.array(position))
