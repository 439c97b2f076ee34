"""Tiny hand-written stages, each for one thing that USD can say; expected values by hand."""

from math import radians
from pathlib import Path

import numpy as np
import pytest

from envs.errors import StageError
from envs.frames import axis_angle, inverse
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Servo
from envs.stage.tree import joint_motion
from tests.envs.stage.written import BOTH, FIXED, joint, read, rigid, world


def child_pose(robot: Articulation, q: float) -> np.ndarray:
    (only,) = robot.joints
    assert only.parent == robot.bodies[0].name
    X: np.ndarray = robot.bodies[0].X_WB @ only.X_PJ @ joint_motion(only, q) @ inverse(only.X_CJ)
    return X


# Joints


def test_joint_frames_off_the_bodies_origins_and_turned(tmp_path: Path) -> None:
    """The frames of both sides coincide at q = 0; the child turns about the frame's y axis."""
    half = np.sqrt(0.5)
    frames = f"""
        uniform token physics:axis = "Y"
        point3f physics:localPos0 = (1, 2, 3)
        quatf physics:localRot0 = ({half}, 0, 0, {half})
        point3f physics:localPos1 = (0, 0, -0.5)
        quatf physics:localRot1 = (1, 0, 0, 0)
    """
    robot = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + joint(BOTH + frames))).robot
    assert robot.fixed_base
    # localRot0 turns a quarter about z, so the joint's y axis is −x of body a.
    X = child_pose(robot, 0.0)
    np.testing.assert_allclose(X[:3, 3], (1, 2, 3.5), atol=1e-6)
    np.testing.assert_allclose(X[:3, 0], (0, 1, 0), atol=1e-6)
    X = child_pose(robot, np.pi / 2)
    # The child's origin, 0.5 above the joint, swings by a quarter about −x: to +y.
    np.testing.assert_allclose(X[:3, 3], (1, 2 + 0.5, 3), atol=1e-6)


def test_swapped_bodies_give_the_same_motion(tmp_path: Path) -> None:
    """USD moves body 1 in body 0: with the base as body 1, +q moves the base in the child."""
    frames0 = "point3f physics:localPos0 = (1, 0, 0)\n point3f physics:localPos1 = (0, 2, 0)\n"
    axis = 'uniform token physics:axis = "Z"\n'
    swapped = "rel physics:body0 = </World/b>\n rel physics:body1 = </World/a>\n"
    scene = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + joint(swapped + frames0 + axis)))
    q = 0.7
    # X_ba = T(1,0,0)·Rz(q)·T(0,−2,0), straight from the definition.
    X_ba = np.eye(4)
    X_ba[:3, :3] = axis_angle(np.array([0, 0, 1.0]), np.array(q))
    X_ba[:3, 3] = np.array([1, 0, 0]) + X_ba[:3, :3] @ [0, -2, 0]
    np.testing.assert_allclose(child_pose(scene.robot, q), inverse(X_ba), atol=1e-7)


def test_degrees_and_limits_and_drives(tmp_path: Path) -> None:
    values = """
        uniform token physics:axis = "X"
        float physics:lowerLimit = -90
        float physics:upperLimit = 45
        float drive:angular:physics:stiffness = 10
        float drive:angular:physics:damping = 2
        float drive:angular:physics:maxForce = 7
        float newton:damping = 0.5
        float newton:velocityLimit = 180
        float newton:friction = 0.25
        float newton:armature = 0.125
        double twin:commandDelay = 0.012
        double twin:torqueOffset = -0.3
        double twin:encoderOffset = -0.02
        double twin:stribeckFriction = 0.2
        double twin:stribeckVelocity = 0.05
    """
    parts = (
        rigid("a")
        + rigid("b")
        + FIXED
        + joint(BOTH + values, schemas=', "PhysicsDriveAPI:angular"')
    )
    found = read(tmp_path, world(parts)).robot.joints[0]
    assert found.lower == pytest.approx(-np.pi / 2)
    assert found.upper == pytest.approx(np.pi / 4)
    assert found.drive is not None
    assert found.drive.stiffness == pytest.approx(10 / radians(1))
    assert found.drive.damping == pytest.approx(2 / radians(1))
    assert found.drive.max_force == found.effort_limit == 7
    assert found.friction.viscous == pytest.approx(0.5 / radians(1))
    assert found.velocity_limit == pytest.approx(np.pi)
    assert (found.friction.coulomb, found.armature) == (0.25, 0.125)
    assert (found.delay_s, found.torque_offset) == (0.012, -0.3)
    assert (found.encoder_offset, found.servo) == (-0.02, None)
    assert (found.friction.stribeck, found.friction.stribeck_velocity) == (0.2, 0.05)


