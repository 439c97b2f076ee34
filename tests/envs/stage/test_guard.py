"""A stage from a stranger: it reads nothing outside its asset root, and no cap gives way."""

from pathlib import Path

import numpy as np
import pytest

from envs.errors import StageError
from envs.stage.guard import Limits, asset_root, check_layers
from envs.stage.layers import write_rig
from envs.stage.reader import read_stage

HEADER = '#usda 1.0\n(\n metersPerUnit = 1\n upAxis = "Z"\n defaultPrim = "World"\n{extra})\n'


def stage(folder: Path, body: str = "", *, extra: str = "", name: str = "stage.usda") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / name
    file.write_text(HEADER.format(extra=extra) + f'def Xform "World" {{\n{body}\n}}\n')
    return file


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return stage(tmp_path / "outside", name="secret.usda")


def ways_out(secret: Path) -> dict[str, tuple[str, str]]:
    """Name → (prims, metadata of the root layer) of a stage one folder beside the secret."""
    up = "../outside/secret.usda"
    return {
        "reference": (f'def "x" (references = @{up}@) {{\n}}', ""),
        "payload": (f'def "x" (payload = @{up}@) {{\n}}', ""),
        "sublayer": ("", f" subLayers = [@{up}@]\n"),
        "absolute": (f'def "x" (references = @{secret}@) {{\n}}', ""),
        "in a variant": (
            'def "x" (variantSets = "v") {\n variantSet "v" = {\n "a" (references = '
            f"@{up}@) {{\n}}\n}}\n}}",
            "",
        ),
        "of a file behind": ('def "x" (references = @./inner.usda@) {\n}', ""),
        "around": (f'def "x" (references = @./deeper/../{up}@) {{\n}}', ""),
        "through a link": ('def "x" (references = @./link.usda@) {\n}', ""),
    }


@pytest.mark.parametrize("way", list(ways_out(Path())))
def test_layers_outside_the_root_are_refused_before_they_are_read(
    tmp_path: Path, secret: Path, way: str
) -> None:
    body, extra = ways_out(secret)[way]
    folder = tmp_path / "stranger"
    file = stage(folder, body, extra=extra)
    stage(folder, 'def "y" (references = @../outside/secret.usda@) {\n}', name="inner.usda")
    (folder / "link.usda").symlink_to(secret)
    (folder / "deeper").mkdir()
    read_stage(file)  # composes where nothing confines it
    secret.write_text("no USD at all")  # would be another error if it were opened
    with pytest.raises(StageError, match=r"outside of its asset root .*stranger"):
        read_stage(file, root=asset_root(file))


@pytest.mark.parametrize(
    "url", ["https://example.org/a.usda", "file:///etc/passwd", "omniverse://host/a.usd"]
)
def test_urls_are_refused(tmp_path: Path, url: str) -> None:
    file = stage(tmp_path, f'def "x" (references = @{url}@) {{\n}}')
    with pytest.raises(StageError, match="names the URL"):
        read_stage(file)


def test_expressions_and_value_clips_are_refused(tmp_path: Path) -> None:
    hidden = 'def "x" (references = @`"${A}/secret.usda"`@) {\n}'
    file = stage(tmp_path, hidden, extra=' expressionVariables = {\n string A = ".."\n}\n')
    with pytest.raises(StageError, match="no plain file name"):
        read_stage(file)
    clips = 'def "x" (clips = {\n dictionary c = {\n asset[] assetPaths = [@../s.usda@]\n}\n}) {\n}'
    with pytest.raises(StageError, match="value clips"):
        read_stage(stage(tmp_path, clips, name="clips.usda"))


def textured(image: str) -> str:
    return f"""def Cube "box" (prepend apiSchemas = ["MaterialBindingAPI"]) {{
        rel material:binding = </World/look>
    }}
    def Material "look" {{
        token outputs:surface.connect = </World/look/s.outputs:surface>
        def Shader "s" {{
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor.connect = </World/look/t.outputs:rgb>
            token outputs:surface
        }}
        def Shader "t" {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @{image}@
            float3 outputs:rgb
        }}
    }}"""


def test_a_texture_outside_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"png")
    folder = tmp_path / "stranger"
    file = stage(folder, textured("../image.png"))
    (material,) = {s.material for s in read_stage(file).static[0].visuals}
    assert material is not None
    assert material.base_color_texture is not None
    assert material.base_color_texture.path == (tmp_path / "image.png").resolve()
    with pytest.raises(StageError, match=r"/World/look/t reads .*outside"):
        read_stage(file, root=asset_root(file))
    (folder / "image.png").write_bytes(b"png")
    inside = stage(folder, textured("./image.png"), name="inside.usda")
    assert read_stage(inside, root=folder).static[0].visuals[0].material is not None
    with pytest.raises(StageError, match="names the URL"):
        read_stage(stage(folder, textured("http://example.org/a.png"), name="url.usda"))


def test_a_library_is_the_root_of_its_stages(tmp_path: Path, secret: Path) -> None:
    library = tmp_path / "library"
    stage(library / "hands" / "one", name="hand.usda")
    arm = stage(library / "arms" / "two", 'def "x" (references = @../../hands/one/hand.usda@) {\n}')
    assert asset_root(arm) == arm.parent
    with pytest.raises(StageError, match="outside"):
        read_stage(arm, root=asset_root(arm))
    (library / "LICENSE").touch()
    assert asset_root(arm) == library
    read_stage(arm, root=asset_root(arm))


