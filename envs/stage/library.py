"""The known robots, imported from their installed packages on first use."""

import fcntl
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assets.catalog import ROBOT_SOURCES, ROBOTS, RobotSource
from envs.errors import StageError, unknown
from envs.stage.attributes import CUSTOM_DATA
from envs.stage.urdf import IMPORTER_VERSION, hash_files, import_urdf
from envs.stage.urdf_layers import LAYERS


def robot_asset(name: str, *, robots: Path = ROBOTS) -> Path:
    """Return the interface layer of a known robot; build it where it is missing or out of date.

    Args:
        name: A name of `assets.catalog.ROBOT_SOURCES`.
        robots: Folder of the built robots.

    Raises:
        StageError: The name is not known, or the robot cannot be imported.
    """
    if name not in ROBOT_SOURCES:
        raise StageError(unknown("robot", name, ROBOT_SOURCES, where="the catalog"))
    source = ROBOT_SOURCES[name]
    urdf = _locate(source, name)
    interface = robots / name / f"{name}.usda"
    recipe = repr(source)
    if _fresh(interface, urdf, recipe):
        return interface
    robots.mkdir(parents=True, exist_ok=True)
    with (robots / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
