"""Known robots: built once, rebuilt when stale, by any number of processes at a time."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from assets.catalog import ROBOT_SOURCES, ROBOT_STAGES, RobotSource, robot_names
from envs.errors import StageError
from envs.stage import library
from envs.stage.library import import_robot, robot_asset
from envs.stage.reader import read_stage
from envs.stage.urdf import import_urdf

URDF = """<robot name="toy"><link name="a"><inertial><mass value="{mass}"/>
  <inertia ixx="1" iyy="1" izz="1"/></inertial></link></robot>"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on disk with one robot, in the catalog under the name 'toy'."""
    package = tmp_path / "toy_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "toy.urdf").write_text(URDF.format(mass=1))
    monkeypatch.syspath_prepend(str(tmp_path))
    sources = {"toy": RobotSource(package="toy_package", urdf="toy.urdf")}
    monkeypatch.setattr(library, "ROBOT_SOURCES", sources)
    return package / "toy.urdf"


def test_a_robot_is_built_once(toy: Path, tmp_path: Path) -> None:
    asset = robot_asset("toy", robots=tmp_path / "robots")
    first = asset.stat().st_ino
    assert robot_asset("toy", robots=tmp_path / "robots") == asset
    assert asset.stat().st_ino == first


def test_a_changed_source_or_a_lost_layer_builds_it_again(toy: Path, tmp_path: Path) -> None:
    asset = robot_asset("toy", robots=tmp_path / "robots")
    toy.write_text(URDF.format(mass=3))
    assert robot_asset("toy", robots=tmp_path / "robots") == asset
    assert read_stage(asset).robot.bodies[0].inertial.mass_kg == 3.0
    (asset.parent / "physics.usda").unlink()
    robot_asset("toy", robots=tmp_path / "robots")
    assert (asset.parent / "physics.usda").is_file()


def test_a_changed_recipe_or_importer_builds_it_again(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def counted(urdf: Path, folder: Path, name: str, **options: Any) -> Path:
        built.append(name)
        return import_urdf(urdf, folder, name, **options)

    monkeypatch.setattr(library, "import_urdf", counted)
    robots = tmp_path / "robots"
    robot_asset("toy", robots=robots)
    robot_asset("toy", robots=robots)
    assert len(built) == 1
    changed = RobotSource(package="toy_package", urdf="toy.urdf", drives={})
    monkeypatch.setattr(library, "ROBOT_SOURCES", {"toy": changed})
    robot_asset("toy", robots=robots)
    assert len(built) == 1  # equal recipes are the same recipe
    monkeypatch.setattr(library, "IMPORTER_VERSION", "another")
    robot_asset("toy", robots=robots)
    assert len(built) == 2


def test_builders_that_start_together_do_not_collide(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        build = partial(robot_asset, robots=tmp_path)
        assets = list(pool.map(build, ["panda_arm"] * 3))
    assert set(assets) == {tmp_path / "panda_arm" / "panda_arm.usda"}
    assert len(read_stage(assets[0]).robot.bodies) == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == [".panda_arm.lock", "panda_arm"]


def test_unknown_robots_and_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageError, match="Did you mean 'panda'"):
        robot_asset("pnada", robots=tmp_path)
    sources = {"ghost": RobotSource(package="no_such_package", urdf="x.urdf")}
    monkeypatch.setattr(library, "ROBOT_SOURCES", sources)
    with pytest.raises(StageError, match="needs the package 'no_such_package'"):
        robot_asset("ghost", robots=tmp_path)


def test_an_imported_robot_is_found_by_its_name(tmp_path: Path) -> None:
    urdf, robots = tmp_path / "mine.urdf", tmp_path / "robots"
    urdf.write_text(URDF.format(mass=7))
    assert "mine" not in robot_names(robots)
    with pytest.raises(StageError, match="robot 'mine' is not in the catalog"):
        robot_asset("mine", robots=robots)
    asset = import_robot(urdf, "mine", robots=robots)
    assert robot_names(robots) == [*ROBOT_SOURCES, *ROBOT_STAGES, "mine"]
    assert robot_asset("mine", robots=robots) == asset
    assert read_stage(asset).robot.bodies[0].inertial.mass_kg == 7.0
    urdf.unlink()  # the asset stands alone
    assert robot_asset("mine", robots=robots) == asset


def test_an_imported_robot_of_an_older_importer_must_be_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urdf, robots = tmp_path / "mine.urdf", tmp_path / "robots"
    urdf.write_text(URDF.format(mass=7))
    import_robot(urdf, "mine", robots=robots)
    monkeypatch.setattr(library, "IMPORTER_VERSION", "next")
    with pytest.raises(StageError, match=r"import its URDF \(mine\.urdf\) again"):
        robot_asset("mine", robots=robots)


@pytest.mark.parametrize("name", ["panda", "../up", "", "a b", "1st", "x" * 65])
def test_names_that_a_robot_cannot_have(tmp_path: Path, name: str) -> None:
    urdf = tmp_path / "mine.urdf"
    urdf.write_text(URDF.format(mass=7))
    with pytest.raises(StageError, match=r"allowed are letters|robot of the catalog"):
        import_robot(urdf, name, robots=tmp_path / "robots")
    assert not (tmp_path / "robots").exists()
