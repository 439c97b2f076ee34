# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""What a metallic-roughness surface gives back of light from lamps and from a sky."""

import warp as wp

from generators.raster.layout import Lamp, Lights
from generators.raster.shadow import arriving
from generators.raster.sky import given_back, mirrored

wp.set_module_options({"enable_backward": False, "max_unroll": 4})


@wp.struct
class Light:
    """What comes from a surface: by its colour, which images may multiply, and beside it."""

    diffuse: wp.vec3
    mirror: wp.vec3


@wp.func
def mixed(a: Light, b: Light, share: float) -> Light:
    """Return what lies between two lights."""
    light = Light()
    light.diffuse = a.diffuse * (1.0 - share) + b.diffuse * share
    light.mirror = a.mirror * (1.0 - share) + b.mirror * share
    return light


@wp.func
def reflected(
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    a: float,
    n: wp.vec3,
    v: wp.vec3,
    l: wp.vec3,
    cosine: float,
    strength: wp.vec3,
) -> Light:
    """Return what a surface gives back of one lamp's light.

    GGX (Walter et al., Microfacet models for refraction through rough surfaces, EGSR 2007) with
    Smith's shadowing as approximated by Hammon (PBR diffuse lighting for GGX+Smith, GDC 2017) and
    Schlick's Fresnel term; Lambert below it.

    Args:
        base: Colour.
        metallic: 0 or 1, or between where the two meet.
        head_on: What is reflected head-on.
        a: Roughness squared.
        n: Normal.
        v: Unit vector to the camera.
        l: Unit vector to the lamp.
        cosine: n · l, above 0.
        strength: What a white surface that faces the lamp gives back.
    """
    h = wp.normalize(l + v)
    nh = wp.clamp(wp.dot(n, h), 0.0, 1.0)
    nv = wp.max(wp.abs(wp.dot(n, v)), 1e-3)
    vh = 1.0 - wp.clamp(wp.dot(v, h), 0.0, 1.0)
    square = a * a
    d = nh * nh * (square - 1.0) + 1.0
    smith = 0.5 / wp.max(2.0 * cosine * nv * (1.0 - a) + (cosine + nv) * a, 1e-4)
    fifth = vh * vh * vh * vh * vh
    fresnel = head_on * (1.0 - fifth) + wp.vec3(fifth, fifth, fifth)
    # D is taken times π, since the strength is an irradiance over π.
    mirror = fresnel * (square / (d * d) * smith)
    diffuse = wp.cw_mul(wp.vec3(1.0, 1.0, 1.0) - fresnel, base) * (1.0 - metallic)
    light = Light()
    light.diffuse = wp.cw_mul(diffuse, strength) * cosine
    light.mirror = wp.cw_mul(mirror, strength) * cosine
    return light


@wp.func
def lit_by(
    lights: Lights,
    lamp: Lamp,
    p_W: wp.vec3,
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    a: float,
    n: wp.vec3,
    v: wp.vec3,
) -> Light:
    """Return what a surface at p_W gives back of a lamp's light, shadows included."""
    cosine = wp.dot(n, lamp.toward_W)
    if cosine <= 0.0:
        return Light()
    light = reflected(base, metallic, head_on, a, n, v, lamp.toward_W, cosine, lamp.strength)
    if lamp.map >= 0:
        part = arriving(lights, lamp, p_W, cosine)
        light.diffuse *= part
        light.mirror *= part
    return light


@wp.func
def ambient(
    lights: Lights,
    view: int,
    base: wp.vec3,
    metallic: float,
    head_on: wp.vec3,
    rough: float,
    n: wp.vec3,
    v: wp.vec3,
) -> Light:
    """Return what a surface gives back of the sky's light.

    What a rough surface reflects is approximated after Karis, Physically based shading on mobile,
    Unreal Engine, 2014.
    """
    nv = wp.clamp(wp.abs(wp.dot(n, v)), 0.0, 1.0)
    x = 1.0 - rough
    y = 0.0425 - 0.0275 * rough
    z = 1.04 - 0.572 * rough
    w = 0.022 * rough - 0.04
    # Karis's exp2(−9.28·nv), as near as his fit is to the truth.
    fade = (1.0 - nv) * (1.0 - nv)
    low = wp.min(x * x, fade * fade * (1.0 - nv)) * x + y
    scale = -1.04 * low + z
    offset = 1.04 * low + w
    r = n * (2.0 * wp.dot(n, v)) - v
    mirror = head_on * scale + wp.vec3(offset, offset, offset)
    diffuse = wp.cw_mul(wp.vec3(1.0, 1.0, 1.0) - mirror, base) * (1.0 - metallic)
    light = Light()
    light.diffuse = wp.cw_mul(diffuse, given_back(lights, view, n))
    light.mirror = wp.cw_mul(mirror, mirrored(lights, view, r, rough))
    return light
