"""What an evolution was told, on disk: a search that was killed goes on as if it had not been.

CMA-ES draws from a seeded stream, so that its state after k generations is a function of the costs
that it was told in them. They are all that is kept; a resumed search asks for the same candidates
again, is told the same costs at once, and goes on from there to the same bits.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from envs.errors import CalibrationError
from envs.files import write_whole

NAME = "cmaes_generations.json"
"""Of the file in a run's directory."""


class Checkpoint:
    """The costs of all generations so far; nothing on disk where there is no path.

    Args:
        path: Of the file; what is there already is taken up.
        fingerprint: Of all that determines the costs; see `fingerprint`.

    Raises:
        CalibrationError: The file is of another search, or no such file.
    """

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self._path, self._fingerprint = path, fingerprint
        self.told: list[Float[np.ndarray, "candidate search"]] = []
        if path is None or not path.exists():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            theirs, costs = kept["fingerprint"], [np.array(c, float) for c in kept["costs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationError(f"{path}: not the generations of an evolution") from error
        if theirs != fingerprint:
            raise CalibrationError(
                f"{path}: was written by a search over other data or with other settings, which "
                "this one cannot go on from; start without resume"
            )
        self.told = costs

    def add(self, cost: Float[np.ndarray, "candidate search"]) -> None:
        """Keep the costs of one more generation, whole or not at all."""
        self.told.append(cost)
        if self._path is not None:
            costs = [c.tolist() for c in self.told]
            text = json.dumps({"fingerprint": self._fingerprint, "costs": costs})
            write_whole(self._path, text + "\n")


def fingerprint(arrays: Iterable[np.ndarray], *settings: object) -> str:
    """Return a hash of arrays, to the last bit, and of settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
