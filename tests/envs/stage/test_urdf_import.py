"""What a URDF says arrives in the Scene, or the import says why not; nothing is made up."""

from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest
import trimesh

from envs.errors import StageError
from envs.frames import inverse
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation
from envs.stage.tree import joint_motion
from envs.stage.urdf import import_urdf
from envs.stage.urdf_check import compare
from envs.stage.urdf_source import read_urdf


def robot_of(folder: Path, text: str, **options: object) -> Articulation:
    file = folder / "robot.urdf"
    file.write_text(text)
    asset = import_urdf(file, folder / "asset", "robot", **options)  # type: ignore[arg-type]
    return read_stage(asset).robot


def arm(link: str = "", joint: str = "", extra: str = "", kind: str = "revolute") -> str:
    """Two links and a joint, with room for more."""
    return f"""<robot name="arm">
      <link name="base"/>
      <link name="tip">{link}</link>
      <joint name="elbow" type="{kind}">
        <parent link="base"/><child link="tip"/><origin xyz="0.1 0.2 0.3" rpy="0.3 -0.2 0.5"/>
        {joint or '<limit lower="-1" upper="2" velocity="3" effort="4"/>'}
      </joint>{extra}
    </robot>"""


def random_urdf(rng: np.random.Generator, joints: int) -> str:
    """A random tree: any axis, any origin, an inertial of any orientation on each link."""

    def numbers(count: int, scale: float = 1.0) -> str:
        return " ".join(repr(float(v)) for v in rng.uniform(-scale, scale, count))

    def inertial() -> str:
        points = rng.normal(size=(6, 3)) * 0.1
        tensor = sum(p @ p * np.eye(3) - np.outer(p, p) for p in points)
        keys = {"ixx": (0, 0), "ixy": (0, 1), "ixz": (0, 2), "iyy": (1, 1)}
        keys |= {"iyz": (1, 2), "izz": (2, 2)}
        values = " ".join(f'{k}="{float(tensor[ij])!r}"' for k, ij in keys.items())
        return f"""<inertial><origin xyz="{numbers(3)}" rpy="{numbers(3, 3.0)}"/>
          <mass value="{float(rng.uniform(0.1, 5))!r}"/><inertia {values}/></inertial>"""

    parts = [f'<link name="link0">{inertial()}</link>']
    for i in range(1, joints + 1):
        kind = rng.choice(["revolute", "continuous", "prismatic"])
        axis = numbers(3) if i % 2 else ["1 0 0", "0 -1 0", "0 0 -1", "-1 0 0"][i // 2 % 4]
        parts.append(f'<link name="link{i}">{inertial()}</link>')
        parts.append(f"""<joint name="joint{i}" type="{kind}">
          <parent link="link{int(rng.integers(0, i))}"/><child link="link{i}"/>
          <origin xyz="{numbers(3)}" rpy="{numbers(3, 3.0)}"/><axis xyz="{axis}"/>
          <limit lower="{-float(rng.uniform(0, 3))!r}" upper="{float(rng.uniform(0, 3))!r}"
            velocity="{float(rng.uniform(0.1, 9))!r}" effort="{float(rng.uniform(1, 99))!r}"/>
          <dynamics damping="{float(rng.uniform(0, 2))!r}" friction="{float(rng.uniform(0, 2))!r}"/>
        </joint>""")
    return f'<robot name="random">{"".join(parts)}</robot>'


@pytest.mark.parametrize("seed", range(6))
def test_a_random_tree_is_pinocchio_s(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = random_urdf(rng, 7)
    robot = robot_of(tmp_path, text)
    # A free root keeps the root link's inertia.
    model = pin.buildModelFromXML(text, pin.JointModelFreeFlyer())
    data = model.createData()
    for body in robot.bodies:
        expected = model.inertias[
            model.frames[model.getFrameId(body.name, pin.FrameType.BODY)].parentJoint
        ]
        np.testing.assert_allclose(body.inertial.mass_kg, expected.mass, rtol=1e-12)
        np.testing.assert_allclose(body.inertial.com_m, expected.lever, atol=1e-12)
        np.testing.assert_allclose(body.inertial.inertia_kgm2, expected.inertia, atol=1e-12)
    for _ in range(10):
        q, values = pin.neutral(model), {}
        for joint in robot.joints:
            values[joint.name] = value = float(rng.uniform(-3, 3))
            index = model.getJointId(joint.name)
            turns = model.nqs[index] == 2  # Pinocchio keeps cosine and sine of a continuous joint
            start = model.idx_qs[index]
            q[start : start + model.nqs[index]] = (
                [np.cos(value), np.sin(value)] if turns else [value]
            )
        pin.framesForwardKinematics(model, data, q)
        poses = {robot.bodies[0].name: robot.bodies[0].X_WB}
        for joint in robot.joints:
            motion = joint_motion(joint, values[joint.name])
            poses[joint.child] = poses[joint.parent] @ joint.X_PJ @ motion @ inverse(joint.X_CJ)
            frame = model.getFrameId(joint.child, pin.FrameType.BODY)
            expected_pose = data.oMf[frame].homogeneous
            np.testing.assert_allclose(poses[joint.child], expected_pose, atol=1e-9)


def test_a_link_without_inertial_stays_massless_even_with_a_collider(tmp_path: Path) -> None:
    shape = '<collision><geometry><box size="1 1 1"/></geometry></collision>'
    robot = robot_of(tmp_path, arm(link=shape))
    assert [b.inertial.mass_kg for b in robot.bodies] == [0.0, 0.0]
    assert not robot.bodies[1].inertial.inertia_kgm2.any()
    assert len(robot.bodies[1].colliders) == 1


def test_friction_damping_and_limits_of_turning_and_sliding_joints(tmp_path: Path) -> None:
    dynamics = '<dynamics damping="0.7" friction="0.3"/>'
    limit = '<limit lower="-0.1" upper="0.2" velocity="0.5" effort="9"/>'
    for kind in ("revolute", "prismatic"):
        folder = tmp_path / kind
        folder.mkdir()
        joint = robot_of(folder, arm(joint=limit + dynamics, kind=kind)).joints[0]
        assert joint.kind == kind
        found = (joint.lower, joint.upper, joint.velocity_limit, joint.effort_limit)
        np.testing.assert_allclose(found, (-0.1, 0.2, 0.5, 9.0), rtol=1e-12)
        np.testing.assert_allclose((joint.friction.viscous, joint.friction.coulomb), (0.7, 0.3))


def test_a_continuous_joint_has_no_position_limit(tmp_path: Path) -> None:
    joint = robot_of(tmp_path, arm(kind="continuous")).joints[0]
    assert (joint.lower, joint.upper) == (-np.inf, np.inf)
    assert joint.velocity_limit == pytest.approx(3.0)


def test_a_mimic_keeps_multiplier_and_offset_across_joint_kinds(tmp_path: Path) -> None:
    extra = """<link name="finger"/><joint name="grip" type="prismatic">
      <parent link="base"/><child link="finger"/>
      <mimic joint="elbow" multiplier="0.25" offset="0.1"/>
      <limit lower="0" upper="1" velocity="1" effort="1"/></joint>"""
    robot = robot_of(tmp_path, arm(extra=extra))
    mimic = robot.joint("grip").mimic
    assert mimic is not None
    assert mimic[0] == "elbow"
    np.testing.assert_allclose(mimic[1:], (0.25, 0.1), rtol=1e-12)


def test_names_that_usd_does_not_allow_survive(tmp_path: Path) -> None:
    text = arm().replace('"tip"', '"tool-tip 1"').replace('"elbow"', '"arm/elbow.1"')
    robot = robot_of(tmp_path, text)
    assert [b.name for b in robot.bodies] == ["base", "tool-tip 1"]
    assert robot.joints[0].name == "arm/elbow.1"


def test_primitives_arrive_with_pose_size_and_linear_colour(tmp_path: Path) -> None:
    def element(tag: str, geometry: str) -> str:
        return f"""<{tag}><origin xyz="1 2 3" rpy="0 0 1.5707963267948966"/>
          <geometry>{geometry}</geometry><material name="paint"/></{tag}>"""

    shapes = (
        ('<box size="0.1 0.2 0.3"/>', "box", (0.1, 0.2, 0.3)),
        ('<sphere radius="0.4"/>', "sphere", (0.4,)),
        ('<cylinder radius="0.1" length="0.5"/>', "cylinder", (0.1, 0.5)),
    )
    link = "".join(element(tag, g) for g, _, _ in shapes for tag in ("visual", "collision"))
    extra = '<material name="paint"><color rgba="0.5 0 1 1"/></material>'
    body = robot_of(tmp_path, arm(link=link, extra=extra)).bodies[1]
    assert len(body.visuals) == len(body.colliders) == 3
    for found, (_, kind, size) in zip(
        (*body.visuals, *body.colliders), (*shapes, *shapes), strict=True
    ):
        assert found.kind == kind
        np.testing.assert_allclose(found.size, size, rtol=1e-12)
        np.testing.assert_allclose(found.X_BS[:3, 3], (1, 2, 3))
        np.testing.assert_allclose(found.X_BS[:3, 0], (0, 1, 0), atol=1e-12)
    material = body.visuals[0].material
    assert material is not None
    # 0.5 on a screen is 0.2140 of its light (IEC 61966-2-1).
    np.testing.assert_allclose(material.base_color, (0.2140, 0, 1), atol=1e-4)
    assert body.colliders[0].material is None


def test_a_mesh_is_found_in_a_package_scaled_and_kept_inside_in(tmp_path: Path) -> None:
    meshes = tmp_path / "somewhere" / "my_robot" / "meshes"
    meshes.mkdir(parents=True)
    box = trimesh.creation.box((1, 2, 3))
    box.export(meshes / "box.stl")
    link = """<visual><geometry><mesh filename="package://my_robot/meshes/box.stl"
      scale="0.1 -0.1 0.2"/></geometry></visual>"""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, root in (("a", meshes.parent), ("b", meshes.parents[1])):
        robot = robot_of(tmp_path / folder, arm(link=link), package_roots=[root])
        mesh = robot.bodies[1].visuals[0].mesh
        assert mesh is not None
        solid = trimesh.Trimesh(mesh.vertices, mesh.triangles)
        np.testing.assert_allclose(solid.extents, (0.1, 0.2, 0.6), rtol=1e-6)
        assert solid.volume == pytest.approx(0.1 * 0.2 * 0.6, rel=1e-6)  # positive: outside is out
        assert mesh.normals is not None
        np.testing.assert_allclose(
            mesh.normals[mesh.triangles[:, 0]], solid.face_normals, atol=1e-6
        )


def test_an_obj_with_two_materials_gives_a_shape_for_each(tmp_path: Path) -> None:
    (tmp_path / "two.mtl").write_text("newmtl a\nKd 1 0 0\nnewmtl b\nKd 0 0.25 0\n")
    (tmp_path / "two.obj").write_text(
        "mtllib two.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
        "usemtl a\nf 1 2 3\nusemtl b\nf 1 2 4\nf 1 3 4\n"
    )
    link = '<visual><geometry><mesh filename="two.obj"/></geometry></visual>'
    body = robot_of(tmp_path, arm(link=link)).bodies[1]
    looks = {
        shape.material.base_color: len(shape.mesh.triangles)
        for shape in body.visuals
        if shape.material is not None and shape.mesh is not None
    }
    assert looks == {(1.0, 0.0, 0.0): 1, (0.0, 0.25, 0.0): 2}


BROKEN = {
    "not found": (
        "",
        "looked for",
        '<visual><geometry><mesh filename="no.stl"/></geometry></visual>',
    ),
    "package": (
        "",
        "package://ghost/a.stl",
        '<collision><geometry><mesh filename="package://ghost/a.stl"/></geometry></collision>',
    ),
    "inertia without izz": (
        "",
        "ixx, iyy and izz",
        '<inertial><mass value="1"/><inertia ixx="1" iyy="1"/></inertial>',
    ),
    "negative mass": (
        "",
        "mass -1",
        '<inertial><mass value="-1"/><inertia ixx="1" iyy="1" izz="1"/></inertial>',
    ),
    "mimic of nothing": ('<limit lower="0" upper="1"/><mimic joint="elbwo"/>', "elbow", ""),
    "zero axis": ('<limit lower="0" upper="1"/><axis xyz="0 0 0"/>', "direction", ""),
    "limits swapped": ('<limit lower="2" upper="1"/>', "above the upper", ""),
    "not a number": ('<limit lower="low" upper="1"/>', "not a valid URDF", ""),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_named_and_nothing_is_written(tmp_path: Path, fault: str) -> None:
    joint, message, link = BROKEN[fault]
    with pytest.raises(StageError, match=message):
        robot_of(tmp_path, arm(link=link, joint=joint))
    assert [p.name for p in tmp_path.iterdir()] == ["robot.urdf"]


def test_faults_of_the_whole_file(tmp_path: Path) -> None:
    two_roots = '<robot name="r"><link name="a"/><link name="b"/></robot>'
    loop = """<robot name="r"><link name="a"/><link name="b"/><link name="c"/>
      <joint name="1" type="fixed"><parent link="b"/><child link="c"/></joint>
      <joint name="2" type="fixed"><parent link="c"/><child link="b"/></joint></robot>"""
    for text, message in (
        (arm()[:-20], "no well-formed XML"),
        ("<mujoco/>", "<mujoco>"),
        ('<robot name="r"/>', "one tree"),
        (two_roots, "roots: a, b"),
        (loop, "in a loop"),
        (arm().replace('link="tip"', 'link="tpi"'), "Did you mean 'tip'"),
        (arm(extra='<link name="tip"/>'), "used twice: tip"),
        (arm(kind="floating"), "of type 'floating'"),
    ):
        with pytest.raises(StageError, match=message):
            robot_of(tmp_path, text)
    with pytest.raises(StageError, match="not found"):
        import_urdf(tmp_path / "none.urdf", tmp_path / "asset", "robot")
    with pytest.raises(StageError, match="link 'hand' is not in"):
        robot_of(tmp_path, arm(), leave_out=["hand"])
    with pytest.raises(StageError, match=r"not there: .*wrist"):
        robot_of(tmp_path, arm(), drives={"wrist": (1.0, 1.0)})
    (tmp_path / "junk.stl").write_text("solid junk")
    link = '<visual><geometry><mesh filename="junk.stl"/></geometry></visual>'
    with pytest.raises(StageError, match=r"junk\.stl"):
        robot_of(tmp_path, arm(link=link))


def test_a_texture_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.mtl").write_text("newmtl a\nKd 1 0 0\nmap_Kd D:\\art\\gone.png\n")
    (tmp_path / "one.obj").write_text(
        "mtllib one.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n"
    )
    link = '<visual><geometry><mesh filename="one.obj"/></geometry></visual>'
    with pytest.raises(StageError, match=r"gone\.png"):
        robot_of(tmp_path, arm(link=link))


def test_the_comparison_catches_what_was_written_wrong(tmp_path: Path) -> None:
    inertial = """<inertial><origin xyz="0 0 0.1"/><mass value="2"/>
      <inertia ixx="0.1" iyy="0.1" izz="0.1"/></inertial>"""
    file = tmp_path / "robot.urdf"
    file.write_text(arm(link=inertial))
    asset = import_urdf(file, tmp_path / "asset", "robot")
    source = read_urdf(file)
    compare(source, read_stage(asset), {})
    physics = asset.parent / "physics.usda"
    text = physics.read_text()
    for old, new, message in (
        ("float physics:mass = 2", "float physics:mass = 3", "mass of link 'tip'"),
        ("(0, 0, 0.1)", "(0, 0, 0.2)", "centre of mass of link 'tip'"),
        ("[0.1, 0.1, 0.1, 0, 0, 0]", "[0.1, 0.1, 0.1, 0, 0, 0.01]", "inertia of link 'tip'"),
        ('physics:axis = "X"', 'physics:axis = "Y"', "axis of joint 'elbow'"),
        ("maxForce = 4", "maxForce = 5", "effort limit of joint 'elbow'"),
    ):
        assert old in text
        changed = physics.with_name("changed")
        changed.mkdir(exist_ok=True)
        # A new folder each time: USD keeps layers that it has read.
        folder = changed / message.replace(" ", "_").replace("'", "")
        folder.mkdir()
        for other in asset.parent.iterdir():
            if other.is_file():
                (folder / other.name).write_bytes(other.read_bytes())
        (folder / "physics.usda").write_text(text.replace(old, new))
        with pytest.raises(StageError, match=message):
            compare(source, read_stage(folder / asset.name), {})


def test_a_second_import_replaces_the_first(tmp_path: Path) -> None:
    robot_of(tmp_path, arm())
    robot = robot_of(
        tmp_path, arm(extra='<gazebo reference="tip"/>').replace('upper="2"', 'upper="1"')
    )
    assert robot.joints[0].upper == pytest.approx(1.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["asset", "robot.urdf"]
