"""Materials, lights and cameras of hand-written stages, against the specifications by hand."""

from pathlib import Path

import numpy as np
import pytest
from pxr import Gf, Usd, UsdGeom

from envs.errors import StageError
from envs.stage.looks import Material
from envs.stage.scene import Scene
from generators.camera import Camera
from tests.envs.stage.written import read, world

MESH = """def Mesh "m" (prepend apiSchemas = ["MaterialBindingAPI"]) {
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0, 1, 2]
    texCoord2f[] primvars:st = [(0, 0), (1, 0), (0, 1)] (interpolation = "vertex")
    texCoord2f[] primvars:map2 = [(0, 0), (0.5, 0), (0, 0.5)] (interpolation = "vertex")
    rel material:binding = </World/look>
}
"""


def look(inputs: str, nodes: str = "", *, kind: str = "UsdPreviewSurface", out: str = "") -> str:
    return f"""def Material "look" {{
        token outputs:{out}surface.connect = </World/look/s.outputs:surface>
        token inputs:coordinates = "map2"
        def Shader "s" {{ uniform token info:id = "{kind}"
            token outputs:surface
            {inputs} }}
        {nodes} }}"""


def image(name: str, content: str = "") -> str:
    return f"""def Shader "{name}" {{ uniform token info:id = "UsdUVTexture"
        asset inputs:file = @./image.png@
        {content}
        float3 outputs:rgb
        float outputs:r
        float outputs:g }}
    """


def from_image(name: str, output: str = "rgb") -> str:
    return f".connect = </World/look/{name}.outputs:{output}>"


def material(tmp_path: Path, content: str) -> tuple[Material, Scene]:
    (tmp_path / "image.png").write_bytes(b"png")
    scene = read(tmp_path, world(MESH + content))
    (shape,) = scene.static[0].visuals
    assert shape.material is not None
    return shape.material, scene


def told(scene: Scene, kind: str) -> str:
    return "\n".join(d.message for d in scene.diagnostics if d.kind == kind)


def test_constants_of_a_surface(tmp_path: Path) -> None:
    found, scene = material(
        tmp_path,
        look("""color3f inputs:diffuseColor = (0.1, 0.2, 0.3)
            color3f inputs:emissiveColor = (4, 5, 6)
            float inputs:roughness = 0.25
            float inputs:metallic = 0.75
            float inputs:opacity = 0.5
            float inputs:opacityThreshold = 0.125
            float inputs:ior = 1.25"""),
    )
    assert found.base_color == pytest.approx((0.1, 0.2, 0.3))
    assert found.emissive == pytest.approx((4, 5, 6))
    assert (found.roughness, found.metallic) == (0.25, 0.75)
    assert (found.opacity, found.opacity_threshold, found.ior) == (0.5, 0.125, 1.25)
    assert found.specular_color is None
    assert found.textures == ()
    assert told(scene, "refused") == ""


def test_what_a_surface_does_not_say_has_the_specification_s_value(tmp_path: Path) -> None:
    found, _ = material(tmp_path, look(""))
    assert found == Material("look", (0.18, 0.18, 0.18))


def test_the_specular_workflow(tmp_path: Path) -> None:
    found, _ = material(
        tmp_path,
        look("int inputs:useSpecularWorkflow = 1\ncolor3f inputs:specularColor = (1, 0.5, 0.25)"),
    )
    assert found.specular_color == (1, 0.5, 0.25)


def test_textures_of_every_kind(tmp_path: Path) -> None:
    mapped = """float4 inputs:scale = (0.5, 0.25, 1, 1)
        token inputs:sourceColorSpace = "sRGB"
        token inputs:wrapS = "mirror"
        token inputs:wrapT = "clamp" """
    normal = """float4 inputs:scale = (2, 2, 2, 1)
        float4 inputs:bias = (-1, -1, -1, 0)
        token inputs:sourceColorSpace = "raw" """
    found, scene = material(
        tmp_path,
        look(
            f"""color3f inputs:diffuseColor{from_image("color")}
            float inputs:roughness{from_image("parts", "g")}
            float inputs:metallic{from_image("parts", "r")}
            color3f inputs:emissiveColor{from_image("color")}
            float inputs:opacity{from_image("parts", "r")}
            normal3f inputs:normal{from_image("normal")}""",
            image("color", mapped) + image("parts") + image("normal", normal),
        ),
    )
    color = found.base_color_texture
    assert color is not None
    assert color == found.emissive_texture
    assert color.path.name == "image.png"
    assert (color.channel, color.color_space, color.wrap) == ("rgb", "sRGB", ("mirror", "clamp"))
    assert (color.scale, color.bias) == ((0.5, 0.25, 1, 1), (0, 0, 0, 0))
    rough, metal, normals = found.roughness_texture, found.metallic_texture, found.normal_texture
    assert rough is not None
    assert metal is not None
    assert normals is not None
    assert (rough.channel, metal.channel) == ("g", "r")
    assert metal == found.opacity_texture
    # Nothing says how: the texture decides, and beyond its edges is black.
    assert (rough.color_space, rough.wrap) == ("auto", ("black", "black"))
    assert (normals.scale, normals.bias) == ((2, 2, 2, 1), (-1, -1, -1, 0))
    assert told(scene, "suspect") == ""
    assert tmp_path / "image.png" in scene.files


