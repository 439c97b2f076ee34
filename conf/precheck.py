"""Hydra's first call-back: refuse what cannot run before any output exists."""

import itertools
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from calibration.checkpoint import NAME as GENERATIONS
from conf import cli, schema
from envs.errors import ConfigError


class Precheck(Callback):
    """Checks every value of a run or of a whole sweep, then claims its directory.

    Hydra turns a call-back's exceptions into warnings, so a fault leaves by SystemExit.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check one configuration and claim `hydra.run.dir`."""
        with cli.one_line():
            _check(config)
            claim(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check each configuration of a sweep and claim `hydra.sweep.dir`."""
        with cli.one_line():
            loader = GlobalHydra.instance().config_loader()
            for overrides in sweep(list(config.hydra.overrides.task)):
                name = config.hydra.job.config_name
                _check(loader.load_configuration(name, overrides, run_mode=RunMode.RUN))
            claim(Path(config.hydra.sweep.dir))


def _check(composed: DictConfig) -> None:
    """Raise where a value, or a recording or run that it names, cannot be used."""
    config = schema.typed(composed)
    fits = config.task in (schema.Task.calibrate, schema.Task.pipeline)
    if config.resume is not None and not (fits and config.method is schema.Method.cmaes):
        raise ConfigError(
            "resume goes on with task=calibrate method=cmaes only; found "
            f"task={config.task.name} method={config.method.name}"
        )
    if config.resume is not None and not (Path(config.resume) / GENERATIONS).is_file():
        raise ConfigError(
            f"resume is {config.resume}, which holds no {GENERATIONS}; allowed: the directory of a "
            "run with method=cmaes"
        )
    if config.layer is not None and not Path(config.layer).is_file():
        raise ConfigError(f"layer not found: {config.layer}")
    for name in (*config.split().trains_on, *config.split().judged_on):
        schema.named_recording(config, name)


def sweep(overrides: list[str]) -> list[list[str]]:
    """Return the overrides of each run of a sweep: the product of all that name several values."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o.input_line or ""]
        for o in parsed
    ]
    return [list(choice) for choice in itertools.product(*choices)]


def claim(directory: Path) -> None:
    """Make a run's directory its own, or raise ConfigError where it holds something already."""
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"the run directory {directory} is a file")
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(
            f"the run directory {directory} is not empty; a run never writes over another: "
            "choose a new hydra.run.dir or remove it"
        )
    directory.mkdir(parents=True, exist_ok=True)
    try:
        # mkdir is atomic: of two runs started at once with one directory, one gets here.
        (directory / ".hydra").mkdir()
    except FileExistsError:
        raise ConfigError(f"another run has just taken the directory {directory}") from None