def test_a_user_s_layer_in_a_rig_is_confined_too(tmp_path: Path, secret: Path) -> None:
    robot = stage(tmp_path / "robot", name="robot.usda")
    layer = stage(tmp_path / "stranger", 'def "x" (references = @../outside/secret.usda@) {\n}')
    with pytest.raises(StageError, match="outside"):
        write_rig(tmp_path / "rig.usda", scene=None, robot=robot, sublayers=[layer])


def test_a_billion_prims_from_a_page_of_text_are_never_made(tmp_path: Path) -> None:
    """Each prim refers twice to the next: 2³⁰ of them, which would take hours."""
    lines = [
        f'def Xform "p{i}" {{\n def "a" (references = </p{i + 1}>) {{\n}}\n'
        f' def "b" (references = </p{i + 1}>) {{\n}}\n}}'
        for i in range(30)
    ]
    file = stage(tmp_path)
    file.write_text(file.read_text() + "\n".join(lines) + '\ndef Xform "p30" {\n}\n')
    with pytest.raises(StageError, match="more than 500000 prims"):
        read_stage(file)
    instanced = tmp_path / "instanced.usda"
    instanced.write_text(
        file.read_text().replace("(references", "(instanceable = true\nreferences")
    )
    with pytest.raises(StageError, match="more than 500000 prims"):
        read_stage(instanced)


def test_prims_are_counted_as_usd_makes_them(tmp_path: Path) -> None:
    """A bound that is exact where nothing is said twice: sublayers, references, inherits."""
    stage(tmp_path, 'def "a" {\n def "b" {\n}\n}', name="part.usda")
    body = 'def "x" (references = @./part.usda@) {\n}\ndef "y" (inherits = </World/x>) {\n}'
    file = stage(tmp_path, body)
    # World, x with a and b, y with those again; the inherited x itself counts once more each time.
    check_layers(file, None, Limits(prims=12))
    with pytest.raises(StageError, match="more than 6 prims"):
        check_layers(file, None, Limits(prims=6))


def test_circles_are_left_to_composition(tmp_path: Path) -> None:
    file = stage(tmp_path, 'def "x" (references = </World>) {\n}')
    with pytest.raises(StageError, match="does not compose"):
        read_stage(file)


def test_the_cap_on_bytes(tmp_path: Path) -> None:
    file = stage(tmp_path, "# " + "x" * 5000)
    check_layers(file, None, Limits(bytes=6000))
    with pytest.raises(StageError, match="more than 5000 bytes"):
        check_layers(file, None, Limits(bytes=5000))


def test_the_cap_on_layers(tmp_path: Path) -> None:
    names = [f"part{i}.usda" for i in range(5)]
    for name in names:
        stage(tmp_path, name=name)
    file = stage(tmp_path, extra=f" subLayers = [{', '.join(f'@./{n}@' for n in names)}]\n")
    check_layers(file, None, Limits(layers=6))
    with pytest.raises(StageError, match="more than 5 layers"):
        check_layers(file, None, Limits(layers=5))


def test_the_cap_on_the_depth_of_prims(tmp_path: Path) -> None:
    nested = "".join(f'def "p{i}" {{\n' for i in range(50)) + "}\n" * 50
    file = stage(tmp_path, nested)
    read_stage(file)
    with pytest.raises(StageError, match="more than 40 levels of prims"):
        read_stage(file, limits=Limits(depth=40))


def test_text_that_would_overrun_the_parser_s_stack(tmp_path: Path) -> None:
    deep = stage(tmp_path, 'def "p" {\n' * 200_000 + "}\n" * 200_000)
    with pytest.raises(StageError, match="nests brackets"):
        read_stage(deep)
    array = "int[] a = " + "[" * 200_000 + "]" * 200_000
    with pytest.raises(StageError, match="nests brackets"):
        read_stage(stage(tmp_path, array, name="array.usda"))


def test_the_cap_on_the_depth_of_references(tmp_path: Path) -> None:
    for i in range(30):
        stage(tmp_path, f'def "x" (references = @./s{i + 1}.usda@) {{\n}}', name=f"s{i}.usda")
    stage(tmp_path, name="s30.usda")
    read_stage(tmp_path / "s0.usda")
    with pytest.raises(StageError, match="more than 20 levels of references"):
        read_stage(tmp_path / "s0.usda", limits=Limits(depth=20))


def test_the_cap_on_faces_counts_instances(tmp_path: Path) -> None:
    n = 100
    counts, corners = ", ".join(["3"] * n), ", ".join(["0, 1, 2"] * n)
    mesh = (
        f'def Mesh "m" {{\n point3f[] points = [(0,0,0), (1,0,0), (0,1,0)]\n'
        f" int[] faceVertexCounts = [{counts}]\n int[] faceVertexIndices = [{corners}]\n}}"
    )
    stage(tmp_path, mesh, name="part.usda")
    copies = "\n".join(
        f'def "c{i}" (instanceable = true\nreferences = @./part.usda@) {{\n}}' for i in range(5)
    )
    file = stage(tmp_path, copies)
    assert len(read_stage(file, limits=Limits(faces=500)).static) == 5
    with pytest.raises(StageError, match="more than 499 faces"):
        read_stage(file, limits=Limits(faces=499))


def test_a_package_is_read_within_its_root(tmp_path: Path) -> None:
    """USD's zip packages hold their layers and images inside."""
    from pxr import UsdUtils

    source = stage(tmp_path / "source", 'def Sphere "ball" {\n}')
    folder = tmp_path / "stranger"
    folder.mkdir()
    package = folder / "ball.usdz"
    assert UsdUtils.CreateNewUsdzPackage(str(source), str(package))
    scene = read_stage(package, root=asset_root(package))
    assert [b.visuals[0].kind for b in scene.static] == ["sphere"]
    np.testing.assert_array_equal(scene.static[0].X_WB, np.eye(4))
