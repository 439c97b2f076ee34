"""The command line: `python run.py`, `python run.py task=calibrate recording=panda_gaz2019` …"""

import sys

import hydra
from omegaconf import DictConfig

from conf import cli, schema

schema.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def run(composed: DictConfig) -> None:
    """Dispatch the composed configuration to its task."""
    from conf.tasks import dispatch  # late, so that --help need not import the simulation

    dispatch(schema.typed(composed), schema.run_directory())


if __name__ == "__main__":
    sys.exit(cli.guard(run))
