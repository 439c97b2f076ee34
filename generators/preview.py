"""Pictures of a data set with its labels drawn in, made from the files that it consists of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from envs.errors import ConfigError
from generators.colors import from_oklch
from generators.dataset import write_bytes
from generators.rle import decode

Picture = UInt8[np.ndarray, "h w 3"]
Color = tuple[int, int, int]

GAP = 8
PAPER: Color = (24, 24, 26)
SURROUNDINGS: Color = (70, 66, 64)
SEEN, HIDDEN = (90, 235, 120), (70, 130, 255)
"""Of key points, in OpenCV's order: green where the joint is seen, orange where it is hidden."""

WRITTEN = 1e-2
"""Lost where a pixel of a name is covered: as much as of an object of a hundred pixels."""


def contact_sheet(dataset: Path, out: Path, *, columns: int = 4, rows: int = 3) -> None:
    """Write a sheet of pictures with their labels; the last of each row shows depth or instances.

    Where the data set has no depth it shows instances only.

    Args:
        dataset: Folder that `generate` made.
        out: PNG file to write.
        columns: Pictures beside one another.
        rows: Pictures above one another; fewer where the data set has fewer.
    """
    document = _read(dataset)
    images = document["images"]
    count = min(columns * rows, len(images))
    tiles = []
    for tile, chosen in enumerate(np.linspace(0, len(images) - 1, count).round().astype(int)):
        image = images[chosen]
        if (tile + 1) % columns:
            picture = overlay(dataset, document, image)
        elif (tile + 1) // columns % 2 and "depth_file" in image:
            picture = depth_picture(dataset, image)
        else:
            picture = instance_picture(document, image)
        tiles.append(_fit(picture, 480))
    _save(out, _grid(tiles, columns))


def hero(dataset: Path, out: Path, *, image_id: int) -> None:
    """Write one picture in four ways: as rendered, with its labels, as depth, as instances."""
    document = _read(dataset)
    found = [image for image in document["images"] if image["id"] == image_id]
    if not found:
        raise ConfigError(f"picture {image_id} is not in {dataset}")
    image = found[0]
    tiles = [_load(dataset / image["file_name"]), overlay(dataset, document, image)]
    if "depth_file" in image:
        tiles.append(depth_picture(dataset, image))
    tiles.append(instance_picture(document, image))
    _save(out, _grid([_fit(tile, 480) for tile in tiles], len(tiles)))


def overlay(dataset: Path, document: dict[str, Any], image: dict[str, Any]) -> Picture:
    """Return a picture with masks, boxes, class names and the robot's joints drawn in."""
    entries = [a for a in document["annotations"] if a["image_id"] == image["id"]]
    return annotated(_load(dataset / image["file_name"]), entries, document["categories"])


def annotated(
    picture: Picture, entries: Sequence[dict[str, Any]], categories: Sequence[dict[str, Any]]
) -> Picture:
    """Return a picture with COCO's annotations of it drawn in."""
    names = {c["id"]: c for c in categories}
    colors = {a["instance_id"]: color_of(a["instance_id"]) for a in entries}
    masks = {a["instance_id"]: _mask(a) for a in entries}
    flat = picture.copy()
    for identity, mask in masks.items():
        flat[mask] = colors[identity]
    picture = cv2.addWeighted(flat, 0.2, picture, 0.8, 0)
    for entry in entries:
        color = colors[entry["instance_id"]]
        mask = masks[entry["instance_id"]].astype(np.uint8)
        edges, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, edges, -1, color, 1, cv2.LINE_AA)
        x, y, width, height = entry["bbox"]
        corner = (x + width - 1, y + height - 1)
        cv2.rectangle(picture, (x, y), corner, color, 1, cv2.LINE_AA)
    for entry in entries:
        if "keypoints" in entry:
            bones = names[entry["category_id"]]["skeleton"]
            _draw_joints(picture, np.reshape(entry["keypoints"], (-1, 3)), bones)
    # Of an object that is hidden whole as much is lost, be it small or large.
    hides = np.zeros(picture.shape[:2])
    for mask in masks.values():
        hides[mask] += 1 / max(int(mask.sum()), 1)
    for entry in entries:
        name = names[entry["category_id"]]["name"]
        x, y, width, height = _chip(
            picture, name, entry["bbox"], colors[entry["instance_id"]], hides
        )
        # What is written counts too, each pixel more than one of the small objects.
        hides[y : y + height, x : x + width] += WRITTEN
    return picture


def depth_picture(dataset: Path, image: dict[str, Any]) -> Picture:
    """Return depth from near (bright) to far (dark); black where there is none."""
    return depth_colors(_load(dataset / image["depth_file"], cv2.IMREAD_UNCHANGED).astype(float))


def depth_colors(depth: Float[np.ndarray, "h w"]) -> Picture:
    """Return depth in any unit from near (bright) to far (dark); black where it is 0."""
    known = depth > 0
    shades = np.zeros(depth.shape, np.uint8)
    if known.any():
        # Steps in 1/depth: what is near, and interesting, gets most of the colours.
        nearness = np.divide(1.0, depth, where=known, out=np.zeros_like(depth))
        low, high = np.quantile(nearness[known], [0.01, 0.999])
        scaled = np.clip((nearness - low) / max(high - low, 1e-12), 0, 1)
        shades = np.rint(25 + 225 * scaled).astype(np.uint8)
    picture: Picture = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)
    picture[~known] = 0
    return picture


