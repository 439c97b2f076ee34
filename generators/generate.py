"""From a stage and a recording to a labelled data set."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

from envs.errors import ConfigError
from envs.stage.reader import read_stage
from envs.stage.scene import Scene
from envs.telemetry.trajectory import Trajectory
from envs.world.encoders import from_readings
from generators.dataset import File, new_dataset, png, write_bytes, write_json, write_picture
from generators.depth_sensor import measured_depth
from generators.distributions import stream
from generators.exposure import PosesAt, expose, robot_poses
from generators.labelling import Labeller
from generators.labels.conventions import Label
from generators.labels.keypoints import skeleton
from generators.left_out import left_out
from generators.optics import IDEAL, Exposure, Optics
from generators.ranges import Ranges
from generators.renderer import Frame, Renderer, instances_of, parts_of
from generators.scenario import Studio, draw, prepare, stage_camera, with_followers
from generators.sensor import sensed
from generators.textures import write_textures
from generators.workers import run
from generators.writers import card, coco, pixels

DEFAULT_LABELS = (Label.depth, Label.instance)

MAX_SIDE = 4096
"""Of a picture, in pixels."""

Progress = Callable[[int, int], None]
"""Told how many pictures are done, and how many there will be."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class Summary:
    """What was made.

    Attributes:
        out: The data set's folder.
        annotations: Class → how many annotations there are of it.
        seconds: From start to end.
    """

    out: Path
    images: int
    annotations: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Shoot:
    """What a worker must know to make any picture of a data set."""

    studio: Studio
    trajectory: Trajectory
    ranges: Ranges
    seed: int
    size: tuple[int, int]
    labels: tuple[Label, ...]
    optics: Optics
    textures: tuple[Path, ...]
    folder: Path
    device: str


@dataclass(frozen=True)
class Shot:
    """What is known of a picture when its files are written."""

    image: coco.Json
    annotations: list[coco.Json]
    sha256: dict[str, str]


def generate(
    stage: Path | Scene,
    trajectory: Trajectory,
    out: Path,
    *,
    images: int,
    seed: int,
    width: int,
    height: int,
    workers: int,
    ranges: Ranges,
    labels: Sequence[Label] = DEFAULT_LABELS,
    optics: Optics = IDEAL,
    device: str = "auto",
    progress: Progress | None = None,
    note: Note | None = None,
) -> Summary:
    """Render a data set of the robot at recorded poses.

    Args:
        stage: The calibrated twin.
        trajectory: The recording that the poses are taken from, as the encoders read it.
        out: Folder of the data set; must not exist, or be empty.
        images: How many pictures.
        seed: Equal seeds give equal bytes.
        width: Of a picture, in pixels.
        height: Of a picture, in pixels.
        workers: Processes; their number changes nothing in the pictures.
        ranges: What varies, and how far.
        labels: Those with a value per pixel that get a file for each picture.
        optics: Lens, exposure and sensors.
        device: "auto", "cpu" or "cuda".
        progress: Called after each picture.
        note: Told what the user should know meanwhile.

    Raises:
        ConfigError: A number is out of range, or `out` or the device cannot be used.
        StageError: The stage cannot be read or drawn.
        RecordingError: The recording does not fit the robot.
    """
    from generators.raster.device import compile_kernels

    started = time.monotonic()
    _check(images, seed, width, height, workers)
    # Before there are workers, so that they do not all compile the same.
    chosen = compile_kernels(device, note)
    scene = read_stage(stage) if isinstance(stage, Path) else stage
    if note is not None:
        for line in left_out(scene):
            note(line)
    trajectory = with_followers(scene.robot, from_readings(scene.robot, trajectory))
    studio = prepare(scene, trajectory.joints, optics.lens)
    with new_dataset(out) as folder, tempfile.TemporaryDirectory() as scrap:
        textures = write_textures(Path(scrap), seed)
        shoot = Shoot(
            studio,
            trajectory,
            ranges,
            seed,
            (width, height),
            tuple(labels),
            optics,
            textures,
            folder,
            chosen,
        )
        shots: dict[int, Shot] = {}
        for index, shot in run(partial(_session, shoot), images, workers):
            shots[index] = shot
            if progress is not None:
                progress(len(shots), images)
        ordered = [shots[index] for index in range(images)]
        annotations = _write_lists(shoot, ordered)
    return Summary(out, images, annotations, time.monotonic() - started)


def _check(images: int, seed: int, width: int, height: int, workers: int) -> None:
    """Refuse numbers that make no data set."""
    if images < 1 or workers < 1 or seed < 0:
        raise ConfigError(
            "images and workers must be at least 1 and seed at least 0, not "
            f"{images}, {workers} and {seed}"
        )
    if not (16 <= width <= MAX_SIDE and 16 <= height <= MAX_SIDE):
        raise ConfigError(
            f"width and height must lie in 16..{MAX_SIDE} pixels, not {width} and {height}"
        )


