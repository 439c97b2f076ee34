"""One view by a renderer against the same view by the ray caster: how far each label is off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int32
from scipy.ndimage import maximum_filter, minimum_filter

from envs.frames import Pose
from generators.labels.flow import flow
from generators.labels.masks import InstanceLabel, instance_labels
from generators.labels.truncation import Canvas
from generators.renderer import Frame, Part, instances_of
from generators.scenario import Scenario


@dataclass(frozen=True)
class Difference:
    """What a renderer makes of a view, less what the ray caster sees; objects and robot only.

    Arrays hold a value for each pixel at which both show the same part of an object or the robot.
    None stands for a label that the renderer does not give.

    Attributes:
        object_pixels: Where the ray caster sees an object or the robot.
        wrong: Pixels with another instance, object or surroundings.
        wrong_inside: Those of them that lie more than a pixel from each silhouette.
        wrong_part: Pixels of the right object with another of its parts.
        depth_m: |error| of depth.
        normal_deg: Angle between the normals.
        flow_px: Length of the error of flow.
        amodal_pixels: Of all silhouettes.
        amodal_wrong: Pixels that belong to one of the two silhouettes only.
        not_covered: Pixels at which an instance is seen, but not in its own silhouette.
        hidden_px: Largest error of a visible fraction, in pixels of the silhouette.
        box_px: Largest error of an edge of a box, modal or amodal.
        truncation: Largest error.
    """

    object_pixels: int
    wrong: int
    wrong_inside: int
    wrong_part: int
    depth_m: Float[np.ndarray, "n"]
    normal_deg: Float[np.ndarray, "n"] | None
    flow_px: Float[np.ndarray, "n"] | None
    amodal_pixels: int
    amodal_wrong: int | None
    not_covered: int | None
    hidden_px: float | None
    box_px: int
    truncation: float | None


@dataclass(frozen=True)
class View:
    """What is compared: a frame, its neighbour in time, and what lies around it."""

    frame: Frame
    later: Frame
    canvas: Canvas | None


def compare(
    ours: View, truth: View, parts: Sequence[Part], now: Scenario, then: Scenario
) -> Difference:
    """Return how far a renderer's view is from the ray caster's.

    Args:
        ours: Of the renderer.
        truth: Of the ray caster.
        parts: What part ids count.
        now: What the frames show.
        then: What the later ones show.
    """
    static = np.array([part.instance.static for part in parts] + [True])
    a, b = ours.frame, truth.frame
    moving, claimed = ~static[b.part_id], ~static[a.part_id]
    other = (a.instance_id != b.instance_id) & (moving | claimed)
    same = moving & (a.part_id == b.part_id)
    ours_of, truth_of = (_labels(view, parts) for view in (ours, truth))
    amodal = _amodal(ours_of, truth_of, a, b) if a.cover is not None else None
    return Difference(
        object_pixels=int(moving.sum()),
        wrong=int(other.sum()),
        wrong_inside=int((other & inside(b.instance_id)).sum()),
        wrong_part=int((moving & ~other & (a.part_id != b.part_id)).sum()),
        depth_m=np.abs(a.depth_m[same] - b.depth_m[same]).astype(float),
        normal_deg=_angles(a, b, same),
        flow_px=_flow_error(ours, truth, parts, now.poses, then.poses, same),
        amodal_pixels=sum(int(label.amodal.mask.sum()) for label in truth_of.values()
                          if label.amodal is not None),
        amodal_wrong=None if amodal is None else amodal[0],
        not_covered=None if amodal is None else amodal[1],
        hidden_px=None if amodal is None else amodal[2],
        box_px=_boxes(ours_of, truth_of),
        truncation=None if amodal is None else amodal[3],
    )  # fmt: skip


def inside(ids: Int32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels around which all eight neighbours have the same id."""
    uniform: Bool[np.ndarray, "h w"] = maximum_filter(ids, 3) == minimum_filter(ids, 3)
    return uniform


def _labels(view: View, parts: Sequence[Part]) -> dict[int, InstanceLabel]:
    things = [i for i in instances_of(tuple(parts)) if not i.static]
    return {label.instance.id: label for label in instance_labels(view.frame, things, view.canvas)}


def _angles(a: Frame, b: Frame, same: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n"] | None:
    """Return the angles between normals, degrees."""
    if a.normal_W is None:
        return None
    assert b.normal_W is not None
    x, y = a.normal_W[same].astype(float), b.normal_W[same].astype(float)
    # By the chord: the arc cosine of what is nearly 1 has only half of the digits.
    chord = np.linalg.norm(x - y, axis=-1)
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1))))


def _flow_error(
    ours: View,
    truth: View,
    parts: Sequence[Part],
    now: Mapping[str, Pose],
    then: Mapping[str, Pose],
    same: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "n"] | None:
    if ours.frame.normal_W is None:
        return None
    a, b = (flow(view.frame, view.later, parts, now, then).uv for view in (ours, truth))
    error = np.linalg.norm(a[same].astype(float) - b[same], axis=-1)
    return np.asarray(error[np.isfinite(error)])


def _amodal(
    ours: dict[int, InstanceLabel], truth: dict[int, InstanceLabel], a: Frame, b: Frame
) -> tuple[int, int, float, float]:
    """Return silhouettes' wrong and uncovered pixels, errors of visibility and truncation."""
    wrong = uncovered = 0
    hidden = cut = 0.0
    for number, label in truth.items():
        wrong += int((a.covers(number) != b.covers(number)).sum())
        mine = ours.get(number)
        theirs = label.amodal
        assert theirs is not None
        whole = int(theirs.mask.sum())
        if mine is None:
            # Not seen at all: it is off by all that there is to see.
            hidden = max(hidden, theirs.visible_fraction * whole)
            continue
        assert mine.amodal is not None
        hidden = max(hidden, abs(mine.amodal.visible_fraction - theirs.visible_fraction) * whole)
        cut = max(cut, abs(mine.amodal.truncation - theirs.truncation))
    for mine in ours.values():
        assert mine.amodal is not None
        uncovered += int((mine.mask & ~mine.amodal.mask).sum())
    return wrong, uncovered, hidden, cut


def _boxes(ours: dict[int, InstanceLabel], truth: dict[int, InstanceLabel]) -> int:
    """Return the largest difference between edges of boxes, pixels."""
    worst = 0
    for number in ours.keys() & truth.keys():
        pairs = [(ours[number].box, truth[number].box)]
        mine, theirs = ours[number].amodal, truth[number].amodal
        if mine is not None and theirs is not None:
            pairs.append((mine.box, theirs.box))
        for (x, y, w, h), (X, Y, W, H) in pairs:
            edges = (x - X, y - Y, x + w - X - W, y + h - Y - H)
            worst = max(worst, *(abs(edge) for edge in edges))
    return worst
