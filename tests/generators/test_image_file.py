"""Reading image files: what cannot be read is told, and what can."""

import struct
import zlib
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


def test_a_file_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    """A few bytes whose header tells of 4.8 GB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))
    with pytest.raises(StageError, match=r"a\.png: the image cannot be decoded: pixels <= "):
        read_image(tmp_path / "a.png")
