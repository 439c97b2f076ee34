"""The tasks that look at what a user brings: import a robot, inspect a stage or a recording."""

from pathlib import Path
from typing import Any

import cv2
from rich.table import Table

from assets import catalog
from conf.session import Session
from envs.errors import ConfigError, StageError
from envs.files import write_whole
from envs.stage.guard import asset_root
from envs.stage.inspect import inspect_scene
from envs.stage.library import import_robot
from envs.stage.provenance import speaking_layers
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.inspection import inspect as inspect_recording
from generators.portrait import portrait


def import_urdf(session: Session) -> None:
    """Import a URDF as a robot that `robot=NAME` finds from then on, and say what it holds."""
    config = session.config
    if config.urdf is None or config.name is None:
        raise ConfigError("task=import needs urdf=FILE and name=NAME")
    if config.name in catalog.ROBOT_SOURCES:
        raise ConfigError(f"the name '{config.name}' is taken by a robot that comes with Kinetwin")
    with session.stage("import", f"import {config.name}"):
        asset = import_robot(
            Path(config.urdf),
            config.name,
            package_roots=[Path(root) for root in config.package_roots],
            fixed_base=config.fixed_base,
        )
    _show_stage(session, asset, asset.parent)
    session.console.print(f"robot        {asset}", soft_wrap=True)
    session.console.print(f"use it with  robot={config.name}", soft_wrap=True)


def inspect(session: Session) -> None:
    """Show what a stage holds, or what a recording's file holds with a draft description of it."""
    config = session.config
    if config.stage is not None:
        path = Path(config.stage)
        _show_stage(session, path, _root(path, config.asset_root))
        return
    with session.stage("inspect", "look into the recording"):
        found = inspect_recording(Path(config.recording.path), episode=config.recording.episode)
    session.damage = found.damage
    draft = write_whole(session.directory / "recording.yaml", found.draft)
    session.console.print(found.text, soft_wrap=True, markup=False)
    session.console.print(f"draft        {draft}", soft_wrap=True)


def _root(stage: Path, given: str | None) -> Path:
    """Return the folder that a stage may read."""
    if given is None:
        return asset_root(stage)
    if not Path(given).is_dir():
        raise ConfigError(f"asset_root={given} is not a folder")
    return Path(given)


def _show_stage(session: Session, path: Path, root: Path) -> None:
    with session.stage("inspect", f"read {path.name}"):
        scene = read_stage(path, root=root)
        layers = speaking_layers(path, scene)
    summary = inspect_scene(scene, layers)
    session.write_json("inspect.json", summary)
    show = session.console.print
    counts = ("bodies", "joints", "dofs", "tree_joints", "loop_joints", "mimics", "colliders")
    show(", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in (*counts, "visuals")))
    if summary["links"]:
        show(_links(summary["links"]))
    movable = [joint for joint in summary["joint_list"] if joint["values"]]
    if movable:
        show(_joints(movable))
    for line in _told(summary["diagnostics"]):
        show(line, soft_wrap=True, markup=False)
    show(f"summary      {session.directory / 'inspect.json'}", soft_wrap=True)
    picture = _leave_picture(session, scene)
    if picture is not None:
        show(f"picture      {picture}", soft_wrap=True)


def _leave_picture(session: Session, scene: Scene) -> Path | None:
    """Draw the scene at rest into the run directory; say why where that is not possible."""
    try:
        with session.stage("picture", "draw it"):
            picture = portrait(scene)
    except StageError as error:
        session.note(f"no picture is made: {error}")
        return None
    if picture is None:
        session.note("no picture is made: nothing in the stage can be seen")
        return None
    whole, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert whole, "OpenCV writes PNG"
    return write_whole(session.directory / "inspect.png", png.tobytes())


def _told(diagnostics: list[dict[str, str]]) -> list[str]:
    """Return a line for each thing that is told, however many prims it is told of."""
    prims: dict[tuple[str, str], list[str]] = {}
    for note in diagnostics:
        prims.setdefault((note["kind"], note["message"]), []).append(note["prim"])
    return [
        f"{kind}: {of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''}: {message}"
        for (kind, message), of in prims.items()
    ]


def _links(links: list[dict[str, Any]]) -> Table:
    table = Table(box=None)
    for column in ("link", "mass, kg", "from", "centre of mass, m", "Ixx Iyy Izz, kg·m²"):
        words = column in ("link", "from")
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    for link in links:
        centre = " ".join(f"{v:.4g}" for v in link["com_m"])
        diagonal = " ".join(f"{link['inertia_kgm2'][k][k]:.4g}" for k in range(3))
        mass = f"{link['mass_kg']:.4g}"
        table.add_row(link["name"], mass, link["mass_source"], centre, diagonal)
    return table


def _joints(joints: list[dict[str, Any]]) -> Table:
    shown = {
        "lower": "lower",
        "upper": "upper",
        "velocity_limit": "velocity",
        "effort_limit": "effort",
        "armature": "armature",
        "drive.stiffness": "stiffness",
        "drive.damping": "damping",
    }
    table = Table(box=None, caption="SI: rad, N·m, kg·m²; m, N, kg where a joint slides")
    table.add_column("joint", no_wrap=True)
    table.add_column("kind")
    for title in shown.values():
        table.add_column(title, justify="right")
    table.add_column("from")
    files = {e["layer"] for joint in joints for e in joint["values"].values()} - {None}
    if len(files) > 1:
        table.add_column("layer")
    if any(joint["mimic"] for joint in joints):
        table.add_column("follows", overflow="fold")
    for joint in joints:
        entries = [joint["values"][field] for field in shown]
        cells = ["–" if e["value"] is None else f"{e['value']:.4g}" for e in entries]
        spoke = dict.fromkeys(e["source"] for e in entries if e["source"] != "default")
        row = [joint["name"], joint["kind"], *cells, ", ".join(spoke)]
        if len(files) > 1:
            row.append(", ".join(dict.fromkeys(e["layer"] for e in entries if e["layer"])))
        if joint["mimic"]:
            row.append("{multiplier:.4g} × {joint}".format(**joint["mimic"]))
        table.add_row(*row)
    return table
