"""`recording=FILE.yaml`: a description of a user's own log, wherever it lies."""

from pathlib import Path

import yaml  # type: ignore[import-untyped]
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from envs.errors import ConfigError

SUFFIXES = (".yaml", ".yml")
_KEY = "recording="


def adopt(arguments: list[str]) -> list[str]:
    """Return a command line in which such files are recordings like those of conf/recording.

    A relative `path` in a file is looked for beside that file first; `name` is the file's own where
    none is given.

    Raises:
        ConfigError: A file is not there, or is no YAML with names and values.
    """
    adopted = []
    for argument in arguments:
        key, value = argument[: len(_KEY)], argument[len(_KEY) :]
        if key == _KEY and value.endswith(SUFFIXES):
            # Several of them, with commas between, are a sweep.
            value = ",".join(_register(Path(part)) for part in value.split(","))
            argument = _KEY + value
        adopted.append(argument)
    return adopted


def _register(path: Path) -> str:
    where = f"recording={path}"
    if not path.is_file():
        raise ConfigError(
            f"{where}: there is no such file; give a name from conf/recording, or the path of a "
            "description (docs/recordings.md; task=inspect drafts one)"
        )
    try:
        described = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: this is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(described, DictConfig) or not described:
        raise ConfigError(f"{where}: names and values are needed, such as 'format: csv'")
    described.setdefault("name", path.stem)
    log = described.get("path")
    if isinstance(log, str) and not Path(log).is_absolute() and (path.parent / log).exists():
        described["path"] = str((path.parent / log).resolve())
    name = f"own_{path.stem}"
    ConfigStore.instance().store(group="recording", name=name, node=described)
    return name
