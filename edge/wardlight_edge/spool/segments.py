"""Encrypted files that are written once from front to back (writer.py) and read at any place.

File     magic 8 | salt 32 | segments | trailer
Segment  ciphertext of 256 KiB | tag 16; the last one holds what is left, also nothing
Trailer  ciphertext of what the file is | tag 16 | length of both 4, big-endian

Each file has a key of its own (HKDF with its random salt), so nonces need no randomness: a nonce is
the segment's number and whether it is the last one (STREAM, Hoang et al. 2015). A segment that was
moved, left out or cut off at the end therefore does not open. The trailer is there when the writer
came to the end: a file without one is half.

Errors  StorageError: the disk refuses; DamagedFile: the octets are not what was written
"""

import errno
import os
import threading
import time
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.sealing import derived
from wardlight_shared.errors import StorageError

SEGMENT_BYTES: Final = 256 * 1024
TAG_BYTES: Final = 16
MAGIC: Final = b"WLspool1"
SALT_BYTES: Final = 32
HEAD_BYTES: Final = len(MAGIC) + SALT_BYTES
LARGEST_TRAILER: Final = 64 * 1024
LENGTH: Final = Struct(">I")
NONCE: Final = Struct(">QI")
MORE: Final = 0
LAST: Final = 1
TRAILER: Final = 2
SEALED_BYTES: Final = SEGMENT_BYTES + TAG_BYTES
_PAUSES_S: Final = (0.05, 0.5)
"""Before a read that the disk failed is tried again."""
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}


class DamagedFile(StorageError):
    """A file is not there, or not as it was written."""


class SegmentReader:
    """Reads one file. Any thread may call; ``size`` is the number of octets it holds.

    path  DamagedFile where it is not there, cut short or of another key
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._cached = -1
        self._cache = b""
        self._file = opened(path, os.O_RDONLY)
        try:
            self._aead = AESGCM(derived(key, b"file", self._read_salt()))
            self.trailer = self._read_trailer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; may be called again."""
        with self._lock:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` octets from ``offset``; fewer only at the end."""
        end = min(offset + length, self.size)
        parts = []
        with self._lock:
            while offset < end:
                segment = self._segment(offset // SEGMENT_BYTES)
                start = offset % SEGMENT_BYTES
                part = segment[start : start + end - offset]
                parts.append(part)
                offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _segment(self, number: int) -> bytes:
        if number != self._cached:
            last = self._segments - 1
            length = SEGMENT_BYTES if number < last else self.size - last * SEGMENT_BYTES
            nonce = NONCE.pack(number, LAST if number == last else MORE)
            sealed = self._get(HEAD_BYTES + number * SEALED_BYTES, length + TAG_BYTES)
            self._cache, self._cached = self._opened(nonce, sealed), number
        return self._cache

    def _read_salt(self) -> bytes:
        head = self._get(0, HEAD_BYTES)
        if head[: len(MAGIC)] != MAGIC:
            raise DamagedFile(f"{self.path.name}: no file of the spool")
        return head[len(MAGIC) :]

    def _read_trailer(self) -> bytes:
        with Meaning(self.path):
            total = os.fstat(self._file).st_size
        (length,) = LENGTH.unpack(self._get(total - LENGTH.size, LENGTH.size))
        start = total - LENGTH.size - length
        body = start - HEAD_BYTES
        self._segments = -(-body // SEALED_BYTES)
        self.size = body - self._segments * TAG_BYTES
        if length > LARGEST_TRAILER or body < TAG_BYTES or self.size < 0:
            raise DamagedFile(f"{self.path.name}: has no end")
        return self._opened(NONCE.pack(0, TRAILER), self._get(start, length))

    def _get(self, offset: int, length: int) -> bytes:
        with Meaning(self.path):
            octets = self._tried(length, offset) if offset >= 0 else b""
        if len(octets) < length:
            raise DamagedFile(f"{self.path.name}: cut short")
        return octets

    def _tried(self, length: int, offset: int) -> bytes:
        """What the disk has there; one that fails is asked three times."""
        for pause_s in _PAUSES_S:
            try:
                return os.pread(self._file, length, offset)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
            time.sleep(pause_s)
        return os.pread(self._file, length, offset)

    def _opened(self, nonce: bytes, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(nonce, sealed, None)
        except (InvalidTag, ValueError) as error:
            raise DamagedFile(f"{self.path.name}: fails its authentication") from error


class Meaning:
    """Turns what the disk says into our errors. A class: it stands in the hottest path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise _translated(self._path, error) from error


def opened(path: Path, flags: int) -> int:
    """The descriptor of a file, opened or made with mode 0600; no link is followed."""
    with Meaning(path):
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _translated(path: Path, error: OSError) -> StorageError:
    if error.errno in _NO_ROOM:
        return SpoolFull("no room on the disk of the spool")
    if error.errno in {errno.ENOENT, errno.EIO, errno.ELOOP}:
        return DamagedFile(f"{path.name}: {error.strerror}")
    return StorageError(f"{path.name}: {error.strerror}")
