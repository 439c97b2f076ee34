"""What PyBullet is asked to build: worlds, multibodies, colliders, and what holds bodies together.

With `envs.world.bullet` and the renderer this is where PyBullet is known. Where its own behaviour
would change the physics in silence (default motors and damping, sleeping, inertia taken from
shapes, truncation of long arrays), it is undone or refused here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.frames import Pose, from_quaternion, inverse, pose, to_quaternion
from envs.stage.following import Follower
from envs.stage.scene import MASSLESS, Body, Inertial, Loop, Scene, Shape
from envs.world.decomposition import convex_pieces, is_convex
from envs.world.multibody import Link, closing_points, placed_vertices, principal_axes, touches
from envs.world.quiet import quiet_stderr

# PyBullet greets each process with its build time.
with quiet_stderr():
    import pybullet as bullet

MAX_LINKS = 127
"""Of one multibody: PyBullet drops the rest without a word."""
MAX_VERTICES = 131072
"""Of one inline mesh: PyBullet drops the rest without a word."""
CLOSING_SHARE = 1.0
"""Of the gap in a loop or between a follower and its place, what a step closes."""
ROUNDS = 200
"""Of the solver, where there are such: PyBullet's 50 leave four times the gap in a hinge."""
UNLIMITED_N = 1e9
"""Joints that close loops or couple others do not give way; PyBullet's default is 500 N."""


@dataclass(frozen=True)
class Placed:
    """A body that PyBullet can put somewhere: a free one, or the base of a robot that floats.

    Attributes:
        id: PyBullet's number of it.
        X_BI: The frame that PyBullet reports and sets (principal axes), in the body.
    """

    id: int
    X_BI: Pose


def connect(scene: Scene, dt_s: float) -> int:
    """Open a world without a window and return its number."""
    client: int = bullet.connect(bullet.DIRECT)
    if client < 0:
        raise StageError("PyBullet opens no further world in this process; use fewer copies")
    bullet.setTimeStep(dt_s, physicsClientId=client)
    bullet.setGravity(*scene.gravity_mps2.tolist(), physicsClientId=client)
    bullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, physicsClientId=client)
    return client


def put(client: int, thing: Placed, X_WB: Pose) -> None:
    """Put a body somewhere, at rest."""
    X_WI = X_WB @ thing.X_BI
    bullet.resetBasePositionAndOrientation(
        thing.id, X_WI[:3, 3].tolist(), _xyzw(X_WI), physicsClientId=client
    )
    bullet.resetBaseVelocity(thing.id, [0.0] * 3, [0.0] * 3, physicsClientId=client)


def base_pose(client: int, thing: Placed) -> Pose:
    """Return X_WB of a body."""
    at = bullet.getBasePositionAndOrientation(thing.id, physicsClientId=client)
    X_WB: Pose = to_pose(*at) @ inverse(thing.X_BI)
    return X_WB


def build_object(client: int, body: Body, *, fixed: bool) -> Placed:
    """Make a body without joints."""
    mass_kg = body.inertial.mass_kg
    if not fixed and mass_kg <= 0:
        raise StageError(f"{body.prim}: an object that moves needs a mass, not {mass_kg}")
    inertial = MASSLESS if fixed else body.inertial
    links = [Link(-1, np.eye(4), shape=shape, body=body.name) for shape in body.colliders]
    X_BI, _ = principal_axes(body.prim, inertial)
    return Placed(build(client, body.prim, inertial, links), X_BI)