@contextmanager
def _session(shoot: Shoot) -> Iterator[Callable[[int], Shot]]:
    """Hold a renderer, and give what makes picture after picture with it."""
    # Each worker has a core to itself; OpenCV's threads would only get in each other's way.
    cv2.setNumThreads(1)
    from generators.raster.renderer import RasterRenderer

    renderer = RasterRenderer(shoot.studio.scene, shoot.textures, device=shoot.device.split(":")[0])
    try:
        labeller = Labeller.of(shoot.studio, shoot.trajectory, renderer.parts, shoot.labels)
        poses_at = robot_poses(shoot.studio, shoot.trajectory)
        yield partial(_take, shoot, renderer, labeller, poses_at)
    finally:
        renderer.close()


def _take(
    shoot: Shoot, renderer: Renderer, labeller: Labeller, poses_at: PosesAt, index: int
) -> Shot:
    """Draw, render, label and write one picture."""
    studio = shoot.studio
    scenario = draw(
        studio, shoot.trajectory, shoot.ranges, seed=shoot.seed, index=index, size=shoot.size
    )
    exposure = shoot.optics.exposure or Exposure.from_stage(stage_camera(studio.scene))
    frame = expose(renderer, scenario, exposure, poses_at, stream(shoot.seed, index, "exposure"))
    labelled = labeller.label(renderer, scenario, frame)
    files = _sensed(shoot, index, frame)
    files |= {label.name: pixels.encode(label, labelled.shown) for label in shoot.labels}
    written = {kind: write_picture(shoot.folder, index, kind, f) for kind, f in files.items()}
    entries = coco.annotations(
        labelled, _category_ids(studio), image_id=index, robot=studio.scene.robot.name
    )
    paths = {kind: path for kind, (path, _) in written.items()}
    return Shot(coco.image(scenario, paths, studio.tree.joints), entries, dict(written.values()))


def _sensed(shoot: Shoot, index: int, frame: Frame) -> dict[str, File]:
    """Return the files of what the camera's sensors make of a picture."""
    rgb, optics = frame.rgb, shoot.optics
    if optics.sensor is not None:
        rng = stream(shoot.seed, index, "sensor")
        axis = frame.camera.cx, frame.camera.cy
        rgb = sensed(rgb, optics.sensor.draw(rng), rng, axis=axis)
    files = {"rgb": png(rgb)}
    if optics.depth_sensor:
        depth_m = measured_depth(frame, stream(shoot.seed, index, "depth_sensor"))
        files["sensor_depth"] = png(pixels.to_millimetres(depth_m))
    return files


def _categories(studio: Studio) -> list[coco.Json]:
    """Return the data set's classes."""
    return coco.categories(
        instances_of(parts_of(studio.scene)),
        studio.scene.robot.bodies[0].label,
        studio.tree.joints,
        skeleton(studio.tree),
    )


def _category_ids(studio: Studio) -> dict[str, int]:
    """Return class → id."""
    return {category["name"]: category["id"] for category in _categories(studio)}


def _write_lists(shoot: Shoot, shots: list[Shot]) -> dict[str, int]:
    """Write annotations and manifest; return how many annotations each class has."""
    entries = [entry for shot in shots for entry in shot.annotations]
    categories = _categories(shoot.studio)
    sha256 = {path: digest for shot in shots for path, digest in shot.sha256.items()}
    sha256["annotations.json"] = write_json(
        shoot.folder / "annotations.json",
        coco.document(
            [shot.image for shot in shots],
            entries,
            categories,
            parts_of(shoot.studio.scene),
            description="Rendered by Kinetwin: a robot's twin at recorded poses",
        ),
    )
    page = card.card(len(shots), shoot.size, shoot.labels, depth_sensor=shoot.optics.depth_sensor)
    sha256[card.NAME] = write_bytes(shoot.folder / card.NAME, page.encode())
    made_with: dict[str, Any] = {
        "seed": shoot.seed,
        "size": list(shoot.size),
        "ranges": dataclasses.asdict(shoot.ranges),
        "optics": dataclasses.asdict(shoot.optics),
        "labels": [label.name for label in shoot.labels],
        "renderer": "RasterRenderer",
        "device": shoot.device,
        "versions": {
            name: version(name)
            for name in ("kinetwin", "warp-lang", "numpy", "opencv-python-headless")
        },
    }
    files = [{"file": path, "sha256": digest} for path, digest in sorted(sha256.items())]
    write_json(shoot.folder / "manifest.json", {**made_with, "files": files})
    return {
        category["name"]: sum(entry["category_id"] == category["id"] for entry in entries)
        for category in categories
    }
