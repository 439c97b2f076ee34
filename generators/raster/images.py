"""Pictures on surfaces: loaded once, with all their smaller copies, into one array of texels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import warp as wp
from jaxtyping import Float, UInt8, UInt32

from envs.errors import StageError
from envs.stage.looks import Texture
from generators.raster.layout import Image

WRAPS = ("repeat", "clamp", "mirror", "black")
CHANNELS = ("r", "g", "b", "a")


@dataclass(frozen=True)
class _Pyramid:
    first: int
    width: int
    height: int
    levels: int
    gray: bool


class ImageList:
    """Collects the images of a scene, then puts them on a device."""

    def __init__(self) -> None:
        self._texels: list[UInt32[np.ndarray, n]] = []
        self._pyramids: dict[Path, _Pyramid] = {}
        self._numbers: dict[Texture, int] = {}
        self._length = 0

    def number(self, texture: Texture | None) -> int:
        """Return the number under which the kernels know a texture; −1 for none.

        Raises:
            StageError: The file is no image.
        """
        if texture is None:
            return -1
        if texture not in self._numbers:
            self._load(texture.path)
            self._numbers[texture] = len(self._numbers)
        return self._numbers[texture]

    def upload(self, device: str) -> tuple[wp.array, wp.array]:
        """Return all texels, and the table of images; at least one of each."""
        texels = np.concatenate([np.zeros(1, np.uint32), *self._texels])
        records = np.zeros(max(len(self._numbers), 1), record_type(Image))
        for texture, number in self._numbers.items():
            self._describe(records[number], texture)
        return (
            wp.array(texels, dtype=wp.uint32, device=device),
            wp.array(records, dtype=Image, device=device),
        )

    def _describe(self, record: Any, texture: Texture) -> None:
        pyramid = self._pyramids[texture.path]
        record["first"], record["levels"] = pyramid.first + 1, pyramid.levels
        record["width"], record["height"] = pyramid.width, pyramid.height
        record["wrap_s"], record["wrap_t"] = (WRAPS.index(w) for w in texture.wrap)
        record["channel"] = -1 if texture.channel == "rgb" else CHANNELS.index(texture.channel)
        raw = texture.color_space == "raw" or texture.channel == "a"
        record["linear"] = raw or (texture.color_space == "auto" and pyramid.gray)
        record["scale"], record["bias"] = texture.scale, texture.bias
        record["along_s"], record["along_t"] = texture.uv_transform

    def _load(self, path: Path) -> None:
        """Read an image and halve it until one texel is left."""
        if path in self._pyramids:
            return
        try:
            data = np.frombuffer(path.read_bytes(), np.uint8)
        except OSError as error:
            raise StageError(f"{path}: the image cannot be read: {error.strerror}") from error
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
        if image is None:
            raise StageError(f"{path}: not an image that can be read")
        rgba = _rgba(image)
        height, width = rgba.shape[:2]
        gray = image.ndim == 2 or image.dtype != np.uint8
        first, levels = self._length, 0
        while True:
            # The first row of the array is the image's lower edge, where t is 0.
            packed = np.ascontiguousarray(rgba[::-1]).view(np.uint32).ravel()
            self._texels.append(packed)
            self._length += len(packed)
            levels += 1
            height, width = rgba.shape[:2]
            if max(height, width) == 1:
                break
            half = (max(width // 2, 1), max(height // 2, 1))
            rgba = cv2.resize(rgba, half, interpolation=cv2.INTER_AREA)
        full = self._pyramids
        height, width = image.shape[:2]
        full[path] = _Pyramid(first, width, height, levels, gray)


def _rgba(image: np.ndarray) -> UInt8[np.ndarray, "h w 4"]:
    """Return 8-bit RGBA of what OpenCV has read."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    code = {2: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    channels = 2 if image.ndim == 2 else image.shape[2]
    rgba: UInt8[np.ndarray, "h w 4"] = cv2.cvtColor(image, code[channels])
    return rgba


def srgb_to_linear() -> Float[np.ndarray, "256"]:
    """Return the linear value of each sRGB byte (IEC 61966-2-1)."""
    c = np.arange(256) / 255
    linear: Float[np.ndarray, 256] = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return linear


def record_type(struct: Any) -> np.dtype[Any]:
    """Return numpy's type for one of Warp's structures."""
    dtype: np.dtype[Any] = struct.numpy_dtype()
    return dtype


def pattern(path: Path) -> Texture:
    """Return the texture of a brightness pattern that repeats."""
    return Texture(path, color_space="sRGB")
