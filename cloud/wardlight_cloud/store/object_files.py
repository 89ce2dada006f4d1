"""Files of a folder of objects: written so that they are on the disk when they have their name.

Temporary files lie under ``arriving/``, on the same file system; those of a process that died are
removed by ``open`` once they are old.

Errors  OSError, NoRoomError
Source  rename(2), fsync(2)
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from wardlight_cloud.store.object_names import (
    ARRIVING,
    OBJECTS,
    PIECE_BYTES,
    hash_of,
    object_name,
)
from wardlight_cloud.store.object_room import check_room

_TEMPORARY: Final = ".new-"
_LEFT_OVER_S: Final = 24 * 3600.0


class FolderFiles:
    """A folder of objects, by one thread at a time for each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known_folders: set[Path] = set()

    def open(self) -> None:
        """Make the folder, and remove what a process that died has left half written."""
        self._make_above()
        for name in (OBJECTS, ARRIVING):
            self.make_folder(self.folder / name)
        oldest = time.time() - _LEFT_OVER_S
        for file in (self.folder / ARRIVING).glob(f"**/{_TEMPORARY}*"):
            if changed_at(file) < oldest:
                file.unlink(missing_ok=True)

    def path(self, sha256: bytes) -> Path:
        """Where an object is."""
        return self.folder / object_name(sha256)

    def write(self, target: Path, octets: bytes) -> None:
        """Write a file, unless it is there as it should be; durable on return."""
        if self.durable_size(target) == len(octets) and _is_same(target, BytesIO(octets)):
            return
        check_room(self.folder, len(octets))
        self.make_folder(target.parent)
        with self.temporary() as new:
            new.write(octets)
            new.become(target)

    def take(self, target: Path, file: Path) -> None:
        """Move a file to its place, unless the same is there; durable on return."""
        if self.durable_size(target) == file.stat().st_size:
            with file.open("rb") as source:
                is_there = _is_same(target, source)
            if is_there:
                file.unlink()
                return
        self.make_folder(target.parent)
        sync(file)
        try:
            file.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(target, file)
            file.unlink()
        else:
            target.chmod(0o600)
            sync(target.parent)

    def durable_size(self, target: Path) -> int | None:
        """Whoever wrote it may have died, or be at work, between the rename and its sync."""
        size = size_of(target)
        if size is not None:
            self.make_folder(target.parent)
            sync(target.parent)
        return size

    def _copy(self, target: Path, file: Path) -> None:
        check_room(self.folder, file.stat().st_size)
        with self.temporary() as new, file.open("rb") as source:
            while piece := source.read(PIECE_BYTES):
                new.write(piece)
            new.become(target)

    def is_whole(self, target: Path, sha256: bytes) -> bool:
        """Whether there is a file whose octets have this hash; durable then."""
        if self.durable_size(target) is None:
            return False
        digest = hashlib.sha256()
        for piece in pieces_of(target, 0):
            digest.update(piece)
        return digest.digest() == sha256

    def temporary(self) -> "NewFile":
        """A new file without a name."""
        return NewFile(self.folder / ARRIVING / f"{_TEMPORARY}{secrets.token_hex(8)}")

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each durable in the one that holds it.

        One of objects that is there already may be another process's, which has not synced it yet.
        """
        if folder in self._known_folders and folder.is_dir():
            return
        if folder.parent != self.folder:
            self.make_folder(folder.parent)
        is_new = not folder.is_dir()
        if is_new:
            folder.mkdir(mode=0o700, exist_ok=True)
        of_objects = self.folder / OBJECTS in folder.parents
        if is_new or of_objects:
            sync(folder.parent)
        if of_objects:
            self._known_folders.add(folder)

    def _make_above(self) -> None:
        missing = [each for each in (self.folder, *self.folder.parents) if not each.is_dir()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            sync(each.parent)

    def leaves(self) -> list[Path]:
        """Folders that hold objects, in the order of their hashes."""
        top = self.folder / OBJECTS
        return [
            inner
            for outer in sorted(top.iterdir()) if outer.is_dir()
            for inner in sorted(outer.iterdir()) if inner.is_dir()
        ]  # fmt: skip


class NewFile:
    """A file that is not there until ``become``; removed at the end when that was not called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> "NewFile":
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._path.unlink(missing_ok=True)

    def write(self, octets: bytes) -> None:
        """Write all of them."""
        view = memoryview(octets)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def become(self, target: Path) -> None:
        """Give the whole file its name; durable on return."""
        os.fsync(self._descriptor)
        self._path.rename(target)
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        sync(target.parent)


def _is_same(target: Path, source: BinaryIO) -> bool:
    """Whether a file has these octets; one that cannot be read has others."""
    try:
        with target.open("rb") as file:
            while piece := source.read(PIECE_BYTES):
                if file.read(len(piece)) != piece:
                    return False
            return not file.read(1)
    except OSError:
        return False


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def opened(path: Path) -> int:
    """A descriptor to read from."""
    return os.open(path, os.O_RDONLY)


def read_span(path: Path, start: int, end: int | None) -> bytes:
    """Octets [start, end)."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read() if end is None else file.read(max(end - start, 0))


def size_of(path: Path) -> int | None:
    """Octets of a file; None = there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def remove(path: Path) -> None:
    """Remove a file for good; none is no error."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync(path.parent)


def changed_at(path: Path) -> float:
    """When it changed, UTC in seconds; of what is gone now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def objects_in(folder: Path) -> list[tuple[bytes, int]]:
    """(hash, size) of the objects in a folder, in their order."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            sha256 = hash_of(entry.name)
            if sha256 is not None and entry.is_file(follow_symlinks=False):
                found.append((sha256, entry.stat(follow_symlinks=False).st_size))
    return sorted(found)


def pieces_of(path: Path, skipped: int) -> Iterator[bytes]:
    """A file from ``skipped`` on."""
    with path.open("rb") as file:
        file.seek(skipped)
        while piece := file.read(PIECE_BYTES):
            yield piece


def named_at(path: Path) -> datetime | None:
    """When a file got its name; None = there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_ctime, UTC)
    except FileNotFoundError:
        return None