def build(client: int, name: str, base: Inertial, links: Sequence[Link]) -> int:
    """Make one multibody and take away all that PyBullet adds by default; mass 0 fixes its base."""
    n = len(links)
    if n > MAX_LINKS:
        raise StageError(
            f"{name}: PyBullet holds {MAX_LINKS} links in one body, this one needs {n} "
            "(one for each moving joint and each collider, and one on a base that stands)"
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
            else _collider(client, link.shape, fixed=link.parent < 0 and not base.mass_kg)
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


def _collider(client: int, shape: Shape, *, fixed: bool) -> int:
    """Make a collider in the frame of its body."""
    arguments: dict[str, Any] = {}
    if shape.mesh is not None:
        kind, wanted = bullet.GEOM_MESH, shape.approximation
        whole = fixed and wanted == "none"
        if not whole and wanted != "convexHull" and not is_convex(shape.mesh):
            arguments["fileName"] = str(convex_pieces(shape.mesh, shape.prim))
        else:
            vertices = placed_vertices(shape, hull=not whole, most=MAX_VERTICES)
            arguments["vertices"] = vertices.tolist()
        if whole:
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
    if "vertices" not in arguments:  # which are placed already
        arguments["collisionFramePosition"] = shape.X_BS[:3, 3].tolist()
        arguments["collisionFrameOrientation"] = _xyzw(shape.X_BS)
    made: int = bullet.createCollisionShape(kind, physicsClientId=client, **arguments)
    if made < 0:
        raise StageError(f"{shape.prim}: PyBullet refuses this {shape.kind}")
    return made


def hold_exactly(client: int) -> None:
    """Let the solver go on until there is nothing left to solve.

    With PyBullet's threshold a chain of followers would be off by 1e-6 rad.
    """
    bullet.setPhysicsEngineParameter(
        solverResidualThreshold=0.0,
        numSolverIterations=ROUNDS,
        erp=CLOSING_SHARE,
        physicsClientId=client,
    )


@dataclass(frozen=True)
class End:
    """A frame on a link of a multibody (−1 for its base), or in the world (body −1).

    Attributes:
        X_IJ: The frame, in the one that PyBullet reports of the link.
    """

    body: int
    link: int
    X_IJ: Pose


def couple(client: int, own: End, leader: End, follower: Follower) -> None:
    """Hold a joint to its leader, each given by its link: q − multiplier·q_leader = offset."""
    gear = _constraint(client, own, leader, bullet.JOINT_GEAR, np.zeros(3))
    bullet.changeConstraint(
        gear,
        gearRatio=-follower.multiplier,
        relativePositionTarget=follower.offset,
        erp=CLOSING_SHARE,
        maxForce=UNLIMITED_N,
        physicsClientId=client,
    )


def close_loop(client: int, loop: Loop, first: End, second: End) -> None:
    """Hold two links together as a joint does that is no part of the tree.

    Raises:
        StageError: PyBullet has nothing that acts like this joint.
    """
    if (first.body, first.link) == (second.body, second.link):
        return
    points = closing_points(loop.free)
    if points is None:
        raise StageError(
            f"{loop.prim}: PyBullet closes loops with a ball joint, a hinge or a weld, not "
            f"with a joint that is free in {', '.join(loop.free)}"
        )
    for p_J in points:
        pin = _constraint(client, first, second, bullet.JOINT_POINT2POINT, p_J)
        bullet.changeConstraint(pin, maxForce=UNLIMITED_N, physicsClientId=client)


def _constraint(
    client: int, first: End, second: End, kind: int, p_J: Float[np.ndarray, "3"]
) -> int:
    at = [(end.X_IJ[:3, :3] @ p_J + end.X_IJ[:3, 3]).tolist() for end in (first, second)]
    ends = (first.body, first.link, second.body, second.link)
    made: int = bullet.createConstraint(*ends, kind, [0.0, 0.0, 1.0], *at, physicsClientId=client)
    return made


def _xyzw(X_AB: Pose) -> list[float]:
    wxyz = to_quaternion(X_AB[:3, :3])
    xyzw: list[float] = wxyz[[1, 2, 3, 0]].tolist()
    return xyzw


def to_pose(position: Sequence[float], xyzw: Sequence[float]) -> Pose:
    """Return what PyBullet reports as a transform."""
    return pose(from_quaternion(np.array(xyzw)[[3, 0, 1, 2]]), np.array(position))