def test_a_servo_has_a_motor_or_none(tmp_path: Path) -> None:
    motor = """
        uniform token physics:axis = "X"
        double twin:torqueConstant = 0.4
        double twin:breakawayLoadFriction = 0.07
    """
    bodies = rigid("a") + rigid("b") + FIXED
    whole = motor + "double twin:windingResistance = 3.4\n"
    found = read(tmp_path, world(bodies + joint(BOTH + whole))).robot.joints[0]
    assert found.servo == Servo(0.4, 3.4, breakaway_load=0.07)
    assert found.sources["servo.resistance"] == "twin"
    with pytest.raises(StageError, match="needs twin:torqueConstant and twin:windingResistance"):
        read(tmp_path, world(bodies + joint(BOTH + motor)))
    with pytest.raises(StageError, match=r"must be positive, not 0\.4 N·m/A and 0 ohm"):
        read(tmp_path, world(bodies + joint(BOTH + whole.replace("3.4", "0"))))


def test_a_sliding_joint_knows_no_degrees(tmp_path: Path) -> None:
    values = """
        uniform token physics:axis = "Z"
        float physics:lowerLimit = -0.5
        float drive:linear:physics:stiffness = 10
        float newton:damping = 0.5
    """
    parts = rigid("a") + rigid("b") + FIXED + joint(BOTH + values, "Prismatic")
    found = read(tmp_path, world(parts)).robot.joints[0]
    assert (found.kind, found.lower, found.upper) == ("prismatic", -0.5, np.inf)
    assert found.drive is not None
    assert found.drive.stiffness == 10
    assert found.friction.viscous == 0.5
    np.testing.assert_array_equal(found.axis, (0, 0, 1))


def test_newton_speaks_before_physx_before_mjc(tmp_path: Path) -> None:
    spoken = {
        "float newton:armature = 1\n": (1.0, "newton"),
        "float physxJoint:armature = 2\n": (2.0, "physx"),
        "double mjc:armature = 3\n": (3.0, "mjc"),
        "": (0.0, "default"),
    }
    lines = list(spoken)
    for i, (value, schema) in enumerate(spoken.values()):
        parts = rigid("a") + rigid("b") + FIXED + joint(BOTH + "".join(lines[i:]))
        found = read(tmp_path, world(parts)).robot.joints[0]
        assert (found.armature, found.sources["armature"]) == (value, schema)
    mjc = joint(BOTH + "double mjc:damping = 0.5\n double mjc:frictionloss = 0.25\n")
    found = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + mjc)).robot.joints[0]
    # MuJoCo's and URDF's damping is per radian; PhysX's unitless jointFriction is not read at all.
    assert (found.friction.viscous, found.friction.coulomb) == (0.5, 0.25)
    urdf = joint(
        BOTH + "float urdf:dynamics:damping = 0.5\n float urdf:dynamics:friction = 0.25\n"
        "float urdf:limit:velocity = 2\n float urdf:limit:effort = 8\n"
    )
    found = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + urdf)).robot.joints[0]
    assert (found.friction.viscous, found.friction.coulomb) == (0.5, 0.25)
    assert (found.velocity_limit, found.effort_limit) == (2, 8)
    unitless = joint(BOTH + "float physxJoint:jointFriction = 0.5\n")
    found = read(tmp_path, world(rigid("a") + rigid("b") + FIXED + unitless)).robot.joints[0]
    assert found.friction.coulomb == 0


