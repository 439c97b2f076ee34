"""A user's own stage or URDF: what its tasks leave, and how it is refused.

All but the first run in this process, since starting a program costs seconds.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from hydra import compose, initialize_config_dir

from assets.catalog import SCENES
from conf import schema
from conf.tasks import dispatch
from envs.errors import KinetwinError
from envs.stage.layers import write_rig
from envs.stage.library import robot_asset
from envs.stage.reader import read_stage
from tests.test_run import ROOT, run

GRIPPER = """<robot name="claw">
  <link name="base"><visual><geometry><box size="0.1 0.1 0.04"/></geometry></visual></link>
  <link name="palm"/>
  <link name="left"><visual><origin xyz="0 0 0.05"/><geometry><box size="0.01 0.02 0.1"/></geometry>
    </visual><collision><origin xyz="0 0 0.05"/><geometry><box size="0.01 0.02 0.1"/></geometry>
    </collision><inertial><mass value="0.1"/>
    <inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" izz="1e-5"/></inertial></link>
  <link name="right"><visual><origin xyz="0 0 0.05"/><geometry><cylinder radius="0.01"
    length="0.1"/></geometry></visual><inertial><mass value="0.1"/>
    <inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" izz="1e-5"/></inertial></link>
  <joint name="mount" type="fixed"><parent link="base"/><child link="palm"/></joint>
  <joint name="close" type="prismatic"><parent link="palm"/><child link="left"/>
    <origin xyz="0.03 0 0.02"/><axis xyz="1 0 0"/>
    <limit lower="-0.02" upper="0.02" effort="10" velocity="0.1"/></joint>
  <joint name="other" type="prismatic"><parent link="palm"/><child link="right"/>
    <origin xyz="-0.03 0 0.02"/><axis xyz="1 0 0"/><mimic joint="close" multiplier="-1"/>
    <limit lower="-0.02" upper="0.02" effort="10" velocity="0.1"/></joint>
</robot>"""


def here(folder: Path, *overrides: str) -> None:
    """Run a task as `run.py` does once its configuration is composed."""
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = schema.typed(compose("config", list(overrides)))
    (folder / ".hydra").mkdir(parents=True)
    dispatch(config, folder)


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"test_claw_{os.getpid()}"
    yield chosen
    shutil.rmtree(ROOT / "assets" / "robots" / chosen, ignore_errors=True)


def test_a_gripper_with_a_mimic_joint_and_massless_links(name: str, tmp_path: Path) -> None:
    (tmp_path / "claw.urdf").write_text(GRIPPER)
    code, out, err = run(
        "task=import", "urdf=claw.urdf", f"name={name}", "hydra.run.dir=run", cwd=tmp_path
    )
    assert code == 0, err
    assert "follows" in out
    assert "-1 × close" in out
    summary = json.loads((tmp_path / "run" / "inspect.json").read_text())
    assert {link["name"]: link["mass_kg"] for link in summary["links"]} == {
        "base": 0.0, "palm": 0.0, "left": 0.1, "right": 0.1,
    }  # fmt: skip
    counts = ("bodies", "joints", "dofs", "tree_joints", "loop_joints", "mimics", "colliders")
    assert [summary[k] for k in (*counts, "visuals")] == [4, 4, 2, 3, 0, 1, 1, 3]
    assert {"kind", "prim", "message"} == set(summary["diagnostics"][0])
    assert set(summary["links"][0]) >= {"name", "mass_kg", "com_m", "inertia_kgm2"}
    picture = cv2.imread(str(tmp_path / "run" / "inspect.png"))
    assert picture is not None
    assert picture.std() > 5
    # The robot is then found by its name: composed into a scene, at its usual place.
    rig = write_rig(tmp_path / "rig.usda", scene=SCENES["tabletop"], robot=robot_asset(name))
    assert [j.mimic for j in read_stage(rig).robot.joints][2] == ("close", -1.0, 0.0)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["task=import", "urdf=clow.urdf", "name=claw_x"], ["clow.urdf"]),
        (["task=import", "urdf=claw.urdf"], ["urdf=FILE and name=NAME"]),
        (["task=import", "urdf=claw.urdf", "name=panda"], ["panda", "taken"]),
        (["task=import", "urdf=claw.urdf", "name=../x"], ["letters, digits"]),
        (["task=import", "urdf=page.html", "name=claw_x"], ["no URDF", "<html>"]),
        (["task=import", "urdf=words.txt", "name=claw_x"], ["no well-formed XML"]),
        (["task=import", "urdf=.", "name=claw_x"], ["not found"]),
        (["task=inspect", "stage=nowhere.usda"], ["nowhere.usda"]),
        (["task=inspect", "stage=words.txt"], ["words.txt"]),
        (["task=inspect", "stage=claw.urdf"], ["claw.urdf", "task=import"]),
        (["task=inspect", "stage=out/there.usda"], ["asset root", "asset_root"]),
        (["task=inspect", "stage=out/there.usda", "asset_root=nowhere"], ["nowhere", "folder"]),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(
    overrides: list[str], says: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claw.urdf").write_text(GRIPPER)
    (tmp_path / "page.html").write_text("<html><body>not found</body></html>")
    (tmp_path / "words.txt").write_text("no robot here")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "there.usda").write_text(
        '#usda 1.0\n(metersPerUnit = 1\nupAxis = "Z"\nsubLayers = [@../secret.usda@])\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KinetwinError) as caught:
        here(tmp_path / "run", *overrides)
    assert len(str(caught.value).splitlines()) == 1
    for word in says:
        assert word in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_wider_asset_root_lets_a_stage_read_more(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    head = '#usda 1.0\n(metersPerUnit = 1\nupAxis = "Z"\n'
    (tmp_path / "shared.usda").write_text(f'{head})\ndef Cube "box" {{ }}\n')
    (tmp_path / "out" / "there.usda").write_text(f"{head}subLayers = [@../shared.usda@])\n")
    stage = f"stage={tmp_path / 'out' / 'there.usda'}"
    here(tmp_path / "run", "task=inspect", stage, f"asset_root={tmp_path}")
    assert (tmp_path / "run" / "inspect.png").is_file()
    with pytest.raises(KinetwinError, match="outside of its asset root"):
        here(tmp_path / "again", "task=inspect", stage)