def test_coordinates_are_transformed_and_chosen(tmp_path: Path) -> None:
    """A quarter turn after a scaling; the primvar's name comes from the material's interface."""
    nodes = """def Shader "t" { uniform token info:id = "UsdTransform2d"
            float2 inputs:in.connect = </World/look/p.outputs:result>
            float inputs:rotation = 90
            float2 inputs:scale = (2, 3)
            float2 inputs:translation = (0.25, 0.5)
            float2 outputs:result }
        def Shader "p" { uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname.connect = </World/look.inputs:coordinates>
            float2 outputs:result }
        """
    mapped = "float2 inputs:st.connect = </World/look/t.outputs:result>"
    found, scene = material(
        tmp_path,
        look(f"color3f inputs:diffuseColor{from_image('i')}", nodes + image("i", mapped)),
    )
    texture = found.base_color_texture
    assert texture is not None
    assert texture.primvar == "map2"
    # (u, v) → (2u, 3v) → (−3v, 2u) → moved.
    np.testing.assert_allclose(texture.uv_transform, [[0, -3, 0.25], [2, 0, 0.5]], atol=1e-12)
    mesh = scene.static[0].visuals[0].mesh
    assert mesh is not None
    assert mesh.uvs is not None
    np.testing.assert_allclose(mesh.uvs, np.array([(0, 0), (0.5, 0), (0, 0.5)]))


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (look("float inputs:clearcoat = 0.5"), "refused", "clearcoat is not read"),
        (look("", kind="ND_standard_surface"), "refused", "a ND_standard_surface is not read"),
        (
            look("", kind="standard_surface", out="mtlx:"),
            "refused",
            "a MaterialX surface is not read",
        ),
        (look("", kind="OmniPBR", out="mdl:"), "approximated", "only plain values"),
        (
            look(f"normal3f inputs:normal{from_image('n')}", image("n")),
            "suspect",
            "normal map has no bias",
        ),
        (
            look(
                "color3f inputs:diffuseColor.connect = </World/look/x.outputs:rgb>",
                'def Shader "x" { uniform token info:id = "Checker"\n color3f outputs:rgb }',
            ),
            "refused",
            "diffuseColor comes from a Checker",
        ),
        (
            look(
                "color3f inputs:diffuseColor.connect = </World/look/x.outputs:result>",
                """def Shader "x" { uniform token info:id = "UsdPrimvarReader_float3"
                string inputs:varname = "displayColor"
                color3f outputs:result }""",
            ),
            "approximated",
            "varies over the mesh",
        ),
    ],
)
def test_what_is_not_read_is_told(tmp_path: Path, content: str, kind: str, message: str) -> None:
    _, scene = material(tmp_path, content)
    assert message in told(scene, kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (look("float inputs:roughness = nan"), "1 finite numbers"),
        (look("float3 inputs:roughness = (1, 1, 1)"), "1 finite numbers"),
        (look(f"float inputs:roughness{from_image('i')}", image("i")), "cannot feed roughness"),
        (
            look(
                f"float inputs:roughness{from_image('i', 'g')}",
                image("i").replace("./image", "./no"),
            ),
            "was not found",
        ),
    ],
)
def test_surfaces_that_make_no_sense_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(StageError, match=message):
        material(tmp_path, content)


# Lights


