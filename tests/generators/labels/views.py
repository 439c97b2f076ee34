"""Views of the little table that the label tests share, cast by Embree."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from envs.world.primitives import to_mesh
from generators.audit.raycaster import RayCaster
from generators.camera import Camera, look_at
from generators.renderer import Instance, instances_of
from generators.scenario import Scenario, draw, prepare
from tests.generators.small_table import ranges, recording, scene

SCENE = scene()
STUDIO = prepare(SCENE, recording().joints)
CASTER = RayCaster(SCENE)
PARTS = CASTER.parts
INSTANCES = instances_of(PARTS)
NUMBER = {part.body.name: k for k, part in enumerate(PARTS)}


def instance(name: str) -> Instance:
    return next(i for i in INSTANCES if i.name == name)


def drawn(index: int, size: tuple[int, int] = (96, 72)) -> Scenario:
    return draw(STUDIO, recording(), ranges(), seed=11, index=index, size=size)


def seen_from(scenario: Scenario, eye: list[float], target: list[float], **lens: Any) -> Scenario:
    X_WC = look_at(np.array(eye), np.array(target))
    return replace(scenario, camera=replace(scenario.camera, X_WC=X_WC, **lens))


def triangles(
    scenario: Scenario, *, only: Instance | None = None
) -> tuple[Float[np.ndarray, "f 3 3"], Int[np.ndarray, "f"]]:
    """Return all triangles in the world, and the part that each belongs to."""
    corners, owners = [], []
    for number, part in enumerate(PARTS):
        if part.body.name not in scenario.poses or only not in (None, part.instance):
            continue
        for shape in part.body.visuals:
            mesh, X = to_mesh(shape), scenario.poses[part.body.name] @ shape.X_BS
            corners.append((mesh.vertices @ X[:3, :3].T + X[:3, 3])[mesh.triangles])
            owners.append(np.full(len(mesh.triangles), number))
    return np.concatenate(corners), np.concatenate(owners)


def pinhole(camera: Camera, p_W: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
    """Project by the definition, so that nothing of what is tested is used."""
    p_C = (p_W - camera.X_WC[:3, 3]) @ camera.X_WC[:3, :3]
    uv: Float[np.ndarray, "n 2"] = p_C[:, :2] / p_C[:, 2:] * [camera.fx, camera.fy] + [
        camera.cx,
        camera.cy,
    ]
    return uv
