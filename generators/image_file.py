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
        StageError: The file cannot be read, or is no image that OpenCV knows.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise StageError(f"{path}: the image cannot be read: {error.strerror}") from error
    image = cv2.imdecode(data, how) if len(data) else None
    if image is None:
        raise StageError(
            f"{path}: not an image that can be read; allowed: .png, .jpg, .tif and .hdr"
        )
    return image
