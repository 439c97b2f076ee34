"""Rollouts in which the robot touches what stands around it, and what of that can be searched.

Only PyBullet knows contact. A rollout starts where the recording does, for only there the stage
says where things stand, and goes through to its end: what was pushed stays pushed. Each has a world
of its own, since PyBullet's memory of earlier contacts would find its way into later ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from calibration.segments import Segments, rollout_residuals
from calibration.workers import sharing
from envs.errors import CalibrationError, unknown
from envs.stage.scene import Body, Contact, Inertial, Scene, Shape
from envs.world.actuators import ActuatorParameters
from envs.world.bullet import BulletWorld
from envs.world.clearance import check_clear
from envs.world.multibody import UNSAID_FRICTION

UNIT = 0.5
"""Of the logarithm of a friction or a mass: the start may be off by a factor of 1.6 …"""
FAR = 6.0
"""… and a search goes up or down by this many such units, a factor of 20."""
RollTouching = Callable[
    [ActuatorParameters, Float[np.ndarray, "candidate unknown"]],
    Float[np.ndarray, "candidate 1 bin joint signal"],
]
"""Whitened residuals of candidates, given by their drives and by the values of a `Touch`."""
LEAST_FRICTION = 0.02
"""A search starts from no less: without friction nothing tells by how much to change it."""


@dataclass(frozen=True)
class Touch:
    """Friction and masses of bodies that touch, as unknowns of a search; logarithms all.

    Attributes:
        scene: The robot and all around it.
        friction: Bodies whose friction is searched: of each, one coefficient for all its colliders.
        mass: Objects whose mass is searched; their inertia goes with it, their centre stays.
    """

    scene: Scene
    friction: tuple[str, ...] = ()
    mass: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse bodies that touch nothing, have several materials, or are no objects."""
        bodies = {body.name: body for body in _bodies(self.scene)}
        solid = {name: body for name, body in bodies.items() if body.colliders}
        objects = [body.name for body in self.scene.objects]
        for name in self.friction:
            if name not in solid:
                raise CalibrationError(unknown("body", name, solid, where="what can be touched"))
            found = sorted({_friction(s.contact) for s in solid[name].colliders})
            if len(found) > 1:
                raise CalibrationError(
                    f"the colliders of body '{name}' have frictions of "
                    f"{', '.join(f'{f:g}' for f in found)}; one for all can be searched"
                )
        for name in self.mass:
            if name not in objects:
                raise CalibrationError(unknown("object", name, objects, where="the scene"))
        for names in (self.friction, self.mass):
            if len(set(names)) < len(names):
                raise CalibrationError(f"bodies must be named once each, not {', '.join(names)}")

    @property
    def size(self) -> int:
        """How many unknowns there are: first the frictions, then the masses."""
        return len(self.friction) + len(self.mass)

    def names(self) -> list[str]:
        """Return what each is called."""
        return [f"{b}.contact.friction" for b in self.friction] + [
            f"{b}.inertial.mass" for b in self.mass
        ]

    def units(self) -> list[str]:
        """Return the unit of each."""
        return ["1"] * len(self.friction) + ["kg"] * len(self.mass)

    def nominal(self) -> Float[np.ndarray, "unknown"]:
        """Return what the stage says."""
        bodies = {body.name: body for body in _bodies(self.scene)}
        return np.array(
            [_friction(bodies[name].colliders[0].contact) for name in self.friction]
            + [bodies[name].inertial.mass_kg for name in self.mass]
        )

    def values(self, z: Float[np.ndarray, "trial unknown"]) -> Float[np.ndarray, "trial unknown"]:
        """Return frictions and masses (kg) at these coordinates, of which 0 is the start."""
        least = [LEAST_FRICTION] * len(self.friction) + [0.0] * len(self.mass)
        return np.asarray(np.maximum(self.nominal(), least) * np.exp(UNIT * z))

    def changed(self, values: Float[np.ndarray, "unknown"]) -> Scene:
        """Return the scene with these frictions and masses."""
        split = len(self.friction)
        friction = dict(zip(self.friction, values[:split].tolist(), strict=True))
        inertials = self.inertials(values)

        def change(bodies: Sequence[Body]) -> tuple[Body, ...]:
            return tuple(
                replace(
                    body,
                    inertial=inertials.get(body.name, body.inertial),
                    colliders=_made_of(body, friction.get(body.name)),
                )
                for body in bodies
            )

        scene = self.scene
        return replace(
            scene,
            articulations=tuple(replace(a, bodies=change(a.bodies)) for a in scene.articulations),
            objects=change(scene.objects),
            static=change(scene.static),
        )

    def inertials(self, values: Float[np.ndarray, "unknown"]) -> dict[str, Inertial]:
        """Return the mass properties of the objects whose mass is searched."""
        found = {}
        objects = {body.name: body.inertial for body in self.scene.objects}
        for name, mass_kg in zip(self.mass, values[len(self.friction) :].tolist(), strict=True):
            own = objects[name]
            inertia = own.inertia_kgm2 * (mass_kg / own.mass_kg)
            found[name] = replace(own, mass_kg=mass_kg, inertia_kgm2=inertia)
        return found

    def arrays(self) -> list[Float[np.ndarray, "..."]]:
        """Return all of the scene that rollouts depend on, the robot's inertias excepted."""
        found = []
        for body in _bodies(self.scene):
            found += [body.X_WB, np.array(body.inertial.mass_kg), body.inertial.inertia_kgm2]
            for shape in body.colliders:
                touch = shape.contact
                said = () if touch is None else (touch.dynamic_friction, touch.restitution)
                found += [shape.X_BS, np.array(shape.size), np.array(said)]
                found += [] if shape.mesh is None else [shape.mesh.vertices, shape.mesh.triangles]
        return found


