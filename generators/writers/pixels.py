"""Files of the labels with a value per pixel; `labels.conventions` says what the values mean.

```
depth, distance      16-bit PNG, millimetres; 0: nothing, or more than 65.5 m
normal               16-bit PNG, red green blue = x y z in the camera: (value − 32768) / 32767;
                     0 0 0: nothing
instance, semantic   16-bit PNG, ids; 0: nothing
part                 16-bit PNG, id + 1; 0: nothing
object_coordinates   npz "p_B", float32, m
flow                 npz "forward" and "backward", float32, pixels, with "forward_occluded" and
                     "backward_occluded", bool
```
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt16

from envs.errors import ConfigError
from generators.dataset import File, npz, png
from generators.labels import surface
from generators.labels.conventions import Label
from generators.labels.flow import Flow
from generators.renderer import Frame, Part, instances_of
from generators.scenario import Scenario

NORMAL_ZERO, NORMAL_ONE = 32768, 32767


@dataclass(frozen=True)
class Shown:
    """What the labels of one picture are made from; flow is None where it is not asked for."""

    frame: Frame
    scenario: Scenario
    parts: tuple[Part, ...]
    forward: Flow | None = None
    backward: Flow | None = None


def encode(label: Label, shown: Shown) -> File:
    """Return the file of one label of a picture."""
    frame = shown.frame
    if label is Label.depth:
        return png(to_millimetres(frame.depth_m))
    if label is Label.distance:
        return png(to_millimetres(surface.distance_m(frame)))
    if label is Label.normal:
        return png(to_16_bits(surface.normal_C(frame)))
    if label is Label.instance:
        return png(_ids(frame.instance_id))
    if label is Label.part:
        return png(_ids(frame.part_id + np.int32(1)))
    if label is Label.semantic:
        return png(_ids(surface.semantic_id(frame, instances_of(shown.parts))))
    if label is Label.object_coordinates:
        p_B = surface.object_coordinates(frame, shown.parts, shown.scenario.poses)
        return npz(p_B=p_B)
    assert shown.forward is not None and shown.backward is not None
    return npz(
        forward=shown.forward.uv,
        backward=shown.backward.uv,
        forward_occluded=shown.forward.occluded,
        backward_occluded=shown.backward.occluded,
    )


def to_millimetres(length_m: Float32[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Return lengths in whole millimetres; 0 where there is none, or more than 16 bits hold."""
    millimetres = np.rint(np.where(np.isfinite(length_m), length_m, 0.0) * 1000.0)
    millimetres[millimetres > np.iinfo(np.uint16).max] = 0
    return millimetres.astype(np.uint16)


def to_16_bits(normal: Float32[np.ndarray, "h w 3"]) -> UInt16[np.ndarray, "h w 3"]:
    """Return normals as whole numbers from 1 to 65535; 0 where there is none."""
    values = np.rint(normal * NORMAL_ONE) + NORMAL_ZERO
    values[~normal.any(axis=-1)] = 0
    whole: UInt16[np.ndarray, "h w 3"] = values.astype(np.uint16)
    return whole


def _ids(ids: Int32[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Return ids as 16 bits hold them."""
    if ids.max(initial=0) > np.iinfo(np.uint16).max:
        raise ConfigError(f"a picture shows id {ids.max()}; its files hold ids up to 65535")
    return ids.astype(np.uint16)
