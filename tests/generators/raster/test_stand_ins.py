"""Shadows of the coarser meshes against those of the meshes themselves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from envs.frames import pose
from envs.stage.looks import Material
from envs.stage.scene import Mesh, Shape
from generators.camera import Camera, look_at
from generators.raster import geometry
from generators.raster.renderer import RasterRenderer
from tests.generators.raster.cases import tabletop
from tests.generators.raster.random_scenes import body, picture, scene_of


def test_stand_ins_throw_the_same_shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, textures, shown = tabletop(tmp_path, (320, 240))

    def pictures() -> np.ndarray:
        renderer = RasterRenderer(scene, textures, device="cpu", antialias=False)
        return np.array([renderer.render(one).rgb for one in shown]).astype(int)

    coarse = pictures()
    monkeypatch.setattr(geometry, "coarser", lambda mesh: mesh)
    apart = np.abs(pictures() - coarse).max(axis=-1)
    assert 0 < (apart > 4).mean() < 1e-3 and apart.max() < 25


def comb() -> trimesh.Trimesh:
    """Teeth of 4 mm on a bar of 2 cm."""
    teeth = [trimesh.creation.box((0.004, 0.15, 0.004)) for _ in range(15)]
    for k, tooth in enumerate(teeth):
        tooth.apply_translation([-0.14 + 0.02 * k, 0.08, 0.0])
    return trimesh.util.concatenate([trimesh.creation.box((0.3, 0.02, 0.02)), *teeth])


@pytest.mark.parametrize(
    "thing",
    [
        comb(),
        trimesh.creation.torus(0.1, 0.005),
        trimesh.creation.box((0.3, 0.005, 0.2)),
        trimesh.creation.cylinder(0.0065, segment=[[-0.2, 0, 0], [0.2, 0, 0]]),
    ],
    ids=["comb", "ring", "board on edge", "rod"],
)
def test_thin_things_keep_their_shadows(
    thing: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = Mesh(np.asarray(thing.vertices, float), np.asarray(thing.faces))
    above = pose(np.eye(3), np.array([0.0, 0.0, 0.12]))
    grey = Material("grey", (0.5, 0.5, 0.5))
    floor = Shape("/floor", "box", np.eye(4), (2.0, 2.0, 0.01), None, grey)
    scene = scene_of(
        body("thing", Shape("/thing", "mesh", np.eye(4), (), mesh, grey), X_WB=above),
        body("floor", floor, label="floor"),
    )
    eye = look_at(np.array([0.0, -0.5, 0.6]), np.zeros(3))
    camera = Camera.with_view(eye, 0.9, (320, 240), near_m=0.05, far_m=10.0)
    shown = picture(scene, camera)
    sun = np.array([0.2, 0.1, 0.8])
    shown = replace(shown, lighting=replace(shown.lighting, direction_W=sun / np.linalg.norm(sun)))
    alone = replace(shown, poses={"floor": np.eye(4)})

    def shade() -> float:
        """How much light the floor misses, in pixels' worth."""
        renderer = RasterRenderer(scene, (), device="cpu", antialias=False)
        shaded, lit = renderer.render(shown), renderer.render(alone)
        on_floor = shaded.instance_id == 2
        both = (f.rgb[on_floor].sum(axis=-1, dtype=float) for f in (shaded, lit))
        return float((1 - np.divide(*both)).sum())

    coarse = shade()
    monkeypatch.setattr(geometry, "coarser", lambda mesh: mesh)
    # What has a round section becomes a polygon of eight sides in it, which is a little narrower.
    assert 0.92 * shade() < coarse < 1.02 * shade()
