"""Writes a small file so that it is private, whole and on the disk, or not there at all.

Source: rename(2) and fsync(2): write a draft beside it, sync it, rename it, sync the folder.
"""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, content: str | bytes, *, keep_readers: bool = False) -> None:
    """Replace `path` by `content`, mode 0600. After a crash there is the old or the new content.

    A reader never sees a part, and two writers leave the content of one of them. `keep_readers`:
    a file that was there keeps its owner, group and mode.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if keep_readers:
                _take_over(file.fileno(), path)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _take_over(descriptor: int, path: Path) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        return
    now = os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
