"""Random scenes for the rasteriser: shapes of all kinds about a camera, some of them inside out."""

import numpy as np
import trimesh

from envs.frames import from_quaternion, pose
from envs.stage.looks import Material
from envs.stage.scene import MASSLESS, Body, Mesh, Scene, Shape
from generators.camera import Camera, look_at
from generators.scenario import Scenario
from generators.shading import Lighting

LIGHTING = Lighting(
    direction_W=np.array([0.36, 0.48, 0.8]),
    sun=(1.0, 0.95, 0.9),
    sky=(0.5, 0.55, 0.6),
    ground=(0.2, 0.2, 0.2),
    backdrop=(0.6, 0.6, 0.6),
    penumbra_m=0.01,
    focus_W=np.zeros(3),
)


def bumpy(rng: np.random.Generator, *, subdivisions: int = 3, size_m: float = 0.15) -> Mesh:
    """A closed blob of 1280 triangles or so, without normals of its own."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    waves = sum(np.sin(ball.vertices @ rng.normal(0, 4, 3) + rng.uniform(0, 6)) for _ in range(4))
    return Mesh(ball.vertices * (size_m * (1 + 0.12 * waves))[:, None], np.asarray(ball.faces))


def sheet(rng: np.random.Generator, *, size_m: float = 0.4, cells: int = 12) -> Mesh:
    """An open, curved surface, which is seen from both sides."""
    s = np.linspace(-0.5, 0.5, cells + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    z = 0.2 * np.sin(5 * x + rng.uniform(0, 6)) * np.cos(4 * y)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(cells), np.arange(cells)))
    a = j * (cells + 1) + i
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + cells + 2], 1), np.stack([a, a + cells + 2, a + cells + 1], 1)]
    )
    return Mesh(size_m * np.stack([x, y, z], axis=1), triangles)


def random_shape(rng: np.random.Generator, name: str) -> Shape:
    """A mesh or a primitive."""
    kind = rng.choice(["bumpy", "sheet", "box", "sphere", "cylinder", "capsule"])
    size = rng.uniform(0.05, 0.25, 3)
    material = Material(name, tuple(rng.uniform(0.2, 0.8, 3)))
    if kind in ("bumpy", "sheet"):
        mesh = bumpy(rng) if kind == "bumpy" else sheet(rng)
        return Shape(f"/{name}", "mesh", np.eye(4), (), mesh, material)
    sizes = {"box": tuple(size), "sphere": (size[0],)}.get(kind, (size[0] / 2, size[1]))
    return Shape(f"/{name}", kind, np.eye(4), sizes, None, material)


def random_pose(rng: np.random.Generator, spread_m: float = 0.6) -> np.ndarray:
    return pose(from_quaternion(rng.normal(size=4)), rng.uniform(-spread_m, spread_m, 3))


def body(name: str, *shapes: Shape, X_WB: np.ndarray | None = None, label: str = "thing") -> Body:
    X = np.eye(4) if X_WB is None else X_WB
    return Body(name, f"/{name}", X, MASSLESS, shapes, (), label)


def scene_of(*bodies: Body) -> Scene:
    return Scene((), bodies, (), (), (), np.array([0.0, 0.0, -9.81]))


def random_scene(seed: int, *, size: tuple[int, int] = (320, 240)) -> tuple[Scene, Scenario]:
    """Things about the origin on a floor that reaches behind the camera, and a picture of them."""
    rng = np.random.default_rng(seed)
    bodies = []
    for number in range(int(rng.integers(6, 14))):
        name = f"thing{number}"
        bodies.append(body(name, random_shape(rng, name), X_WB=random_pose(rng)))
    floor = Shape("/floor", "box", pose(np.eye(3), np.array([0, 0, -0.85])), (24.0, 24.0, 0.1))
    bodies.append(body("floor", floor, label="floor"))
    scene = scene_of(*bodies)
    azimuth, elevation = rng.uniform(0, 6.28), rng.uniform(-0.1, 1.0)
    back = np.array([np.cos(azimuth), np.sin(azimuth), np.sin(elevation)])
    camera = Camera.with_view(
        look_at(
            rng.uniform(1.2, 2.5) * back, rng.uniform(-0.1, 0.1, 3), roll_rad=rng.uniform(-3, 3)
        ),
        rng.uniform(0.5, 1.6),
        size,
        near_m=0.05,
        far_m=100.0,
    )
    return scene, picture(scene, camera)


def picture(scene: Scene, camera: Camera) -> Scenario:
    """A scenario with everything where the scene has it."""
    poses = {b.name: b.X_WB for b in (*scene.objects, *scene.static)}
    return Scenario(0, 0.0, np.zeros(0), poses, {}, LIGHTING, camera)
