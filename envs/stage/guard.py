"""What a stage from a stranger may not do: read outside its asset root, or exhaust memory.

Everything here is checked on the layers one by one, before USD composes them: a few lines of text
can ask for a billion prims (each prim refers twice to the next), and a reference opens whatever
file it names. Layers are read without what they refer to; the number of prims that they would
become is then counted, not built.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import StageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_CHUNK = 1 << 20
_LIBRARY_LEVELS = 4


@dataclass(frozen=True)
class Limits:
    """How large a stage may be.

    Attributes:
        bytes: Of all its layers together.
        layers: How many.
        prims: After composition, instances counted as often as they appear.
        faces: Polygons of all meshes, instances counted likewise.
        depth: Of the prim hierarchy, and of references inside references.
    """

    bytes: int = 1 << 30
    layers: int = 2000
    prims: int = 500_000
    faces: int = 20_000_000
    depth: int = 100


LIMITS = Limits()


def asset_root(stage: Path) -> Path:
    """Return the folder that a stage may read: its own, or the asset library that it is part of.

    A library is a folder with a LICENSE, at most a few levels above the stage: its assets refer to
    each other with `../`.
    """
    folder = stage.resolve().parent
    for above in [folder, *folder.parents][: _LIBRARY_LEVELS + 1]:
        if any((above / name).is_file() for name in ("LICENSE", "LICENSE.md", "LICENSE.txt")):
            return above
    return folder


def check_layers(path: Path, root: Path | None, limits: Limits = LIMITS) -> None:
    """Check the layers of a stage before it is composed.

    Args:
        path: The stage's root layer.
        root: The folder that no layer may lie outside of; None for a stage that this program wrote.
        limits: How large it may be.

    Raises:
        StageError: It reads outside its root, or is too large.
    """
    scout = _Scout(path, None if root is None else root.resolve(), limits)
    layer = scout.open(str(path.resolve()), str(path))
    if layer is not None:
        scout.weigh(layer, "/", 0)


def check_asset(resolved: str, named: str, root: Path | None, where: str) -> None:
    """Check a file that is not a layer, such as an image.

    Raises:
        StageError: It lies outside the root, or is no plain file name.
    """
    from pxr import Ar

    if _URL.match(named):
        raise StageError(f"{where} names the URL '{named}'; only files are read")
    outer = Path(Ar.SplitPackageRelativePathOuter(resolved)[0])
    if root is not None and not outer.resolve().is_relative_to(root.resolve()):
        raise StageError(
            f"{where} reads '{named}' outside of its asset root {root}; "
            "give a wider asset_root if you trust it"
        )


class _Scout:
    """Opens layers within the limits, each once, and weighs what they would become."""

    def __init__(self, path: Path, root: Path | None, limits: Limits) -> None:
        self._path, self._root, self._limits = path, root, limits
        self._layers: dict[str, Any] = {}
        self._bytes = 0
        self._weights: dict[tuple[str, str], int | None] = {}
        self._visited = 0

    def open(self, identifier: str, where: str) -> Any:
        """Return a layer, or None where the file is missing, which composition reports."""
        from pxr import Ar, Sdf, Tf

        if identifier in self._layers:
            return self._layers[identifier]
        file = Path(Ar.SplitPackageRelativePathOuter(identifier)[0])
        check_asset(identifier, identifier, self._root, where)
        if not file.is_file():
            return None
        self._bytes += file.stat().st_size
        self._refuse("bytes", self._bytes, self._limits.bytes)
        self._refuse("layers", len(self._layers) + 1, self._limits.layers)
        _check_nesting(file, self._limits.depth)
        try:
            layer = Sdf.Layer.FindOrOpen(identifier)
        except Tf.ErrorException:
            layer = None  # opening the stage says why
        self._layers[identifier] = layer
        return layer

    def weigh(self, layer: Any, path: str, depth: int) -> int:
        """Return the most prims that a reference to a prim of a layer could become.

        It counts the prim's specs in all sublayers and all variants, and recursively what they
        refer to; also what the prims above refer to, as that may hold the same prim.
        """
        self._refuse("levels of references", depth, self._limits.depth)
        key = (layer.identifier, path)
        known = self._weights.get(key, -1)
        if known is None:
            return 0  # a circle, which composition reports
        if known >= 0:
            return known
        self._weights[key] = None
        total = 0
        for member in self._stack(layer, depth):
            for spec, subtree in self._specs(member, path):
                if subtree:
                    total += 1
                for target, target_path in self._arcs(layer, member, spec):
                    total += self.weigh(target, target_path, depth + 1)
                self._refuse("prims", total, self._limits.prims)
        self._weights[key] = total
        return total

    def _stack(self, layer: Any, depth: int) -> list[Any]:
        """Return a layer with its sublayers, and theirs."""
        found: dict[str, Any] = {}
        pending = [layer]
        while pending:
            member = pending.pop()
            if member.identifier in found:
                continue
            found[member.identifier] = member
            pending += [
                x for p in member.subLayerPaths if (x := self._named(member, p)) is not None
            ]
        return list(found.values())

    def _named(self, layer: Any, asset: str) -> Any:
        """Return the layer that another one names."""
        if asset.startswith("`"):
            raise StageError(f"{layer.identifier}: the expression {asset} is no plain file name")
        if _URL.match(asset):
            raise StageError(f"{layer.identifier} names the URL '{asset}'; only files are read")
        return self.open(layer.ComputeAbsolutePath(asset), layer.identifier)

    def _specs(self, layer: Any, path: str) -> Iterator[tuple[Any, bool]]:
        """Yield the prim specs at and below a path (True), then those above it (False)."""
        from pxr import Sdf

        top = Sdf.Path(path)
        pending = (
            list(layer.rootPrims)
            if top == Sdf.Path.absoluteRootPath
            else [s for s in [layer.GetPrimAtPath(top)] if s is not None]
        )
        while pending:
            spec = pending.pop()
            self._visited += 1
            self._refuse("prim specs", self._visited, 4 * self._limits.prims)
            levels = spec.path.pathElementCount
            self._refuse("levels of prims", levels, self._limits.depth)
            if spec.HasInfo("clips"):
                raise StageError(f"{layer.identifier}: {spec.path} has value clips, not supported")
            yield spec, True
            pending.extend(spec.nameChildren)
            pending.extend(v.primSpec for s in spec.variantSets for v in s.variants)
        above = top.GetParentPath()
        while above != Sdf.Path.absoluteRootPath and not above.isEmpty:
            spec = layer.GetPrimAtPath(above)
            if spec is not None:
                yield spec, False
            above = above.GetParentPath()

    def _arcs(self, layer: Any, member: Any, spec: Any) -> Iterator[tuple[Any, str]]:
        """Yield layer and path of what a spec refers to."""
        for arcs in (spec.referenceList, spec.payloadList):
            for arc in arcs.GetAddedOrExplicitItems():
                target = layer if not arc.assetPath else self._named(member, arc.assetPath)
                if target is not None:
                    default = f"/{target.defaultPrim}" if target.defaultPrim else "/"
                    yield target, str(arc.primPath) or default
        for paths in (spec.inheritPathList, spec.specializesList):
            for path in paths.GetAddedOrExplicitItems():
                yield layer, str(path)

    def _refuse(self, what: str, found: int, allowed: int) -> None:
        if found > allowed:
            raise StageError(f"{self._path} is too large: more than {allowed} {what}")


def _check_nesting(file: Path, depth: int) -> None:
    """Refuse text that nests so deep that the parser would run out of its stack.

    Raises:
        StageError: Brackets are nested deeper than any hierarchy that is allowed.
    """
    with file.open("rb") as stream:
        if stream.read(5) != b"#usda":
            return
        level = 0
        while chunk := stream.read(_CHUNK):
            text = np.frombuffer(chunk, np.uint8)
            opened = np.isin(text, list(b"{[("))
            closed = np.isin(text, list(b"}])"))
            levels = level + np.cumsum(opened.astype(np.int32) - closed)
            # A prim's braces, a dictionary's and a tuple's inside it.
            if levels.max() > depth + 20:
                raise StageError(f"{file} nests brackets deeper than {depth} levels of prims need")
            level = int(levels[-1])