@pytest.mark.parametrize(
    ("schema", "attributes"),
    [
        (
            "NewtonMimicAPI",
            "rel newton:mimicJoint = </World/joint>\n float newton:mimicCoef0 = 30\n"
            "float newton:mimicCoef1 = -2\n",
        ),
        (
            "PhysxMimicJointAPI:rotX",
            "rel physxMimicJoint:rotX:referenceJoint = </World/joint>\n"
            "float physxMimicJoint:rotX:gearing = 2\n float physxMimicJoint:rotX:offset = -30\n",
        ),
    ],
)
def test_mimics_of_newton_and_physx_mean_the_same(
    tmp_path: Path, schema: str, attributes: str
) -> None:
    follower = f"""def PhysicsRevoluteJoint "follower" (prepend apiSchemas = ["{schema}"]) {{
        rel physics:body0 = </World/b>
        rel physics:body1 = </World/c>
        {attributes} }}"""
    parts = "".join(map(rigid, "abc")) + FIXED + joint(BOTH) + follower
    mimic = read(tmp_path, world(parts)).robot.joint("follower").mimic
    assert mimic is not None
    assert mimic[0] == "joint"
    np.testing.assert_allclose(mimic[1:], (-2, radians(30)), rtol=1e-6)


# Bases and trees


def test_what_fixes_a_base(tmp_path: Path) -> None:
    two = rigid("a") + rigid("b")
    mount = 'def Xform "mount" { double3 xformOp:translate = (0, 0, 4)\n'
    mount += 'uniform token[] xformOpOrder = ["xformOp:translate"] }\n'
    held = 'def PhysicsFixedJoint "base" { %s }'
    to_nothing = read(tmp_path, world(two + held % "rel physics:body1 = </World/a>" + joint(BOTH)))
    assert to_nothing.robot.fixed_base
    to_mount = held % (
        "rel physics:body0 = </World/mount>\n rel physics:body1 = </World/a>\n"
        "point3f physics:localPos0 = (0, 0, 0.5)"
    )
    robot = read(tmp_path, world(two + mount + to_mount + joint(BOTH))).robot
    assert robot.fixed_base
    np.testing.assert_allclose(robot.bodies[0].X_WB[:3, 3], (0, 0, 4.5))  # frames before the pose
    assert not read(tmp_path, world(two + joint(BOTH))).robot.fixed_base
    kinematic = rigid("a", "bool physics:kinematicEnabled = true") + rigid("b")
    assert read(tmp_path, world(kinematic + joint(BOTH))).robot.fixed_base


def test_a_movable_joint_to_the_world_hangs_on_a_massless_base(tmp_path: Path) -> None:
    free = joint("rel physics:body1 = </World/a>\n point3f physics:localPos0 = (0, 0, 2)")
    robot = read(tmp_path, world(rigid("a") + free)).robot
    assert (robot.bodies[0].name, robot.bodies[0].inertial.mass_kg) == ("", 0.0)
    assert robot.joints[0].parent == ""
    assert robot.fixed_base
    np.testing.assert_allclose(robot.joints[0].X_PJ[:3, 3], (0, 0, 2))


def test_parents_come_first_and_siblings_in_authored_order(tmp_path: Path) -> None:
    def link(name: str, parent: str, child: str) -> str:
        return f"""def PhysicsRevoluteJoint "{name}" {{
            rel physics:body0 = </World/{parent}>
            rel physics:body1 = </World/{child}> }}\n"""

    joints = link("last", "c", "d") + link("two", "a", "e") + link("one", "a", "b")
    joints += link("inner", "b", "c")
    robot = read(tmp_path, world("".join(map(rigid, "dcbea")) + FIXED + joints)).robot
    assert [j.name for j in robot.joints] == ["two", "one", "inner", "last"]
    assert [b.name for b in robot.bodies] == ["a", "e", "b", "c", "d"]


def test_two_robots_and_free_bodies_are_told_apart(tmp_path: Path) -> None:
    second = """def PhysicsPrismaticJoint "other" {
        rel physics:body0 = </World/c>
        rel physics:body1 = </World/d> }"""
    still = rigid("still", "bool physics:kinematicEnabled = true")
    parts = "".join(map(rigid, "abcd")) + rigid("free") + still + FIXED + joint(BOTH) + second
    scene = read(tmp_path, world(parts))
    assert [[b.name for b in a.bodies] for a in scene.articulations] == [["a", "b"], ["c", "d"]]
    assert [b.name for b in scene.objects] == ["free"]
    assert [b.name for b in scene.static] == ["still"]
    with pytest.raises(StageError, match="exactly one articulation"):
        _ = scene.robot


