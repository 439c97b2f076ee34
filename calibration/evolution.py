"""Drives, friction and rotor inertia by CMA-ES over rollouts, and what is touched.

The rollouts are the fast twin's, or PyBullet's own, with contacts or without; `searches` says how
they are searched. What the evolution finds is polished by least squares over whole runs, of the
fast twin (see `shooting`) or, where there are contacts, of PyBullet.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from calibration.checkpoint import Checkpoint, fingerprint
from calibration.conclusions import conclude, joint_costs
from calibration.contacts import Touch, solid, touching
from calibration.coordinates import start_coordinates
from calibration.result import CalibrationResult
from calibration.rollout.twin import FastTwin
from calibration.runs import cut_runs, one_run
from calibration.searches import evolve, searches_of, spread
from calibration.segments import Segments, cut_segments
from calibration.shooting import Roll, finish, on_twin
from calibration.unknowns import Unknowns
from calibration.workers import evaluation
from envs.errors import CalibrationError
from envs.stage.scene import Scene
from envs.stage.tree import reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.encoders import from_readings

Engine = Literal["twin", "bullet"]
"""Whose rollouts candidates are tried on: the fast twin's, or PyBullet's."""
POLISH_TOUCHING: dict[str, Any] = {"rounds": 12, "difference": 1e-2}
"""Rounds and step of the slopes of the polish where there are contacts: PyBullet's solver stops
where it is near enough, a contact begins at one step or at the next, and valleys bend."""


def fit_cmaes(
    scene: Scene,
    trajectory: Trajectory,
    *,
    seed: int,
    workers: int,
    engine: Engine = "twin",
    contacts: bool = False,
    friction: Sequence[str] = (),
    mass: Sequence[str] = (),
    generations: int = 30,
    candidates: int = 12,
    segments: int = 8,
    checkpoint: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Find what makes the twin's answer to the recorded commands the measured one.

    Coulomb and viscous friction, rotor inertia, stiffness, damping and delay of each recorded joint
    are fitted; with contacts, also what is named; all else stays as the stage has it.

    Args:
        scene: The robot with a drive for each recorded joint; it is where the search starts.
        trajectory: Measured, with commands; its joints in the stage's order. All of it trains.
        seed: Of the candidates. Together with the other arguments, `workers` and `checkpoint`
            excepted, it determines the result to the last bit.
        workers: Threads on the fast twin, processes with PyBullet.
        engine: Whose rollouts.
        contacts: Whether the robot touches what the scene holds, which stood as the stage has it
            where the trajectory begins. Each rollout then goes from there to the end.
        friction: Bodies whose friction is searched as well.
        mass: Objects whose mass is searched as well.
        generations: At most; fewer where all searches have contracted before.
        candidates: Of each generation.
        segments: Seconds of data that each candidate is tried on, where nothing is touched.
        checkpoint: Where the generations are kept; what is there already is taken up.
        provenance: Where the data come from; it goes into the result's.
        progress: Called with (generations done, generations in all).

    Raises:
        RecordingError: There are no commands.
        CalibrationError: The data are too short, no candidate can be simulated, the checkpoint is
            of another search, a body that is named cannot be searched, or contacts are asked of
            the fast twin.
        StageError: A joint has no drive, or the robot starts inside something.
    """
    if contacts and engine != "bullet":
        raise CalibrationError("contacts need the engine 'bullet'; the fast twin knows none")
    if (friction or mass) and not contacts:
        raise CalibrationError("friction and mass of what is touched need contacts")
    trajectory = from_readings(scene.robot, trajectory)
    touch = Touch(solid(scene), tuple(friction), tuple(mass)) if contacts else None
    if touch is None:
        data = cut_segments(scene, trajectory, train_end_s=np.inf, count=segments)
        whole = cut_runs(scene, trajectory)
    else:
        data = whole = one_run(scene, trajectory)
    tree = reduce_tree(scene.robot, data.joints, scene.gravity_mps2)
    coordinates = start_coordinates(scene, trajectory, data)
    unknowns = Unknowns(scene.robot, tree, data.actuators, coordinates, touch=touch)
    kept = Checkpoint(checkpoint, _fingerprint(data, unknowns, engine, seed, candidates))
    searches, bounds = searches_of(unknowns), unknowns.bounds()
    report = progress or (lambda done, total: None)
    report(0, generations)
    with _rolling(data, whole, unknowns, engine, candidates, workers) as (roll, polish):

        def evaluate(
            z: Float[np.ndarray, "candidate params"],
        ) -> Float[np.ndarray, "candidate segment bin joint signal"]:
            return roll(unknowns.robots(z))

        roots, at_start, tried = spread(searches, bounds, evaluate)
        z, used = evolve(
            searches,
            roots,
            bounds,
            evaluate,
            kept,
            seed=seed,
            generations=generations,
            candidates=candidates,
            report=lambda done: report(done, generations),
        )
        ending = finish(
            whole,
            polish,
            unknowns,
            z,
            report=lambda done: None,
            **({} if touch is None else POLISH_TOUCHING),
        )
        before = polish(unknowns.robots(z[None])).ravel()
    report(generations, generations)
    names = [name for name, _, _ in unknowns.reported()]
    tried += used * candidates
    simulated_s = tried * data.seconds + (ending.trials + 1) * whole.seconds
    recorded_s = float(trajectory.t_s[-1] - trajectory.t_s[0])
    return conclude(
        ending,
        method="cmaes",
        provenance={
            **(provenance or {}),
            "seed": seed,
            "engine": engine,
            "contacts": contacts,
            "segments_s": [float(trajectory.t_s[k]) for k in data.start],
            "generations": used,
            "candidates": candidates,
        },
        metrics={
            "rollouts": simulated_s / recorded_s,
            "trials": [tried, ending.trials],
            "cost_start": at_start[: len(data.joints)].tolist(),
            "cost_evolution": joint_costs(whole, before).tolist(),
            "evolution": dict(zip(names, unknowns.values(z).tolist(), strict=True)),
        },
    )


@contextmanager
def _rolling(
    data: Segments,
    whole: Segments,
    unknowns: Unknowns,
    engine: Engine,
    candidates: int,
    workers: int,
) -> Iterator[tuple[Roll, Roll]]:
    """Give functions that roll robots out: for the evolution, and for its polish."""
    if unknowns.touch is not None:
        with touching(data, unknowns.touch, workers=workers) as among:
            yield (lambda robots: among(robots.drives, robots.touched),) * 2
        return
    twin = FastTwin(unknowns.tree, dt_s=data.dt_s, threads=workers)
    if engine == "twin":
        yield on_twin(data, twin), on_twin(whole, twin)
        return
    with evaluation(data, candidates=candidates, workers=workers) as evaluate:
        yield lambda robots: evaluate(robots.drives), on_twin(whole, twin)


def _fingerprint(
    data: Segments, unknowns: Unknowns, engine: Engine, seed: int, candidates: int
) -> str:
    """Return what tells one search from another; see `checkpoint`."""
    touch = unknowns.touch
    return fingerprint(
        (
            data.command,
            data.start,
            data.q,
            data.qd,
            data.measured,
            data.noise,
            unknowns.tree.pi,
            unknowns.coordinates.start,
            unknowns.coordinates.scale,
            *(() if touch is None else touch.arrays()),
        ),
        None if touch is None else touch.names(),
        engine,
        seed,
        candidates,
        version("cma"),
        version("numpy"),
    )
