"""Files that are there whole or not at all."""

from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write a file under a temporary name beside it, then rename it; text is UTF-8.

    Returns:
        The path.

    Raises:
        OSError: It cannot be written, such as on a full disk; nothing is left behind.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
