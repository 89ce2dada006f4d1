"""Sealing of what stands in the spool's tables, and hashes to look it up by.

In      the gateway's 32-byte key
Out     sealed: nonce 12 | ciphertext | tag 16, bound to its place; the nonce is random: far fewer
        than the 2**32 values that NIST SP 800-38D 8.3 allows one key
        hash: 16 octets of a keyed BLAKE2b; without the key nobody can tell whose UID it is
Errors  StorageError: other key, other place, or damaged octets
"""

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardlight_shared.errors import StorageError

HASH_BYTES: Final = 16
_NONCE_BYTES: Final = 12


class Sealer:
    """Seals and opens entries of the spool's tables."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(derived(key, b"tables"))
        self._hash_key = derived(key, b"lookup")

    def hash(self, subject: str, text: str) -> bytes:
        """What stands in a lookup column for ``text``; ``subject`` is the column's, 16 at most."""
        person = subject.encode("ascii")
        return hashlib.blake2b(
            text.encode(), digest_size=HASH_BYTES, key=self._hash_key, person=person
        ).digest()

    def seal(self, place: bytes, octets: bytes) -> bytes:
        """Seal octets; they open only with the same ``place`` (table and row)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, octets, place)

    def open_sealed(self, place: bytes, sealed: bytes) -> bytes:
        """The octets that were sealed in this place with the same key."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise StorageError("an entry of the spool does not open with this key") from error


def derived(key: bytes, purpose: bytes, salt: bytes | None = None) -> bytes:
    """A key of its own for each purpose (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=salt, info=b"wardlight spool 1 " + purpose).derive(key)
