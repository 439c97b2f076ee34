"""The docs' contact sheet: its colours by hand, and one robot's rows as a whole."""

from pathlib import Path

import cv2
import numpy as np

from generators.sheet import (
    CAPTION,
    GAP,
    TILE,
    Model,
    documentation_sheet,
    flow_colors,
    normal_colors,
)
from tests.generators.small_table import ranges, scene


def test_flow_is_hue_and_strength() -> None:
    flow = np.array([[[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, 0.0], [np.nan, np.nan], [1.0, 0]]])
    colors = flow_colors(flow)[0][:, ::-1].astype(int)
    assert colors[0].tolist() == [255, 0, 0]
    assert colors[2].tolist() == [0, 255, 255]
    assert colors[3].tolist() == colors[4].tolist() == [255, 255, 255]
    # Down is a quarter turn on: between red and cyan, yellow-green.
    assert colors[1][1] == 255 and 100 < colors[1][0] < 150 and colors[1][2] == 0
    assert colors[5].tolist() == [255, 128, 128]


def test_normals_in_colours() -> None:
    normal = np.array([[[0.0, 0.0, -1.0], [1.0, 0, 0], [0, -1.0, 0], [0, 0, 0]]])
    rgb = normal_colors(normal)[0][:, ::-1].tolist()
    assert rgb == [[128, 128, 255], [255, 128, 128], [128, 255, 128], [24, 24, 24]]


def test_sheet_of_one_robot(tmp_path: Path) -> None:
    model = Model("Arm", scene(), {"shoulder": 0.4, "elbow": 0.9}, seed=3)
    documentation_sheet([model], ranges(), tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    width, height = TILE[0] + GAP, TILE[1] + CAPTION + GAP
    assert sheet.shape == (2 * height, 5 * width, 3)
    tiles = [sheet[r : r + TILE[1], c : c + TILE[0]] for r in (0, height)
             for c in range(0, 5 * width, width)]  # fmt: skip
    for k, tile in enumerate(tiles):
        assert tile.std() > 5, k
    # Three lights are three pictures.
    for a, b in [(0, 1), (1, 2), (0, 2)]:
        assert np.abs(tiles[a].astype(int) - tiles[b]).mean() > 1
