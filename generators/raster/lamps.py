# mypy: ignore-errors
# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know.
"""Where lamps stand as seen from eight points, and how much of their light each gets."""

import warp as wp

from generators.lamps import KINDS
from generators.raster.layout import Lamp
from generators.raster.reflection import Points
from generators.raster.rows import Colors, Row

wp.set_module_options({"enable_backward": False, "fuse_fp": False, "max_unroll": 3})

DISTANT = wp.constant(KINDS.index("distant"))
SPHERE = wp.constant(KINDS.index("sphere"))


@wp.struct
class Seen:
    """A lamp as eight points see it; see `reflection.under_lamp`.

    Attributes:
        toward: Unit vectors, along which its light comes on the whole.
        share: What its strength is multiplied with.
        glint: Unit vectors to that place of it which a mirror shows.
        widened: What its size adds to the square of the roughness.
    """

    toward: Colors
    share: Row
    glint: Colors
    widened: Row


@wp.func
def nearest_of_sphere(to: wp.vec3, r: wp.vec3, radius: float) -> wp.vec3:
    """Return where a sphere is nearest to a ray from the origin.

    B. Karis, Real shading in Unreal Engine 4, SIGGRAPH 2013, "Sphere lights".

    Args:
        to: Its middle, m.
        r: Unit vector along the ray.
        radius: Of the sphere, m.
    """
    aside = r * wp.dot(to, r) - to
    length = wp.length(aside)
    return to + aside * wp.min(1.0, radius / wp.max(length, 1e-6))


@wp.func
def nearest_of_rect(to: wp.vec3, r: wp.vec3, lamp: Lamp) -> wp.vec3:
    """Return where a rectangle is about nearest to a ray from the origin; `to` is its middle."""
    along = wp.dot(r, lamp.toward_W)
    at = wp.vec3()
    if along > 1e-4:
        at = r * (wp.dot(to, lamp.toward_W) / along) - to
    else:
        at = r * 1e3
    x = wp.clamp(wp.dot(at, lamp.x_W) / wp.max(wp.dot(lamp.x_W, lamp.x_W), 1e-12), -1.0, 1.0)
    y = wp.clamp(wp.dot(at, lamp.y_W) / wp.max(wp.dot(lamp.y_W, lamp.y_W), 1e-12), -1.0, 1.0)
    return to + lamp.x_W * x + lamp.y_W * y


@wp.func
def edge(a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """Return what the edge between two directions adds to a polygon's vector irradiance."""
    normal = wp.cross(a, b)
    length = wp.length(normal)
    if length < 1e-9:
        return wp.vec3()
    return normal * (0.5 * wp.atan2(length, wp.dot(a, b)) / length)


@wp.func
def from_rect(to: wp.vec3, lamp: Lamp) -> wp.vec3:
    """Return the vector irradiance over the radiance of a rectangle, which shines one way.

    See `generators.lamps.vector_irradiance`; `to` is its middle as seen from the point, m.
    """
    if wp.dot(to, lamp.toward_W) <= 0.0:
        return wp.vec3()
    a = wp.normalize(to + lamp.x_W + lamp.y_W)
    b = wp.normalize(to - lamp.x_W + lamp.y_W)
    c = wp.normalize(to - lamp.x_W - lamp.y_W)
    d = wp.normalize(to + lamp.x_W - lamp.y_W)
    return edge(a, b) + edge(b, c) + edge(c, d) + edge(d, a)


@wp.func
def lamp_from(lamp: Lamp, points: Points, p_W: Colors) -> Seen:
    """Return a lamp as it is seen from eight points, which lie at p_W (m)."""
    seen = Seen()
    if lamp.kind == DISTANT:
        for c in range(3):
            seen.toward[c] = Row(lamp.toward_W[c])
            seen.glint[c] = Row(lamp.toward_W[c])
        seen.share = Row(1.0)
        seen.widened = Row(0.5 * lamp.radius)
        return seen
    for k in range(8):
        n = wp.vec3(points.normal[0, k], points.normal[1, k], points.normal[2, k])
        ray = wp.normalize(wp.vec3(points.ray[0, k], points.ray[1, k], points.ray[2, k]))
        r = ray - n * (2.0 * wp.dot(n, ray))
        to = lamp.p_W - wp.vec3(p_W[0, k], p_W[1, k], p_W[2, k])
        away = wp.max(wp.length(to), 1e-3)
        toward = to / away
        place = to
        if lamp.kind == SPHERE:
            clear = wp.max(away, lamp.radius)
            seen.share[k] = 1.0 / (clear * clear)
            seen.widened[k] = 0.5 * lamp.radius / clear
            place = nearest_of_sphere(to, r, lamp.radius)
        else:
            irradiance = from_rect(to, lamp)
            size = wp.length(irradiance)
            seen.share[k] = size
            if size > 0.0:
                toward = irradiance / size
            half_side = wp.sqrt(wp.length(lamp.x_W) * wp.length(lamp.y_W))
            seen.widened[k] = 0.5 * half_side / away
            place = nearest_of_rect(to, r, lamp)
        glint = wp.normalize(place)
        for c in range(3):
            seen.toward[c, k] = toward[c]
            seen.glint[c, k] = glint[c]
    return seen
