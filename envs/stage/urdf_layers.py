"""The layers of an imported robot that hold no physics: geometry, materials and the interface.

<name>.usda      interface: what a scene references; a payload to
physics.usda     bodies, colliders, joints, drives; sublayers:
geometry.usdc    links at rest (q = 0), meshes and primitives
materials.usda   UsdPreviewSurface materials and what they are bound to
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from envs.frames import Pose, to_quaternion
from envs.stage.attributes import CUSTOM_DATA
from envs.stage.opening import new_stage
from envs.stage.urdf_meshes import Look, load_mesh, read_looks
from envs.stage.urdf_source import SourceRobot, SourceShape

LAYERS = ("physics.usda", "geometry.usdc", "materials.usda")
"""What lies below the interface."""


@dataclass(frozen=True)
class Paths:
    """Where things lie in the asset; names are made valid and unique."""

    root: str
    links: Mapping[str, str]
    joints: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the root prim."""
        return self.root.lstrip("/")


def layout(name: str, robot: SourceRobot) -> Paths:
    """Return the prim paths of an asset called `name`."""
    root = f"/{_identifiers([name])[name]}"
    links = _identifiers([link.name for link in robot.links])
    joints = _identifiers([joint.name for joint in robot.joints])
    return Paths(
        root,
        {key: f"{root}/links/{value}" for key, value in links.items()},
        {key: f"{root}/joints/{value}" for key, value in joints.items()},
    )


def _identifiers(names: list[str]) -> dict[str, str]:
    from pxr import Tf

    result: dict[str, str] = {}
    for name in names:
        identifier, n = Tf.MakeValidIdentifier(name), 1
        while identifier in result.values():
            identifier, n = f"{Tf.MakeValidIdentifier(name)}_{n}", n + 1
        result[name] = identifier
    return result


def define(stage: Any, path: str, type_name: str, label: str) -> Any:
    """Define a prim; where its name had to be changed, the true one is its displayName."""
    prim = stage.DefinePrim(path, type_name)
    if prim.GetName() != label:
        prim.SetDisplayName(label)
    return prim


def write_geometry(folder: Path, robot: SourceRobot, paths: Paths) -> dict[str, Look]:
    """Write links at rest and their shapes; return the look of each prim that has one."""
    from pxr import UsdGeom

    stage = new_stage(folder / "geometry.usdc", paths.name)
    UsdGeom.Xform.Define(stage, paths.root)
    stage.DefinePrim(f"{paths.root}/links", "Scope")
    rest = rest_poses(robot)
    looks: dict[str, Look] = {}
    for link in robot.links:
        prim = define(stage, paths.links[link.name], "Xform", link.name)
        _place(prim, rest[link.name])
        for group, shapes in (("visuals", link.visuals), ("colliders", link.colliders)):
            if shapes:
                scope = stage.DefinePrim(f"{prim.GetPath()}/{group}", "Scope")
                if group == "colliders":
                    UsdGeom.Imageable(scope).CreatePurposeAttr(UsdGeom.Tokens.guide)
            for i, shape in enumerate(shapes):
                found = _write_shape(stage, f"{prim.GetPath()}/{group}/shape_{i}", shape)
                if group == "visuals":
                    looks |= found
    stage.GetRootLayer().Save()
    return looks


def rest_poses(robot: SourceRobot) -> dict[str, Pose]:
    """Return the pose of each link in the root's frame, all joints at 0."""
    poses = {robot.root: np.eye(4)}
    left = list(robot.joints)
    while left:
        for joint in [j for j in left if j.parent in poses]:
            poses[joint.child] = poses[joint.parent] @ joint.X_PC
            left.remove(joint)
    return poses


def _place(prim: Any, X: Pose) -> None:
    """Author a pose in double precision; nothing for the identity."""
    from pxr import Gf, UsdGeom

    xformable = UsdGeom.Xformable(prim)
    if X[:3, 3].any():
        xformable.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(
            Gf.Vec3d(*map(float, X[:3, 3]))
        )
    if not np.array_equal(X[:3, :3], np.eye(3)):
        orient = xformable.AddOrientOp(UsdGeom.XformOp.PrecisionDouble)
        orient.Set(Gf.Quatd(*map(float, to_quaternion(X[:3, :3]))))


def _write_shape(stage: Any, path: str, shape: SourceShape) -> dict[str, Look]:
    from pxr import Gf, UsdGeom

    color = shape.rgba
    own = None
    if color is not None or shape.texture is not None:
        rgb = (1.0, 1.0, 1.0) if shape.texture is not None or color is None else color[:3]
        own = Look(_linear(rgb), shape.texture)
    if shape.kind == "mesh":
        assert shape.mesh is not None
        return _write_mesh(stage, path, shape, own)
    if shape.kind == "box":
        cube = UsdGeom.Cube.Define(stage, path)
        cube.CreateSizeAttr(1.0)
        _place(cube.GetPrim(), shape.X_LS)
        cube.AddScaleOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*shape.size))
    elif shape.kind == "sphere":
        sphere = UsdGeom.Sphere.Define(stage, path)
        sphere.CreateRadiusAttr(shape.size[0])
        _place(sphere.GetPrim(), shape.X_LS)
    else:
        cylinder = UsdGeom.Cylinder.Define(stage, path)
        cylinder.CreateAxisAttr(UsdGeom.Tokens.z)
        cylinder.CreateRadiusAttr(shape.size[0])
        cylinder.CreateHeightAttr(shape.size[1])
        _place(cylinder.GetPrim(), shape.X_LS)
    return {} if own is None else {path: own}