def test_equal_names_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    left = f'def Xform "left" {{ {rigid("hand")} }}'
    right = f'def Xform "right" {{ {rigid("hand")} }}'
    scene = read(tmp_path, world(left + right + rigid("foot")))
    assert [b.name for b in scene.objects] == ["left/hand", "right/hand", "foot"]


# Mass


def test_principal_axes_and_the_full_tensor(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    turned = f"quatf physics:principalAxes = ({half}, 0, 0, {half})"  # a quarter about z
    scene = read(tmp_path, world(rigid("a", turned)))
    np.testing.assert_allclose(
        scene.objects[0].inertial.inertia_kgm2, np.diag([0.2, 0.1, 0.3]), atol=1e-7
    )
    full = "double[] newton:inertia = [1, 2, 3, 0.4, 0.5, 0.6]"
    scene = read(tmp_path, world(rigid("a", full)))
    expected = [[1, 0.4, 0.5], [0.4, 2, 0.6], [0.5, 0.6, 3]]
    np.testing.assert_array_equal(scene.objects[0].inertial.inertia_kgm2, expected)


def test_mass_zero_means_density_unless_it_says_exactly_zero(tmp_path: Path) -> None:
    cube = """def Cube "box" (prepend apiSchemas = ["PhysicsCollisionAPI"%s]) {
        double size = 0.2
        double3 xformOp:translate = (0, 0, 1)
        uniform token[] xformOpOrder = ["xformOp:translate"]
        %s }"""

    def body(mass: str, schemas: str = "", extra: str = "") -> str:
        return f"""def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
        {{ {mass}
           {cube % (schemas, extra)} }}"""

    inertial = read(tmp_path, world(body("float physics:mass = 0"))).objects[0].inertial
    assert inertial.mass_kg == pytest.approx(8.0)  # 0.008 m³ at 1000 kg/m³
    np.testing.assert_allclose(inertial.com_m, (0, 0, 1))
    np.testing.assert_allclose(inertial.inertia_kgm2, 8 * 0.04 / 6 * np.eye(3), rtol=1e-12)
    dense = read(tmp_path, world(body("float physics:density = 500"))).objects[0].inertial
    assert dense.mass_kg == pytest.approx(4.0)
    own = body("", ', "PhysicsMassAPI"', "float physics:mass = 3")
    assert read(tmp_path, world(own)).objects[0].inertial.mass_kg == pytest.approx(3.0)
    scaled = read(tmp_path, world(body("float physics:mass = 2"))).objects[0].inertial
    np.testing.assert_allclose(scaled.inertia_kgm2, 2 * 0.04 / 6 * np.eye(3), rtol=1e-6)
    exact = "float physics:mass = 0\n double twin:exact:physics:mass = 0"
    assert read(tmp_path, world(body(exact))).objects[0].inertial.mass_kg == 0.0


@pytest.mark.parametrize("kind", ["Sphere", "Cylinder", "Capsule", "Cone", "Mesh"])
def test_mass_properties_of_colliders_are_trimesh_s(tmp_path: Path, kind: str) -> None:
    import trimesh

    solids = {
        "Sphere": ("double radius = 0.3", trimesh.creation.icosphere(5, 0.3)),
        "Cylinder": (
            "double radius = 0.2\n double height = 0.5",
            trimesh.creation.cylinder(0.2, 0.5, sections=512),
        ),
        "Capsule": (
            "double radius = 0.2\n double height = 0.5",
            trimesh.creation.capsule(0.5, 0.2, count=[256, 256]),
        ),
        "Cone": (
            "double radius = 0.2\n double height = 0.5",
            trimesh.creation.cone(0.2, 0.5, sections=512, transform=np.eye(4)),
        ),
        "Mesh": (
            "point3f[] points = [(0,0,0), (0.4,0,0), (0,0.4,0), (0,0,0.4)]\n"
            "int[] faceVertexCounts = [3, 3, 3, 3]\n"
            "int[] faceVertexIndices = [0,2,1, 0,1,3, 0,3,2, 1,2,3]",
            trimesh.convex.convex_hull([[0, 0, 0], [0.4, 0, 0], [0, 0.4, 0], [0, 0, 0.4]]),
        ),
    }
    attributes, solid = solids[kind]
    shape = f'def {kind} "s" (prepend apiSchemas = ["PhysicsCollisionAPI"]) {{ {attributes} }}'
    body = f'def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI"]) {{ {shape} }}'
    inertial = read(tmp_path, world(body)).objects[0].inertial
    # The reference is faceted: 512 sides miss 3e-5 of a circle, our cone's 64 miss 1.6e-3.
    tolerance = 4e-3 if kind in ("Cone", "Sphere", "Capsule") else 1e-4
    assert inertial.mass_kg == pytest.approx(solid.volume * 1000, rel=tolerance)
    np.testing.assert_allclose(
        inertial.inertia_kgm2, solid.moment_inertia * 1000, rtol=tolerance, atol=1e-6
    )
    if kind == "Cone":  # USD's cone is centred at half its height, its mass a quarter of it lower
        np.testing.assert_allclose(inertial.com_m, (0, 0, -0.125), atol=1e-9)


def test_a_mass_that_nothing_spreads_is_refused(tmp_path: Path) -> None:
    body = """def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
    { float physics:mass = 1 }"""
    with pytest.raises(StageError, match="/World/a: has a mass but neither"):
        read(tmp_path, world(body))


# Geometry


def test_instances_are_read_through(tmp_path: Path) -> None:
    prototype = """class Xform "proto" {
        def Sphere "ball" (prepend apiSchemas = ["PhysicsCollisionAPI"]) { double radius = 0.1 } }
    """
    instance = """def Xform "shape" (instanceable = true
        prepend references = </proto>) { double3 xformOp:translate = (0, 0, 2)
        uniform token[] xformOpOrder = ["xformOp:translate"] }"""
    body = read(tmp_path, prototype + world(rigid("a", instance))).objects[0]
    assert len(body.colliders) == len(body.visuals) == 1
    np.testing.assert_allclose(body.colliders[0].X_BS[:3, 3], (0, 0, 2))


def test_a_collision_api_above_an_instance_counts(tmp_path: Path) -> None:
    prototype = 'class Xform "proto" { def Sphere "ball" { double radius = 0.1 } }\n'
    instance = """def Xform "shape" (instanceable = true
        prepend apiSchemas = ["PhysicsCollisionAPI"]
        prepend references = </proto>) { token purpose = "guide" }"""
    body = read(tmp_path, prototype + world(rigid("a", instance))).objects[0]
    assert len(body.colliders) == 1
    assert body.visuals == ()  # a guide is not seen


def test_scale_reaches_sizes_vertices_and_local_positions(tmp_path: Path) -> None:
    scaled = """float3 xformOp:scale = (2, 3, 4)
        uniform token[] xformOpOrder = ["xformOp:scale"]
        point3f physics:centerOfMass = (1, 1, 1)
        def Cube "box" (prepend apiSchemas = ["PhysicsCollisionAPI"]) { double size = 1 }
        def Mesh "sheet" {
            point3f[] points = [(0,0,0), (1,0,0), (1,1,0), (0,1,0)]
            normal3f[] normals = [(0,1,1), (0,1,1), (0,1,1), (0,1,1)]
            int[] faceVertexCounts = [4]
            int[] faceVertexIndices = [0, 1, 2, 3]
        }"""
    body = read(tmp_path, world(rigid("a", scaled))).objects[0]
    np.testing.assert_allclose(body.colliders[0].size, (2, 3, 4))
    np.testing.assert_allclose(body.inertial.com_m, (2, 3, 4))
    mesh = body.visuals[1].mesh
    assert mesh is not None
    np.testing.assert_allclose(mesh.vertices.max(axis=0), (2, 3, 0))
    assert len(mesh.triangles) == 2
    assert mesh.normals is not None
    # Normals go with the inverse: (0, 1/3, 1/4), made unit.
    np.testing.assert_allclose(mesh.normals[0], np.array([0, 0.8, 0.6]), atol=1e-6)


def test_face_varying_coordinates_and_left_handed_faces(tmp_path: Path) -> None:
    content = """def Mesh "sheet" {
        point3f[] points = [(0,0,0), (1,0,0), (1,1,0), (0,1,0)]
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        uniform token orientation = "leftHanded"
        texCoord2f[] primvars:st = [(0,0), (1,0), (1,1)] (interpolation = "faceVarying")
        int[] primvars:st:indices = [0, 1, 2, 0]
    }"""
    mesh = read(tmp_path, world(rigid("a", content))).objects[0].visuals[0].mesh
    assert mesh is not None
    assert mesh.uvs is not None
    np.testing.assert_array_equal(mesh.uvs, [[0, 0], [1, 0], [1, 1], [0, 0]])
    a, b, c = mesh.vertices[mesh.triangles[0]]
    assert np.cross(b - a, c - a)[2] < 0


def test_axes_of_cylinders_and_lying_capsules(tmp_path: Path) -> None:
    for axis, column in (("X", 0), ("Y", 1), ("Z", 2)):
        content = f'def Capsule "c" {{ uniform token axis = "{axis}"\n double height = 3 }}'
        shape = read(tmp_path, world(rigid("a", content))).objects[0].visuals[0]
        assert shape.size == (0.5, 3.0)
        np.testing.assert_allclose(np.abs(shape.X_BS[:3, 2]), np.eye(3)[column], atol=1e-15)
        assert np.linalg.det(shape.X_BS[:3, :3]) == pytest.approx(1)


def test_a_mirrored_mesh_keeps_its_outside(tmp_path: Path) -> None:
    import trimesh

    box = trimesh.creation.box((1, 2, 3))
    points = ", ".join(str(tuple(map(float, v))) for v in box.vertices)
    content = f"""float3 xformOp:scale = (-1, 1, 1)
        uniform token[] xformOpOrder = ["xformOp:scale"]
        def Mesh "box" {{
            point3f[] points = [{points}]
            int[] faceVertexCounts = {[3] * 12}
            int[] faceVertexIndices = {box.faces.ravel().tolist()}
        }}"""
    shape = read(tmp_path, world(rigid("a", content))).objects[0].visuals[0]
    assert shape.mesh is not None
    volume = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.triangles).volume
    assert volume == pytest.approx(6.0)


