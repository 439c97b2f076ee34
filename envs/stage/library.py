"""The known robots, imported from their installed packages on first use, and the user's own."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from assets.catalog import ROBOT_SOURCES, ROBOT_STAGES, ROBOTS, RobotSource, robot_names
from envs.errors import StageError, unknown
from envs.stage.attributes import CUSTOM_DATA
from envs.stage.urdf import IMPORTER_VERSION, hash_files, import_urdf
from envs.stage.urdf_layers import LAYERS

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def robot_asset(name: str, *, robots: Path = ROBOTS) -> Path:
    """Return the interface layer of a robot; build a known one where it is missing or out of date.

    Args:
        name: A name of `assets.catalog.robot_names`.
        robots: Folder of the built robots.

    Raises:
        StageError: The name is not known, the robot cannot be imported, or it was imported by an
            older importer.
    """
    if name in ROBOT_STAGES:
        return ROBOT_STAGES[name]
    if name not in ROBOT_SOURCES:
        if name not in robot_names(robots):
            raise StageError(unknown("robot", name, robot_names(robots), where="the catalog"))
        return _imported(name, robots)
    source = ROBOT_SOURCES[name]
    urdf = _locate(source, name)
    interface = robots / name / f"{name}.usda"
    recipe = repr(source)
    if _fresh(interface, urdf, recipe):
        return interface
    robots.mkdir(parents=True, exist_ok=True)
    with FileLock(robots / f".{name}.lock"):
        # Another process may have built it while this one waited.
        if not _fresh(interface, urdf, recipe):
            import_urdf(
                urdf,
                interface.parent,
                name,
                leave_out=source.leave_out,
                drives=source.drives,
                recipe=recipe,
            )
    return interface


def import_robot(
    urdf: Path,
    name: str,
    *,
    package_roots: Sequence[Path] = (),
    fixed_base: bool = True,
    robots: Path = ROBOTS,
) -> Path:
    """Import a user's URDF as a robot that is found by its name from then on.

    Args:
        urdf: The file.
        name: What the robot is to be called; an import of the same name is replaced.
        package_roots: Where `package://` is looked for, see `urdf_source.read_urdf`.
        fixed_base: Whether its root link is fixed to where the robot is mounted.
        robots: Folder of the built robots.

    Returns:
        The interface layer.

    Raises:
        StageError: The name cannot be one or is a robot of the catalog, or the URDF cannot be
            imported without a difference.
    """
    if _NAME.fullmatch(name) is None:
        raise StageError(
            f"a robot cannot be called '{name}'; allowed are letters, digits and underscores, "
            "a letter first, up to 64 of them"
        )
    if name in ROBOT_SOURCES or name in ROBOT_STAGES:
        raise StageError(f"'{name}' is a robot of the catalog; choose another name")
    robots.mkdir(parents=True, exist_ok=True)
    with FileLock(robots / f".{name}.lock"):
        return import_urdf(
            urdf, robots / name, name, package_roots=package_roots, fixed_base=fixed_base
        )


def _imported(name: str, robots: Path) -> Path:
    interface = robots / name / f"{name}.usda"
    built = _provenance(interface)
    if built.get("importer") != IMPORTER_VERSION:
        raise StageError(
            f"robot '{name}' was imported by version {built.get('importer', 'unknown')} of the "
            f"importer, this is version {IMPORTER_VERSION}; import its URDF "
            f"({built.get('source', 'unknown')}) again"
        )
    return interface


def _locate(source: RobotSource, name: str) -> Path:
    spec = find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise StageError(f"robot '{name}' needs the package '{source.package}', which is missing")
    return Path(spec.submodule_search_locations[0]) / source.urdf


def _fresh(interface: Path, urdf: Path, recipe: str) -> bool:
    """Whether an asset was built by this importer, from these very files, in the same way."""
    if not interface.is_file() or not all((interface.parent / f).is_file() for f in LAYERS):
        return False
    built = _provenance(interface)
    return (
        built.get("importer") == IMPORTER_VERSION
        and built.get("recipe") == recipe
        and built.get("sha256") == hash_files(urdf.parent, str(built.get("files")).split(";"))
    )


def _provenance(interface: Path) -> dict[str, Any]:
    from pxr import Sdf, Tf

    try:
        layer = Sdf.Layer.FindOrOpen(str(interface))
    except Tf.ErrorException:
        return {}
    return dict(layer.customLayerData.get(CUSTOM_DATA, {})) if layer else {}