def test_lights_have_their_size_and_colour(tmp_path: Path) -> None:
    content = """
    def DistantLight "sun" { float inputs:intensity = 2
        float inputs:angle = 60 }
    def SphereLight "bulb" { float inputs:intensity = 8
        float inputs:radius = 0.5
        bool inputs:normalize = 1
        float3 xformOp:scale = (2, 2, 2)
        uniform token[] xformOpOrder = ["xformOp:scale"] }
    def SphereLight "point" { bool treatAsPoint = 1 }
    def RectLight "panel" { float inputs:width = 3
        float inputs:height = 0.5
        bool inputs:enableColorTemperature = 1
        float inputs:colorTemperature = 3000
        asset inputs:texture:file = @./image.png@ }
    def DiskLight "disk" { }
    def SphereLight "spot" (prepend apiSchemas = ["ShapingAPI"]) {
        float inputs:shaping:cone:angle = 20 }
    """
    (tmp_path / "image.png").write_bytes(b"png")
    scene = read(tmp_path, world(content))
    sun, bulb, point, panel, _ = scene.lights
    # π·sin²(30°) of a sky that is 2 bright.
    assert sun.radiance == pytest.approx((2, 2, 2))
    assert sun.irradiance == pytest.approx((np.pi / 2,) * 3)
    # A normalised light's intensity is spread over its surface, 4π·1².
    assert bulb.radius_m == pytest.approx(1.0)
    assert bulb.radiance == pytest.approx((2 / np.pi,) * 3)
    assert point.radius_m == 0
    assert panel.size_m == pytest.approx((3, 0.5))
    assert panel.texture is not None
    # A lamp of 3000 K is orange, by the primaries of Rec. 709.
    assert panel.color[0] > 1.5 > panel.color[1] > panel.color[2]
    assert "DiskLight are not supported" in told(scene, "refused")
    assert "shaping:cone:angle is not read" in told(scene, "refused")
    assert tmp_path / "image.png" in scene.files
    with pytest.raises(StageError, match="radius must not be negative"):
        read(tmp_path, world('def SphereLight "s" { float inputs:radius = -1 }'))


def test_a_dome_s_image_has_its_top_and_its_middle(tmp_path: Path) -> None:
    content = """
    def DomeLight "old" { }
    def DomeLight_1 "upright" { }
    def DomeLight_1 "z" { uniform token poleAxis = "Z" }
    """
    for up in ("Y", "Z"):
        old, upright, z = read(tmp_path, world(content), up=up).lights
        to_stage = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) if up == "Y" else np.eye(3)
        # OpenEXR's lat-long images: the top is +y, the middle +z, and +x lies left of it.
        R = to_stage @ old.X_WL[:3, :3]
        np.testing.assert_allclose(R[:, 2], (0, 1, 0), atol=1e-12)
        np.testing.assert_allclose(R[:, 0], (0, 0, 1), atol=1e-12)
        np.testing.assert_allclose(upright.X_WL[:3, 2], (0, 0, 1), atol=1e-12)
        np.testing.assert_allclose((to_stage @ z.X_WL[:3, :3])[:, 2], (0, 0, 1), atol=1e-12)
        assert np.linalg.det(upright.X_WL[:3, :3]) == pytest.approx(1)


# Cameras

EYE = """def Camera "eye" { float focalLength = 24
    float horizontalAperture = 36
    float verticalAperture = 27
    float horizontalApertureOffset = 3
    float verticalApertureOffset = -2
    float2 clippingRange = (0.25, 8)
    float fStop = 2.5
    float focusDistance = 1.5
    double shutter:open = -0.25
    double shutter:close = 0.5
    double3 xformOp:translate = (1, 2, 3)
    double3 xformOp:rotateXYZ = (70, 10, 30)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ"] }"""


def test_a_camera_sees_what_usd_s_own_frustum_says(tmp_path: Path) -> None:
    scene = read(tmp_path, world(EYE))
    camera = Camera.from_stage(scene.cameras[0], (640, 480))
    stage = Usd.Stage.Open(str(tmp_path / "stage_0.usda"))
    frustum = UsdGeom.Camera(stage.GetPrimAtPath("/World/eye")).GetCamera().frustum
    to_clip = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
    rng = np.random.default_rng(0)
    points = camera.unproject(rng.uniform([0, 0], [639, 479], (50, 2)), rng.uniform(0.3, 7, 50))
    uv, _ = camera.project(points)
    for point, (u, v) in zip(points, uv, strict=True):
        x, y, _ = to_clip.Transform(Gf.Vec3d(*point.tolist()))
        # The window's edges −1 and 1 are the outer edges of the first and the last pixel.
        np.testing.assert_allclose(u, (x + 1) / 2 * 640 - 0.5, atol=1e-4)
        np.testing.assert_allclose(v, (1 - y) / 2 * 480 - 0.5, atol=1e-4)


def test_a_camera_s_lens_and_shutter(tmp_path: Path) -> None:
    (camera,) = read(tmp_path, world(EYE)).cameras
    # Film and focal length are in tenths of the stage's unit, a metre.
    assert camera.focal_m == pytest.approx(2.4)
    assert (camera.f_stop, camera.focus_m) == (2.5, 1.5)
    np.testing.assert_allclose(camera.shutter_s, (-0.25 / 24, 0.5 / 24))
    without = read(tmp_path, world(EYE.replace("float focusDistance = 1.5", "")))
    assert without.cameras[0].f_stop == 0
    assert "fStop without focusDistance" in told(without, "suspect")
    with pytest.raises(StageError, match="apertures must be positive"):
        read(tmp_path, world(EYE.replace("verticalAperture = 27", "verticalAperture = 0")))
