"""Hydra's second call-back: the exit code of a run, or of a whole sweep, that has finished."""

from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

WHOLE, SALVAGED = 0, 3
"""SALVAGED: the run is complete, but a file of its recording was not."""


class ExitCode(Callback):
    """Leaves with the largest code that a run of the process returned, once all are done."""

    def __init__(self) -> None:
        self._code = WHOLE

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note the code of one run; one that failed has left, or will raise, by itself."""
        if job_return.status == JobStatus.COMPLETED:
            self._code = max(self._code, job_return.return_value)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Leave where there is something to tell."""
        if self._code != WHOLE:
            raise SystemExit(self._code)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Leave where one of the runs had something to tell."""
        self.on_run_end(config)
