"""The command line: `python run.py`, `python run.py task=calibrate`, and so on."""

import sys

import hydra
from omegaconf import DictConfig

from conf import cli, schema
from conf.own_recording import adopt

schema.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def run(composed: DictConfig) -> int:
    """Dispatch the composed configuration to its task, and return the run's exit code."""
    with cli.one_line():
        from conf.tasks import dispatch  # late, so that --help need not import the simulation

        return dispatch(schema.typed(composed), schema.run_directory())


if __name__ == "__main__":
    cli.prepare()
    with cli.one_line():
        sys.argv = adopt(sys.argv)
        run()
