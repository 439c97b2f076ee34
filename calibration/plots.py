"""The figures of the report, as PNG bytes: measured, nominal and calibrated, joint by joint."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"measured": "#1f2933", "nominal": "#e07a1f", "calibrated": "#1673b1"}
_DPI = 110


def signals(
    t_s: Float[np.ndarray, "time"],
    series: Mapping[str, Float[np.ndarray, "time joint"]],
    joints: Sequence[str],
    *,
    unit: str,
    heldout: Bool[np.ndarray, "time"] | None = None,
    use: Bool[np.ndarray, "time"] | None = None,
) -> bytes:
    """Draw each joint's signals over time, one axis a joint.

    Args:
        t_s: Time, s.
        series: Name ("measured", "nominal", "calibrated") → values.
        joints: Names of the columns.
        unit: Written on the vertical axes.
        heldout: Samples that judge; they are shaded.
        use: Samples outside are left blank, as no claim is made about them.
    """
    figure, axes = figure_of(len(joints), width_in=10.0, height_in=1.25)
    step = max(1, len(t_s) // 4000)
    shaded = [] if heldout is None else _stretches(t_s, heldout)
    for column, (axis, joint) in enumerate(zip(axes, short_names(joints), strict=True)):
        for name, values in series.items():
            shown = values[:, column].astype(float)
            if use is not None:
                shown = np.where(use, shown, np.nan)
            front = name != "measured"
            axis.plot(
                t_s[::step],
                shown[::step],
                color=COLOURS.get(name, "#888888"),
                linewidth=1.0 if front else 1.6,
                alpha=1.0 if front else 0.55,
                label=name,
            )
        for k, (start_s, end_s) in enumerate(shaded):
            name = "_" if k else "held out"  # the legend leaves out what begins with "_"
            axis.axvspan(start_s, end_s, color="#1673b1", alpha=0.12, linewidth=0, label=name)
        axis.set_ylabel(f"{joint}\n{unit}", fontsize=8)
        axis.margins(x=0)
    axes[-1].set_xlabel("time, s", fontsize=8)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8, frameon=False)
    return png(figure)


def poses(errors: Mapping[str, Float[np.ndarray, "pose"]], label: str) -> bytes:
    """Draw the error of each pose, those of the stage as it was beside the calibrated ones.

    Args:
        errors: Name ("nominal", "calibrated") → error of each pose.
        label: What they are and their unit.
    """
    figure, axes = figure_of(1, width_in=10.0, height_in=2.4)
    width = 0.8 / len(errors)
    for k, (name, values) in enumerate(errors.items()):
        at = np.arange(len(values)) + (k - (len(errors) - 1) / 2) * width
        axes[0].bar(at, values, width, color=COLOURS.get(name, "#888888"), label=name)
    axes[0].set_ylabel(label, fontsize=8)
    axes[0].set_xlabel("held-out pose", fontsize=8)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, frameon=False)
    return png(figure)


def _stretches(
    t_s: Float[np.ndarray, "time"], chosen: Bool[np.ndarray, "time"]
) -> list[tuple[float, float]]:
    """Return where the chosen samples begin and end, one pair a stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    return [(float(t_s[a]), float(t_s[b - 1])) for a, b in edges.reshape(-1, 2)]


def figure_of(
    rows: int, *, width_in: float, height_in: float, columns: int = 1, shared: bool = True
) -> "tuple[Figure, list[Axes]]":
    """Return a figure of so many axes, row by row; those of one column share their time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, 0.5 + height_in * rows), dpi=_DPI, layout="constrained")
    axes = list(figure.subplots(rows, columns, sharex=shared, squeeze=False).flat)
    for axis in axes:
        unframed(axis)
    return figure, axes


def unframed(axis: "Axes") -> None:
    """Leave of an axis what a reader needs."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#dddddd", linewidth=0.5)
    axis.tick_params(labelsize=7)
    axis.set_axisbelow(True)


def short_names(joints: Sequence[str]) -> list[str]:
    """Return what tells the joints from each other: "panda_joint3" → "joint3".

    Words that all begin or end with go: "shoulder_pan_joint" beside "elbow_joint" → "shoulder_pan".
    One word is kept in front of a bare number: "iiwa_joint_3" → "joint_3".
    """
    words = [joint.split("_") for joint in joints]
    fewest = min((len(w) for w in words), default=0)

    def shared(order: int) -> int:
        columns = zip(*(w[::order] for w in words), strict=False)
        return next((k for k, c in enumerate(columns) if len(set(c)) > 1), fewest)

    if len(set(joints)) < 2:
        return list(joints)
    first, last = shared(1), shared(-1)
    # Of "arm" and "arm_arm" the words in front and behind are the same ones.
    last = min(last, fewest - first - 1) if first < fewest else 0
    first = min(first, fewest - 1)
    ends = [len(w) - max(0, last) for w in words]
    if first and any(w[first].isdigit() for w in words):
        first -= 1
    return ["_".join(w[first:end]) for w, end in zip(words, ends, strict=True)]


def png(figure: "Figure") -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