def test_what_a_sphere_cannot_be_is_refused(tmp_path: Path) -> None:
    content = """def Sphere "s" { float3 xformOp:scale = (1, 2, 1)
        uniform token[] xformOpOrder = ["xformOp:scale"] }"""
    with pytest.raises(StageError, match=r"/World/a/s: .*not round"):
        read(tmp_path, world(rigid("a", content)))


def test_labels_and_materials_come_from_above(tmp_path: Path) -> None:
    material = """def Material "red" {
        token outputs:surface.connect = </World/red/s.outputs:surface>
        def Shader "s" { uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (1, 0, 0)
            float inputs:roughness = 0.25
            float inputs:metallic = 1
            token outputs:surface } }"""
    group = f"""def Xform "group" (prepend apiSchemas = ["SemanticsLabelsAPI:class"]) {{
        token[] semantics:labels:class = ["fruit"]
        {
        rigid(
            "a",
            'def Sphere "s" (prepend apiSchemas = ["MaterialBindingAPI"]) '
            "{ rel material:binding = </World/red> }",
        )
    } }}"""
    colored = 'def Sphere "lamp" { color3f[] primvars:displayColor = [(0, 0.5, 1)] }'
    scene = read(tmp_path, world(material + group + colored))
    assert (scene.objects[0].label, scene.static[0].label) == ("fruit", "object")
    found = scene.objects[0].visuals[0].material
    assert found is not None
    assert (found.name, found.base_color) == ("red", (1, 0, 0))
    assert (found.roughness, found.metallic) == (0.25, 1.0)
    lamp = scene.static[0].visuals[0].material
    assert lamp is not None
    assert lamp.base_color == (0, 0.5, 1)


