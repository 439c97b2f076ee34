"""Reading image files: what cannot be read is told, and what can."""

from pathlib import Path

import pytest

from envs.errors import StageError
from generators.image_file import read_image


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"none\.hdr: the image cannot be read: No such file"):
        read_image(tmp_path / "none.hdr")
    for content in (b"", b"v/1\x01"):
        (tmp_path / "a.exr").write_bytes(content)
        with pytest.raises(StageError, match=r"a\.exr: not an image .*; allowed: \.png, \.jpg"):
            read_image(tmp_path / "a.exr")
