"""Pictures on surfaces: loaded once, with all their smaller copies, into one array of texels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import warp as wp
from jaxtyping import UInt16, UInt64

from envs.stage.looks import Texture
from generators.image_file import read_image
from generators.raster.layout import Image
from generators.srgb import to_linear

WRAPS = ("repeat", "clamp", "mirror", "black")
CHANNELS = ("r", "g", "b", "a")


@dataclass(frozen=True)
class _Pyramid:
    first: int
    width: int
    height: int
    levels: int


class ImageList:
    """Collects the images of a scene, then puts them on a device."""

    def __init__(self) -> None:
        self._texels: list[UInt64[np.ndarray, n]] = []
        self._pictures: dict[Path, _Picture] = {}
        self._pyramids: dict[tuple[Path, bool], _Pyramid] = {}
        self._numbers: dict[Texture, int] = {}
        self._chosen: list[_Pyramid] = []
        self._length = 0

    def number(self, texture: Texture | None) -> int:
        """Return the number under which the kernels know a texture; −1 for none.

        Raises:
            StageError: The file is no image.
        """
        if texture is None:
            return -1
        if texture not in self._numbers:
            self._chosen.append(self._pyramid(texture))
            self._numbers[texture] = len(self._numbers)
        return self._numbers[texture]

    def upload(self, device: str) -> tuple[wp.array, wp.array]:
        """Return all texels, and the table of images; at least one of each."""
        texels = np.concatenate([np.zeros(1, np.uint64), *self._texels])
        records = np.zeros(max(len(self._numbers), 1), record_type(Image))
        for number, (texture, pyramid) in enumerate(zip(self._numbers, self._chosen, strict=True)):
            _describe(records[number], texture, pyramid)
        return (
            wp.array(texels, dtype=wp.uint64, device=device),
            wp.array(records, dtype=Image, device=device),
        )

    def _pyramid(self, texture: Texture) -> _Pyramid:
        """Return where an image is whose values are colours, or are meant as they are."""
        path = texture.path
        if path not in self._pictures:
            self._pictures[path] = _read(path)
        picture = self._pictures[path]
        raw = texture.color_space == "raw" or texture.channel == "a"
        raw |= texture.color_space == "auto" and picture.raw
        if (path, raw) not in self._pyramids:
            values = picture.values if raw else _linear(picture.values)
            self._pyramids[path, raw] = self._halve(values)
        return self._pyramids[path, raw]

    def _halve(self, values: UInt16[np.ndarray, "h w 4"]) -> _Pyramid:
        """Keep an image and its smaller copies, until one texel is left."""
        height, width = values.shape[:2]
        first, levels = self._length + 1, 0
        while True:
            # The first row of the array is the image's lower edge, where t is 0.
            packed = np.ascontiguousarray(values[::-1]).view(np.uint64).ravel()
            self._texels.append(packed)
            self._length += len(packed)
            levels += 1
            rows, columns = values.shape[:2]
            if max(rows, columns) == 1:
                return _Pyramid(first, width, height, levels)
            half = (max(columns // 2, 1), max(rows // 2, 1))
            values = cv2.resize(values, half, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class _Picture:
    """An image file: its values from 0 to 65535, and whether `auto` means them as they are."""

    values: UInt16[np.ndarray, "h w 4"]
    raw: bool


def _describe(record: Any, texture: Texture, pyramid: _Pyramid) -> None:
    record["first"], record["levels"] = pyramid.first, pyramid.levels
    record["width"], record["height"] = pyramid.width, pyramid.height
    record["wrap_s"], record["wrap_t"] = (WRAPS.index(w) for w in texture.wrap)
    record["channel"] = -1 if texture.channel == "rgb" else CHANNELS.index(texture.channel)
    record["scale"], record["bias"] = texture.scale, texture.bias
    record["along_s"], record["along_t"] = texture.uv_transform


def _read(path: Path) -> _Picture:
    image = read_image(path)
    return _Picture(_rgba(image), image.ndim == 2 or image.dtype != np.uint8)


def _rgba(image: np.ndarray) -> UInt16[np.ndarray, "h w 4"]:
    """Return 16-bit RGBA of what OpenCV has read."""
    if image.dtype == np.uint8:
        image = image.astype(np.uint16) * 257
    elif image.dtype != np.uint16:
        image = np.rint(65535 * np.clip(image, 0, 1)).astype(np.uint16)
    code = {2: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    channels = 2 if image.ndim == 2 else image.shape[2]
    rgba: UInt16[np.ndarray, "h w 4"] = cv2.cvtColor(image, code[channels])
    return rgba


def _linear(values: UInt16[np.ndarray, "h w 4"]) -> UInt16[np.ndarray, "h w 4"]:
    """Return linear light of sRGB; alpha stays."""
    light = np.rint(65535 * to_linear((values[..., :3] // 257).astype(np.uint8)))
    return np.concatenate([light.astype(np.uint16), values[..., 3:]], axis=2)


def record_type(struct: Any) -> np.dtype[Any]:
    """Return numpy's type for one of Warp's structures."""
    dtype: np.dtype[Any] = struct.numpy_dtype()
    return dtype


def pattern(path: Path) -> Texture:
    """Return the texture of a brightness pattern that repeats."""
    return Texture(path, color_space="sRGB")
