"""A data set on disk: pictures, labels, annotations, and a manifest of all hashes.

```
rgb/000000.png        8-bit sRGB
depth/000000.png …    a folder for each label with a value per pixel, see `writers.pixels`
annotations.json      COCO
README.md             what the files hold and the numbers mean, see `writers.card`
manifest.json         what the data set was made with, and the SHA-256 of every file
```
It is made in a folder beside its place, which takes its name when all is whole.
"""

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from envs.errors import ConfigError
from envs.files import write_whole

Picture = UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w"]


@dataclass(frozen=True)
class File:
    """What a file holds, and how its name ends."""

    suffix: str
    content: bytes


@contextlib.contextmanager
def new_dataset(out: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes `out` at the end, or vanishes where that fails.

    Raises:
        ConfigError: `out` holds something already, or cannot be made.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not empty; name a new folder for the data set")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}") from error
    try:
        yield draft
        draft.chmod(0o755)
        try:
            draft.rename(out)
        except OSError as error:
            raise ConfigError(f"{out} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_picture(folder: Path, index: int, kind: str, file: File) -> tuple[str, str]:
    """Write one file of a picture; return its path in the data set and its SHA-256."""
    path = f"{kind}/{index:06d}.{file.suffix}"
    (folder / kind).mkdir(exist_ok=True)
    return path, write_bytes(folder / path, file.content)


def write_json(path: Path, value: Any) -> str:
    """Write a value as JSON, one line for each entry of its lists; return the SHA-256."""
    lines = []
    for key, entry in value.items():
        if isinstance(entry, list) and entry:
            rows = ",\n".join(json.dumps(e, allow_nan=False) for e in entry)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(entry, allow_nan=False)}")
    return write_bytes(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def write_bytes(path: Path, content: bytes) -> str:
    """Write a file under a temporary name and rename it; return the SHA-256.

    Raises:
        ConfigError: It cannot be written, such as on a full disk.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    return hashlib.sha256(content).hexdigest()


def png(picture: Picture) -> File:
    """Return an image as PNG; three channels are red, green, blue."""
    colored = picture.ndim == 3
    shown = picture[..., ::-1] if colored else picture
    # Of colours no run but that of one value comes again: to look for others takes twice the time.
    strategy = cv2.IMWRITE_PNG_STRATEGY_RLE if colored else cv2.IMWRITE_PNG_STRATEGY_DEFAULT
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, strategy]
    whole, content = cv2.imencode(".png", np.ascontiguousarray(shown), options)
    if not whole:
        raise ConfigError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return File("png", content.tobytes())


def npz(**arrays: np.ndarray) -> File:
    """Return arrays as a compressed npz file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    named: Mapping[str, Any] = arrays
    np.savez_compressed(buffer, **named)
    return File("npz", buffer.getvalue())
