"""What a renderer must meet, and whether it does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from generators.audit.compare import Difference

PERCENTILE = 0.99
"""Of errors per pixel. The rest are pixels in which an edge between two triangles lies."""


@dataclass(frozen=True)
class Criterion:
    """One thing that is measured.

    Attributes:
        name: What it is.
        limit: The largest value that passes.
        unit: Of both.
        found: What was measured; None where the renderer does not give that label.
    """

    name: str
    limit: float
    unit: str
    found: float | None

    @property
    def passed(self) -> bool:
        """Whether it was measured and lies within the limit; a NaN does not."""
        return self.found is not None and self.found <= self.limit


def judge(differences: Sequence[Difference]) -> tuple[Criterion, ...]:
    """Return all criteria over some views."""
    pixels = max(sum(d.object_pixels for d in differences), 1)
    silhouettes = max(sum(d.amodal_pixels for d in differences), 1)
    amodal = _sum(d.amodal_wrong for d in differences)
    depth = _percentile([d.depth_m for d in differences])
    return (
        Criterion(
            "instance ids wrong, of object pixels",
            0.02,
            "%",
            100 * sum(d.wrong for d in differences) / pixels,
        ),
        Criterion(
            "of them, more than 1 px from a silhouette",
            0,
            "pixels",
            sum(d.wrong_inside for d in differences),
        ),
        Criterion(
            "part ids wrong on the right object",
            0.02,
            "%",
            100 * sum(d.wrong_part for d in differences) / pixels,
        ),
        Criterion("depth, 99th percentile", 0.05, "mm", None if depth is None else 1e3 * depth),
        Criterion(
            "normals, 99th percentile",
            0.5,
            "°",
            _percentile([d.normal_deg for d in differences]),
        ),
        Criterion(
            "flow, 99th percentile", 0.01, "px", _percentile([d.flow_px for d in differences])
        ),
        Criterion(
            "amodal masks wrong, of silhouettes",
            0.02,
            "%",
            None if amodal is None else 100 * amodal / silhouettes,
        ),
        Criterion(
            "seen, but not in its own amodal mask",
            0,
            "pixels",
            _sum(d.not_covered for d in differences),
        ),
        Criterion(
            "visible fraction, in pixels of the silhouette",
            3,
            "pixels",
            _worst(d.hidden_px for d in differences),
        ),
        Criterion(
            "edges of boxes, modal and amodal", 1, "px", _worst(d.box_px for d in differences)
        ),
        Criterion("truncation", 0.005, "", _worst(d.truncation for d in differences)),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum; None where any is."""
    listed = list(values)
    known = [v for v in listed if v is not None]
    return sum(known) if len(known) == len(listed) else None


def _worst(values: Iterable[float | None]) -> float | None:
    """Return the largest; None where any is."""
    listed = list(values)
    known = [v for v in listed if v is not None]
    return max(known, default=None) if len(known) == len(listed) else None


def _percentile(errors: Sequence[Float[np.ndarray, "n"] | None]) -> float | None:
    """Return the percentile over all views; None where a view has none."""
    known = [e for e in errors if e is not None]
    if len(known) < len(errors) or not any(len(e) for e in known):
        return None
    return float(np.quantile(np.concatenate(known), PERCENTILE))
