"""A URDF as plain values, as it says them: read by yourdfpy, checked, package:// resolved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from envs.errors import StageError, unknown
from envs.frames import Pose
from envs.stage.guard import LIMITS, Limits
from envs.stage.scene import Inertial, ShapeKind
from envs.stage.urdf_guard import check_meshes, check_xml, resolve, source_roots
from envs.stage.urdf_meshes import check_side_files

_MOVABLE = {"revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}
_JOINT_KINDS = (*_MOVABLE, "fixed")


@dataclass(frozen=True)
class SourceShape:
    """A `<visual>` or `<collision>`.

    Attributes:
        X_LS: Pose in its link.
        size: As in `scene.Shape`.
        mesh: File of a mesh; `scale` applies to it.
        rgba: Colour of its `<material>`, as a screen shows it (sRGB).
        texture: Image of its `<material>`.
    """

    X_LS: Pose
    kind: ShapeKind
    size: tuple[float, ...] = ()
    mesh: Path | None = None
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rgba: tuple[float, ...] | None = None
    texture: Path | None = None


@dataclass(frozen=True)
class SourceLink:
    """A `<link>`; `inertial` is None where it has none, with the tensor in link axes otherwise."""

    name: str
    inertial: Inertial | None
    visuals: tuple[SourceShape, ...]
    colliders: tuple[SourceShape, ...]


@dataclass(frozen=True)
class SourceJoint:
    """A `<joint>`, SI. `X_PC` is the pose of the child in the parent at q = 0; `axis` is unit."""

    name: str
    type: str
    parent: str
    child: str
    X_PC: Pose
    axis: Float[np.ndarray, "3"]
    lower: float
    upper: float
    velocity: float | None
    effort: float | None
    damping: float | None
    friction: float | None
    mimic: tuple[str, float, float] | None

    @property
    def kind(self) -> str:
        """The joint kind of `scene.Joint`."""
        return _MOVABLE.get(self.type, "fixed")


@dataclass(frozen=True)
class SourceRobot:
    """A `<robot>`: links and joints in the order of the file; `joints` lead away from `root`."""

    name: str
    root: str
    links: tuple[SourceLink, ...]
    joints: tuple[SourceJoint, ...]


def read_urdf(
    path: Path,
    *,
    package_roots: Sequence[Path] = (),
    leave_out: Iterable[str] = (),
    limits: Limits = LIMITS,
) -> SourceRobot:
    """Return what a URDF says.

    Args:
        path: The file.
        package_roots: Folders that it may read besides its own package, in which `package://` is
            looked for; see `urdf_guard`.
        leave_out: Links to drop, each with all that hangs from it.
        limits: How large it may be, with its meshes.

    Raises:
        StageError: The file is missing or no URDF, says something that cannot be imported, reads
            outside its roots, or is too large.
    """
    robot = _parse(path, limits)
    roots = source_roots(path, package_roots)
    materials = {m.name: m for m in robot.materials}
    for visual in (v for link in robot.links for v in link.visuals):
        # A material may be defined inside the first <visual> that uses it.
        material = visual.material
        if material is not None and (material.color is not None or material.texture is not None):
            materials.setdefault(material.name, material)

    def shape(element: Any, where: str) -> SourceShape:
        material = getattr(element, "material", None)
        if material is not None:
            own = material.color is not None or material.texture is not None
            material = material if own else materials.get(material.name, material)
        color = None if material is None or material.color is None else material.color.rgba
        texture = (
            None if material is None or material.texture is None else material.texture.filename
        )
        kind, size, mesh, scale = _geometry(element.geometry, path, roots, where)
        return SourceShape(
            X_LS=_origin(element.origin, where),
            kind=kind,
            size=size,
            mesh=mesh,
            scale=scale,
            rgba=None if color is None else tuple(float(c) for c in color),
            texture=None if texture is None else resolve(texture, path, roots, where),
        )

    kept = _kept(robot, set(leave_out), path)
    links = tuple(
        SourceLink(
            name=link.name,
            inertial=_inertial(link, path),
            visuals=tuple(shape(v, f"{path}: link '{link.name}'") for v in link.visuals),
            colliders=tuple(shape(c, f"{path}: link '{link.name}'") for c in link.collisions),
        )
        for link in robot.links
        if link.name in kept
    )
    joints = tuple(_joint(j, path) for j in robot.joints if j.child in kept)
    names = {j.name for j in joints}
    for joint in joints:
        if joint.mimic is not None and joint.mimic[0] not in names:
            message = unknown("joint", joint.mimic[0], names, where=f"{path}")
            raise StageError(f"joint '{joint.name}' mimics a joint that is not there: {message}")
    every = [shape for link in links for shape in (*link.visuals, *link.colliders)]
    check_meshes((s.mesh for s in every if s.mesh is not None), limits)
    for mesh in {v.mesh for link in links for v in link.visuals if v.mesh is not None}:
        check_side_files(mesh, roots)
    children = {j.child for j in joints}
    root = next(link.name for link in links if link.name not in children)
    return SourceRobot(name=robot.name, root=root, links=links, joints=joints)


def _parse(path: Path, limits: Limits) -> Any:
    """Return yourdfpy's `Robot`, after checks that yourdfpy leaves out."""
    if not path.is_file():
        raise StageError(f"URDF not found: {path}")
    # yourdfpy repairs broken XML in silence, which may drop a link.
    check_xml(path, limits)
    element = ElementTree.parse(path).getroot()
    if element.tag != "robot":
        raise StageError(f"{path} is no URDF: its root is <{element.tag}>, not <robot>")
    for link in element.findall("link"):
        inertia = link.find("inertial/inertia")
        missing = {"ixx", "iyy", "izz"} - set(inertia.keys() if inertia is not None else ())
        if link.find("inertial") is not None and (missing or link.find("inertial/mass") is None):
            raise StageError(
                f"{path}: the <inertial> of link '{link.get('name')}' needs <mass> and <inertia> "
                "with ixx, iyy and izz; leave it out altogether for a massless link"
            )

    import yourdfpy

    try:
        urdf = yourdfpy.URDF.load(str(path), build_scene_graph=False, load_meshes=False)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{path}: not a valid URDF ({type(error).__name__}: {error})") from error
    _check_tree(urdf.robot, path)
    return urdf.robot


