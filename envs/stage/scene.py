"""What a USD stage says about the physical world: plain frozen values in SI, Z-up, float64.

The reader makes a `Scene`; the world, the identification and the renderers take it from there and
never see USD. Every pose is a 4×4 homogeneous transform `X_AB`, the pose of B seen from A.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from envs.errors import StageError, unknown
from envs.frames import Pose
from envs.stage.looks import Light, Material, StageCamera

JointKind = Literal["revolute", "prismatic", "fixed"]
ShapeKind = Literal["mesh", "box", "sphere", "cylinder", "capsule"]
Approximation = Literal["none", "convexHull", "convexDecomposition"]
Freedom = Literal["transX", "transY", "transZ", "rotX", "rotY", "rotZ"]
FREEDOMS: tuple[Freedom, ...] = ("transX", "transY", "transZ", "rotX", "rotY", "rotZ")
"""Directions of a joint frame; a chain of several moves in this order, slides before turns."""
DiagnosticKind = Literal["refused", "defaulted", "approximated", "suspect"]


@dataclass(frozen=True)
class Diagnostic:
    """Where a `Scene` is not just what the stage says.

    Attributes:
        kind: "refused": something in the stage is left out; "defaulted": the stage does not say it;
            "approximated": it is read as something near; "suspect": read as authored, though it can
            hardly be meant.
        prim: Path of the prim that it is about; "/" for the whole stage.
        message: What was found, and what was made of it.
    """

    kind: DiagnosticKind
    prim: str
    message: str


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh; `normals` and `uvs` are one per vertex where they are known.

    Attributes:
        vertices: Positions, m.
        triangles: Vertex indices, counter-clockwise seen from outside.
        normals: Unit normals.
        uvs: Texture coordinates, (0, 0) at the lower left of the image.
    """

    vertices: Float[np.ndarray, "v 3"]
    triangles: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"] | None = None
    uvs: Float[np.ndarray, "v 2"] | None = None


@dataclass(frozen=True)
class Contact:
    """What a physics material says about touch; no unit."""

    static_friction: float
    dynamic_friction: float
    restitution: float


@dataclass(frozen=True)
class Shape:
    """One piece of geometry, fixed to a body.

    Attributes:
        prim: Path of the prim it was read from.
        kind: What `size` means: box (full edge lengths x, y, z), sphere (radius,), cylinder and
            capsule (radius, length between the end circles, along z), mesh (empty). All in m.
        X_BS: Pose of the shape in its body. Scale is already applied to `size` or to the mesh.
        mesh: The triangles of a mesh.
        material: How it looks; None for a collider.
        contact: Its physics material; None where it has none, and for a visual.
        part_of: Path of the mesh of which it is one GeomSubset, or what no subset covers; else "".
        approximation: How a collider that is a mesh collides; "none" is as it stands.
    """

    prim: str
    kind: ShapeKind
    X_BS: Pose
    size: tuple[float, ...] = ()
    mesh: Mesh | None = None
    material: Material | None = None
    contact: Contact | None = None
    part_of: str = ""
    approximation: Approximation = "none"

    def __post_init__(self) -> None:
        """Refuse a mesh without triangles and a primitive without a positive size."""
        if (self.kind == "mesh") != (self.mesh is not None):
            raise StageError(
                f"{self.prim}: a {self.kind} needs {'' if self.mesh is None else 'no '}mesh"
            )
        if any(not np.isfinite(s) or s <= 0 for s in self.size):
            raise StageError(
                f"{self.prim}: the size of a {self.kind} must be positive, not {self.size}"
            )


@dataclass(frozen=True)
class Inertial:
    """Mass properties of one body.

    Attributes:
        mass_kg: Mass; 0 for a massless frame.
        com_m: Centre of mass in the body frame, m.
        inertia_kgm2: Rotational inertia about the centre of mass, in body axes, kg·m².
    """

    mass_kg: float
    com_m: Float[np.ndarray, "3"]
    inertia_kgm2: Float[np.ndarray, "3 3"]


MASSLESS = Inertial(0.0, np.zeros(3), np.zeros((3, 3)))


@dataclass(frozen=True)
class Body:
    """A rigid body: a link of an articulation, a free object, or something that never moves.

    Attributes:
        name: Name of its prim, unique in the scene.
        prim: Path of its prim.
        X_WB: Where the stage puts it (for a link: at the authored rest pose).
        label: Its semantic class ("robot", "cube"); inherited from the prims above it.
        mass_source: Where its mass comes from: "authored", "density" of its colliders, "none", or
            "static" for geometry that is no rigid body.
    """

    name: str
    prim: str
    X_WB: Pose
    inertial: Inertial
    visuals: tuple[Shape, ...] = ()
    colliders: tuple[Shape, ...] = ()
    label: str = "object"
    mass_source: str = "authored"


@dataclass(frozen=True)
class Friction:
    """The friction law `(coulomb + stribeck·exp(−(q̇/v_s)²) + load·|τ|)·sign(q̇) + viscous·q̇ + …`.

    N·m and N·m·s/rad for a revolute joint, N and N·s/m for a prismatic one.

    Attributes:
        asymmetry: By how much viscous friction differs between the directions: asymmetry·|q̇|.
        load: Friction per torque τ of the bodies that the gear carries. Only what sensors read has
            these two; the drive of the twin leaves them out.
    """

    coulomb: float = 0.0
    viscous: float = 0.0
    stribeck: float = 0.0
    stribeck_velocity: float = 0.1
    asymmetry: float = 0.0
    load: float = 0.0


