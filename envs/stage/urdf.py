"""URDF to a USD asset: read, write the layers, read them back and compare link by link."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from os.path import relpath
from pathlib import Path

from envs.errors import StageError
from envs.stage.reader import read_stage
from envs.stage.urdf_check import compare
from envs.stage.urdf_layers import (
    layout,
    write_geometry,
    write_interface,
    write_materials,
)
from envs.stage.urdf_meshes import side_files
from envs.stage.urdf_physics import write_physics
from envs.stage.urdf_source import SourceRobot, read_urdf

IMPORTER_VERSION = "1"
"""Counted up when the same source would give another asset; older assets are then rebuilt."""


def import_urdf(
    urdf: Path,
    folder: Path,
    name: str,
    *,
    package_roots: Sequence[Path] = (),
    leave_out: Iterable[str] = (),
    drives: Mapping[str, tuple[float, float]] | None = None,
    fixed_base: bool = True,
    recipe: str = "",
) -> Path:
    """Write a URDF as the USD asset `<folder>/<name>.usda` and check it against its source.

    The asset is built aside and put in place whole; an older one is replaced.

    Args:
        urdf: The file.
        folder: The asset's own folder.
        name: Name of the asset and of its root prim.
        package_roots: Where `package://` is looked for, see `read_urdf`.
        leave_out: Links to drop, each with all that hangs from it.
        drives: Joint name → stiffness and damping to start from, N·m/rad and N·m·s/rad, or N/m
            and N·s/m for a sliding joint.
        fixed_base: Whether the root link is fixed to where the asset is mounted.
        recipe: How the caller asked for this asset; kept in it to tell when it is out of date.

    Returns:
        The interface layer.

    Raises:
        StageError: The URDF cannot be imported, or what was written differs from it.
    """
    drives = {} if drives is None else drives
    robot = read_urdf(urdf, package_roots=package_roots, leave_out=leave_out)
    movable = {j.name for j in robot.joints if j.kind != "fixed"}
    absent = sorted(set(drives) - movable)
    if absent:
        raise StageError(f"{urdf}: drives are given for joints that are not there: {absent}")
    files = _source_files(urdf, robot)
    metadata = {
        "importer": IMPORTER_VERSION,
        "source": urdf.name,
        "recipe": recipe,
        "files": ";".join(files),
        "sha256": hash_files(urdf.parent, files),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        build = Path(temporary) / folder.name
        build.mkdir()
        paths = layout(name, robot)
        looks = write_geometry(build, robot, paths)
        write_materials(build, paths, looks)
        write_physics(build, robot, paths, drives, fixed_base=fixed_base)
        interface = write_interface(build, name, paths, metadata)
        compare(robot, read_stage(interface), drives)
        if folder.exists():
            folder.rename(Path(temporary) / "replaced")
        build.rename(folder)
    return folder / f"{name}.usda"


def _source_files(urdf: Path, robot: SourceRobot) -> list[str]:
    """Return the files that the asset is made from, relative to the URDF's folder."""
    files = {urdf}
    for link in robot.links:
        files |= {f for v in link.visuals if v.mesh is not None for f in side_files(v.mesh)}
        for shape in (*link.visuals, *link.colliders):
            if shape.mesh is not None:
                files.add(shape.mesh)
            if shape.texture is not None:
                files.add(shape.texture)
    return sorted(Path(relpath(file, urdf.parent)).as_posix() for file in files)


def hash_files(folder: Path, files: Iterable[str]) -> str:
    """Return one SHA-256 over the names and bytes of files; a missing file counts as empty."""
    total = sha256()
    for name in files:
        file = folder / name
        content = file.read_bytes() if file.is_file() else b""
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
