"""The catalog's entries exist, and every asset folder says where it came from."""

from importlib.util import find_spec
from pathlib import Path

from assets.catalog import ASSETS, PANDA_DRIVES, ROBOT_SOURCES, SCENES


def test_every_source_is_in_its_package() -> None:
    for source in ROBOT_SOURCES.values():
        spec = find_spec(source.package)
        assert spec is not None
        assert spec.submodule_search_locations
        assert (Path(spec.submodule_search_locations[0]) / source.urdf).is_file()


def test_every_scene_is_there_and_every_scene_file_is_listed() -> None:
    assert sorted(SCENES.values()) == sorted((ASSETS / "scenes").glob("*.usda"))


def test_drives_are_for_the_seven_joints_of_the_arm() -> None:
    assert list(PANDA_DRIVES) == [f"panda_joint{i}" for i in range(1, 8)]
    assert all(damping == stiffness / 10 for stiffness, damping in PANDA_DRIVES.values())


def test_sources_names_every_robot_and_scene() -> None:
    text = (ASSETS / "SOURCES.md").read_text()
    for name in (*ROBOT_SOURCES, *SCENES):
        assert f"`{name}`" in text
