"""Reading image files that a stage names."""

from pathlib import Path

import cv2
import numpy as np

from envs.errors import StageError


def read_image(path: Path, how: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Return an image as OpenCV decodes it: blue, green, red, from the upper left corner on.

    Args:
        path: The file.
        how: One of OpenCV's `IMREAD_…`.

    Raises:
        StageError: The file cannot be read, is no image that OpenCV knows, or claims to be too
            large.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise StageError(f"{path}: the image cannot be read: {error.strerror}") from error
    try:
        image: np.ndarray | None = cv2.imdecode(data, how) if len(data) else None
    except cv2.error as error:  # where a header claims 2³⁰ pixels or more
        raise StageError(f"{path}: the image cannot be decoded: {error.err}") from error
    if image is None:
        raise StageError(
            f"{path}: not an image that can be read; allowed: .png, .jpg, .tif and .hdr"
        )
    return image
