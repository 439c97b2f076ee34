"""npz, HDF5 and MATLAB files: arrays by name."""

import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import RecordingError
from envs.telemetry.readers.contract import UNPROTECTED, Table, one_line

# More than a log holds: what claims more is damaged, or not meant for us.
MAX_BYTES = 8 << 30
# What a damaged HDF5 file does to the library can only be survived by another process: it was seen
# to loop for ever over a heap of attributes, where no signal reaches Python.
PROBE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
import h5py
def visit(name, item):
    list(item.attrs.items())
with h5py.File(sys.argv[1], "r") as content:
    list(content.attrs.items())
    content.visititems(visit)
"""
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def load_npz(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read the arrays of an npz file; its zip entries carry a CRC, which is checked.

    Raises:
        RecordingError: The file is damaged, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            _refuse_giants(sum(item.file_size for item in packed.infolist()), path)
            small = {
                i.filename.removesuffix(".npy") for i in packed.infolist() if i.file_size < 4096
            }
        with np.load(path, allow_pickle=False) as content:
            names = [n for n in content.files if wanted is None or n in wanted or n in small]
            found = {name: content[name] for name in names}
            others = [n for n in content.files if n not in found]
    except RecordingError:
        raise
    except Exception as error:  # whatever numpy and zipfile stumble over, the file is broken
        raise RecordingError(f"{path}: this is no whole npz file: {one_line(error)}") from None
    columns, metadata = _split(found)
    return Table(columns | dict.fromkeys(others, np.empty(0)), metadata, "crc checked")


def load_hdf5(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read the data sets of an HDF5 file by their paths; attributes become metadata.

    Raises:
        RecordingError: The file is damaged.
    """
    import h5py

    state = path.stat()
    _probe(path, state.st_mtime_ns, state.st_size)
    found: dict[str, np.ndarray] = {}
    others: list[str] = []
    metadata: dict[str, str] = {}
    checked: list[bool] = []

    def visit(name: str, item: Any) -> None:
        metadata.update({f"{name}@{k}": _text(v) for k, v in item.attrs.items()})
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iufbSOU":
            return
        if wanted is not None and name not in wanted and item.size > 1:
            others.append(name)
            return
        _refuse_giants(item.size * item.dtype.itemsize, path)
        found[name] = np.asarray(item[()])
        if item.size > 1:
            checked.append(bool(item.fletcher32))

    try:
        with h5py.File(path, "r") as content:
            metadata.update({k: _text(v) for k, v in content.attrs.items()})
            content.visititems(visit)
    except RecordingError:
        raise
    except Exception as error:  # h5py raises whatever fits the C library's complaint
        raise RecordingError(f"{path}: this is no whole HDF5 file: {one_line(error)}") from None
    columns, more = _split(found)
    return Table(
        columns | dict.fromkeys(others, np.empty(0)),
        metadata | more,
        "crc checked" if checked and all(checked) else UNPROTECTED,
    )


@lru_cache(maxsize=8)
def _probe(path: Path, changed_ns: int, size: int) -> None:
    """Let another process walk through an HDF5 file first, for five CPU-seconds at most.

    Raises:
        RecordingError: It does not come back, or not well.
    """
    command = [sys.executable, "-I", "-c", PROBE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        fault = lines[-1] if lines and done.returncode > 0 else "the library does not survive it"
        raise RecordingError(f"{path}: this is no whole HDF5 file: {fault[:300]}")


def load_matlab(path: Path, wanted: Collection[str] | None = None) -> Table:
    """Read a .mat file: version 5 to 7.2, or 7.3, which is HDF5 with its arrays transposed.

    Fields of a structure get dotted names.

    Raises:
        RecordingError: The file is damaged.
    """
    with path.open("rb") as stream:
        head = stream.read(520)
    if head[512:520] == HDF5_MAGIC or head[:8] == HDF5_MAGIC:
        table = load_hdf5(path, None)
        arrays = {
            name.replace("/", "."): np.squeeze(column.T if column.ndim == 2 else column)
            for name, column in table.columns.items()
            if not name.startswith("#")
        }
        columns, metadata = _split(arrays)
        return Table(columns, dict(table.metadata) | metadata, table.protection)
    from scipy.io import loadmat

    try:
        content = loadmat(path, squeeze_me=True, struct_as_record=True)
    except Exception as error:  # scipy raises whatever it stumbles over
        raise RecordingError(f"{path}: this is no whole .mat file: {one_line(error)}") from None
    found: dict[str, np.ndarray] = {}
    for name, value in content.items():
        if not name.startswith("__"):
            _unfold(name, value, found)
    columns, metadata = _split(found)
    # Compressed variables carry zlib's checksum, which inflating checks; older ones carry none.
    return Table(columns, metadata, UNPROTECTED)


def _unfold(name: str, value: Any, found: dict[str, np.ndarray]) -> None:
    value = np.asarray(value)
    if value.dtype.names is not None and value.shape == ():
        for field in value.dtype.names:
            _unfold(f"{name}.{field}", value[field][()], found)
    elif value.dtype.kind in "iufbSU":
        found[name] = value


def _split(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tell columns from single values, which are metadata; a row or column is a column."""
    columns: dict[str, np.ndarray] = {}
    metadata: dict[str, str] = {}
    for name, array in arrays.items():
        if array.ndim == 2 and 1 in array.shape and array.size > 1:
            columns[name] = array.reshape(-1)
        elif array.ndim in (1, 2) and array.dtype.kind in "iufb":
            columns[name] = array
        else:
            metadata[name] = _text(array)
    return columns, metadata


def _refuse_giants(size: int, path: Path) -> None:
    if size > MAX_BYTES:
        raise RecordingError(f"{path}: it claims {size} bytes of data; allowed: {MAX_BYTES}")


def _text(value: Any) -> str:
    item = (
        value.item() if isinstance(value, (np.ndarray, np.generic)) and value.size == 1 else value
    )
    return (item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item))[:200]
