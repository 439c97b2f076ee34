"""URDFs of a stranger: nothing outside the roots is read, nothing large is built."""

import json
import struct
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import trimesh

from envs.errors import StageError
from envs.stage.guard import LIMITS
from envs.stage.urdf import import_urdf
from envs.stage.urdf_guard import check_meshes, check_xml
from envs.stage.urdf_source import read_urdf

LINK = """<robot name="r"><link name="a"><visual><geometry>
  <mesh filename="{mesh}"/></geometry>{material}</visual></link></robot>"""


def package(folder: Path) -> Path:
    """A package with a mesh, and a secret beside it; the URDF is <folder>/robot/urdf/r.urdf."""
    for name in ("robot/urdf", "robot/meshes", "other"):
        (folder / name).mkdir(parents=True)
    box = trimesh.creation.box((1, 1, 1))
    for name in ("robot/meshes/box.stl", "other/secret.stl"):
        box.export(folder / name)
    (folder / "other" / "secret.png").write_bytes(b"png")
    return folder / "robot" / "urdf" / "r.urdf"


def read_mesh(urdf: Path, mesh: str, *, material: str = "", roots: tuple[Path, ...] = ()) -> Path:
    urdf.write_text(LINK.format(mesh=mesh, material=material))
    (visual,) = read_urdf(urdf, package_roots=roots).links[0].visuals
    assert visual.mesh is not None
    return visual.mesh.resolve()


@pytest.mark.parametrize(
    "name", ["../meshes/box.stl", "package://robot/meshes/box.stl", "file://../meshes/box.stl"]
)
def test_its_own_package_is_read(tmp_path: Path, name: str) -> None:
    urdf = package(tmp_path)
    assert read_mesh(urdf, name) == (tmp_path / "robot" / "meshes" / "box.stl").resolve()


def test_a_package_further_up_is_known_by_its_package_xml(tmp_path: Path) -> None:
    urdf = package(tmp_path)
    name = f"package://{tmp_path.name}/other/secret.stl"
    with pytest.raises(StageError, match=r"not found; .*package_roots=\[DIR\]"):
        read_mesh(urdf, name)
    (tmp_path / "package.xml").write_text("<package/>")
    assert read_mesh(urdf, name).name == "secret.stl"


@pytest.mark.parametrize(
    "name",
    [
        "../../other/secret.stl",
        "{folder}/other/secret.stl",
        "file://{folder}/other/secret.stl",
        "package://robot/../../other/secret.stl",
        "package://meshes/../../../other/secret.stl",
        "../meshes/link.stl",
    ],
)
def test_what_lies_outside_is_refused_until_its_root_is_given(tmp_path: Path, name: str) -> None:
    urdf = package(tmp_path)
    (tmp_path / "robot" / "meshes" / "link.stl").symlink_to(tmp_path / "other" / "secret.stl")
    named = name.format(folder=tmp_path)
    with pytest.raises(StageError, match=r"outside of its roots|not found"):
        read_mesh(urdf, named)
    if "package" not in name:
        assert read_mesh(urdf, named, roots=(tmp_path / "other",)).name == "secret.stl"


def test_a_missing_mesh_lists_each_place_once(tmp_path: Path) -> None:
    # The URDF's own folder is a root and the place beside it as well.
    with pytest.raises(StageError, match="was not found") as refused:
        read_mesh(tmp_path / "arm.urdf", "package://arm/meshes/link.stl")
    places = str(refused.value).split("looked for: ")[1].split(";")[0].split(", ")
    assert str(tmp_path / "arm/meshes/link.stl") in places
    assert len(places) == len(set(places)), places


@pytest.mark.parametrize("name", ["http://host/a.stl", "https://host/a.stl", "ftp://host/a.stl"])
def test_urls_are_never_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match="names the URL"):
        read_mesh(package(tmp_path), name)


def test_textures_and_material_files_are_confined_too(tmp_path: Path) -> None:
    urdf = package(tmp_path)
    texture = '<material name="m"><texture filename="../../other/secret.png"/></material>'
    with pytest.raises(StageError, match=r"secret.png' outside"):
        read_mesh(urdf, "../meshes/box.stl", material=texture)
    obj = tmp_path / "robot" / "meshes" / "a.obj"
    obj.write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    (obj.parent / "a.mtl").write_text("newmtl m\nmap_Kd ../../other/secret.png\n")
    with pytest.raises(StageError, match=r"secret.png' outside"):
        read_mesh(urdf, "../meshes/a.obj")
    (obj.parent / "a.mtl").unlink()
    (tmp_path / "other" / "b.mtl").write_text("newmtl m\n")
    obj.write_text(obj.read_text().replace("a.mtl", "../../other/b.mtl"))
    with pytest.raises(StageError, match=r"b.mtl' outside"):
        read_mesh(urdf, "../meshes/a.obj")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """Ten levels of ten: 10¹⁰ words from a kilobyte. An external one would read a file."""
    levels = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    bomb = f'<!DOCTYPE r [<!ENTITY e0 "ha">{levels}]><robot name="&e9;"><link name="a"/></robot>'
    spy = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><robot name="&x;"/>'
    for text in (bomb, spy):
        for encoding in ("utf-8", "utf-16"):
            file = tmp_path / "r.urdf"
            file.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding))
            begun = time.process_time()
            with pytest.raises(StageError, match="declares a document type"):
                import_urdf(file, tmp_path / "asset", "r")
            assert time.process_time() - begun < 1.0
    assert not (tmp_path / "asset").exists()