@dataclass(frozen=True)
class Drive:
    """A position drive `τ = stiffness·(q_command − q) − damping·q̇`, limited to ±max_force.

    N·m/rad, N·m·s/rad and N·m for a revolute joint; N/m, N·s/m and N for a prismatic one.
    """

    stiffness: float
    damping: float
    max_force: float = np.inf


@dataclass(frozen=True)
class Servo:
    """A hobby servo's motor behind its gear, seen from the joint; see `calibration.rollout.servo`.

    Attributes:
        torque_constant: N·m/A, which is V·s/rad.
        resistance: Of the winding and the bridge, ohm.
        saturation: How the torque falls behind the current, `k·i/(1 + saturation·|i|)`, 1/A.
        motor_load: Friction per torque of the motor.
        external_load: Friction per torque of the load.
        breakaway_load: Friction at rest per torque that the gear carries; it fades with speed over
            `Friction.stribeck_velocity`.
    """

    torque_constant: float
    resistance: float
    saturation: float = 0.0
    motor_load: float = 0.0
    external_load: float = 0.0
    breakaway_load: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a motor by whose values the model would divide by zero."""
        if self.torque_constant <= 0 or self.resistance <= 0:
            raise StageError(
                "a servo's torque constant and resistance must be positive, not "
                f"{self.torque_constant:g} N·m/A and {self.resistance:g} ohm"
            )


@dataclass(frozen=True)
class Joint:
    """A joint between two bodies; its frame J lies at `X_PJ` in the parent, `X_CJ` in the child.

    At position q the child's joint frame is J rotated by q about `axis` (revolute) or moved by q
    along it (prismatic).

    Attributes:
        parent: Name of the parent body; "" for the world.
        axis: Unit axis in the joint frame.
        lower: Lower position limit, rad or m; −inf where there is none.
        velocity_limit: rad/s or m/s.
        effort_limit: N·m or N.
        armature: Rotor inertia felt at the joint, kg·m² (kg for a prismatic joint).
        delay_s: From a command to its effect.
        spring: Of cables and hoses, N·m/rad or N/m; it rests at position 0 but for torque_offset.
        torque_lag_s: By which its torque sensor's reading is late.
        drive_gain: What its motor gives for its current, N·m/A or N/A: torque constant times gear
            ratio; 0 where it is not known.
        torque_offset: Added to the modelled torque by the sensor or by a preload, N·m or N.
        encoder_offset: What its encoder reads too little, rad or m: q = reading + offset.
        servo: Its motor, where it is a hobby servo that is known in so much detail.
        mimic: (joint name, multiplier, offset) where it follows another joint.
        sources: Field name → the schema or default that spoke ("newton", "physx", "default" …).
        dof: Which degree of freedom of its prim it is: "angular" or "linear" where the prim has one
            only, "rotX", "transZ" … in the chain that stands for a prim with several.
    """

    name: str
    prim: str
    kind: JointKind
    parent: str
    child: str
    X_PJ: Pose
    X_CJ: Pose
    axis: Float[np.ndarray, "3"]
    lower: float = -np.inf
    upper: float = np.inf
    velocity_limit: float = np.inf
    effort_limit: float = np.inf
    armature: float = 0.0
    friction: Friction = Friction()
    drive: Drive | None = None
    delay_s: float = 0.0
    torque_offset: float = 0.0
    spring: float = 0.0
    torque_lag_s: float = 0.0
    drive_gain: float = 0.0
    encoder_offset: float = 0.0
    servo: Servo | None = None
    mimic: tuple[str, float, float] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    dof: str = ""


@dataclass(frozen=True)
class Loop:
    """A joint that closes a loop of the tree: a constraint between two of its bodies.

    Attributes:
        parent: Name of the first body; "" for the world.
        X_PJ: Joint frame in the first body (in the world for "").
        X_CJ: Joint frame in the second.
        free: Directions of the first joint frame in which the second one may move.
    """

    name: str
    prim: str
    parent: str
    child: str
    X_PJ: Pose
    X_CJ: Pose
    free: tuple[Freedom, ...]


@dataclass(frozen=True)
class Articulation:
    """Bodies joined into a tree, parents before children; `bodies[0]` is the base.

    `joints[i]` leads to `bodies[i + 1]`. A fixed base stands at `bodies[0].X_WB`. A joint with
    several degrees of freedom is a chain of joints; the massless bodies between them have its prim.

    Attributes:
        loops: What holds bodies together besides the tree.
        anchor: Path of the joint that fixes the base to the world; "" where none does.
    """

    name: str
    prim: str
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    fixed_base: bool
    loops: tuple[Loop, ...] = ()
    anchor: str = ""

    def joint(self, name: str) -> Joint:
        """Return the joint of that name, or raise StageError with the names there are."""
        for joint in self.joints:
            if joint.name == name:
                return joint
        movable = [j.name for j in self.joints if j.kind != "fixed"]
        raise StageError(unknown("joint", name, movable, where="the stage"))


@dataclass(frozen=True)
class Scene:
    """All a stage holds.

    Attributes:
        files: The layers and assets it was composed from.
        diagnostics: Where this is not just what the stage says.
    """

    articulations: tuple[Articulation, ...]
    objects: tuple[Body, ...]
    static: tuple[Body, ...]
    lights: tuple[Light, ...]
    cameras: tuple[StageCamera, ...]
    gravity_mps2: Float[np.ndarray, "3"]
    files: tuple[Path, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def robot(self) -> Articulation:
        """The only articulation of the scene; StageError where there is none or more than one."""
        if len(self.articulations) != 1:
            names = ", ".join(a.prim for a in self.articulations) or "none"
            raise StageError(f"the stage needs exactly one articulation; it has: {names}")
        return self.articulations[0]
