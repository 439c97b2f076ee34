"""UsdPreviewSurface networks to a `Material`: its inputs, their textures, and how these are mapped.

After the UsdPreviewSurface specification 2.6. What it has beyond a `Material` is told as refused.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.stage.attributes import to_array
from envs.stage.diagnostics import Diagnostics
from envs.stage.looks import Channel, ColorSpace, Material, Row, Texture, Wrap

WRAPS = {"black", "clamp", "repeat", "mirror"}
CHANNELS = {"rgb", "r", "g", "b", "a"}
_NEUTRAL = {"clearcoat": 0.0, "displacement": 0.0, "occlusion": 1.0}
"""What a `Material` has not, and the value that means nothing."""

Image = Callable[[Any, Any], Path | None]
"""From a prim that names an image, and the asset, to its file; None where it cannot be read."""


def read_preview_surface(name: str, shader: Any, image: Image, notes: Diagnostics) -> Material:
    """Return what a UsdPreviewSurface shader says.

    Raises:
        StageError: A value is not of its type, or not finite.
    """
    reader = _Inputs(shader, image, notes)
    base_color, base_texture = reader.read("diffuseColor", (0.18, 0.18, 0.18))
    emissive, emissive_texture = reader.read("emissiveColor", (0.0, 0.0, 0.0))
    roughness, roughness_texture = reader.read("roughness", (0.5,))
    metallic, metallic_texture = reader.read("metallic", (0.0,))
    opacity, opacity_texture = reader.read("opacity", (1.0,))
    threshold, _ = reader.read("opacityThreshold", (0.0,))
    ior, _ = reader.read("ior", (1.5,))
    _, normal_texture = reader.read("normal", (0.0, 0.0, 1.0))
    specular = None
    if reader.read("useSpecularWorkflow", (0.0,))[0][0]:
        color, texture = reader.read("specularColor", (0.0, 0.0, 0.0))
        specular = _rgb(color)
        if texture is not None:
            notes.add("refused", shader, "a texture of specularColor is not read")
    for unread, neutral in _NEUTRAL.items():
        value, texture = reader.read(unread, (neutral,))
        if texture is not None or value[0] != neutral:
            notes.add("refused", shader, f"{unread} is not read: it is taken as {neutral:g}")
    material = Material(
        name=name,
        base_color=_rgb(base_color),
        roughness=roughness[0],
        metallic=metallic[0],
        emissive=_rgb(emissive),
        opacity=opacity[0],
        opacity_threshold=threshold[0],
        ior=ior[0],
        specular_color=specular,
        base_color_texture=base_texture,
        roughness_texture=roughness_texture,
        metallic_texture=metallic_texture,
        emissive_texture=emissive_texture,
        opacity_texture=opacity_texture,
        normal_texture=normal_texture,
    )
    _note_doubts(shader, material, notes)
    return material


def _note_doubts(shader: Any, material: Material, notes: Diagnostics) -> None:
    """Note a normal map that was not scaled, and texture coordinates that differ."""
    normal = material.normal_texture
    if normal is not None and normal.bias[:2] == (0.0, 0.0):
        notes.add(
            "suspect", shader, "the normal map has no bias: its normals lean to one side only"
        )
    primvars = list(dict.fromkeys(t.primvar for t in material.textures))
    if len(primvars) > 1:
        notes.add(
            "approximated",
            shader,
            f"its textures use the coordinates {', '.join(primvars)}; all get {primvars[0]}",
        )


class _Inputs:
    """Reads the inputs of one shader: a constant, or a texture."""

    def __init__(self, shader: Any, image: Image, notes: Diagnostics) -> None:
        self._shader, self._image, self._notes = shader, image, notes

    def read(
        self, name: str, default: tuple[float, ...]
    ) -> tuple[tuple[float, ...], Texture | None]:
        """Return an input's constant (the default where nothing is said) and its texture."""
        from pxr import UsdShade

        connectable = self._shader.GetInput(name)
        if not connectable:
            return default, None
        for attribute in connectable.GetValueProducingAttributes():
            if not UsdShade.Output.IsOutput(attribute):
                value = attribute.Get()
                return default if value is None else _checked(attribute, value, default), None
            source = UsdShade.Shader(attribute.GetPrim())
            kind = source.GetIdAttr().Get() if source else None
            if kind == "UsdUVTexture":
                return self._texture(source, attribute.GetBaseName(), name, default)
            if kind is not None and kind.startswith("UsdPrimvarReader"):
                value = _value(source, "fallback")
                self._notes.add(
                    "approximated",
                    self._shader,
                    f"{name} varies over the mesh (primvar '{_value(source, 'varname')}'): "
                    "it is taken as its fallback",
                )
                return default if value is None else _checked(attribute, value, default), None
            self._notes.add(
                "refused", self._shader, f"{name} comes from a {kind}, which is not read"
            )
        return default, None

    def _texture(
        self, source: Any, output: str, name: str, default: tuple[float, ...]
    ) -> tuple[tuple[float, ...], Texture | None]:
        """Return a texture, or as a constant its fallback where there is no image to read."""
        asset = _value(source, "file")
        path = self._image(source.GetPrim(), asset)
        if path is None:
            fallback = _value(source, "fallback")
            count = len(default)
            return default if fallback is None else tuple(map(float, fallback))[:count], None
        if output not in CHANNELS or (output == "rgb") != (len(default) == 3):
            raise StageError(
                f"{source.GetPath()}: output {output} cannot feed {name}, which has "
                f"{len(default)} channels"
            )
        transform, primvar = self._coordinates(source)
        space = _value(source, "sourceColorSpace")
        scale = _four(source, "scale", (1.0, 1.0, 1.0, 1.0))
        bias = _four(source, "bias", (0.0, 0.0, 0.0, 0.0))
        texture = Texture(
            path=path,
            channel=cast(Channel, output),
            color_space=cast(ColorSpace, space if space in ("raw", "sRGB") else "auto"),
            scale=scale,
            bias=bias,
            wrap=(_wrap(source, "wrapS"), _wrap(source, "wrapT")),
            uv_transform=transform,
            primvar=primvar,
        )
        return default, texture

    def _coordinates(self, source: Any) -> tuple[tuple[Row, Row], str]:
        """Return how a texture is mapped, and the primvar that it is mapped by."""
        from pxr import UsdShade

        M: Float[np.ndarray, "3 3"] = np.eye(3)
        node, socket, primvar = source, "st", "st"
        for _ in range(_MAX_NODES):
            connectable = node.GetInput(socket)
            producers = connectable.GetValueProducingAttributes() if connectable else []
            if not producers or not UsdShade.Output.IsOutput(producers[0]):
                break
            node = UsdShade.Shader(producers[0].GetPrim())
            kind = node.GetIdAttr().Get() if node else None
            if kind == "UsdTransform2d":
                M, socket = M @ _transform2d(node), "in"
            elif kind == "UsdPrimvarReader_float2":
                primvar = str(_value(node, "varname") or "st")
                break
            else:
                self._notes.add(
                    "refused", source.GetPrim(), f"coordinates from a {kind} are not read"
                )
                break
        (a, b, c), (d, e, f), _ = M.tolist()
        return ((a, b, c), (d, e, f)), primvar


