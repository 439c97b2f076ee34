"""Run-length coding of masks as COCO has it: column by column, runs of zeros first, as a string."""

import numpy as np
from jaxtyping import Bool, Int


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "n"]:
    """Return the lengths of runs of 0, 1, 0, … down the columns; the first may be 0."""
    flat = mask.ravel(order="F")
    ends = np.concatenate([np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    lengths = np.diff(ends, prepend=0)
    # A mask that begins with 1 has a run of no zeros before it.
    return np.concatenate([[0], lengths]) if flat[0] else lengths


def encode(mask: Bool[np.ndarray, "h w"]) -> str:
    """Return the counts of a mask as COCO's compressed string.

    Each count, from the fourth on its difference to the one two before, is written in groups of
    five bits, lowest first; the sixth bit says that more follow, and 48 is added to make it a
    printable character. The sign is that of the last group's fifth bit.
    """
    lengths = run_lengths(mask)
    values = lengths.copy()
    values[3:] -= lengths[1:-2]
    letters = []
    for value in values.tolist():
        more = True
        while more:
            group = value & 0x1F
            value >>= 5
            more = value != (-1 if group & 0x10 else 0)
            letters.append(chr(group + (0x20 if more else 0) + 48))
    return "".join(letters)


def decode(counts: str, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Return the mask of (height, width) that COCO's compressed string stands for."""
    lengths: list[int] = []
    value = shift = 0
    for letter in counts.encode("ascii"):
        group = letter - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    ones = np.arange(len(lengths)) % 2 == 1
    mask: Bool[np.ndarray, "h w"] = np.repeat(ones, lengths).reshape(size, order="F")
    return mask
