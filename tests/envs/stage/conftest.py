"""What the tests of this folder share."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from envs.stage.urdf import import_urdf
from tests.envs.stage.robots import source


@pytest.fixture(scope="session")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function which imports a robot of `robots.ROBOTS`, each once."""

    @cache
    def imported(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name) / name
        # The base is fixed whatever the URDF is used for, as Pinocchio's reader does by itself.
        return import_urdf(source(name), folder, name)

    return imported