_MAX_NODES = 16
"""Of a chain of transforms; a circle ends there."""


def _transform2d(node: Any) -> Float[np.ndarray, "3 3"]:
    """Return result = in · scale · rotation + translation; the rotation is counter-clockwise."""
    turn = np.radians(float(_value(node, "rotation") or 0.0))
    scale, translation = _value(node, "scale"), _value(node, "translation")
    sx, sy = (1.0, 1.0) if scale is None else map(float, scale)
    tx, ty = (0.0, 0.0) if translation is None else map(float, translation)
    c, s = np.cos(turn), np.sin(turn)
    M = np.array([[c * sx, -s * sy, tx], [s * sx, c * sy, ty], [0.0, 0.0, 1.0]])
    if not np.isfinite(M).all():
        raise StageError(f"{node.GetPath()}: rotation, scale and translation must be finite")
    return M


def _value(shader: Any, name: str) -> Any:
    """Return an input's value, also where it is an input of the material that hands it on."""
    connectable = shader.GetInput(name)
    for attribute in connectable.GetValueProducingAttributes() if connectable else ():
        return attribute.Get()
    return None


def _checked(attribute: Any, value: Any, default: Sequence[float]) -> tuple[float, ...]:
    try:
        array = np.atleast_1d(to_array(value))
    except (TypeError, ValueError):
        array = np.array([np.nan])
    if array.shape != (len(default),) or not np.isfinite(array).all():
        raise StageError(
            f"{attribute.GetPath()} must be {len(default)} finite numbers, found {value}"
        )
    return tuple(array.tolist())


def _four(
    source: Any, name: str, default: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    connectable = source.GetInput(name)
    value = _value(source, name)
    if value is None:
        return default
    r, g, b, a = _checked(connectable.GetAttr(), value, default)
    return r, g, b, a


def _wrap(source: Any, name: str) -> Wrap:
    """Return a wrap mode; "useMetadata" is black, since images rarely say it."""
    value = _value(source, name)
    return cast(Wrap, value if value in WRAPS else "black")


def _rgb(values: tuple[float, ...]) -> tuple[float, float, float]:
    r, g, b = values
    return r, g, b