def test_elements_depth_and_bytes_are_capped(tmp_path: Path) -> None:
    file = tmp_path / "r.urdf"
    file.write_text("<robot>" + "<link>" * 50 + "</link>" * 50 + "</robot>")
    check_xml(file, replace(LIMITS, depth=51, prims=51))
    for limits, what in (
        (replace(LIMITS, depth=50), "50 levels"),
        (replace(LIMITS, prims=50), "50 elements"),
        (replace(LIMITS, bytes=600), "600 bytes"),
    ):
        with pytest.raises(StageError, match=f"r.urdf is too large: .*more than {what}"):
            check_xml(file, limits)


def test_collada_cannot_multiply_its_nodes(tmp_path: Path) -> None:
    """Thirty nodes that each hold the next one twice are a billion."""
    file = tmp_path / "a.dae"

    def nodes(levels: int) -> str:
        return "".join(
            f'<node id="n{k}"><instance_node url="#n{k + 1}"/><instance_node url="#n{k + 1}"/>'
            "</node>"
            for k in range(levels)
        )

    file.write_text(f"<COLLADA>{nodes(4)}</COLLADA>")
    check_meshes([file])
    file.write_text(f"<COLLADA>{nodes(30)}</COLLADA>")
    with pytest.raises(StageError, match="500000 instances of nodes"):
        check_meshes([file])
    file.write_text('<COLLADA><node id="a"><instance_node url="#a"/></node></COLLADA>')
    with pytest.raises(StageError, match="'a' is an instance of itself"):
        check_meshes([file])


def test_meshes_are_weighed_before_they_are_opened(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.stl").write_bytes(bytes(1000))
    files = sorted(tmp_path.iterdir())
    check_meshes(files, replace(LIMITS, bytes=3000))
    with pytest.raises(StageError, match=r"2.stl is too large: with the rest more than 2999 bytes"):
        check_meshes(files, replace(LIMITS, bytes=2999))
    zipped = tmp_path / "a.3mf"
    zipped.write_bytes(b"PK")
    with pytest.raises(StageError, match=r"a.3mf: of the types .stl, .obj"):
        check_meshes([zipped])


def test_a_glb_that_asks_for_more_than_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "a.glb"
    trimesh.creation.box().export(file)
    check_meshes([file])
    text = json.dumps({"accessors": [{"count": 10**12, "componentType": 5126, "type": "VEC3"}]})
    text += " " * (-len(text) % 4)
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON")
    file.write_bytes(head + text.encode())
    with pytest.raises(StageError, match=r"a.glb is too large"):
        check_meshes([file])
    file.write_bytes(b"glTF")
    with pytest.raises(StageError, match="no binary glTF"):
        check_meshes([file])


@pytest.mark.parametrize("kind", ["stl", "obj", "dae", "ply", "off", "glb"])
def test_each_type_of_mesh_is_read(tmp_path: Path, kind: str) -> None:
    trimesh.creation.box((1, 2, 3)).export(tmp_path / f"box.{kind}")
    urdf = tmp_path / "r.urdf"
    urdf.write_text(LINK.format(mesh=f"box.{kind}", material=""))
    import_urdf(urdf, tmp_path / "asset", "r")


def test_a_mesh_that_lies_about_its_size_takes_no_memory(tmp_path: Path) -> None:
    """Four billion triangles announced in a header of 84 bytes, and in one of text."""
    liars = {
        "a.stl": bytes(80) + struct.pack("<I", 2**32 - 1),
        "a.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\n"
        b"property float x\nproperty float y\nproperty float z\nelement face 0\n"
        b"property list uchar int vertex_indices\nend_header\n",
    }
    urdf = tmp_path / "r.urdf"
    for name, content in liars.items():
        (tmp_path / name).write_bytes(content)
        urdf.write_text(LINK.format(mesh=name, material=""))
        tracemalloc.start()
        with pytest.raises(StageError, match=f"{name} (cannot be read|holds no triangle)"):
            import_urdf(urdf, tmp_path / "asset", "r")
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()
