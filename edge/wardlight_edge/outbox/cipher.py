"""Encryption of what the outbox holds: AES-256-GCM per row, bound to its place.

In      32-byte key of the gateway, epoch of the file
Row     nonce 12 | ciphertext of its records (packing.py) | tag 16, authenticated with the first seq
Errors  DamagedRow: the bytes are not what was written in this place with this key

Each epoch has keys of its own (HKDF-SHA256, RFC 5869), so a row of another file never opens here,
and the first seq is authenticated, so rows cannot be swapped within a file, and how many records
follow it is sealed with them. The tag also serves as the row's checksum, for times as for bodies.

Nonces never repeat under one key (NIST SP 800-38D 8.2): a nonce is a 96-bit number that starts at
a random multiple of 2**32 when the Cipher is made and then only grows, also when a transaction
was rolled back and its seqs are given again. A file restored from a copy continues elsewhere.
That two of a million starts of less than 2**32 rows meet has a chance of 2**-25.
"""

import os
from collections.abc import Sequence
from struct import Struct, error
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.packing import ONE_BYTES, Held, read, written
from wardlight_shared.errors import StorageError

NONCE_BYTES: Final = 12
ID_BYTES: Final = 16
_PLACE: Final = Struct(">Q")
_NAMED_PLACE: Final = Struct(">8sQ")
_NONCE_END: Final = 1 << 96
OVERHEAD: Final = NONCE_BYTES + ONE_BYTES + 16
"""Bytes that a sealed row of one record has beside its body."""


class DamagedRow(StorageError):
    """A row fails its authentication: bit rot, or bytes from another place or key."""


class Cipher:
    """Seals and opens the rows of one epoch."""

    def __init__(self, key: bytes, epoch: int) -> None:
        aead = AESGCM(_derive(key, epoch, b"rows"))
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt
        # ECB of single random-looking 16-byte blocks is a plain permutation: equal ids stay equal
        # (that is wanted, they are looked up) and nothing else shows.
        hiding = BlockCipher(algorithms.AES256(_derive(key, epoch, b"ids")), modes.ECB())  # noqa: S305
        self._hide = hiding.encryptor()
        self._show = hiding.decryptor()
        self._next_nonce = int.from_bytes(os.urandom(8), "big") << 32

    def seal(self, first: int, lane: int, boot: int, records: Sequence[NewRecord]) -> bytearray:
        """Seal records for one row; their seqs are first, first + 1, ..."""
        nonce = self._nonce()
        content = written(lane, boot, records)
        return bytearray(nonce) + self._encrypt(nonce, content, _PLACE.pack(first))

    def open(self, seq: int, sealed: bytes) -> Held:
        """What the row with this first seq holds."""
        try:
            return read(self._decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _PLACE.pack(seq)))
        except (InvalidTag, ValueError, TypeError, error) as cause:  # error: no place has this seq
            raise DamagedRow(f"row {seq} fails its authentication") from cause

    def seal_entry(self, table: bytes, number: int, content: bytes) -> bytes:
        """Seal an entry of a small table (at most 8 letters of name)."""
        nonce = self._nonce()
        return nonce + self._encrypt(nonce, content, _NAMED_PLACE.pack(table, number))

    def open_entry(self, table: bytes, number: int, sealed: bytes) -> bytes:
        """Open an entry of a small table."""
        try:
            return self._decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _NAMED_PLACE.pack(table, number)
            )
        except (InvalidTag, ValueError, error) as cause:
            raise DamagedRow(f"entry {number} fails its authentication") from cause

    def hide_ids(self, event_ids: list[bytes]) -> list[bytes]:
        """Event ids as they stand in the file.

        An id is the hash of few possible values (a device, a minute, a blood pressure): who holds
        the card could guess it, so it never stands there itself.
        """
        return _blocks(self._hide.update(b"".join(event_ids)))

    def show_ids(self, hidden: list[bytes]) -> list[bytes]:
        """Undo ``hide_ids``."""
        return _blocks(self._show.update(b"".join(hidden)))

    def _nonce(self) -> bytes:
        """A number never given before; counted first, so that a failure gives none twice."""
        number = self._next_nonce if self._next_nonce < _NONCE_END else 0
        self._next_nonce = number + 1
        return number.to_bytes(NONCE_BYTES, "big")


def _derive(key: bytes, epoch: int, purpose: bytes) -> bytes:
    info = b"wardlight outbox 1 " + purpose
    return HKDF(SHA256(), 32, salt=epoch.to_bytes(8, "big"), info=info).derive(key)


def _blocks(octets: bytes) -> list[bytes]:
    return [octets[at : at + ID_BYTES] for at in range(0, len(octets), ID_BYTES)]
