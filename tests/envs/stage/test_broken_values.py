"""Any one value of a stage replaced by nonsense: a StageError that names it, or a finite scene."""

import json
import re
import warnings
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import StageError
from envs.stage.inspect import inspect_scene
from envs.stage.reader import read_stage

STAGE = """#usda 1.0
(
    metersPerUnit = 0.5
    kilogramsPerUnit = 2.0
    upAxis = "Y"
)
def PhysicsScene "scene"
{
    vector3f physics:gravityDirection = (0.5, -1.0, 0.25)
    float physics:gravityMagnitude = 9.5
}
def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    double3 xformOp:translate = (1.0, 2.0, 3.0)
    quatd xformOp:orient = (0.5, 0.5, 0.5, 0.5)
    double3 xformOp:scale = (2.0, 2.0, 2.0)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient", "xformOp:scale"]
    float physics:mass = 2.0
    point3f physics:centerOfMass = (0.1, 0.2, 0.3)
    float3 physics:diagonalInertia = (0.3, 0.4, 0.5)
    quatf physics:principalAxes = (0.5, 0.5, 0.5, 0.5)
    def Capsule "c" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        double radius = 0.5
        double height = 1.5
        uniform token axis = "X"
    }
}
def Xform "b" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:density = 500.0
    def Cone "cone" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        double radius = 0.5
        double height = 1.5
        uniform token axis = "Y"
    }
    def Mesh "m"
    {
        point3f[] points = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
        int[] faceVertexCounts = [3]
        int[] faceVertexIndices = [0, 1, 2]
    }
}
def Xform "c" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 2.0
    double[] newton:inertia = [1.0, 1.5, 2.0, 0.1, 0.2, 0.3]
}
def PhysicsFixedJoint "hold"
{
    rel physics:body1 = </a>
    point3f physics:localPos0 = (1.0, 2.0, 3.0)
}
def PhysicsRevoluteJoint "j" (prepend apiSchemas = ["PhysicsDriveAPI:angular"])
{
    rel physics:body0 = </a>
    rel physics:body1 = </b>
    uniform token physics:axis = "Z"
    point3f physics:localPos0 = (0.5, 0.25, 0.125)
    quatf physics:localRot1 = (0.5, 0.5, 0.5, 0.5)
    float physics:lowerLimit = -90.0
    float physics:upperLimit = 45.0
    float drive:angular:physics:stiffness = 10.0
    float drive:angular:physics:maxForce = 5.0
    float newton:armature = 0.5
    double twin:commandDelay = 0.25
}
def PhysicsJoint "k" (prepend apiSchemas = ["PhysxMimicJointAPI:rotX"])
{
    rel physics:body0 = </b>
    rel physics:body1 = </c>
    float limit:transX:physics:low = 1.0
    float limit:transX:physics:high = -1.0
    float limit:rotX:physics:low = -30.0
    rel physxMimicJoint:rotX:referenceJoint = </j>
    float physxMimicJoint:rotX:gearing = 1.5
    float physxMimicJoint:rotX:offset = 0.5
}
def SphereLight "l"
{
    color3f inputs:color = (1.0, 0.5, 0.25)
    float inputs:intensity = 100.0
    float inputs:exposure = 1.0
}
def Camera "cam"
{
    float focalLength = 24.0
    float horizontalAperture = 20.0
    float2 clippingRange = (0.5, 100.0)
}
"""
PLACES = list(re.finditer(r'-?\d+\.\d+|(?<=\[)\d|"[XYZ]"|</\w+>', STAGE))[0:]
NONSENSE = ["nan", "inf", "-inf", "1e30", "-1e30", "1e-30", "0", "-1", "7"]


def read(file: Path, text: str) -> str:
    file.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return json.dumps(inspect_scene(read_stage(file)), allow_nan=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken")


NUMBERS = count()


def test_the_stage_itself_is_read(folder: Path) -> None:
    summary = json.loads(read(folder / "whole.usda", STAGE))
    assert (summary["bodies"], summary["joints"], summary["dofs"]) == (3, 3, 6)
    assert len(PLACES) > 80


@settings(max_examples=400, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), nonsense=st.sampled_from(NONSENSE), other=st.integers(0, 2))
def test_nonsense_is_refused_or_harmless(
    folder: Path, place: re.Match[str], nonsense: str, other: int
) -> None:
    if place.group().startswith('"'):
        nonsense = ['"Q"', '""', '"X"'][other]
    elif place.group().startswith("<"):
        nonsense = ["</ghost>", "</a>", "</c>"][other]
    text = STAGE[: place.start()] + nonsense + STAGE[place.end() :]
    try:
        read(folder / f"stage_{next(NUMBERS)}.usda", text)
    except StageError as error:
        assert str(error)
