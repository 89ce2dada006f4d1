"""Objects that are arriving in a folder: their parts, and how they become the object.

Errors  OSError, NoRoomError
"""

import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from wardlight_cloud.store.object_files import FolderFiles, changed_at, pieces_of, sync
from wardlight_cloud.store.object_names import (
    ARRIVING,
    arriving_name,
    hash_of,
    part_name,
    part_of,
    walk,
)
from wardlight_cloud.store.object_room import check_room

Steps = Sequence[tuple[tuple[int, int], int]]


class FolderParts:
    """Parts of the objects of one folder."""

    def __init__(self, files: FolderFiles) -> None:
        self._files = files

    def put(self, sha256: bytes, offset: int, octets: bytes) -> None:
        """Keep octets; durable on return."""
        name = part_name(offset, offset + len(octets))
        self._files.write(self._folder(sha256) / name, octets)

    def arrived(self, sha256: bytes) -> list[tuple[int, int]]:
        """(first, end) of the parts, in no order."""
        try:
            files = list(self._folder(sha256).iterdir())
        except FileNotFoundError:
            return []
        return [part for part in (part_of(file.name) for file in files) if part is not None]

    def assemble(self, sha256: bytes, size: int) -> bool:
        """See ObjectStore."""
        target = self._files.path(sha256)
        steps = walk(self.arrived(sha256), size)
        is_right = steps is not None and self._make(steps, size, target, sha256)
        if not is_right:  # another process may have been quicker
            is_right = self._files.is_whole(target, sha256)
        self.drop(sha256)
        return is_right

    def _make(self, steps: Steps, size: int, target: Path, sha256: bytes) -> bool:
        folder = self._folder(sha256)
        self._files.make_folder(target.parent)
        if len(steps) == 1:
            return self._promote(folder / part_name(*steps[0][0]), target, sha256)
        check_room(self._files.folder, size)
        return self._concatenate(folder, steps, target, sha256)

    def _promote(self, part: Path, target: Path, sha256: bytes) -> bool:
        """One part is all of the object: it only changes its name."""
        digest = hashlib.sha256()
        for piece in pieces_of(part, 0):
            digest.update(piece)
        if digest.digest() != sha256:
            return False
        part.rename(target)
        sync(target.parent)
        return True

    def _concatenate(
        self,
        folder: Path,
        steps: Steps,
        target: Path,
        sha256: bytes,
    ) -> bool:
        digest = hashlib.sha256()
        with self._files.temporary() as new:
            for part, skipped in steps:
                for piece in pieces_of(folder / part_name(*part), skipped):
                    digest.update(piece)
                    new.write(piece)
            if digest.digest() != sha256:
                return False
            new.become(target)
        return True

    def drop(self, sha256: bytes) -> None:
        """Forget what has arrived of an object."""
        shutil.rmtree(self._folder(sha256), ignore_errors=True)

    def drop_stale(self, older_than_s: float) -> int:
        """See ObjectStore."""
        oldest, dropped = time.time() - older_than_s, 0
        for folder in (self._files.folder / ARRIVING).iterdir():
            # A folder changes with each part that comes.
            if hash_of(folder.name) is not None and changed_at(folder) < oldest:
                shutil.rmtree(folder, ignore_errors=True)
                dropped += 1
        return dropped

    def _folder(self, sha256: bytes) -> Path:
        return self._files.folder / arriving_name(sha256)
