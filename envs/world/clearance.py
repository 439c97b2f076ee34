"""Whether a robot can start to move among the things of a scene."""

import numpy as np
from jaxtyping import Float

from envs.errors import StageError
from envs.stage.scene import Scene
from envs.world.bullet import BulletWorld

DEEPEST_M = 2e-3
"""PyBullet's margin around meshes is 1 mm, and where a robot rests on something it lies in it by as
much as a stage is wrong. From deeper inside it would be thrown out."""


def check_clear(world: BulletWorld, scene: Scene, q: Float[np.ndarray, "1 joint"]) -> None:
    """Put the robot in a position, and raise where a part that moves is inside of something.

    Args:
        world: A twin with colliders.
        scene: That it was built from.
        q: Of its joints, rad or m.

    Raises:
        StageError: With the two bodies and by how much they overlap.
    """
    world.set_state(q, np.zeros_like(q))
    moving = [name for group in world.tree.groups for name in group]
    for name in moving:
        for thing in (*scene.objects, *scene.static):
            distance_m = world.closest_distance(name, thing.name, within_m=0.0)
            if distance_m < -DEEPEST_M:
                raise StageError(
                    f"where the motion starts, body '{name}' of the robot is "
                    f"{-1e3 * distance_m:.1f} mm inside '{thing.name}'; with contacts no more than "
                    f"{1e3 * DEEPEST_M:g} mm are allowed: the stage must have things in their place"
                )
