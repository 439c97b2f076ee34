"""A data set on disk: pictures, depth, instances, annotations, and a manifest of all hashes.

```
rgb/000000.png        8-bit sRGB
depth/000000.png      16-bit, millimetres along the optical axis; 0: nothing, or beyond 65.5 m
instance/000000.png   16-bit instance ids, 0: nothing
annotations.json      COCO
manifest.json         what the data set was made with, and the SHA-256 of every file
```
It is made in a folder beside its place, which takes its name when all is whole.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt16

from envs.errors import ConfigError
from envs.files import write_whole
from generators.renderer import Frame

FOLDERS = ("rgb", "depth", "instance")


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
        for folder in FOLDERS:
            (draft / folder).mkdir()
        yield draft
        draft.chmod(0o755)
        try:
            draft.rename(out)
        except OSError as error:
            raise ConfigError(f"{out} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_frame(folder: Path, index: int, frame: Frame) -> dict[str, str]:
    """Write the pictures of one frame; return path in the data set → SHA-256."""
    pictures = {
        "rgb": np.ascontiguousarray(frame.rgb[..., ::-1]),
        "depth": to_millimetres(frame.depth_m),
        "instance": frame.instance_id.astype(np.uint16),
    }
    return {
        path: write_bytes(folder / path, _png(picture))
        for kind, picture in pictures.items()
        for path in [frame_path(kind, index)]
    }


def frame_path(kind: str, index: int) -> str:
    """Return where a picture lies in the data set."""
    return f"{kind}/{index:06d}.png"


def to_millimetres(depth_m: Float32[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Return depth in whole millimetres; 0 where there is none, or more than 16 bits hold."""
    millimetres = np.rint(np.where(np.isfinite(depth_m), depth_m, 0.0) * 1000.0)
    millimetres[millimetres > np.iinfo(np.uint16).max] = 0
    return millimetres.astype(np.uint16)


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


def _png(picture: Any) -> bytes:
    """Return an image as PNG."""
    whole, content = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not whole:
        raise ConfigError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return bytes(content.tobytes())
