"""Faults that show in one signal: spikes, stuck and zero-filled stretches, wrapped registers."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter

# A joint's value that stays the same to the last bit for so many samples is not measured anew.
STUCK_SAMPLES = 10
# A spike stands out of its neighbours by so many of the longest usual steps …
SPIKE_STEPS = 4.0
# … and by so many robust deviations of the noise.
SPIKE_DEVIATIONS = 10.0
REGISTERS = (8, 16, 32)


def spikes(values: Float[np.ndarray, "sample joint"]) -> Bool[np.ndarray, "sample joint"]:
    """Tell which samples stand out of the median of five; edges and runs of three do not.

    The longest usual step is the 98th percentile of all steps that are not zero.
    """
    if len(values) < 5:
        return np.zeros(values.shape, bool)
    off = np.abs(values - median_filter(values, size=(5, 1), mode="nearest"))
    steps = np.abs(np.diff(values, axis=0))
    found = np.zeros(values.shape, bool)
    for j in range(values.shape[1]):
        moving = steps[:, j][steps[:, j] > 0]
        if not len(moving):
            continue
        noise = 1.4826 * float(np.median(off[:, j]))
        limit = max(SPIKE_STEPS * float(np.quantile(moving, 0.98)), SPIKE_DEVIATIONS * noise)
        found[:, j] = off[:, j] > limit
    return found


def frozen(values: Float[np.ndarray, "sample joint"]) -> Bool[np.ndarray, "sample joint"]:
    """Tell where a joint's value stays the same to the last bit while it should not.

    It should not where the channel hardly ever repeats a value otherwise, and at least one other
    channel changes meanwhile; a robot at rest and a joint that is never moved are none of this.
    """
    found = np.zeros(values.shape, bool)
    if len(values) <= STUCK_SAMPLES:
        return found
    same = np.diff(values, axis=0) == 0
    moving = ~same.all(axis=1)
    for j in range(values.shape[1]):
        marked = np.concatenate([[False], same[:, j], [False]]).astype(np.int8)
        edges = np.flatnonzero(np.diff(marked)).reshape(-1, 2)
        runs = edges[edges[:, 1] - edges[:, 0] >= STUCK_SAMPLES - 1]
        inside = int((runs[:, 1] - runs[:, 0]).sum())
        outside = len(same) - inside
        repeats = int(same[:, j].sum()) - inside
        if outside < 0.5 * len(same) or repeats > 0.02 * outside:
            continue
        for first, end in runs:
            if moving[first:end].mean() > 0.5:
                # The first of the run was measured, unless the run is of zeros.
                found[first + int(values[first, j] != 0) : end + 1, j] = True
    return found


def empty(values: Float[np.ndarray, "sample joint"]) -> Bool[np.ndarray, "joint"]:
    """Tell which joints have nothing but zeros while another has something else."""
    zero = (values == 0).all(axis=0)
    return np.asarray(zero & ~zero.all()) if len(values) else np.zeros(values.shape[1], bool)


def register_bits(values: Float[np.ndarray, "sample"]) -> int:
    """Return the width of the unsigned register that a signed number was logged from, or 0.

    Such values are multiples of one quantum from 0 to 2ⁿ − 1 that jump from near one end to near
    the other, and leave the middle half empty.
    """
    steps = np.abs(np.diff(np.unique(values)))
    if not len(steps) or values.min() < 0:
        return 0
    quantum = float(steps.min())
    counts = values / quantum
    if quantum < 1e-12 * float(values.max()) or np.abs(counts - np.rint(counts)).max() > 1e-3:
        return 0
    for bits in REGISTERS:
        full = 2.0**bits
        high = counts >= 0.75 * full
        if counts.max() < full and high.any() and (counts < 0.25 * full).any():
            empty_middle = bool((high | (counts < 0.25 * full)).all())
            jumps = np.abs(np.diff(counts)) > 0.5 * full
            return bits if empty_middle and jumps.any() else 0
    return 0


def wrapped(values: Float[np.ndarray, "sample"], bits: int) -> Bool[np.ndarray, "sample"]:
    """Tell which samples lie in the upper half of a register: negative numbers."""
    quantum = float(np.abs(np.diff(np.unique(values))).min())
    return np.asarray(values / quantum >= 2.0 ** (bits - 1))


def turned(values: Float[np.ndarray, "sample"]) -> Bool[np.ndarray, "sample"]:
    """Tell which samples follow a jump of a whole turn (2π ± 10 %): an angle that was wrapped."""
    steps = np.abs(np.diff(values))
    usual = float(np.quantile(steps, 0.98)) if len(steps) else 0.0
    jumps = (np.abs(steps - 2 * np.pi) < 0.2 * np.pi) & (usual < 0.5 * np.pi)
    # A spike of that size comes back at once; a wrapped angle stays on its side.
    back = np.concatenate([jumps[1:], [False]])
    return np.concatenate([[False], jumps & ~back & ~np.concatenate([[False], jumps[:-1]])])
