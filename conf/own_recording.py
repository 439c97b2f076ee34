"""`recording=FILE.yaml`: a description of a user's own log, wherever it lies.

`recording.train` and `recording.test` take such files, too, on the command line and in the file.
"""

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from envs.errors import ConfigError

SUFFIXES = (".yaml", ".yml")
_KEYS = ("recording", "recording.train", "recording.test")
_FILE = re.compile(r"[^\[\],'\"]+\.ya?ml(?![^\[\],'\"\s])")
"""A path in a value that may be a list, or several with commas between for a sweep."""
_known: dict[Path, str] = {}
"""Files → the names that they are registered under."""


def adopt(arguments: list[str]) -> list[str]:
    """Return a command line in which such files are recordings like those of conf/recording.

    A relative `path` in a file is looked for beside that file first, and so are files that its
    `train` and `test` name; `name` is the file's own where none is given.

    Raises:
        ConfigError: A file is not there, or is no YAML with names and values.
    """
    adopted = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key.lstrip("+") in _KEYS:
            for file in dict.fromkeys(_FILE.findall(value)):
                value = value.replace(file, _register(Path(file.strip()), key.lstrip("+")))
        adopted.append(key + equals + value)
    return adopted


def _register(path: Path, key: str) -> str:
    where = f"{key}={path}"
    if not path.is_file():
        raise ConfigError(
            f"{where}: there is no such file; give a name from conf/recording, or the path of a "
            "description (docs/recordings.md; task=inspect drafts one)"
        )
    resolved = path.resolve()
    if resolved in _known:
        return _known[resolved]
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
    stem = f"own_{path.stem}"
    name = stem + f"_{len(_known)}" * (stem in _known.values())
    _known[resolved] = name
    for part in ("train", "test"):
        named = described.get(part)
        if isinstance(named, str):
            described[part] = _beside(path, named, part)
        elif OmegaConf.is_list(named):
            described[part] = [_beside(path, x, part) if isinstance(x, str) else x for x in named]
    ConfigStore.instance().store(group="recording", name=name, node=described)
    return name


def _beside(path: Path, named: str, part: str) -> str:
    """Return the name of a recording that a description names, its own or one of ours."""
    if not named.endswith(SUFFIXES):
        return named
    near = path.parent / named
    return _register(near if near.is_file() else Path(named), f"{path.name}: {part}")
