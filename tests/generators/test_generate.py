"""The whole way to a data set: the same bytes, labels that agree, nothing half made."""

import contextlib
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from envs.errors import ConfigError, KinetwinError, RecordingError, StageError
from envs.stage.looks import Material, Texture
from envs.stage.scene import Scene, Shape
from generators.camera import Lens
from generators.distortion import Distortion
from generators.distributions import Uniform
from generators.generate import Summary, generate
from generators.labels.conventions import Label
from generators.optics import Exposure, Optics, SensorRanges
from generators.preview import contact_sheet, hero
from tests.generators.small_table import body, ranges, recording, scene

IMAGES, WIDTH, HEIGHT = 5, 128, 96
SENSOR = ((5e3, 9e3), (2.0, 4.0), (0.2, 0.6), (0.0, 0.2), (-0.1, 0.1), (70.0, 90.0))
"""Full well, read-out noise, blur, vignetting, white balance, JPEG."""


def make(out: Path, *, stage: Scene | Path | None = None, **changes: Any) -> Summary:
    options: dict[str, Any] = {
        "images": IMAGES, "seed": 4, "width": WIDTH, "height": HEIGHT, "workers": 1,
        "ranges": ranges(),
    }  # fmt: skip
    trajectory = changes.pop("trajectory", recording())
    return generate(stage or scene(), trajectory, out, **{**options, **changes})


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "set"
    make(out)
    return out