def instance_picture(document: dict[str, Any], image: dict[str, Any]) -> Picture:
    """Return each instance in its colour; the surroundings in grey."""
    entries = [a for a in document["annotations"] if a["image_id"] == image["id"]]
    return instance_colors(entries, (image["height"], image["width"]))


def instance_colors(entries: Sequence[dict[str, Any]], size: tuple[int, int]) -> Picture:
    """Return the masks of COCO's annotations in a picture of (height, width)."""
    picture: Picture = np.full((*size, 3), SURROUNDINGS, np.uint8)
    for entry in entries:
        picture[_mask(entry)] = color_of(entry["instance_id"])
    return picture


def _mask(entry: dict[str, Any]) -> Bool[np.ndarray, "h w"]:
    """Return an annotation's mask."""
    return decode(entry["segmentation"]["counts"], entry["segmentation"]["size"])


def _draw_joints(picture: Picture, joints: Any, bones: Sequence[Sequence[int]]) -> None:
    """Draw bones, and a dot for each joint: full where it is seen, a ring where it is hidden."""
    places = [(round(x), round(y)) for x, y, _ in joints]
    seen = [int(v) for _, _, v in joints]
    for a, b in bones:
        if seen[a - 1] and seen[b - 1]:
            cv2.line(picture, places[a - 1], places[b - 1], (30, 30, 30), 4, cv2.LINE_AA)
            cv2.line(picture, places[a - 1], places[b - 1], (255, 255, 255), 2, cv2.LINE_AA)
    for place, v in zip(places, seen, strict=True):
        if v == 0:
            continue
        cv2.circle(picture, place, 6, (30, 30, 30), -1, cv2.LINE_AA)
        if v == 2:
            cv2.circle(picture, place, 5, SEEN, -1, cv2.LINE_AA)
        else:
            cv2.circle(picture, place, 4, HIDDEN, 2, cv2.LINE_AA)


def _chip(
    picture: Picture,
    text: str,
    box: Sequence[int],
    color: Color,
    hides: Float[np.ndarray, "h w"],
) -> tuple[int, int, int, int]:
    """Write a class name on a small plate beside a box, where it hides least.

    Args:
        picture: Drawn into.
        text: The name.
        box: (x, y, width, height) in pixels.
        color: Of the plate.
        hides: What is lost where a pixel is covered.

    Returns:
        (x, y, width, height) of the plate.
    """
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    width, height = width + 8, height + 8
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    # Where all is alike, the first is taken: above the upper left corner.
    wanted = [(left, top - height), (right - width, top - height), (left, bottom),
              (right - width, bottom), (right, top), (left - width, top),
              (right, bottom - height), (left - width, bottom - height)]  # fmt: skip
    most = [max(picture.shape[1] - width, 0), max(picture.shape[0] - height, 0)]
    places = [np.clip(np.array(p, int), 0, most).tolist() for p in wanted]
    x, y = min(places, key=lambda p: hides[p[1] : p[1] + height, p[0] : p[0] + width].sum())
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), color, -1)
    ink = (20, 20, 20) if np.dot(color, (0.114, 0.587, 0.299)) > 120 else (255, 255, 255)
    cv2.putText(picture, text, (x + 4, y + height - 5), font, scale, ink, 1, cv2.LINE_AA)
    return x, y, width, height


def color_of(identity: int) -> Color:
    """Return a colour for an instance, far from those of its neighbours, in OpenCV's order."""
    rgb = np.array(from_oklch(0.76, 0.14, 65 + 137.5 * identity))
    red, green, blue = np.rint(255 * rgb ** (1 / 2.2)).astype(int).tolist()
    return blue, green, red


def _fit(picture: Picture, width: int) -> UInt8[np.ndarray, "fitted_h fitted_w 3"]:
    """Return a picture at a given width."""
    height = round(picture.shape[0] * width / picture.shape[1])
    smaller = width < picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    fitted: UInt8[np.ndarray, "fitted_h fitted_w 3"] = cv2.resize(
        picture, (width, height), interpolation=how
    )
    return fitted


def _grid(tiles: Sequence[Picture], columns: int) -> UInt8[np.ndarray, "sheet_h sheet_w 3"]:
    """Return pictures of one size in rows, with gaps between them."""
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.empty((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), np.uint8)
    sheet[:] = PAPER
    for k, tile in enumerate(tiles):
        y, x = (k // columns) * (height + GAP) + GAP, (k % columns) * (width + GAP) + GAP
        sheet[y : y + height, x : x + width] = tile
    return sheet


def _read(dataset: Path) -> dict[str, Any]:
    """Return a data set's annotations."""
    path = dataset / "annotations.json"
    if not path.is_file():
        raise ConfigError(f"{dataset} is no data set: it has no annotations.json")
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def _load(path: Path, how: int = cv2.IMREAD_COLOR) -> Any:
    """Return an image file as OpenCV reads it."""
    picture = cv2.imread(str(path), how)
    if picture is None:
        raise ConfigError(f"{path} is missing or not an image")
    return picture


def _save(path: Path, picture: Picture) -> None:
    """Write a PNG file."""
    whole, content = cv2.imencode(".png", picture)
    if not whole:
        raise ConfigError(f"{path} could not be encoded as PNG")
    write_bytes(path, content.tobytes())
