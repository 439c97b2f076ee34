"""A labelled picture against PyBullet's TinyRenderer, in CPU time, turn by turn in one process.

Panda, five ducks and the ground of pybullet_data, 640 × 480, 124 000 triangles. TinyRenderer draws
colours with shadows, depth and ids; we draw colours with shadows, depth, ids, both normals, and
what is hidden. Each draws a few pictures in a row, as data sets are made, before the next takes its
turn. Two shares are told, since a shared machine's speed may change by half within a minute: the
least time of each over all turns, which is what its neighbours disturbed least; and the median of
turns held against TinyRenderer's just before and after, which is what they leave of it.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pybullet_data
import trimesh
import warp as wp

from envs.frames import pose
from envs.stage.library import robot_asset
from envs.stage.looks import Material, Texture
from envs.stage.reader import read_stage
from envs.stage.scene import MASSLESS, Body, Mesh, Scene, Shape
from envs.stage.tree import reduce_tree
from generators.camera import Camera, look_at
from generators.raster.renderer import RasterRenderer
from generators.scenario import Look, Scenario, body_poses
from generators.shading import Lighting

DATA = Path(pybullet_data.getDataPath())
EYE, TARGET, FOV_Y_DEG, SIZE = (1.3, 0.9, 0.9), (0.1, 0.0, 0.3), 45.0, (640, 480)
Q = (0.0, -0.4, 0.0, -2.2, 0.0, 1.9, 0.8)
DUCKS = [(0.55 * np.cos(1.2 * k - 1), 0.55 * np.sin(1.2 * k - 1), 0.0) for k in range(5)]
TRIES = 5
TURNS = 11
IN_A_ROW = 8


def ours() -> tuple[Scene, Scenario]:
    """The scene for us."""
    panda = read_stage(robot_asset("panda"))
    raw = trimesh.load(DATA / "duck.obj", process=False, force="mesh")
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    duck = Mesh(0.05 * raw.vertices @ upright.T, raw.faces, raw.vertex_normals @ upright.T)
    yellow = Material("yellow", (1.0, 0.9, 0.13))
    ducks = [
        Body(
            f"duck{k}",
            f"/duck{k}",
            pose(np.eye(3), np.array(p)),
            MASSLESS,
            (Shape(f"/duck{k}", "mesh", np.eye(4), (), duck, yellow),),
        )
        for k, p in enumerate(DUCKS)
    ]
    checks = Material("checks", base_color_texture=Texture(DATA / "checker_blue.png"))
    slab = pose(np.eye(3), np.array([0.0, 0.0, -0.05]))
    ground = Shape("/ground", "box", slab, (30.0, 30.0, 0.1), None, checks)
    body = Body("ground", "/ground", np.eye(4), MASSLESS, (ground,), (), "ground", "static")
    scene = replace(panda, objects=tuple(ducks), static=(body,))
    joints = tuple(f"panda_joint{i}" for i in range(1, 8))
    poses = body_poses(reduce_tree(scene.robot, joints, scene.gravity_mps2), np.array(Q))
    poses |= {b.name: b.X_WB for b in (*scene.objects, *scene.static)}
    fov_x = 2 * np.arctan(np.tan(np.radians(FOV_Y_DEG) / 2) * SIZE[0] / SIZE[1])
    camera = Camera.with_view(
        look_at(np.array(EYE), np.array(TARGET)), fov_x, SIZE, near_m=0.05, far_m=20.0
    )
    lighting = Lighting(
        direction_W=np.array([0.5, 0.3, 0.8]) / np.linalg.norm([0.5, 0.3, 0.8]),
        sun=(0.9, 0.87, 0.8),
        sky=(0.45, 0.5, 0.55),
        ground=(0.2, 0.2, 0.2),
        backdrop=(0.8, 0.8, 0.8),
        penumbra_m=0.015,
        focus_W=np.array([0.0, 0.0, 0.3]),
    )
    looks = {b.name: Look(tint=(1.5, 1.5, 1.5)) for b in scene.robot.bodies}
    return scene, Scenario(0, 0.0, np.array(Q), poses, looks, lighting, camera)


@contextmanager
def tiny() -> Iterator[Callable[[], object]]:
    """The scene for TinyRenderer, and what draws it."""
    client = pybullet.connect(pybullet.DIRECT)
    try:
        for name, p in [("plane", (0, 0, 0)), *(("duck_vhacd", p) for p in DUCKS)]:
            pybullet.loadURDF(str(DATA / f"{name}.urdf"), p, physicsClientId=client)
        panda = str(DATA / "franka_panda" / "panda.urdf")
        robot = pybullet.loadURDF(panda, useFixedBase=True, physicsClientId=client)
        for joint, q in enumerate(Q):
            pybullet.resetJointState(robot, joint, q, physicsClientId=client)
        view = pybullet.computeViewMatrix(EYE, TARGET, (0, 0, 1))
        lens = pybullet.computeProjectionMatrixFOV(FOV_Y_DEG, SIZE[0] / SIZE[1], 0.05, 20.0)
        yield lambda: pybullet.getCameraImage(
            *SIZE,
            view,
            lens,
            shadow=1,
            lightDirection=(0.5, 0.3, 0.8),
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=client,
        )
    finally:
        pybullet.disconnect(client)


def cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def each_s(work: Callable[[], object], count: int) -> float:
    """CPU seconds of one of so many in a row."""
    return cpu_s(lambda: [work() for _ in range(count)]) / count


def passes_of(renderer: RasterRenderer, scenario: Scenario) -> dict[str, float]:
    """CPU seconds of each kernel in a picture, the least of some."""
    spent: dict[str, float] = {}
    launch = wp.launch

    def timed(kernel: Any, **options: Any) -> None:
        spent[kernel.key] = spent.get(kernel.key, 0.0) + cpu_s(lambda: launch(kernel, **options))

    wp.launch = timed
    frames = []
    for _ in range(TRIES):
        spent = {}
        renderer.render(scenario)
        frames.append(spent)
    wp.launch = launch
    # The sum of all that a kernel does in a picture: for the camera, the shadows, the edges.
    return {name: min(frame[name] for frame in frames) for name in frames[0]}


def main() -> None:
    """Print what each takes, as JSON."""
    scene, scenario = ours()
    renderer = RasterRenderer(scene, (), device="cpu")
    plain = RasterRenderer(scene, (), device="cpu", antialias=False)
    renderer.render(scenario)
    plain.render(scenario)
    with tiny() as draw:
        work: dict[str, Callable[[], object]] = {
            "labels": lambda: renderer.render(scenario, colors=False),
            "labels_and_colors": lambda: plain.render(scenario),
            "labels_and_smooth_colors": lambda: renderer.render(scenario),
        }
        spent: dict[str, list[float]] = {name: [] for name in ("tiny_renderer", *work)}
        shares: dict[str, list[float]] = {name: [] for name in work}
        before = each_s(draw, 1)
        for _ in range(TURNS):
            for name, job in work.items():
                ours_s, after = each_s(job, IN_A_ROW), each_s(draw, 1)
                shares[name].append(2 * ours_s / (before + after))
                spent[name].append(ours_s)
                spent["tiny_renderer"].append(after)
                before = after
    best = {name: min(found) for name, found in spent.items()}
    print(
        json.dumps(
            {
                "share": {name: best[name] / best["tiny_renderer"] for name in work},
                "median_share": {name: float(np.median(found)) for name, found in shares.items()},
                "best": best,
                "passes": passes_of(renderer, scenario),
            }
        )
    )


if __name__ == "__main__":
    main()