def _linear(srgb: tuple[float, ...]) -> tuple[float, float, float]:
    """Return a screen colour as linear RGB (IEC 61966-2-1)."""
    c = np.clip(np.array(srgb, float), 0.0, 1.0)
    r, g, b = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def _write_mesh(stage: Any, path: str, shape: SourceShape, own: Look | None) -> dict[str, Look]:
    """Write a mesh, with a GeomSubset for each look where its file has several.

    The looks of a mesh file come before the colour in the URDF, which is one for the whole file.
    """
    from pxr import Sdf, UsdGeom, Vt

    assert shape.mesh is not None
    visual = Path(path).parent.name == "visuals"
    source = load_mesh(shape.mesh, shape.scale, looks=read_looks(shape.mesh) if visual else {})
    mesh = UsdGeom.Mesh.Define(stage, path)
    points = source.vertices.astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(
        Vt.IntArray.FromNumpy(np.full(len(source.triangles), 3, np.int32))
    )
    mesh.CreateFaceVertexIndicesAttr(
        Vt.IntArray.FromNumpy(source.triangles.astype(np.int32).ravel())
    )
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(source.normals.astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(
        Vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)]))
    )
    if source.uvs is not None:
        primvar = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(
            "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex
        )
        primvar.Set(Vt.Vec2fArray.FromNumpy(source.uvs.astype(np.float32)))
    _place(mesh.GetPrim(), shape.X_LS)

    looks = [look or own for look, _ in source.parts]
    if len(looks) == 1:
        return {} if looks[0] is None else {path: looks[0]}
    found = {}
    for i, (look, (_, faces)) in enumerate(zip(looks, source.parts, strict=True)):
        subset = UsdGeom.Subset.CreateGeomSubset(
            mesh,
            f"part_{i}",
            UsdGeom.Tokens.face,
            Vt.IntArray.FromNumpy(faces.astype(np.int32)),
            "materialBind",
            UsdGeom.Tokens.partition,
        )
        if look is not None:
            found[str(subset.GetPath())] = look
    return found


def write_materials(folder: Path, paths: Paths, looks: Mapping[str, Look]) -> None:
    """Write one material for each look, bind them, and copy their textures beside the layer."""
    from pxr import Gf, Sdf, UsdShade

    stage = new_stage(folder / "materials.usda", paths.name)
    stage.OverridePrim(paths.root)
    stage.DefinePrim(f"{paths.root}/materials", "Scope")
    textures: dict[Path, str] = {}
    materials: dict[Look, Any] = {}
    for look in dict.fromkeys(looks.values()):
        path = f"{paths.root}/materials/look_{len(materials)}"
        material = materials[look] = UsdShade.Material.Define(stage, path)
        shader = UsdShade.Shader.Define(stage, f"{path}/surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.5)
        diffuse = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
        if look.texture is None:
            diffuse.Set(Gf.Vec3f(*look.base_color))
        else:
            file = textures.setdefault(look.texture, _copy_texture(look.texture, folder, textures))
            diffuse.ConnectToSource(_texture(stage, path, file, look))
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    for path, look in looks.items():
        prim = stage.OverridePrim(path)
        UsdShade.MaterialBindingAPI.Apply(prim).Bind(materials[look])
    stage.GetRootLayer().Save()


def _copy_texture(source: Path, folder: Path, taken: Mapping[Path, str]) -> str:
    name = source.name
    while f"textures/{name}" in [t for s, t in taken.items() if s != source]:
        name = f"_{name}"
    (folder / "textures").mkdir(exist_ok=True)
    copyfile(source, folder / "textures" / name)
    return f"textures/{name}"


def _texture(stage: Any, path: str, file: str, look: Look) -> Any:
    """Write the nodes that read an image, and return their colour output."""
    from pxr import Gf, Sdf, UsdShade

    types = Sdf.ValueTypeNames
    reader = UsdShade.Shader.Define(stage, f"{path}/st")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    texture = UsdShade.Shader.Define(stage, f"{path}/texture")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"./{file}"))
    texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    texture.CreateInput("wrapS", types.Token).Set("repeat")
    texture.CreateInput("wrapT", types.Token).Set("repeat")
    texture.CreateInput("scale", types.Float4).Set(Gf.Vec4f(*look.base_color, 1.0))
    texture.CreateInput("st", types.Float2).ConnectToSource(
        reader.CreateOutput("result", types.Float2)
    )
    return texture.CreateOutput("rgb", types.Float3)


def write_interface(folder: Path, name: str, paths: Paths, metadata: Mapping[str, Any]) -> Path:
    """Write the layer that scenes reference, with the provenance of the whole asset."""
    from pxr import Kind, Sdf, Usd, UsdSemantics

    file = folder / f"{name}.usda"
    stage = new_stage(file, paths.name)
    root = stage.DefinePrim(paths.root, "Xform")
    Usd.ModelAPI(root).SetKind(Kind.Tokens.component)
    root.GetPayloads().AddPayload(Sdf.Payload("./physics.usda"))
    UsdSemantics.LabelsAPI.Apply(root, "class").CreateLabelsAttr(["robot"])
    stage.GetRootLayer().customLayerData = {CUSTOM_DATA: dict(metadata)}
    stage.GetRootLayer().Save()
    return file
