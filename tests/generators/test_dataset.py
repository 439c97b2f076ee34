"""Files of a data set: whole or not there at all."""

import errno
import hashlib
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.errors import ConfigError
from generators.dataset import new_dataset, npz, png, write_bytes, write_json, write_picture


def test_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (6, 9, 3), np.uint8)
    ids = rng.integers(0, 65536, (6, 9), np.uint16)
    for kind, picture in [("rgb", rgb), ("part", ids)]:
        path, digest = write_picture(tmp_path, 7, kind, png(picture))
        assert path == f"{kind}/000007.png"
        assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest
        back = cv2.imread(str(tmp_path / path), cv2.IMREAD_UNCHANGED)
        assert back is not None and back.dtype == picture.dtype
        np.testing.assert_array_equal(back[..., ::-1] if back.ndim == 3 else back, picture)
    assert not list(tmp_path.rglob(".*"))


def test_arrays_come_back_as_they_were_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = np.random.default_rng(0).normal(size=(6, 9, 2)).astype(np.float32)
    flow[0, 0] = np.nan
    file = npz(flow=flow, occluded=flow[..., 0] > 0)
    path, _ = write_picture(tmp_path, 3, "flow", file)
    assert path == "flow/000003.npz"
    with np.load(tmp_path / path, allow_pickle=False) as back:
        np.testing.assert_array_equal(back["flow"], flow)
        np.testing.assert_array_equal(back["occluded"], flow[..., 0] > 0)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert npz(flow=flow, occluded=flow[..., 0] > 0) == file


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
        (folder / "x.png").write_bytes(b"x")
        assert not out.exists()
    assert (out / "x.png").read_bytes() == b"x"
    assert [p.name for p in out.parent.iterdir()] == ["set"]
    assert out.stat().st_mode & 0o777 == 0o755


def test_data_set_that_fails_vanishes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_dataset(tmp_path / "set") as folder:
        (folder / "x.png").write_bytes(b"x")
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
    assert (tmp_path / "empty").is_dir()
