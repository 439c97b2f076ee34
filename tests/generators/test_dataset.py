"""Files of a data set: whole or not there at all."""

import errno
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.errors import ConfigError
from generators.camera import Camera
from generators.dataset import new_dataset, to_millimetres, write_bytes, write_frame, write_json
from generators.renderer import Frame


def frame() -> Frame:
    rng = np.random.default_rng(0)
    return Frame(
        rgb=rng.integers(0, 256, (6, 9, 3), np.uint8),
        depth_m=np.linspace(0.1, 3, 54, dtype=np.float32).reshape(6, 9),
        part_id=np.zeros((6, 9), np.int32),
        instance_id=rng.integers(0, 70, (6, 9)).astype(np.int32),
        camera=Camera.with_view(np.eye(4), 1.0, (9, 6), near_m=0.1, far_m=9.0),
    )


def test_depth_in_millimetres() -> None:
    depth = np.array([[0.0, 0.0004, 0.0006, 1.2345, 65.535, 65.536, np.inf]], np.float32)
    # 1234.5 is not a float32; the nearest one rounds to 1234.
    assert to_millimetres(depth).tolist() == [[0, 0, 1, 1234, 65535, 0, 0]]


def test_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    for kind in ("rgb", "depth", "instance"):
        (tmp_path / kind).mkdir()
    made = frame()
    hashes = write_frame(tmp_path, 7, made)
    assert list(hashes) == ["rgb/000007.png", "depth/000007.png", "instance/000007.png"]
    rgb, depth, ids = (cv2.imread(str(tmp_path / p), cv2.IMREAD_UNCHANGED) for p in hashes)
    assert rgb is not None and depth is not None and ids is not None
    np.testing.assert_array_equal(rgb[..., ::-1], made.rgb)
    np.testing.assert_array_equal(depth, to_millimetres(made.depth_m))
    np.testing.assert_array_equal(ids, made.instance_id)
    assert (depth.dtype, ids.dtype) == (np.uint16, np.uint16)
    for path, digest in hashes.items():
        assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest
    assert not list(tmp_path.rglob(".*"))


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"a": [{"x": 1.5}, {"x": 2}], "b": {"c": "d"}, "e": [], "f": None}
    digest = write_json(tmp_path / "file.json", value)
    content = (tmp_path / "file.json").read_bytes()
    assert json.loads(content) == value
    assert hashlib.sha256(content).hexdigest() == digest
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "nan.json", {"a": float("nan")})


def test_full_disk_is_told_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match=r"file\.png cannot be written: No space left on device"):
        write_bytes(tmp_path / "file.png", b"content")
    assert list(tmp_path.iterdir()) == []


def test_data_set_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "new" / "set"
    with new_dataset(out) as folder:
        (folder / "rgb" / "x.png").write_bytes(b"x")
        assert not out.exists()
    assert (out / "rgb" / "x.png").read_bytes() == b"x"
    assert [p.name for p in out.parent.iterdir()] == ["set"]
    assert out.stat().st_mode & 0o777 == 0o755


def test_data_set_that_fails_vanishes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_dataset(tmp_path / "set") as folder:
        (folder / "rgb" / "x.png").write_bytes(b"x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").write_text("precious")
    with pytest.raises(ConfigError, match="exists and is not empty"), new_dataset(tmp_path / "set"):
        pass
    with (
        pytest.raises(ConfigError, match="exists and is not empty"),
        new_dataset(tmp_path / "set" / "mine"),
    ):
        pass
    with (
        pytest.raises(ConfigError, match=r"cannot be made: (Not a directory|File exists)"),
        new_dataset(tmp_path / "set" / "mine" / "below"),
    ):
        pass
    with pytest.raises(ConfigError, match="cannot be made"), new_dataset(tmp_path / "other"):
        # Somebody else was faster.
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "theirs").write_text("theirs")
    assert (tmp_path / "set" / "mine").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "set"]
    (tmp_path / "empty").mkdir()
    with new_dataset(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty" / "rgb").is_dir()
