"""Compose the configuration of a command line, and dispatch its task."""

import sys

import hydra
from omegaconf import DictConfig

from conf import cli, schema
from conf.own_recording import adopt

schema.register()


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def run(composed: DictConfig) -> int:
    """Dispatch the composed configuration to its task, and return the run's exit code."""
    with cli.one_line():
        from conf.tasks import dispatch  # late, so that a refusal need not import the simulation

        return dispatch(schema.typed(composed), schema.run_directory())


def start() -> None:
    """Run what `sys.argv` asks for; it leaves by SystemExit where that cannot go on."""
    cli.prepare()
    with cli.one_line():
        sys.argv = adopt(sys.argv)
        run()