# Lights, cameras, gravity, units


def test_camera_lights_and_gravity(tmp_path: Path) -> None:
    content = """
    def PhysicsScene "physics" {
        vector3f physics:gravityDirection = (0, -2, 0)
        float physics:gravityMagnitude = 3 }
    def Camera "eye" { float focalLength = 10
        float horizontalAperture = 20
        float2 clippingRange = (0.25, 8)
        double3 xformOp:translate = (1, 2, 3)
        uniform token[] xformOpOrder = ["xformOp:translate"] }
    def DistantLight "sun" { float inputs:intensity = 3
        float inputs:exposure = 1
        color3f inputs:color = (1, 0.5, 0.25) }
    def DomeLight "sky" { }
    """
    scene = read(tmp_path, world(content))
    np.testing.assert_allclose(scene.gravity_mps2, (0, -3, 0))
    (camera,) = scene.cameras
    assert (camera.name, camera.near_m, camera.far_m) == ("eye", 0.25, 8.0)
    assert camera.fov_x_rad == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(camera.X_WC[:3, 3], (1, 2, 3))
    np.testing.assert_allclose(camera.X_WC[:3, 2], (0, 0, -1))  # looks along −z of USD's camera
    np.testing.assert_allclose(camera.X_WC[:3, 1], (0, -1, 0))  # with y down
    assert [light.kind for light in scene.lights] == ["distant", "dome"]
    assert scene.lights[0].intensity == 6.0
    assert scene.lights[0].color == pytest.approx((1, 0.5, 0.25))
    np.testing.assert_allclose(read(tmp_path, world("")).gravity_mps2, (0, 0, -9.81))


