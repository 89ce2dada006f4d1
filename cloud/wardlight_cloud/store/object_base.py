"""What the rest of the cloud knows of the object store: immutable files named by their SHA-256.

Implemented by store/objects.py on a folder or on S3. An object is written once and never changed,
save that one whose octets are not those of its hash (a disk that decays) is replaced by the next
that comes. ``put``, ``put_file`` and ``assemble`` return when it is durable (synced file and
folder, or the answer of S3).
Names  ``sha256/ab/cd/<64 hex digits>``; parts of what is still arriving ``arriving/<64 hex>/...``
Errors  StorageError: the store refuses or is away; ObjectMissingError: no object of this name;
        NoRoomError (object_room.py): its disk is full, said before an octet is written
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from wardlight_shared.errors import StorageError


class ObjectMissingError(StorageError):
    """There is no object of this hash: the index knows it, the store does not."""


class ObjectStore(Protocol):
    """Whole objects by hash, and the parts of those that are arriving."""

    async def put(self, sha256: bytes, octets: bytes) -> None:
        """Store an object of which all octets are in memory; the caller has verified its hash.

        What is there with other octets is replaced.
        """

    async def put_file(self, sha256: bytes, file: Path) -> None:
        """Store a verified file, moved where the store is on the same disk, else copied.

        What is there with other octets is replaced.
        """

    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> bytes:
        """Octets [start, end) of an object."""

    def stream(self, sha256: bytes, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Octets [start, end) in pieces of at most 1 MiB."""

    def local_path(self, sha256: bytes) -> Path | None:
        """The object as a file of this machine, where it is one: for sendfile and for parsing."""

    async def size(self, sha256: bytes) -> int | None:
        """Octets of an object; None = there is none."""

    async def durable_size(self, sha256: bytes) -> int | None:
        """As ``size``, of an object that is durable on return, whoever is writing it."""

    async def is_cold(self, sha256: bytes) -> bool:
        """Whether an object is only in a second, slow place."""

    async def stored_at(self, sha256: bytes) -> datetime | None:
        """When an object came; None = there is none."""

    async def delete(self, sha256: bytes) -> None:
        """Remove an object; none is no error."""

    def hashes(self) -> AsyncIterator[tuple[bytes, int]]:
        """(hash, size) of every object, in the order of the hashes."""

    async def put_part(self, sha256: bytes, offset: int, octets: bytes) -> None:
        """Keep octets of an object that is arriving; durable on return, the same again is fine."""

    async def parts(self, sha256: bytes) -> Sequence[tuple[int, int]]:
        """(first, end) of the octets that have arrived, ascending, joined where they touch."""

    async def assemble(self, sha256: bytes, size: int) -> bool:
        """Make the object of its parts and remove them, whatever is there of it until then.

        False: their hash is another, and they are dropped; octets beyond ``size`` and gaps count as
        another hash. True without parts too, where the object is there and has its hash.
        """

    async def drop_parts(self, sha256: bytes) -> None:
        """Forget what has arrived of an object."""

    async def drop_stale_parts(self, older_than_s: float) -> int:
        """Forget objects of which nothing has arrived for so long; how many those were."""

    async def close(self) -> None:
        """End connections."""