def _check_tree(robot: Any, path: Path) -> None:
    """Refuse double names, joints between links that are not there, and what is no tree."""
    links, joints = [x.name for x in robot.links], [j.name for j in robot.joints]
    for kind, names in (("link", links), ("joint", joints)):
        double = sorted({n for n in names if names.count(n) > 1})
        if double:
            raise StageError(f"{path}: {kind} name used twice: {', '.join(double)}")
    for joint in robot.joints:
        for end in (joint.parent, joint.child):
            if end not in links:
                message = unknown("link", end, links, where=str(path))
                raise StageError(f"joint '{joint.name}': {message}")
        if joint.type not in _JOINT_KINDS:
            raise StageError(
                f"{path}: joint '{joint.name}' is of type '{joint.type}'; "
                f"allowed are: {', '.join(_JOINT_KINDS)}"
            )
    children = [j.child for j in robot.joints]
    double = sorted({c for c in children if children.count(c) > 1})
    roots = [name for name in links if name not in children]
    if double or len(roots) != 1:
        found = f"two parents: {', '.join(double)}" if double else f"roots: {', '.join(roots)}"
        raise StageError(f"{path}: the links must form one tree; found {found or 'a loop'}")
    if len(_below(robot, roots[0])) != len(links):
        raise StageError(f"{path}: the links must form one tree; some hang in a loop")


def _below(robot: Any, link: str) -> set[str]:
    """Return a link with all that hangs from it."""
    found, stack = {link}, [link]
    while stack:
        parent = stack.pop()
        new = {j.child for j in robot.joints if j.parent == parent} - found
        found |= new
        stack.extend(new)
    return found


