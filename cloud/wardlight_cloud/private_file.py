"""Writes a small file so that it is private, whole and on the disk, or not there at all.

Source: rename(2) and fsync(2): write a draft beside it, sync it, rename it, sync the folder.
"""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`, mode 0600. After a crash there is the old or the new content.

    A reader never sees a part, and two writers leave the content of one of them.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
