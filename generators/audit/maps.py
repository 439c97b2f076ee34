"""Where a renderer errs, as one picture: what it draws, wrong ids, errors of depth and normals."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from envs.errors import ConfigError
from generators.renderer import Frame

DEPTH_RED_M = 1e-4
NORMAL_RED_DEG = 1.0
"""Errors that are drawn in the brightest colour: twice what the audit allows."""

TILE = 400
"""Width of each of the four pictures, pixels."""

GAP = 6
PAPER = 255

Picture = UInt8[np.ndarray, "h w 3"]


def error_map(ours: Frame, truth: Frame) -> bytes:
    """Return a PNG with four pictures of a view, each with a caption."""
    seen = truth.part_id >= 0
    wrong = ours.instance_id != truth.instance_id
    depth = np.zeros(wrong.shape)
    both = seen & (ours.part_id >= 0)
    depth[both] = np.abs(ours.depth_m[both] - truth.depth_m[both])
    tiles = [
        (ours.rgb[..., ::-1], "as rendered"),
        (_ids(truth, wrong), f"instance ids: {int(wrong.sum())} wrong (red)"),
        (_heat(depth / DEPTH_RED_M, seen & ~wrong), f"depth error, 0 to {1e3 * DEPTH_RED_M:g} mm"),
    ]
    if ours.normal_W is not None and truth.normal_W is not None:
        chord = np.linalg.norm(ours.normal_W - truth.normal_W, axis=-1)
        angle = np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))
        caption = f"angle between normals, 0 to {NORMAL_RED_DEG:g} degrees"
        tiles.append((_heat(angle / NORMAL_RED_DEG, seen & ~wrong), caption))
    sheet = np.concatenate([_tile(picture, caption) for picture, caption in tiles], axis=1)
    whole, content = cv2.imencode(".png", sheet)
    if not whole:
        raise ConfigError("OpenCV could not encode an error map")
    return bytes(content.tobytes())


def _ids(truth: Frame, wrong: Bool[np.ndarray, "h w"]) -> Picture:
    """Return the true instances in greys, and what is wrong in red, widened to be found."""
    greys = (60 + (truth.instance_id * 47) % 150).astype(np.uint8)
    greys[truth.instance_id == 0] = 30
    picture: Picture = np.repeat(greys[..., None], 3, axis=-1)
    near = cv2.dilate(wrong.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    picture[near] = (40, 40, 235)
    return picture


def _heat(share: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]) -> Picture:
    """Return values from 0 (dark) to 1 (bright); white where there is nothing to compare."""
    values = np.rint(255 * np.clip(np.nan_to_num(share, posinf=1.0), 0, 1)).astype(np.uint8)
    picture: Picture = cv2.applyColorMap(values, cv2.COLORMAP_INFERNO)
    picture[~known] = 255
    return picture


def _tile(picture: Picture, caption: str) -> UInt8[np.ndarray, "th tw 3"]:
    """Return a picture at the width of a tile, with its caption above."""
    height = round(picture.shape[0] * TILE / picture.shape[1])
    how = cv2.INTER_AREA if picture.shape[1] > TILE else cv2.INTER_NEAREST
    tile = np.full((height + 24 + GAP, TILE + GAP, 3), PAPER, np.uint8)
    tile[24 : 24 + height, :TILE] = cv2.resize(picture, (TILE, height), interpolation=how)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(tile, caption, (2, 16), font, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return tile
