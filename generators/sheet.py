"""The docs' contact sheet: robots in three lights, their labels, and PyBullet's own picture."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from envs.errors import ConfigError
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from generators import preview
from generators.baseline import BaselineRenderer
from generators.dataset import write_bytes
from generators.distributions import Uniform
from generators.labelling import Labelled, Labeller
from generators.labels.conventions import Label
from generators.labels.flow import Flow
from generators.labels.keypoints import skeleton
from generators.labels.solids import Box3
from generators.labels.surface import normal_C
from generators.ranges import Ranges
from generators.raster.renderer import RasterRenderer
from generators.renderer import instances_of
from generators.scenario import Scenario, draw, prepare
from generators.textures import write_textures
from generators.writers import coco

Picture = UInt8[np.ndarray, "h w 3"]

TILE = (380, 285)
"""Of one picture on the sheet, (width, height) in pixels; it is rendered at twice that."""

GAP, CAPTION = 8, 22
SWING_RAD = 0.35
"""How far each joint moves to and fro, so that there is flow to be seen."""

LIGHTS = {
    "Midday sun": {"elevation": 58.0, "azimuth": 70.0, "kelvin": 5600.0, "sun": 1.15, "sky": 0.55},
    "Evening sun": {"elevation": 24.0, "azimuth": 105.0, "kelvin": 3400.0, "sun": 1.3, "sky": 0.45},
    "Overcast": {"elevation": 75.0, "azimuth": 20.0, "kelvin": 6800.0, "sun": 0.25, "sky": 1.05},
}


@dataclass(frozen=True)
class Model:
    """A robot on the sheet.

    Attributes:
        title: What stands beside it.
        scene: It, on its table.
        posture: Joint → position about which it moves, rad.
        seed: Of what else is drawn.
    """

    title: str
    scene: Scene
    posture: dict[str, float]
    seed: int


def documentation_sheet(models: Sequence[Model], ranges: Ranges, out: Path) -> None:
    """Write the sheet, two rows for each robot."""
    tiles: list[Picture] = []
    for model in models:
        with tempfile.TemporaryDirectory() as scrap:
            tiles += _rows(model, ranges, write_textures(Path(scrap), model.seed))
    columns = len(LIGHTS) + 2
    rows = [np.concatenate(tiles[k : k + columns], axis=1) for k in range(0, len(tiles), columns)]
    sheet = np.concatenate(rows)
    whole, content = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not whole:
        raise ConfigError(f"{out} could not be encoded as PNG")
    write_bytes(out, content.tobytes())


def flow_colors(flow: Float[np.ndarray, "h w 2"]) -> Picture:
    """Return flow as hue (direction) and strength (length, to its longest); white is none."""
    known = np.isfinite(flow).all(axis=-1)
    uv = np.where(known[..., None], flow, 0.0)
    length = np.linalg.norm(uv, axis=-1)
    turn = np.arctan2(uv[..., 1], uv[..., 0]) / (2 * np.pi) % 1.0
    hsv = np.stack([180 * turn, 255 * length / max(length.max(), 1e-9), np.full(turn.shape, 255)])
    picture: Picture = cv2.cvtColor(np.moveaxis(hsv, 0, -1).astype(np.uint8), cv2.COLOR_HSV2BGR)
    return picture


def normal_colors(normal: Float[np.ndarray, "h w 3"]) -> Picture:
    """Return normals as red (right), green (up) and blue (towards the camera); dark is none."""
    rgb = np.rint(127.5 + 127.5 * normal * [1, -1, -1]).astype(np.uint8)
    rgb[~normal.any(axis=-1)] = 24
    picture: Picture = np.ascontiguousarray(rgb[..., ::-1])
    return picture


def with_boxes(picture: Picture, boxes: dict[int, Box3], labelled: Labelled) -> Picture:
    """Return a picture with 3D boxes, and the axes of the poses: x red, y green, z blue."""
    drawn = picture.copy()
    camera = labelled.shown.frame.camera
    seen = {label.instance.id for label in labelled.instances}
    for number, box in boxes.items():
        if number not in seen:
            continue
        for edge in box.edges_uv(camera):
            _line(drawn, edge, preview.color_of(number), 2)
        size = 0.6 * float(np.min(box.high - box.low))
        for axis, color in enumerate([(60, 60, 235), (70, 190, 70), (235, 130, 50)]):
            ends = np.stack([box.X_WB[:3, 3], box.X_WB[:3, 3] + size * box.X_WB[:3, axis]])
            uv, depth = camera.project(ends)
            if (depth > camera.near_m).all():
                _line(drawn, uv, color, 3)
    return drawn


def _rows(model: Model, ranges: Ranges, textures: tuple[Path, ...]) -> list[Picture]:
    """Return two rows of tiles: pictures, then labels."""
    joints = tuple(model.posture)
    t_s = np.arange(200) * 0.01
    wave = SWING_RAD * np.sin(2.5 * t_s[:, None] + np.arange(len(joints)))
    trajectory = Trajectory(t_s, joints, np.array(list(model.posture.values())) + wave)
    studio = prepare(model.scene, joints)
    size = (2 * TILE[0], 2 * TILE[1])

    def lit(name: str, size: tuple[int, int] = size) -> Scenario:
        return draw(
            studio, trajectory, _in_light(ranges, name), seed=model.seed, index=0, size=size
        )

    shown = {name: lit(name) for name in LIGHTS}
    first = next(iter(shown.values()))
    # What is written in it is to stay legible, and not to hide what it is about.
    small = lit(next(iter(LIGHTS)), (TILE[0] * 3 // 2, TILE[1] * 3 // 2))
    renderer = RasterRenderer(model.scene, textures)
    baseline = BaselineRenderer(model.scene, textures)
    try:
        frames = {name: renderer.render(scenario) for name, scenario in shown.items()}
        frame = next(iter(frames.values()))
        labeller = Labeller.of(studio, trajectory, renderer.parts, [Label.flow])
        labelled = labeller.label(renderer, first, frame)
        theirs = baseline.photograph(first)
        small_frame = renderer.render(small)
        small_labels = labeller.label(renderer, small, small_frame)
    finally:
        renderer.close()
        baseline.close()
    instances = instances_of(renderer.parts)
    kinds = coco.categories(instances, model.scene.robot.bodies[0].label, studio.tree.joints,
                            skeleton(studio.tree))  # fmt: skip
    ids, robot = {k["name"]: k["id"] for k in kinds}, model.scene.robot.name
    entries = coco.annotations(labelled, ids, image_id=0, robot=robot)
    written = coco.annotations(small_labels, ids, image_id=0, robot=robot)
    depth = np.where(np.isfinite(frame.depth_m), frame.depth_m, 0.0).astype(float)
    photo = np.ascontiguousarray(frame.rgb[..., ::-1])
    flow = labelled.shown.forward
    assert isinstance(flow, Flow), "it was asked for"
    pictures = {
        **{f"{model.title}: {name.lower()}": f.rgb[..., ::-1] for name, f in frames.items()},
        "Masks, boxes, joints": preview.annotated(
            np.ascontiguousarray(small_frame.rgb[..., ::-1]), written, kinds
        ),
        "The same by PyBullet's TinyRenderer": theirs[..., ::-1],
        "Depth": preview.depth_colors(depth),
        "Normals": normal_colors(normal_C(frame).astype(float)),
        "Instances": preview.instance_colors(entries, (size[1], size[0])),
        "Optical flow": flow_colors(flow.uv.astype(float)),
        "6D poses and 3D boxes": with_boxes(photo, labelled.boxes, labelled),
    }
    return [_tile(picture, caption) for caption, picture in pictures.items()]


def _in_light(ranges: Ranges, name: str) -> Ranges:
    """Return ranges in which the light is fixed, and the camera stands well."""

    def just(value: float) -> Uniform:
        return Uniform(value, value)

    light = LIGHTS[name]
    return replace(
        ranges,
        object_count=just(6.0),
        object_azimuth_deg=(-50.0, 75.0),
        object_radius_m=(0.3, 0.55),
        camera_azimuth_deg=just(48.0),
        camera_elevation_deg=just(22.0),
        camera_zoom=just(1.25),
        camera_fill=just(0.8),
        camera_roll_deg=just(0.0),
        light_azimuth_deg=just(light["azimuth"]),
        light_elevation_deg=just(light["elevation"]),
        light_temperature_k=just(light["kelvin"]),
        light_sun=just(light["sun"]),
        light_sky=just(light["sky"]),
    )


def _line(
    picture: Picture, uv: Float[np.ndarray, "p 2"], color: tuple[int, int, int], width: int
) -> None:
    """Draw a polyline with sub-pixel ends."""
    points = np.rint(np.clip(uv, -1e4, 1e4) * 16).astype(np.int32)[None]
    cv2.polylines(picture, list(points), False, color, width, cv2.LINE_AA, 4)


def _tile(picture: Picture, caption: str) -> UInt8[np.ndarray, "th tw 3"]:
    """Return a picture at the size of a tile, with its caption below."""
    width, height = TILE
    tile = np.full((height + CAPTION + GAP, width + GAP, 3), 255, np.uint8)
    tile[:height, :width] = cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA)
    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (50, 45, 40)
    cv2.putText(tile, caption, (1, height + 16), font, 0.46, ink, 1, cv2.LINE_AA)
    return tile
