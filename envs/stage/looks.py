"""How a stage looks: materials with textures, lights and cameras; plain values in SI, Z-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from envs.frames import Pose

LightKind = Literal["distant", "sphere", "rect", "dome"]
Channel = Literal["rgb", "r", "g", "b", "a"]
ColorSpace = Literal["auto", "sRGB", "raw"]
Wrap = Literal["black", "clamp", "repeat", "mirror"]
RGB = tuple[float, float, float]
RGBA = tuple[float, float, float, float]
Row = tuple[float, float, float]


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