@pytest.fixture(scope="module")
def document(dataset: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((dataset / "annotations.json").read_bytes())
    return loaded


def test_two_processes_make_the_same_bytes_as_one(dataset: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make(tmp_path / "set", workers=2, progress=lambda done, of: calls.append((done, of)))
    assert content(tmp_path / "set") == content(dataset)
    assert calls == [(k, IMAGES) for k in range(1, IMAGES + 1)]


def test_exposure_and_sensor_change_pictures_and_nothing_else(
    dataset: Path, tmp_path: Path
) -> None:
    sensor = SensorRanges(*[Uniform(low, high) for low, high in SENSOR])
    blurred = Exposure(aperture_m=0.03, shutter_s=(-0.05, 0.05), samples=3)
    optics = Optics(exposure=blurred, sensor=sensor, depth_sensor=True)
    make(tmp_path / "one", images=2, optics=optics)
    seen, ideal = content(tmp_path / "one"), content(dataset)
    for name, picture in seen.items():
        if name.endswith(".png") and name in ideal:
            assert (picture != ideal[name]) == name.startswith("rgb/"), name
    assert "sensor_depth/000001.png" in seen
    assert json.loads(seen["manifest.json"])["optics"]["exposure"]["samples"] == 3
    make(tmp_path / "two", images=2, optics=optics, workers=2)
    assert content(tmp_path / "two") == seen


def test_a_measured_depth_is_near_the_exact_one(tmp_path: Path) -> None:
    lens = Lens(110.0, 111.0, 60.0, 50.0, Distortion(k1=-0.2, k2=0.03))
    make(tmp_path / "set", images=1, optics=Optics(lens=lens, depth_sensor=True))
    exact, measured = (
        cv2.imread(str(tmp_path / "set" / kind / "000000.png"), cv2.IMREAD_UNCHANGED)
        for kind in ("depth", "sensor_depth")
    )
    assert exact is not None
    assert measured is not None
    both = (exact > 0) & (measured > 0)
    assert both.mean() > 0.5
    error = np.abs(exact[both].astype(float) - measured[both])
    # About a metre away: 2 mm of noise and 3 mm of steps; more at edges.
    assert 0.5 < np.quantile(error, 0.7) < 6
    listed = json.loads((tmp_path / "set" / "annotations.json").read_bytes())
    assert listed["images"][0]["camera"]["distortion"][:2] == [-0.2, 0.03]
    assert listed["images"][0]["camera"]["cx"] == 60.0


def test_more_images_and_another_seed(dataset: Path, tmp_path: Path) -> None:
    make(tmp_path / "more", images=IMAGES + 1)
    more, first = content(tmp_path / "more"), content(dataset)
    for name, picture in first.items():
        if name.endswith(".png"):
            assert more[name] == picture
    make(tmp_path / "other", seed=5, images=1)
    assert content(tmp_path / "other")["rgb/000000.png"] != first["rgb/000000.png"]


def test_files_are_those_of_the_manifest(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_bytes())
    files = content(dataset)
    listed = {entry["file"]: entry["sha256"] for entry in manifest["files"]}
    assert set(files) == set(listed) | {"manifest.json"}
    assert len(listed) == 3 * IMAGES + 2
    assert manifest["labels"] == ["depth", "instance"]
    for name, digest in listed.items():
        assert hashlib.sha256(files[name]).hexdigest() == digest
    assert manifest["seed"] == 4
    assert manifest["ranges"]["camera_zoom"] == {"low": 1.0, "high": 1.4}


def test_pycocotools_reads_it_and_sees_the_same_masks(
    dataset: Path, document: dict[str, Any]
) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(dataset / "annotations.json"))
    assert len(coco.getImgIds()) == IMAGES
    labels = set()
    for image in coco.loadImgs(coco.getImgIds()):
        ids = cv2.imread(str(dataset / image["instance_file"]), cv2.IMREAD_UNCHANGED)
        assert ids is not None
        assert ids.shape == (image["height"], image["width"]) == (HEIGHT, WIDTH)
        entries = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        for entry in entries:
            mask = coco.annToMask(entry).astype(bool)
            np.testing.assert_array_equal(mask, ids == entry["instance_id"])
            rows, columns = np.nonzero(mask)
            x, y, width, height = entry["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
            assert entry["area"] == mask.sum() == coco_mask.area(entry["segmentation"])
            assert coco_mask.toBbox(entry["segmentation"]).tolist() == entry["bbox"]
            assert entry["iscrowd"] == 0
            whole = entry["amodal_segmentation"]
            assert coco_mask.toBbox(whole).tolist() == entry["amodal_bbox"]
            assert entry["visible_fraction"] == entry["area"] / coco_mask.area(whole)
            both = coco_mask.merge([whole, entry["segmentation"]], intersect=True)
            assert coco_mask.area(both) == entry["area"]
            assert 0 <= entry["truncation"] < 1
            labels.add(coco.loadCats(entry["category_id"])[0]["name"])
        # All that is no surroundings has an annotation.
        things = {i["id"] for i in document["instances"] if i["class"] not in ("floor", "table")}
        assert set(np.unique(ids)) & things == {entry["instance_id"] for entry in entries}
    assert {"robot", "cube"} <= labels
    assert [a["id"] for a in document["annotations"]] == list(
        range(1, len(document["annotations"]) + 1)
    )


def test_key_points_follow_from_what_the_image_entry_says(document: dict[str, Any]) -> None:
    robot = next(c for c in document["categories"] if c["name"] == "robot")
    assert robot["keypoints"] == ["shoulder", "elbow"]
    found = 0
    for image in document["images"]:
        camera, angle = image["camera"], image["joint_positions"]["shoulder"]
        points = np.array([[0, 0, 0.1], [0.3 * np.sin(angle), 0, 0.1 + 0.3 * np.cos(angle)]])
        p_C = (points - np.array(camera["X_WC"])[:3, 3]) @ np.array(camera["X_WC"])[:3, :3]
        expected = p_C[:, :2] / p_C[:, 2:] * [camera["fx"], camera["fy"]]
        expected += [camera["cx"], camera["cy"]]
        for entry in document["annotations"]:
            if entry["image_id"] == image["id"] and entry["category_id"] == robot["id"]:
                joints = np.reshape(entry["keypoints"], (-1, 3))
                np.testing.assert_allclose(joints[:, :2], expected, atol=6e-4)
                assert entry["num_keypoints"] == 2
                found += 1
    assert found == IMAGES


def test_depth_lies_on_the_table_top(dataset: Path, document: dict[str, Any]) -> None:
    table = next(i["id"] for i in document["instances"] if i["class"] == "table")
    image = document["images"][0]
    depth = cv2.imread(str(dataset / image["depth_file"]), cv2.IMREAD_UNCHANGED)
    ids = cv2.imread(str(dataset / image["instance_file"]), cv2.IMREAD_UNCHANGED)
    assert depth is not None and ids is not None
    v, u = np.nonzero(ids == table)
    camera = image["camera"]
    z = depth[v, u] / 1000.0
    p_C = np.stack(
        [(u - camera["cx"]) / camera["fx"] * z, (v - camera["cy"]) / camera["fy"] * z, z], 1
    )
    X = np.array(camera["X_WC"])
    height = (p_C @ X[:3, :3].T + X[:3, 3])[:, 2]
    # Half a millimetre of depth is less of height; legs and edges lie below.
    assert height.max() < 6e-4
    assert np.median(height) == pytest.approx(0.0, abs=6e-4)


def test_summary(tmp_path: Path) -> None:
    summary = make(tmp_path / "set", images=2)
    document = json.loads((tmp_path / "set" / "annotations.json").read_bytes())
    assert summary.images == 2
    assert summary.out == tmp_path / "set"
    assert sum(summary.annotations.values()) == len(document["annotations"])
    assert summary.annotations["robot"] == 2


def without_its_image() -> Scene:
    """A scene whose last object no worker can draw."""
    small = scene()
    painted = Material("painted", base_color_texture=Texture(Path("/nowhere/paint.png")))
    shape = Shape("/poster", "box", np.eye(4), (0.1, 0.1, 0.1), None, painted)
    poster = body("poster", "poster", np.eye(4), shape)
    return replace(small, static=(*small.static, replace(poster, colliders=())))


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_leaves_nothing(tmp_path: Path, workers: int) -> None:
    with pytest.raises(StageError, match=r"/nowhere/paint\.png: the image cannot be read"):
        make(tmp_path / "set", stage=without_its_image(), workers=workers)
    assert list(tmp_path.iterdir()) == []


def test_failure_of_the_caller_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", workers=2, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"images": 0}, ConfigError, "images and workers must be at least 1"),
        ({"workers": 0}, ConfigError, "images and workers must be at least 1"),
        ({"seed": -1}, ConfigError, "seed at least 0"),
        ({"width": 8}, ConfigError, r"must lie in 16\.\.4096 pixels, not 8 and 96"),
        ({"height": 5000}, ConfigError, r"must lie in 16\.\.4096"),
        ({"stage": Path("missing.usda")}, StageError, r"missing\.usda"),
        (
            {"trajectory": replace(recording(), joints=("elbow", "wrist"))},
            StageError,
            "'wrist' is not in the stage",
        ),
        (
            {"trajectory": replace(recording(), valid=np.zeros(1000, bool))},
            RecordingError,
            "no measured sample",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], error: type[KinetwinError], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(tmp_path / "set", **changes)
    assert list(tmp_path.iterdir()) == []


def test_preview_shows_the_data_set(dataset: Path, tmp_path: Path) -> None:
    contact_sheet(dataset, tmp_path / "sheet.png", columns=3, rows=2)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    # Two rows of three pictures, 480 × 360 each, with gaps of 8.
    assert sheet.shape == (2 * 368 + 8, 3 * 488 + 8, 3)
    hero(dataset, tmp_path / "hero.png", image_id=1)
    wide = cv2.imread(str(tmp_path / "hero.png"))
    assert wide is not None
    assert wide.shape == (368 + 8, 4 * 488 + 8, 3)
    # The first is the picture itself, the second has something drawn in.
    picture = cv2.imread(str(dataset / "rgb" / "000001.png"))
    assert picture is not None
    larger = cv2.resize(picture, (480, 360), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(wide[8:368, 8:488], larger)
    drawn = np.abs(wide[8:368, 496:976].astype(int) - larger).max(axis=2) > 40
    assert 0.01 < drawn.mean() < 0.5


def test_preview_of_no_data_set_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no data set: it has no annotations\.json"):
        contact_sheet(tmp_path, tmp_path / "sheet.png")
    with pytest.raises(ConfigError, match="picture 77 is not in"):
        hero(dataset, tmp_path / "hero.png", image_id=77)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_says_what_each_of_its_folders_holds(tmp_path: Path) -> None:
    make(tmp_path / "set", images=1, labels=tuple(Label), optics=Optics(depth_sensor=True))
    page = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    folders = {path.name for path in (tmp_path / "set").iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| `(\w+)/` \|", page, re.M)) == folders
    assert f"1 picture(s) of {WIDTH} × {HEIGHT} pixels" in page


def test_part_files_hold_ids_that_are_named(tmp_path: Path) -> None:
    make(tmp_path / "set", images=2, labels=(Label.part, Label.instance))
    listed = json.loads((tmp_path / "set" / "annotations.json").read_bytes())
    owner = {part["id"]: part["instance_id"] for part in listed["parts"]}
    bodies = {part["id"]: part["name"] for part in listed["parts"]}
    for name in ("000000.png", "000001.png"):
        part, instance = (
            cv2.imread(str(tmp_path / "set" / kind / name), cv2.IMREAD_UNCHANGED)
            for kind in ("part", "instance")
        )
        assert part is not None
        assert instance is not None
        seen = np.unique(part[part > 0]).tolist()
        assert {bodies[k] for k in seen} >= {body.name for body in scene().robot.bodies[1:]}
        for k in seen:
            assert set(np.unique(instance[part == k])) == {owner[k]}


def test_a_data_set_does_not_call_the_twin_calibrated(document: dict[str, Any]) -> None:
    assert "calibrated" not in document["info"]["description"]
