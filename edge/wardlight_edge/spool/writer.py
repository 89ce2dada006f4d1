"""Writes one file of segments (segments.py): hashed and encrypted as it comes.

Only the last segment is hashed in the caller's thread. Of a large file what is there is brought to
the disk while the rest comes: the flush at its end would otherwise wait for all of it.

Errors  SpoolFull, StorageError: the disk refuses
"""

import hashlib
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardlight_edge.spool.sealing import derived
from wardlight_edge.spool.segments import (
    LAST,
    LENGTH,
    MAGIC,
    MORE,
    NONCE,
    SALT_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    TRAILER,
    Meaning,
    opened,
)
from wardlight_edge.spool.workshop import Workshop

_WRITE_BACK_BYTES: Final = 1 << 20


class SegmentWriter:
    """Writes one file; ``path`` must not exist yet. End with ``close`` or ``abandon``."""

    def __init__(self, path: Path, key: bytes, workshop: Workshop) -> None:
        salt = os.urandom(SALT_BYTES)
        self.path = path
        self._file = opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._aead = AESGCM(derived(key, b"file", salt))
        self._hash = hashlib.sha256()
        self._workshop = workshop
        self._memory = workshop.take()
        self._plain, self._other, self._sealed = self._memory
        self._filled = 0
        self._number = 0
        self._hashing: Future[None] | None = None
        self._writing_back: Future[None] | None = None
        self._written_back = 0
        self.disk_bytes = 0
        try:
            self._put(MAGIC + salt)
        except BaseException:
            self.abandon()
            raise

    def write(self, octets: bytes | memoryview) -> None:
        """Append octets."""
        at, end = 0, len(octets)
        filled = self._filled
        while at < end:
            if filled == SEGMENT_BYTES:
                self._pass_on()
                filled = 0
            step = min(end - at, SEGMENT_BYTES - filled)
            self._plain[filled : filled + step] = octets[at : at + step]
            filled += step
            at += step
            self._filled = filled

    def complete(self) -> bytes:
        """Write what is left; the SHA-256 of all octets."""
        tail = self._plain[: self._filled]
        self._seal(LAST)
        self._await_hash()
        self._hash.update(tail)
        return self._hash.digest()

    def finish(self, trailer: bytes) -> None:
        """Write the trailer of a complete file; then only ``sync`` and ``close`` are left to do."""
        sealed = self._aead.encrypt(NONCE.pack(0, TRAILER), trailer, None)
        self._put(sealed + LENGTH.pack(len(sealed)))

    def sync(self) -> None:
        """Make the octets durable; the name is the folder's."""
        with Meaning(self.path):
            self._await_write_back()
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close; may be called again."""
        file, self._file = self._file, -1
        if file >= 0:
            self._await_hash()
            if self._writing_back is not None:
                self._writing_back.exception()  # waits; ``sync`` told of it, or nobody needs to
            os.close(file)
            self._workshop.give_back(self._memory)

    def rename(self, path: Path) -> None:
        """Give the finished file its name; the folder is the caller's to sync."""
        with Meaning(path):
            self.path.rename(path)
        self.path = path

    def abandon(self) -> None:
        """Remove the file; also after ``finish``, and again."""
        self.close()
        with Meaning(self.path):
            self.path.unlink(missing_ok=True)

    def _pass_on(self) -> None:
        """Write a full segment; the next one comes while this one is hashed."""
        self._await_hash()
        self._hashing = self._workshop.run(self._hash.update, self._plain)
        self._seal(MORE)
        self._plain, self._other = self._other, self._plain
        self._write_back()

    def _seal(self, flag: int) -> None:
        sealed = self._sealed[: self._filled + TAG_BYTES]
        nonce = NONCE.pack(self._number, flag)
        self._aead.encrypt_into(nonce, self._plain[: self._filled], None, sealed)
        self._put(sealed)
        self._number += 1
        self._filled = 0

    def _await_hash(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def _await_write_back(self) -> None:
        """OSError of the part that was written last; it stays the file's."""
        if self._writing_back is not None:
            self._writing_back.result()

    def _write_back(self) -> None:
        """Begin with the next part, unless the disk is still busy with the last one."""
        length = self.disk_bytes - self._written_back
        is_busy = self._writing_back is not None and not self._writing_back.done()
        if length >= _WRITE_BACK_BYTES and not is_busy:
            with Meaning(self.path):
                self._await_write_back()
            start, self._written_back = self._written_back, self.disk_bytes
            self._writing_back = self._workshop.write_back(self._file, start, length)

    def _put(self, octets: bytes | memoryview) -> None:
        self.disk_bytes += len(octets)
        with Meaning(self.path):
            while octets:
                octets = octets[os.write(self._file, octets) :]
