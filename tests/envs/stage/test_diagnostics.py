"""Each thing that a reader cannot take as it stands is told, with its prim."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.stage.attributes import JOINT_FIELDS
from envs.stage.reader import read_stage
from envs.stage.scene import Diagnostic, Scene
from tests.envs.stage.written import BOTH, FIXED, joint, read, rigid, world

MASSLESS_CUBE = """def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI"]) {
    def Cube "box" (prepend apiSchemas = ["PhysicsCollisionAPI"]) { double size = 0.2 } }"""
TRIANGLE = """point3f[] points = [(0,0,0), (1,0,0), (0,1,0), (0,0,1)]
    int[] faceVertexCounts = [3, 3, 3, 3]
    int[] faceVertexIndices = [0,2,1, 0,1,3, 0,3,2, 1,2,3]"""


def told(scene: Scene, prim: str) -> list[tuple[str, str]]:
    return [(d.kind, d.message) for d in scene.diagnostics if d.prim == prim]


CASES = {
    "a joint of a kind unknown": (
        rigid("a") + rigid("b") + FIXED + joint(BOTH, "Distance"),
        ("refused", "/World/joint", "PhysicsDistanceJoint are not supported"),
    ),
    "PhysX's gear": (
        rigid("a") + 'def PhysxPhysicsGearJoint "g" { }',
        ("refused", "/World/g", "PhysxPhysicsGearJoint are not supported"),
    ),
    "a light": ('def CylinderLight "l" { }', ("refused", "/World/l", "CylinderLight")),
    "geometry": ('def NurbsPatch "n" { }', ("refused", "/World/n", "NurbsPatch that is seen")),
    "copies": ('def PointInstancer "p" { }', ("refused", "/World/p", "PointInstancer")),
    "an actuator": ('def NewtonActuator "m" { }', ("refused", "/World/m", "NewtonActuator")),
    "a schema": (
        rigid("a", schemas=', "PhysxForceAPI"'),
        ("refused", "/World/a", "schema PhysxForceAPI is not read"),
    ),
    "a unitless friction": (
        rigid("a") + rigid("b") + joint(BOTH + "float physxJoint:jointFriction = 0.5"),
        ("refused", "/World/joint", "unitless"),
    ),
    "an orthographic camera": (
        'def Camera "c" { token projection = "orthographic" }',
        ("refused", "/World/c", "orthographic"),
    ),
    "an override of nothing": (
        rigid("a") + 'over "A" { float physics:mass = 5 }',
        ("refused", "/World/A", "nothing defines"),
    ),
    "gravity": (rigid("a"), ("defaulted", "/", "9.81")),
    "density": (MASSLESS_CUBE, ("defaulted", "/World/a", "mass, centre of mass, inertia")),
    "no mass at all": (
        'def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI"]) { }',
        ("defaulted", "/World/a", "massless"),
    ),
    "no centre of mass": (rigid("a"), ("defaulted", "/World/a", "body's origin")),
    "an acceleration drive": (
        rigid("a") + rigid("b") + FIXED
        + joint(BOTH + "float drive:angular:physics:stiffness = 1\n"
                'uniform token drive:angular:physics:type = "acceleration"'),
        ("approximated", "/World/joint", "acceleration"),
    ),
    "a rest pose": (
        rigid("a") + rigid("b") + FIXED + joint(BOTH + "point3f physics:localPos0 = (0, 3, 0)"),
        ("approximated", "/World/joint", "3 m and 0 rad"),
    ),
    "a base that moves to its joint": (
        rigid("a")
        + 'def PhysicsFixedJoint "base" { rel physics:body1 = </World/a>\n'
        "point3f physics:localPos0 = (0, 0, 2) }",
        ("approximated", "/World/base", "2 m"),
    ),
    "a concave mesh that moves": (
        rigid("a", f'def Mesh "m" (prepend apiSchemas = ["PhysicsCollisionAPI"]) {{ {TRIANGLE}\n'
              'uniform token physics:approximation = "sdf" }'),
        ("approximated", "/World/a/m", "not by 'sdf'"),
    ),
    "an unknown approximation": (
        f'def Mesh "m" (prepend apiSchemas = ["PhysicsCollisionAPI"]) {{ {TRIANGLE}\n'
        'uniform token physics:approximation = "voxels" }',
        ("refused", "/World/m", "'voxels' is not known"),
    ),
    "a simplified mesh": (
        f'def Mesh "m" (prepend apiSchemas = ["PhysicsCollisionAPI"]) {{ {TRIANGLE}\n'
        'uniform token physics:approximation = "meshSimplification" }',
        ("approximated", "/World/m", "not by 'meshSimplification'"),
    ),
    "a drive's target": (
        rigid("a") + rigid("b") + FIXED
        + joint(BOTH + "float drive:angular:physics:targetPosition = 30"),
        ("refused", "/World/joint", "not read: drive:angular:physics:targetPosition (commands"),
    ),
    "a start velocity": (
        rigid("a", "vector3f physics:velocity = (1, 0, 0)"),
        ("refused", "/World/a", "not read: physics:velocity (a world starts at rest)"),
    ),
    "an attribute that nothing reads": (
        rigid("a", "float physxRigidBody:maxDepenetrationVelocity = 3\n"
              "float physxRigidBody:sleepThreshold = 1"),
        ("refused", "/World/a", "not read: physxRigidBody:sleepThreshold"),
    ),
    "an animated value": (
        rigid("a", "float physics:density.timeSamples = { 3: 5, 4: 6 }"),
        ("approximated", "/World/a", "animated: physics:density; the first sample is read"),
    ),
    "a subdivision surface": (
        f'def Mesh "m" {{ {TRIANGLE}\n uniform token subdivisionScheme = "loop" }}',
        ("approximated", "/World/m", "loop surface"),
    ),
    "an animation": (
        'def Xform "x" { double3 xformOp:translate.timeSamples = { 0: (0, 0, 0), 1: (1, 0, 0) }\n'
        'uniform token[] xformOpOrder = ["xformOp:translate"] }',
        ("approximated", "/World/x", "animated: xformOp:translate; the first sample"),
    ),
    "a triangle inequality": (
        rigid("a", "double[] newton:inertia = [1, 1, 3, 0, 0, 0]"),
        ("suspect", "/World/a", "triangle inequality"),
    ),
    "a negative moment": (
        rigid("a", "double[] newton:inertia = [1, 1, 1, 2, 0, 0]"),
        ("suspect", "/World/a", "negative moment"),
    ),
    "an inertia without mass": (
        rigid("a", "double twin:exact:physics:mass = 0").replace("mass = 2", "mass = 0"),
        ("suspect", "/World/a", "without a mass"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_told(tmp_path: Path, case: str) -> None:
    content, (kind, prim, message) = CASES[case]
    scene = read(tmp_path, world(content))
    assert [k for k, m in told(scene, prim) if message in m] == [kind], scene.diagnostics


def test_a_stage_that_says_all_is_read_without_a_word(tmp_path: Path) -> None:
    center = "point3f physics:centerOfMass = (0, 0, 0)"
    gravity = 'def PhysicsScene "s" { float physics:gravityMagnitude = 9.8 }'
    parts = rigid("a", center) + rigid("b", center) + FIXED + joint(BOTH) + gravity
    assert read(tmp_path, world(parts)).diagnostics == ()


def test_an_override_beneath_an_instance_is_told(tmp_path: Path) -> None:
    """In the stage itself, and in a layer between, where the instance comes by a reference."""
    header = '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n defaultPrim = "part"\n)\n'
    (tmp_path / "part.usda").write_text(
        header + 'def Xform "part" {\n def Xform "hand" {\n def Cube "palm" {\n}\n}\n}\n'
    )
    (tmp_path / "robot.usda").write_text(
        header + 'def Xform "part" {\n def Xform "inner" (\n instanceable = true\n'
        ' prepend references = @./part.usda@\n) {\n over "hand" {\n double x = 1\n}\n}\n}\n'
    )
    root = tmp_path / "root.usda"
    root.write_text(
        header + 'def Xform "World" {\n'
        'def Xform "one" (\n instanceable = true\n prepend references = @./part.usda@\n) {\n'
        ' over "hand" {\n double x = 1\n}\n}\n'
        'def Xform "two" (\n prepend references = @./robot.usda@\n) {\n}\n}\n'
    )
    found = read_stage(root).diagnostics
    dropped = [d.prim for d in found if "beneath an instance" in d.message]
    assert dropped == ["/World/one/hand", "/World/two/inner/hand"]
    assert {d.kind for d in found if d.prim in dropped} == {"refused"}


def test_equal_diagnostics_are_told_once(tmp_path: Path) -> None:
    scene = read(tmp_path, world('def CylinderLight "l" { }'))
    assert len(scene.diagnostics) == len(set(scene.diagnostics))
    assert all(isinstance(d, Diagnostic) for d in scene.diagnostics)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_attribute_about_physics_is_dropped_in_silence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any name in the families of schemas is either one that a reader asks for, or it is told."""
    family = data.draw(st.sampled_from(["physics", "physxJoint", "newton", "mjc", "drive:angular"]))
    name = f"{family}:{data.draw(st.from_regex(r'[a-z][A-Za-z]{2,10}', fullmatch=True))}"
    read_names = {c.attribute.format(dof="angular") for cs in JOINT_FIELDS.values() for c in cs} | {
        "physics:axis"
    }
    content = rigid("a") + rigid("b") + FIXED + joint(BOTH + f"float {name} = 7")
    scene = read(tmp_path_factory.mktemp("fuzz"), world(content))
    (found,) = scene.robot.joints
    heard = name in read_names and any(v != "default" for v in found.sources.values())
    assert heard or any(name in message for _, message in told(scene, "/World/joint"))


def test_what_is_animated_is_read_at_its_first_sample(tmp_path: Path) -> None:
    """Attributes with samples alone have no default value that could be read."""
    moves = (
        "double3 xformOp:translate.timeSamples = { 2: (3, 0, 0), 5: (1, 0, 0) }\n"
        'uniform token[] xformOpOrder = ["xformOp:translate"]'
    )
    slides = "float physics:upperLimit.timeSamples = { 1: 90, 2: 0 }"
    content = rigid("a") + rigid("b") + FIXED + joint(BOTH + slides) + rigid("free", moves)
    scene = read(tmp_path, world(content))
    np.testing.assert_allclose(scene.objects[0].X_WB[:3, 3], [3, 0, 0])
    assert scene.robot.joints[0].upper == pytest.approx(np.pi / 2)
