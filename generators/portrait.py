"""One picture of all that a scene holds, as the stage has it: for looking at a robot one brings.

Everything is scaled to the size of a photographer's table, for which light and shadow are made, so
that a gripper and a crane are drawn alike.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from envs.frames import Pose
from envs.stage.looks import Material
from envs.stage.scene import MASSLESS, Body, Mesh, Scene, Shape
from envs.world.primitives import to_mesh
from generators.baseline import BaselineRenderer
from generators.camera import Camera
from generators.framing import framed
from generators.scenario import Scenario
from generators.shading import Lighting

SIZE = (960, 720)
ACROSS_M = 1.4
"""What the largest extent of what is shown is scaled to."""
GROUND = 1.5
"""Times the extent of what stands on it: a larger plane is left out, and our own floor shown."""
MOST_TRIANGLES = 40_000
"""Of one mesh: PyBullet's renderer takes 131072 vertices."""
FLOOR_M = 30.0
_VIEW_RAD = np.radians(32.0)
_AZIMUTH_RAD, _ELEVATION_RAD = np.radians(38.0), np.radians(20.0)
_SUN_AZIMUTH_RAD, _SUN_ELEVATION_RAD = np.radians(-5.0), np.radians(52.0)
_COLLIDER = Material("collider", (0.35, 0.5, 0.62))
_FLOOR = Material("floor", (0.75, 0.75, 0.74))


def portrait(scene: Scene) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return an sRGB picture of a scene, its robots at rest; None where there is nothing to see.

    A body without visuals is shown by its colliders, in blue.

    Raises:
        StageError: A mesh is more than the renderer takes.
    """
    bodies = [_visible(body) for body in _bodies(scene)]
    shown = _without_ground([body for body in bodies if body.visuals])
    if not shown:
        return None
    corners = np.concatenate([_extent(body) for body in shown])
    low, high = corners.min(axis=0), corners.max(axis=0)
    factor = ACROSS_M / max(float((high - low).max()), 1e-9)
    origin = np.array([*((low + high) / 2)[:2], low[2]])
    placed = [_scaled(body, origin, factor) for body in shown]
    staged = replace(scene, articulations=(), objects=tuple(placed), static=(_floor(),))
    return _draw(staged, np.concatenate([_points(body) for body in placed]))


def _without_ground(bodies: list[Body]) -> list[Body]:
    """Leave out flat ground that is much larger than all that stands on it."""
    sizes = [np.ptp(_extent(body), axis=0) for body in bodies]
    flat = [size[2] < 0.02 * size.max() for size in sizes]
    standing = [_extent(b) for b, f in zip(bodies, flat, strict=True) if not f]
    if not standing:
        return bodies
    reach = GROUND * np.ptp(np.concatenate(standing), axis=0).max()
    return [
        body
        for body, size, is_flat in zip(bodies, sizes, flat, strict=True)
        if not (is_flat and body.mass_source == "static" and size.max() > reach)
    ]


def _draw(scene: Scene, points: Float[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "h w 3"]:
    camera = Camera.with_view(np.eye(4), _VIEW_RAD, SIZE, near_m=0.05, far_m=60.0)
    back = _direction(_AZIMUTH_RAD, _ELEVATION_RAD)
    off_middle = np.zeros(2)
    camera, middle = framed(camera, points, back, roll_rad=0.0, fill=0.86, off_middle=off_middle)
    lighting = Lighting(
        direction_W=_direction(_SUN_AZIMUTH_RAD, _SUN_ELEVATION_RAD),
        sun=(0.95, 0.93, 0.9),
        sky=(0.5, 0.52, 0.55),
        ground=(0.24, 0.24, 0.24),
        backdrop=(0.82, 0.83, 0.84),
        penumbra_m=0.02,
        focus_W=middle,
    )
    poses = {body.name: body.X_WB for body in (*scene.objects, *scene.static)}
    scenario = Scenario(0, 0.0, np.zeros(0), poses, {}, lighting, camera)
    renderer = BaselineRenderer(scene, ())
    try:
        return renderer.render(scenario).rgb
    finally:
        renderer.close()


def _direction(azimuth: float, elevation: float) -> Float[np.ndarray, "3"]:
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _bodies(scene: Scene) -> list[Body]:
    """Return all bodies of a scene under names that are unique."""
    links = [body for robot in scene.articulations for body in robot.bodies]
    every = [*links, *scene.objects, *scene.static]
    return [replace(body, name=f"{k}:{body.name}") for k, body in enumerate(every)]


def _visible(body: Body) -> Body:
    shapes = body.visuals or tuple(replace(s, material=_COLLIDER) for s in body.colliders)
    return replace(body, visuals=tuple(part for shape in shapes for part in _split(shape)))


def _split(shape: Shape) -> list[Shape]:
    """Return a mesh in parts that the renderer takes, whatever their vertices share."""
    mesh = shape.mesh
    if mesh is None or len(mesh.triangles) <= MOST_TRIANGLES:
        return [shape]
    parts = []
    for first in range(0, len(mesh.triangles), MOST_TRIANGLES):
        used, index = np.unique(mesh.triangles[first : first + MOST_TRIANGLES], return_inverse=True)
        chosen = [a if a is None else a[used] for a in (mesh.normals, mesh.uvs)]
        part = Mesh(mesh.vertices[used], index.reshape(-1, 3), *chosen)
        parts.append(replace(shape, mesh=part))
    return parts


def _points(body: Body) -> Float[np.ndarray, "n 3"]:
    """Return the vertices of a body's visuals in the world."""
    return np.concatenate([_moved(body.X_WB @ s.X_BS, to_mesh(s).vertices) for s in body.visuals])


def _extent(body: Body) -> Float[np.ndarray, "2 3"]:
    points = _points(body)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _moved(X: Pose, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    moved: Float[np.ndarray, "n 3"] = points @ X[:3, :3].T + X[:3, 3]
    return moved


def _scaled(body: Body, origin: Float[np.ndarray, "3"], factor: float) -> Body:
    """Return a body of another size, in a world whose origin is put elsewhere."""
    X_WB = body.X_WB.copy()
    X_WB[:3, 3] = factor * (X_WB[:3, 3] - origin)
    return replace(body, X_WB=X_WB, visuals=tuple(_shape(s, factor) for s in body.visuals))


def _shape(shape: Shape, factor: float) -> Shape:
    X_BS, mesh = shape.X_BS.copy(), shape.mesh
    X_BS[:3, 3] *= factor
    size = tuple(factor * length for length in shape.size)
    if mesh is not None:
        mesh = replace(mesh, vertices=factor * mesh.vertices)
    return replace(shape, X_BS=X_BS, size=size, mesh=mesh)


def _floor() -> Body:
    half = FLOOR_M / 2
    square = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
    mesh = Mesh(square, np.array([[0, 1, 2], [0, 2, 3]]))
    shape = Shape("/floor", "mesh", np.eye(4), mesh=mesh, material=_FLOOR)
    return Body("floor", "/floor", np.eye(4), MASSLESS, (shape,), (), "floor", "static")
