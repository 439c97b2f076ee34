"""The summary of a stage: counts of the survey, values by hand, everything fit for JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.stage.inspect import inspect_scene
from envs.stage.reader import read_stage
from tests.envs.stage.test_suite_stages import STAGES, SUITE, surveyed
from tests.envs.stage.written import BOTH, FIXED, joint, read, rigid, world


def as_json(summary: dict[str, Any]) -> dict[str, Any]:
    """Through strict JSON and back: neither infinities nor arrays may be left."""
    result: dict[str, Any] = json.loads(json.dumps(summary, allow_nan=False))
    return result


@pytest.mark.parametrize("name", STAGES, ids=[Path(s).stem for s in STAGES])
def test_counts_are_the_survey_s(name: str) -> None:
    expected = surveyed(name)
    summary = as_json(inspect_scene(read_stage(SUITE / name)))
    pairs = {
        "bodies": "bodies",
        "joints": "joints",
        "tree_joints": "tree",
        "loop_joints": "loops",
        "mimics": "mimic",
        "colliders": "cols",
        "visuals": "vis",
    }
    found = {theirs: summary[ours] for ours, theirs in pairs.items()}
    assert found == {theirs: expected[theirs] for theirs in pairs.values()}
    assert len(summary["links"]) == summary["bodies"]
    # Their types are of prims; ours leave out fixed joints and count each degree of a D6 joint.
    types = expected["types"]
    d6 = {"pendulum_revolute_vs_d6": 1, "test_joint_universal_passive": 2}.get(Path(name).stem, 0)
    assert summary["dofs"] == types.get("revolute", 0) + types.get("prismatic", 0) + d6


def test_values_of_links_and_joints(tmp_path: Path) -> None:
    center = "point3f physics:centerOfMass = (0, 0, 0.5)"
    values = "float newton:armature = 0.25\n float physics:upperLimit = 90\n"
    parts = rigid("a", center) + rigid("b") + FIXED + joint(BOTH + values)
    scene = read(tmp_path, world(parts + rigid("free") + 'def Cube "floor" { }'))
    summary = as_json(inspect_scene(scene))
    links = {link["name"]: link for link in summary["links"]}
    assert list(links) == ["a", "b", "free"]
    assert (links["a"]["mass_kg"], links["a"]["com_m"]) == (2.0, [0.0, 0.0, 0.5])
    np.testing.assert_allclose(links["a"]["inertia_kgm2"], np.diag([0.1, 0.2, 0.3]), rtol=1e-6)
    assert (links["a"]["articulation"], links["free"]["articulation"]) == ("World", "")
    assert (summary["visuals"], summary["static_visuals"]) == (0, 1)
    (only,) = summary["joint_list"]
    armature, upper, lower = (only["values"][k] for k in ("armature", "upper", "lower"))
    expected = {"value": 0.25, "unit": "kg·m²", "source": "newton", "layer": None}
    assert armature == expected
    assert (upper["value"], upper["source"]) == (pytest.approx(np.pi / 2), "physics")
    assert (lower["value"], lower["unit"], lower["source"]) == (None, "rad", "default")
    assert summary["joints"] == 2  # with the one that holds the base
    assert [d["prim"] for d in summary["diagnostics"]] == ["/World/b", "/World/free", "/"]
    assert {d["kind"] for d in summary["diagnostics"]} == {"defaulted"}


def test_a_chain_counts_as_one_joint_and_a_loop_as_one(tmp_path: Path) -> None:
    second = 'def PhysicsFixedJoint "x" { rel physics:body1 = </World/b> }'
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH, "Spherical") + second
    summary = as_json(inspect_scene(read(tmp_path, world(parts))))
    counts = ("bodies", "joints", "dofs", "tree_joints", "loop_joints")
    assert [summary[c] for c in counts] == [2, 3, 3, 1, 1]
    assert [loop["name"] for loop in summary["loops"]] == ["x"]
