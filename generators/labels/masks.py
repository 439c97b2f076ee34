"""Masks and boxes of instances: of what is seen, and of what would be seen were each alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from generators.labels.truncation import Canvas
from generators.renderer import Frame, Instance

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Amodal:
    """An instance as it would be seen were it alone.

    Attributes:
        mask: Its pixels within the picture.
        box: Around them.
        visible_fraction: Which share of them is seen, in (0, 1].
        truncation: Which share of the silhouette the picture cuts off, in [0, 1).
    """

    mask: Bool[np.ndarray, "h w"]
    box: Box
    visible_fraction: float
    truncation: float


@dataclass(frozen=True)
class InstanceLabel:
    """What is seen of one instance.

    Attributes:
        mask: Its pixels.
        box: (column, row, width, height) around them.
        area: Their number.
        amodal: None where the renderer does not tell what is hidden.
    """

    instance: Instance
    mask: Bool[np.ndarray, "h w"]
    box: Box
    area: int
    amodal: Amodal | None


def instance_labels(
    frame: Frame, instances: Sequence[Instance], canvas: Canvas | None = None
) -> tuple[InstanceLabel, ...]:
    """Return the labels of those instances that are seen, in the order given.

    Args:
        frame: The picture.
        instances: Those to label.
        canvas: What lies around the picture; None where nothing reaches beyond its edge.
    """
    labels = []
    for instance in instances:
        mask = frame.instance_id == instance.id
        if not mask.any():
            continue
        area = int(mask.sum())
        amodal = None
        if frame.cover is not None:
            whole = frame.covers(instance.id)
            cut = 0.0 if canvas is None else canvas.truncation(instance.id)
            amodal = Amodal(whole, box_of(whole), area / int(whole.sum()), cut)
        labels.append(InstanceLabel(instance, mask, box_of(mask), area, amodal))
    return tuple(labels)


def box_of(mask: Bool[np.ndarray, "h w"]) -> Box:
    """Return (column, row, width, height) around the pixels of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1
