"""Replacing a small file of the gateway's state: whole or not at all, durable, mode 0600.

What root writes belongs to the owner of the folder: the gateway must read it later.

Errors  OSError: the disk is in trouble; the file is as it was
"""

import os
from pathlib import Path

from wardlight_edge.durable import sync_folder


def replace(file: Path, octets: bytes) -> None:
    """Write ``octets`` beside ``file``, then take its place; blocks for two flushes."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        give_to_owner(descriptor, file.parent)
        stream.write(octets)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
    sync_folder(file.parent)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Let the owner of ``folder`` own an open file too, where root has made it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
