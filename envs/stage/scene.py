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

JointKind = Literal["revolute", "prismatic", "fixed"]
ShapeKind = Literal["mesh", "box", "sphere", "cylinder", "capsule"]
Approximation = Literal["none", "convexHull", "convexDecomposition"]
LightKind = Literal["distant", "sphere", "rect", "dome"]
Channel = Literal["rgb", "r", "g", "b", "a"]
ColorSpace = Literal["auto", "sRGB", "raw"]
Wrap = Literal["black", "clamp", "repeat", "mirror"]
RGB = tuple[float, float, float]
RGBA = tuple[float, float, float, float]
Row = tuple[float, float, float]
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
class Texture:
    """An image on a surface, as UsdUVTexture has it: value = texel · scale + bias, by channel.

    Attributes:
        path: The image file.
        channel: What is taken of it: "rgb", or one of its channels.
        color_space: "sRGB" texels are linearised (alpha never); "auto" means so for 8-bit images
            with three or four channels, as nothing else in them speaks.
        scale: RGBA.
        bias: RGBA.
        wrap: What is beyond the image's edges, along s and along t.
        uv_transform: Two rows of [A | b]: the image is read at A·uv + b.
        primvar: Name of the mesh's texture coordinates that are meant.
    """

    path: Path
    channel: Channel = "rgb"
    color_space: ColorSpace = "auto"
    scale: RGBA = (1.0, 1.0, 1.0, 1.0)
    bias: RGBA = (0.0, 0.0, 0.0, 0.0)
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    uv_transform: tuple[Row, Row] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    primvar: str = "st"


@dataclass(frozen=True)
class Material:
    """A UsdPreviewSurface. A property with a texture has the texture's values, not the constant.

    Attributes:
        base_color: Linear RGB, 0..1.
        emissive: Linear RGB of the light it gives off, in the units of the lights' radiance.
        opacity_threshold: 0: `opacity` blends; else what has less than this is not there.
        ior: Index of refraction: a dielectric reflects ((1 − ior)/(1 + ior))² head-on.
        specular_color: Head-on reflection in place of ior and metallic; None: they say it.
        normal_texture: Tangent-space normals; its scale and bias map texels to −1..1.
    """

    name: str
    base_color: RGB = (0.5, 0.5, 0.5)
    roughness: float = 0.5
    metallic: float = 0.0
    emissive: RGB = (0.0, 0.0, 0.0)
    opacity: float = 1.0
    opacity_threshold: float = 0.0
    ior: float = 1.5
    specular_color: RGB | None = None
    base_color_texture: Texture | None = None
    roughness_texture: Texture | None = None
    metallic_texture: Texture | None = None
    emissive_texture: Texture | None = None
    opacity_texture: Texture | None = None
    normal_texture: Texture | None = None

    @property
    def textures(self) -> tuple[Texture, ...]:
        """Those it has, the base colour's first."""
        every = (
            self.base_color_texture,
            self.roughness_texture,
            self.metallic_texture,
            self.emissive_texture,
            self.opacity_texture,
            self.normal_texture,
        )
        return tuple(texture for texture in every if texture is not None)


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
    """The joint friction law `τ = (coulomb + stribeck·exp(−(q̇/v_s)²))·sign(q̇) + viscous·q̇`.

    N·m and N·m·s/rad for a revolute joint, N and N·s/m for a prismatic one.
    """

    coulomb: float = 0.0
    viscous: float = 0.0
    stribeck: float = 0.0
    stribeck_velocity: float = 0.1


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
class Light:
    """A light as UsdLux has it; its frame points along −z, a dome's pole is +z of the world.

    Attributes:
        X_WL: Its frame in the world; a sphere stands at the origin, a rectangle lies in x and y.
        intensity: Exposure folded in.
        color: Linear RGB, the colour temperature multiplied in.
        normalize: `intensity` is of the whole light, whatever its size; see `radiance`.
        angle_rad: Of a distant light: the diameter under which its disc is seen.
        radius_m: Of a sphere; 0 for a point.
        size_m: Of a rectangle: along x and along y.
        texture: Equirectangular image of a dome, or image of a rectangle; multiplies the colour.
    """

    prim: str
    kind: LightKind
    X_WL: Pose
    intensity: float
    color: RGB
    normalize: bool = False
    angle_rad: float = 0.0
    radius_m: float = 0.0
    size_m: tuple[float, float] = (0.0, 0.0)
    texture: Path | None = None

    @property
    def radiance(self) -> RGB:
        """What its surface (the sky's, for a dome) gives off towards each side, linear RGB.

        UsdLux, "Light units": a normalised light's intensity is divided by a size: the area of a
        sphere or rectangle in m², and π·sin² of half the angle of a distant light. Infinite for a
        point that is normalised, and for a distant light without an angle: take `irradiance`.
        """
        size = self._size if self.normalize else 1.0
        with np.errstate(divide="ignore"):
            strength = float(np.float64(self.intensity) / size)
        r, g, b = (c * strength if c > 0 else 0.0 for c in self.color)
        return r, g, b

    @property
    def irradiance(self) -> RGB:
        """What a distant light brings to a surface that faces it, linear RGB."""
        whole = self.intensity * (1.0 if self.normalize or self._size == 0 else self._size)
        r, g, b = (c * whole for c in self.color)
        return r, g, b

    @property
    def _size(self) -> float:
        if self.kind == "distant":
            return float(np.pi * np.sin(min(self.angle_rad, np.pi) / 2) ** 2)
        if self.kind == "sphere":
            return float(4 * np.pi * self.radius_m**2)
        if self.kind == "rect":
            return self.size_m[0] * self.size_m[1]
        return 1.0


@dataclass(frozen=True)
class StageCamera:
    """A UsdGeomCamera without a resolution: `X_WC` is optical (x right, y down, z forward).

    Attributes:
        focal_m: Focal length.
        aperture_m: Width and height of the film.
        aperture_offset_m: How far the film's centre lies to the right of the axis and above it, as
            seen in the picture.
        f_stop: Focal length over the lens's diameter; 0: everything is sharp.
        focus_m: Distance along the axis at which things are sharp.
        shutter_s: When it opens and closes, about the picture's time.
    """

    name: str
    prim: str
    X_WC: Pose
    focal_m: float
    aperture_m: tuple[float, float]
    near_m: float
    far_m: float
    aperture_offset_m: tuple[float, float] = (0.0, 0.0)
    f_stop: float = 0.0
    focus_m: float = 0.0
    shutter_s: tuple[float, float] = (0.0, 0.0)

    @property
    def fov_x_rad(self) -> float:
        """The horizontal field of view, from edge to edge, of a film without offset."""
        return float(2 * np.arctan(self.aperture_m[0] / (2 * self.focal_m)))


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
