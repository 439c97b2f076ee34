"""The README of a data set: what its files hold and what the numbers mean, for who gets only it."""

from collections.abc import Sequence

from generators.labels.conventions import Label

NAME = "README.md"

_MEANING = {
    "rgb": "8-bit sRGB",
    "depth": "16-bit PNG, millimetres along the camera's z; 0: nothing, or beyond 65.5 m",
    "distance": "16-bit PNG, millimetres from the camera's centre; 0: nothing, or beyond 65.5 m",
    "normal": "16-bit PNG, of the seen triangle in the camera's frame, towards the camera: x, y, z "
    "= red, green, blue, each (value − 32768) / 32767; 0 0 0: nothing",
    "instance": "16-bit PNG, `instance_id` of an annotation, `instances` names them; 0: nothing",
    "semantic": "16-bit PNG, class, `semantic_classes` names them; of what is annotated the "
    "`category_id`; 0: nothing",
    "part": "16-bit PNG, link of a robot or object, `parts` names them; 0: nothing",
    "object_coordinates": "npz `p_B`, float32: where on its part the point lies, in the part's "
    "frame, m; NaN: nothing",
    "flow": "npz `forward` and `backward`, float32 (Δu, Δv): from this picture's pixels to where "
    "the same point is 1/30 s later, and earlier; NaN: nothing; `forward_occluded` and "
    "`backward_occluded`: it is then hidden or outside",
    "sensor_depth": "16-bit PNG, millimetres as a depth camera would measure them; 0: not measured",
}

_PAGE = """\
# Labelled images, made by Kinetwin

{images} picture(s) of {width} × {height} pixels. `annotations.json` is COCO, with more fields;
`manifest.json` says what the pictures were made with, and the SHA-256 of each file.

| folder | a file for each picture |
|---|---|
{rows}

## Conventions

- **Pixels**: (u, v) = (column, row); (0, 0) is the *centre* of the top-left pixel. A tool that
  counts from the pixel's corner needs `cx` and `cy` larger by 0.5, and key points as well. Boxes
  [x, y, width, height] count edges, as COCO's do: the pixel (3, 5) alone is [3, 5, 1, 1].
- **Camera** of each image: `fx`, `fy`, `cx`, `cy` in pixels; `distortion` is OpenCV's
  k1 k2 p1 p2 k3 k4 k5 k6; masks, boxes, points and labels are those of the distorted picture.
  x points right, y down, z forward.
- **Poses** are 4×4 matrices, metres: `X_AB` is frame B seen from A, so that
  p_A = X_AB · p_B. `X_WC` is the camera in the world (z up), `X_CB` a body in the camera: an
  object's, or a robot's base.
- **Masks**: `segmentation` is what is seen, `amodal_segmentation` what would be seen were the
  object alone; both are run lengths. `visible_fraction` is the one over the other, `truncation`
  the share of the silhouette that the picture cuts off.
- **3D boxes**: `center_m` and `size_m` in the frame B of `X_CB`; `corners` are pixels (null:
  behind the camera). Corner k is at the high end of x where bit 0 of k is set, of y with bit 1,
  of z with bit 2.
- **Key points** are the robot's joints: u, v, and 0 outside of the picture, 1 hidden, 2 visible.
  `joint_positions` of an image holds their values, rad or m.
- **Image ids** count from 0, annotation and instance ids from 1.
"""


def card(images: int, size: tuple[int, int], labels: Sequence[Label], *, depth_sensor: bool) -> str:
    """Return the page.

    Args:
        images: How many pictures there are.
        size: Width and height of each, pixels.
        labels: Those that have a file for each picture.
        depth_sensor: Whether there is a measured depth, too.
    """
    kinds = ["rgb", *(label.name for label in labels), *(["sensor_depth"] if depth_sensor else [])]
    rows = "\n".join(f"| `{kind}/` | {_MEANING[kind]} |" for kind in kinds)
    return _PAGE.format(images=images, width=size[0], height=size[1], rows=rows)
