"""Materials bound to geometry: UsdPreviewSurface, its texture, and MDL's plain colours."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from envs.errors import StageError
from envs.stage.attributes import authored
from envs.stage.guard import check_asset
from envs.stage.scene import Material


class Surfaces:
    """Reads each material of a stage once."""

    def __init__(self, root: Path | None = None) -> None:
        """Start with nothing read; images must lie below `root`, if there is one."""
        self._root = root
        self._read: dict[str, Material] = {}
        self.textures: set[Path] = set()

    def material(self, prim: Any) -> Material:
        """Return how a gprim looks: its material, else its displayColor, else mid-grey."""
        bound = self._bound(prim)
        if bound is not None:
            return bound
        colors = authored(prim, "primvars:displayColor")
        if colors is not None and len(colors):
            r, g, b = np.array(colors, float).mean(axis=0)
            return Material(str(prim.GetPath()), (float(r), float(g), float(b)))
        return Material("default")

    def subsets(self, prim: Any) -> list[tuple[str, Int[np.ndarray, "_"], Material | None]]:
        """Return path, faces and material of the GeomSubsets that bind one."""
        found: list[tuple[str, Int[np.ndarray, n], Material | None]] = []
        for child in prim.GetFilteredChildren(_all_prims()):
            if child.GetTypeName() == "GeomSubset":
                material = self._bound(child)
                if material is not None:
                    faces = np.array(authored(child, "indices"), int)
                    found.append((str(child.GetPath()), faces, material))
        return found

    def _bound(self, prim: Any) -> Material | None:
        from pxr import UsdShade

        material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
        if not material:
            return None
        path = str(material.GetPath())
        if path not in self._read:
            self._read[path] = self._surface(material)
        return self._read[path]

    def _surface(self, material: Any) -> Material:
        name = str(material.GetPrim().GetName())
        shader = None
        for context in ("", "mdl"):
            source, _, _ = material.ComputeSurfaceSource(context)
            if source:
                shader = source
                break
        if shader is None:
            return Material(name)
        color, texture = Material(name).base_color, None
        for key in ("diffuseColor", "diffuse_color_constant"):
            value, image = self._color(shader.GetInput(key))
            if value is not None:
                color, texture = value, image
                break
        if texture is not None:
            self.textures.add(texture)
        return Material(
            name,
            color,
            _number(shader, ("roughness", "reflection_roughness_constant"), 0.5),
            _number(shader, ("metallic", "metallic_constant"), 0.0),
            texture,
        )

    def _color(self, connectable: Any) -> tuple[tuple[float, float, float] | None, Path | None]:
        """Return an input's colour and image; the colour multiplies the image."""
        from pxr import UsdShade

        if not connectable:
            return None, None
        for attribute in connectable.GetValueProducingAttributes():
            source = UsdShade.Shader(attribute.GetPrim())
            if source and source.GetIdAttr().Get() == "UsdUVTexture":
                file = source.GetInput("file").Get()
                scale = source.GetInput("scale")
                factor = scale.Get() if scale and scale.Get() is not None else (1.0, 1.0, 1.0)
                image = _image(source, file, self._root)
                return (float(factor[0]), float(factor[1]), float(factor[2])), image
            value = attribute.Get()
            if value is not None and len(value) == 3:
                return (float(value[0]), float(value[1]), float(value[2])), None
        return None, None


def _image(source: Any, file: Any, root: Path | None) -> Path | None:
    if not file or not file.path:
        return None
    check_asset(file.resolvedPath or file.path, file.path, root, str(source.GetPath()))
    if not file.resolvedPath:
        raise StageError(f"{source.GetPath()}: the texture '{file.path}' was not found")
    return Path(file.resolvedPath)


def _number(shader: Any, names: tuple[str, ...], default: float) -> float:
    for name in names:
        connectable = shader.GetInput(name)
        value = connectable.Get() if connectable else None
        if isinstance(value, float):
            return value
    return default


def _all_prims() -> Any:
    from pxr import Usd

    return Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)
