"""Searches for what a robot touches: where they start, what they refuse, and the same bits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.contacts import Touch
from calibration.evolution import POLISH_TOUCHING, fit_cmaes
from envs.errors import CalibrationError
from envs.stage.scene import Contact, Drive, Friction, Scene
from envs.telemetry.trajectory import Trajectory
from envs.world.replay import replay_dynamic
from tests.pusher import BLOCK_KG, block, pushed, slider, table


def pushing() -> tuple[Scene, Trajectory]:
    """Return a slider that pushes a block back and forth no further than it must, coarsely."""
    robot = slider(Drive(2000.0, 200.0), armature=1.0, friction=Friction(1.0, 5.0))
    built = pushed(robot, block(0.22, 0.4), 0.4)
    t = np.arange(420) * 5e-3
    command = 0.1 * t + 0.02 * np.sin(6 * t)
    still = Trajectory(t, ("slide",), np.zeros((len(t), 1)), q_command=command[:, None])
    moved = replay_dynamic(built, still, contacts=True)
    noise = np.random.default_rng(1).normal(0, 1, (2, len(t), 1))
    return built, replace(moved, q=moved.q + 1e-4 * noise[0], tau=moved.tau + 0.05 * noise[1])


@pytest.mark.slow
def test_neither_workers_nor_an_interruption_change_a_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLISH_TOUCHING, "rounds", 1)
    built, recorded = pushing()
    kept = tmp_path / "generations.json"
    settings: dict[str, Any] = {
        "seed": 5,
        "engine": "bullet",
        "contacts": True,
        "friction": ["block"],
        "mass": ["block"],
        "candidates": 4,
    }
    first = fit_cmaes(built, recorded, workers=1, generations=2, **settings)

    def interrupt(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_cmaes(
            built,
            recorded,
            workers=1,
            generations=2,
            checkpoint=kept,
            progress=interrupt,
            **settings,
        )
    assert len(json.loads(kept.read_text())["costs"]) == 1
    resumed = fit_cmaes(built, recorded, workers=2, generations=2, checkpoint=kept, **settings)
    assert resumed.to_json() == first.to_json()
    assert {"block.contact.friction", "block.inertial.mass"} < set(first.parameters)
    # Another friction of the table is another search.
    other = replace(built, static=(table(0.3),))
    with pytest.raises(CalibrationError, match="over other data or with other settings"):
        fit_cmaes(other, recorded, workers=1, generations=1, checkpoint=kept, **settings)


def test_what_cannot_be_searched_is_refused() -> None:
    built = pushing()[0]
    with pytest.raises(CalibrationError, match="body 'blok' is not in what can be touched"):
        Touch(built, ("blok",))
    with pytest.raises(CalibrationError, match="body 'base' is not in what can be touched"):
        Touch(built, ("base",))
    with pytest.raises(CalibrationError, match="object 'table' is not in the scene; it has: block"):
        Touch(built, mass=("table",))
    shape = built.static[0].colliders[0]
    shapes = tuple(replace(shape, contact=Contact(f, f, 0.0)) for f in (0.1, 0.2))
    mixed = replace(built, static=(replace(built.static[0], colliders=shapes),))
    with pytest.raises(CalibrationError, match=r"'table' have frictions of 0\.1, 0\.2"):
        Touch(mixed, ("table",))
    with pytest.raises(CalibrationError, match="contacts need the engine 'bullet'"):
        fit_cmaes(built, pushing()[1], seed=0, workers=1, contacts=True)


def test_values_are_the_stages_where_a_search_starts() -> None:
    touch = Touch(pushing()[0], ("block", "table"), ("block",))
    values = touch.values(np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 2.0]]))
    np.testing.assert_allclose(values[0], [0.4, 0.4, BLOCK_KG])
    changed = touch.changed(values[1])
    thing, ground = changed.objects[0], changed.static[0]
    contact = thing.colliders[0].contact
    assert contact is not None and contact.dynamic_friction == pytest.approx(0.4 * np.exp(0.5))
    contact = ground.colliders[0].contact
    assert contact is not None and contact.static_friction == pytest.approx(0.4 / np.exp(0.5))
    assert thing.inertial.mass_kg == pytest.approx(BLOCK_KG * np.e)
