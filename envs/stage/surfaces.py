"""Materials bound to geometry: UsdPreviewSurface, and MDL's plain colours."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from envs.errors import StageError
from envs.stage.attributes import authored
from envs.stage.diagnostics import Diagnostics
from envs.stage.guard import check_asset
from envs.stage.looks import Material
from envs.stage.preview_surface import read_preview_surface


class Surfaces:
    """Reads each material of a stage once."""

    def __init__(self, root: Path | None, notes: Diagnostics) -> None:
        """Start with nothing read; images must lie below `root`, if there is one."""
        self._root, self._notes = root, notes
        self._read: dict[str, Material] = {}
        self.images: set[Path] = set()

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

    def image(self, prim: Any, asset: Any) -> Path | None:
        """Return the image file that a prim names; None where it names none that can be read.

        Raises:
            StageError: It is missing, or lies outside the root.
        """
        if not asset or not asset.path:
            return None
        check_asset(asset.resolvedPath or asset.path, asset.path, self._root, str(prim.GetPath()))
        if "<UDIM>" in asset.path or asset.resolvedPath.endswith("]"):
            what = "tiles" if "<UDIM>" in asset.path else "an image inside a package"
            self._notes.add("refused", prim, f"{what} ('{asset.path}') cannot be read: left out")
            return None
        if not asset.resolvedPath:
            raise StageError(f"{prim.GetPath()}: the texture '{asset.path}' was not found")
        path = Path(asset.resolvedPath)
        self.images.add(path)
        return path

    def _surface(self, material: Any) -> Material:
        name = str(material.GetPrim().GetName())
        shader, _, _ = material.ComputeSurfaceSource("")
        if shader and shader.GetIdAttr().Get() == "UsdPreviewSurface":
            return read_preview_surface(name, shader, self.image, self._notes)
        # A context without an output of its own falls back to the universal one.
        mdl = _source(material, "mdl")
        if mdl:
            self._notes.add("approximated", material, "of MDL only plain values are read")
            return _plain_mdl(name, mdl)
        if shader:
            kind = shader.GetIdAttr().Get() or "shader without an id"
        else:
            kind = "MaterialX surface" if _source(material, "mtlx") else "missing surface"
        self._notes.add(
            "refused",
            material,
            f"a {kind} is not read, it is taken as grey; supported are: UsdPreviewSurface",
        )
        return Material(name)


def _source(material: Any, context: str) -> Any:
    """Return the shader of one render context, or None."""
    output = material.GetSurfaceOutput(context)
    return material.ComputeSurfaceSource(context)[0] if output else None


def _plain_mdl(name: str, shader: Any) -> Material:
    """Return the constants of NVIDIA's OmniPBR."""
    plain = Material(name)
    connectable = shader.GetInput("diffuse_color_constant")
    color = connectable.Get() if connectable else None
    r, g, b = plain.base_color if color is None else map(float, color)
    return Material(
        name,
        (r, g, b),
        roughness=_number(shader, "reflection_roughness_constant", plain.roughness),
        metallic=_number(shader, "metallic_constant", plain.metallic),
    )


def _number(shader: Any, name: str, default: float) -> float:
    connectable = shader.GetInput(name)
    value = connectable.Get() if connectable else None
    return value if isinstance(value, float) else default


def _all_prims() -> Any:
    from pxr import Usd

    return Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)