class TouchWorker:
    """Builds a world for each candidate, and takes it down again."""

    def __init__(self, segments: Segments, touch: Touch) -> None:
        self._segments = segments
        self._touch = touch

    def run(
        self, drives: ActuatorParameters, values: Float[np.ndarray, "unknown"]
    ) -> Float[np.ndarray, "1 1 bin joint signal"]:
        """Return the whitened residuals of one robot among things of these frictions and masses."""
        segments, scene = self._segments, self._touch.changed(values)
        with BulletWorld(scene, joints=segments.joints, dt_s=segments.dt_s) as world:
            return rollout_residuals(segments, world, np.zeros(1, int), drives)

    def close(self) -> None:
        """Do nothing: no world is kept."""


@contextmanager
def touching(segments: Segments, touch: Touch, *, workers: int) -> Iterator[RollTouching]:
    """Give a function that rolls candidates out among the things of a scene.

    Args:
        segments: One, from where the recording starts; see `runs.one_run`.
        touch: The scene, and what of it is searched.
        workers: Processes.

    Raises:
        StageError: The robot starts inside something.
    """
    with BulletWorld(touch.scene, joints=segments.joints, dt_s=segments.dt_s) as world:
        check_clear(world, touch.scene, segments.q)
    with sharing(partial(TouchWorker, segments, touch), workers=workers) as run:
        yield lambda drives, values: np.concatenate(
            run([(drives.of(np.array([k])), own) for k, own in enumerate(values)])
        )


def solid(scene: Scene) -> Scene:
    """Return a scene without what a rollout does not look at."""

    def bare(bodies: Sequence[Body]) -> tuple[Body, ...]:
        return tuple(replace(body, visuals=()) for body in bodies)

    return replace(
        scene,
        articulations=tuple(replace(a, bodies=bare(a.bodies)) for a in scene.articulations),
        objects=bare(scene.objects),
        static=bare(scene.static),
        lights=(),
        cameras=(),
        files=(),
        diagnostics=(),
    )


def _bodies(scene: Scene) -> list[Body]:
    robots = [body for robot in scene.articulations for body in robot.bodies]
    return [*robots, *scene.objects, *scene.static]


def _friction(contact: Contact | None) -> float:
    return UNSAID_FRICTION if contact is None else contact.dynamic_friction


def _made_of(body: Body, friction: float | None) -> tuple[Shape, ...]:
    """Return a body's colliders with another friction, at rest and in sliding."""
    if friction is None:
        return body.colliders
    return tuple(
        replace(
            shape,
            contact=Contact(
                friction, friction, 0.0 if shape.contact is None else shape.contact.restitution
            ),
        )
        for shape in body.colliders
    )