def test_centimetres_grams_and_y_up_are_the_same_robot(tmp_path: Path) -> None:
    """One mechanism in two dialects, converted by hand."""
    template = """
    def PhysicsScene "physics" {{ vector3f physics:gravityDirection = {down}
        float physics:gravityMagnitude = {g} }}
    def Xform "a" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"]) {{
        float physics:mass = {m}
        float3 physics:diagonalInertia = ({i}, {i}, {i})
        double3 xformOp:translate = {at}
        uniform token[] xformOpOrder = ["xformOp:translate"]
        def Cube "box" {{ double size = {size} }} }}
    def Xform "b" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"]) {{
        float physics:mass = {m}
        point3f physics:centerOfMass = ({size}, 0, 0)
        float3 physics:diagonalInertia = ({i}, {i}, {i}) }}
    def PhysicsRevoluteJoint "joint" (prepend apiSchemas = ["PhysicsDriveAPI:angular"]) {{
        rel physics:body0 = </World/a>
        rel physics:body1 = </World/b>
        point3f physics:localPos0 = ({size}, 0, 0)
        float drive:angular:physics:stiffness = {k}
        float newton:armature = {i}
        float newton:friction = {torque} }}
    """
    si = world(
        template.format(
            down="(0, 0, -1)", g=10, m=2, i=0.5, at="(1, 2, 3)", size=0.25, k=4, torque=3
        )
    )
    # 1 g = 1e-3 kg, 1 cm = 1e-2 m: inertia and torque ×1e7, gravity ×100. Up y: (x, z, −y).
    other = world(
        template.format(
            down="(0, -1, 0)", g=1000, m=2000, i=5e6, at="(100, 300, -200)", size=25, k=4e7,
            torque=3e7,
        )
    )  # fmt: skip
    one = read(tmp_path, si)
    two = read(tmp_path, other, length=0.01, mass=0.001, up="Y")
    np.testing.assert_allclose(two.gravity_mps2, one.gravity_mps2, atol=1e-6)
    turn = two.robot.bodies[0].X_WB[:3, :3]
    np.testing.assert_allclose(turn, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(two.robot.bodies[0].X_WB[:3, 3], (1, 2, 3), rtol=1e-6)
    for a, b in zip(one.robot.bodies, two.robot.bodies, strict=True):
        np.testing.assert_allclose(b.inertial.mass_kg, a.inertial.mass_kg, rtol=1e-6)
        np.testing.assert_allclose(b.inertial.com_m, a.inertial.com_m, rtol=1e-6)
        np.testing.assert_allclose(b.inertial.inertia_kgm2, a.inertial.inertia_kgm2, rtol=1e-6)
    np.testing.assert_allclose(two.robot.bodies[0].visuals[0].size, (0.25,) * 3, rtol=1e-6)
    j1, j2 = one.robot.joints[0], two.robot.joints[0]
    np.testing.assert_allclose(j2.X_PJ, j1.X_PJ, atol=1e-7)
    assert j1.drive is not None
    assert j2.drive is not None
    assert j2.drive.stiffness == pytest.approx(j1.drive.stiffness, rel=1e-6)
    assert j2.armature == pytest.approx(j1.armature, rel=1e-6)
    assert j2.friction.coulomb == pytest.approx(j1.friction.coulomb, rel=1e-6)


# Refusals


def test_a_stage_that_does_not_say_its_units_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.usda"
    file.write_text('#usda 1.0\n(\n upAxis = "Z"\n)\ndef Xform "World" {}\n')
    with pytest.raises(StageError, match="does not say its metersPerUnit"):
        read_stage(file)
    file = tmp_path / "neither.usda"
    file.write_text('#usda 1.0\ndef Xform "World" {}\n')
    with pytest.raises(StageError, match="metersPerUnit and upAxis"):
        read_stage(file)
    with pytest.raises(StageError, match="positive number, not 0"):
        read(tmp_path, world(""), length=0)


def test_files_that_are_missing_broken_or_no_usd(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="stage not found"):
        read_stage(tmp_path / "none.usda")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(StageError, match="cannot be opened as USD"):
        read_stage(tmp_path / "note.txt")
    (tmp_path / "broken.usda").write_text('#usda 1.0\ndef Xform "World" {')
    with pytest.raises(StageError, match="cannot be opened as USD"):
        read_stage(tmp_path / "broken.usda")
    with pytest.raises(StageError, match=r"does not compose: .*gone\.usda"):
        read(tmp_path, 'def Xform "World" (prepend references = @./gone.usda@) {}')
    # USD's own complaints would be noise beside our one line.
    assert capfd.readouterr().err == ""


REFUSED = {
    "target": (
        rigid("a") + joint("rel physics:body0 = </World/a>\n rel physics:body1 = </World/ghost>"),
        "/World/joint: physics:body1 must name one prim, not /World/ghost",
    ),
    "nothing held": (rigid("a") + joint(""), "both sides"),
    "limits": (
        rigid("a") + rigid("b") + joint(BOTH + "float physics:lowerLimit = 2\n"
                                        "float physics:upperLimit = 1"),
        "above the upper",
    ),
    "negative friction": (
        rigid("a") + rigid("b") + joint(BOTH + "float newton:friction = -1"),
        "must not be negative",
    ),
    "mimic": (
        rigid("a") + rigid("b") + joint(BOTH + "rel newton:mimicJoint = </World/ghost>"),
        "no movable joint",
    ),
    "empty mesh": (rigid("a", 'def Mesh "m" { }'), "no faces"),
    "bad index": (
        rigid("a", 'def Mesh "m" { point3f[] points = [(0,0,0)]\n int[] faceVertexCounts = [3]\n'
              "int[] faceVertexIndices = [0, 1, 2] }"),
        "do not match its 1 points",
    ),
    "inertia": (rigid("a", "double[] newton:inertia = [1, 2]"), "6 finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_refused_names_the_prim(tmp_path: Path, fault: str) -> None:
    content, message = REFUSED[fault]
    with pytest.raises(StageError, match=message) as error:
        read(tmp_path, world(content))
    assert "/World" in str(error.value)


def test_a_disabled_joint_and_a_disabled_body_are_not_there(tmp_path: Path) -> None:
    off = joint(BOTH + "bool physics:jointEnabled = false")
    scene = read(tmp_path, world(rigid("a") + rigid("b") + off))
    assert [b.name for b in scene.objects] == ["a", "b"]
    ghost = rigid("a", "bool physics:rigidBodyEnabled = false")
    assert read(tmp_path, world(ghost)).objects == ()
