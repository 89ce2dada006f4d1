"""Making directory entries durable: a new or renamed file survives a power cut only after this."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Fsync a directory."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(path: Path) -> None:
    """Make an empty file with mode 0600, durably; an existing one keeps its content."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)
