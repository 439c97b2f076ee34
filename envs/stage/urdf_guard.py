"""What a URDF from a stranger may not do: read outside its roots, or exhaust memory.

XML is scanned before anything is built from it: entities are refused (a few lines of them expand to
gigabytes), and elements and their depth are counted. Mesh files are weighed, and what they say of
their own size is checked, before they are opened by a library that believes it.
"""

import json
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.parsers import expat

from envs.errors import StageError
from envs.stage.guard import LIMITS, Limits

MESH_TYPES = (".stl", ".obj", ".dae", ".ply", ".off", ".glb")
_MARKS = ("package.xml", "LICENSE", "LICENSE.md", "LICENSE.txt")
_PACKAGE_LEVELS = 6
_SIBLING_FOLDERS = ("urdf", "robots")
"""Where a package keeps its URDFs, beside its meshes."""
_URL = re.compile(r"(?!package:|file:)[A-Za-z][A-Za-z0-9+.-]+://")


def source_roots(urdf: Path, package_roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders that a URDF may read: those given, and the package that it is part of.

    That is the nearest folder above it with a package.xml or a LICENSE, else its own; where that is
    called urdf or robots, the one above. A package.xml further up makes a root of that folder too.
    """
    above = list(urdf.resolve().parents)[:_PACKAGE_LEVELS]
    own = above[1] if above[0].name in _SIBLING_FOLDERS else above[0]
    home = next((f for f in above if any((f / m).is_file() for m in _MARKS)), own)
    packages = [f for f in above if (f / "package.xml").is_file()]
    return tuple(dict.fromkeys([*(r.resolve() for r in package_roots), home, *packages]))


def resolve(name: str, urdf: Path, roots: Sequence[Path], where: str) -> Path:
    """Return the file behind a name in a URDF.

    Args:
        name: A `package://NAME/…`, looked for as NAME/… in each root and as … in a root that is
            called NAME, or a path from the URDF's folder.
        urdf: The URDF.
        roots: From `source_roots`.
        where: Who names it, for the message.

    Raises:
        StageError: It is not there, lies outside the roots, or is a URL.
    """
    if _URL.match(name):
        raise StageError(f"{where} names the URL '{name}'; only files are read")
    if name.startswith("package://"):
        relative = Path(name.removeprefix("package://"))
        if relative.is_absolute():
            raise StageError(f"{where}: '{name}' names no package")
        tried = [root / relative for root in (*roots, urdf.resolve().parent)]
        tried += [
            root.joinpath(*relative.parts[1:])
            for root in roots
            if relative.parts[:1] == (root.name,)
        ]
    else:
        tried = [urdf.parent / name.removeprefix("file://")]
    found = next((file for file in tried if file.is_file()), None)
    if found is not None:
        return confined(found, name, roots, where)
    tried = list(dict.fromkeys(tried))
    places = ", ".join(str(f) for f in tried[:6]) + (", …" if len(tried) > 6 else "")
    raise StageError(
        f"{where}: file '{name}' was not found; looked for: {places}; "
        "package_roots=[DIR] says where packages are"
    )


def confined(file: Path, name: str, roots: Sequence[Path], where: str) -> Path:
    """Return a file, or refuse it where it lies outside the roots, links followed."""
    if any(file.resolve().is_relative_to(root) for root in roots):
        return file
    listed = ", ".join(str(root) for root in roots)
    raise StageError(
        f"{where} reads '{name}' outside of its roots ({listed}); "
        "add its folder to package_roots if you trust it"
    )


def check_xml(path: Path, limits: Limits = LIMITS) -> None:
    """Refuse an XML file with entities, or with more in it than a robot has.

    Raises:
        StageError: It is too large, nests too deep, declares a document type, or is no XML.
    """
    weigh([path], limits)
    parser = expat.ParserCreate()
    depth = elements = 0
    # What each of Collada's nodes is instanced in: a few lines can ask for a billion of them.
    nodes: list[str] = []
    instances: dict[str, list[str]] = {}

    def doctype(*_: object) -> None:
        raise StageError(f"{path} declares a document type, with entities perhaps: not read")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > limits.depth:
            raise StageError(f"{path} is too large: more than {limits.depth} levels of elements")
        if elements > limits.prims:
            raise StageError(f"{path} is too large: more than {limits.prims} elements")
        name = tag.rsplit(":", 1)[-1]
        if name == "node":
            nodes.append(attributes.get("id", ""))
        elif name == "instance_node":
            for owner in set(nodes):
                instances.setdefault(owner, []).append(attributes.get("url", "").lstrip("#"))

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        if tag.rsplit(":", 1)[-1] == "node":
            nodes.pop()

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    with path.open("rb") as stream:
        try:
            parser.ParseFile(stream)
        except expat.ExpatError as error:
            raise StageError(f"{path} is no well-formed XML: {error}") from error
    _check_instances(path, instances, limits)


def _check_instances(path: Path, instances: dict[str, list[str]], limits: Limits) -> None:
    weights: dict[str, int] = {}

    def weight(node: str, above: tuple[str, ...]) -> int:
        if node in above:
            raise StageError(f"{path}: the node '{node}' is an instance of itself")
        if len(above) > limits.depth:
            raise StageError(f"{path} is too large: more than {limits.depth} levels of instances")
        if node not in weights:
            inner = (weight(n, (*above, node)) for n in instances.get(node, ()))
            weights[node] = 1 + sum(inner)
        return weights[node]

    total = sum(weight(node, ()) for node in instances)
    if total > limits.prims:
        raise StageError(f"{path} is too large: more than {limits.prims} instances of nodes")


def check_meshes(files: Iterable[Path], limits: Limits = LIMITS) -> None:
    """Check mesh files before any of them is opened.

    Raises:
        StageError: One is of a type that is not read, or they are too large.
    """
    files = sorted(set(files))
    weigh(files, limits)
    for file in files:
        kind = file.suffix.lower()
        if kind not in MESH_TYPES:
            raise StageError(f"mesh {file}: of the types {', '.join(MESH_TYPES)}, not '{kind}'")
        if kind == ".dae":
            check_xml(file, limits)
        elif kind == ".glb":
            _check_glb(file, limits)


def weigh(files: Iterable[Path], limits: Limits) -> None:
    """Refuse files that are too large together."""
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > limits.bytes:
            raise StageError(f"{file} is too large: with the rest more than {limits.bytes} bytes")


def _check_glb(file: Path, limits: Limits) -> None:
    """Refuse a binary glTF whose accessors ask for more than faces may take."""
    with file.open("rb") as stream:
        head = stream.read(20)
        try:
            magic, _, _, length, kind = struct.unpack("<4sIII4s", head)
            if (magic, kind) != (b"glTF", b"JSON"):
                raise ValueError("no such file begins like this")
            counts = [
                abs(int(a["count"])) for a in json.loads(stream.read(length)).get("accessors", [])
            ]
        except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
            raise StageError(f"mesh {file} is no binary glTF") from error
    if sum(counts) > 3 * limits.faces:
        raise StageError(f"mesh {file} is too large: more than {limits.faces} faces")