def _kept(robot: Any, leave_out: set[str], path: Path) -> set[str]:
    names = [link.name for link in robot.links]
    kept = set(names)
    for name in leave_out:
        if name not in names:
            raise StageError(unknown("link", name, names, where=str(path)))
        kept -= _below(robot, name)
    if not kept:
        raise StageError(f"{path}: nothing is left when {', '.join(sorted(leave_out))} is left out")
    return kept


def _origin(origin: Any, where: str) -> Pose:
    X = np.eye(4) if origin is None else np.array(origin, float)
    if not np.isfinite(X).all():
        raise StageError(f"{where}: an <origin> is not finite")
    return X


def _inertial(link: Any, path: Path) -> Inertial | None:
    if link.inertial is None:
        return None
    X = _origin(link.inertial.origin, f"{path}: link '{link.name}'")
    R = X[:3, :3]
    mass, inertia = float(link.inertial.mass), np.array(link.inertial.inertia, float)
    if not np.isfinite(inertia).all() or not np.isfinite(mass) or mass < 0:
        raise StageError(f"{path}: link '{link.name}' has mass {mass} kg; it must be 0 or more")
    return Inertial(
        mass, X[:3, 3], R @ inertia @ R.T if not np.array_equal(R, np.eye(3)) else inertia
    )


def _joint(joint: Any, path: Path) -> SourceJoint:
    where = f"{path}: joint '{joint.name}'"
    axis = np.array(joint.axis, float)
    if joint.type == "fixed":
        axis = np.array([1.0, 0.0, 0.0])
    elif axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
        raise StageError(f"{where}: <axis> must be a direction, not {axis}")
    if np.count_nonzero(axis) == 1:
        axis = np.sign(axis)
    limit, dynamics, mimic = joint.limit, joint.dynamics, joint.mimic
    bounded = joint.type in ("revolute", "prismatic") and limit is not None
    lower = limit.lower if bounded and limit.lower is not None else 0.0 if bounded else -np.inf
    upper = limit.upper if bounded and limit.upper is not None else 0.0 if bounded else np.inf
    numbers: dict[str, Any] = {
        "lower": lower,
        "upper": upper,
        "velocity": None if limit is None else limit.velocity,
        "effort": None if limit is None else limit.effort,
        "damping": None
        if dynamics is None or dynamics.damping is None
        else float(dynamics.damping),
        "friction": None
        if dynamics is None or dynamics.friction is None
        else float(dynamics.friction),
    }
    for key, value in numbers.items():
        if value is not None and (np.isnan(value) or (key not in ("lower", "upper") and value < 0)):
            raise StageError(f"{where}: {key} must be a number of 0 or more, not {value}")
    if lower > upper:
        raise StageError(f"{where}: the lower limit {lower} lies above the upper one {upper}")
    return SourceJoint(
        name=joint.name,
        type=joint.type,
        parent=joint.parent,
        child=joint.child,
        X_PC=_origin(joint.origin, where),
        axis=axis / np.linalg.norm(axis),
        mimic=None if mimic is None else (mimic.joint, mimic.multiplier, mimic.offset),
        **numbers,
    )


def _geometry(
    geometry: Any, urdf: Path, roots: Sequence[Path], where: str
) -> tuple[ShapeKind, tuple[float, ...], Path | None, tuple[float, float, float]]:
    unscaled = (1.0, 1.0, 1.0)
    if geometry.box is not None:
        return "box", tuple(float(s) for s in geometry.box.size), None, unscaled
    if geometry.sphere is not None:
        return "sphere", (geometry.sphere.radius,), None, unscaled
    if geometry.cylinder is not None:
        return "cylinder", (geometry.cylinder.radius, geometry.cylinder.length), None, unscaled
    scale = np.ones(3) * (1.0 if geometry.mesh.scale is None else geometry.mesh.scale)
    if not np.isfinite(scale).all() or not scale.all():
        raise StageError(f"{where}: the scale of a mesh must not be zero, found {scale}")
    file = resolve(geometry.mesh.filename, urdf, roots, where)
    return "mesh", (), file, (float(scale[0]), float(scale[1]), float(scale[2]))
