"""Sealing of what the quarantine keeps: AES-256-GCM under a key of its own.

In      the gateway's 32-byte key
Out     nonce 12 | ciphertext | tag 16. The nonce is random: a gateway seals a few values a minute
        at most, far from the 2**32 that NIST SP 800-38D 8.3 allows one key
Errors  StorageError from ``open_sealed``: other key, or damaged bytes
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardlight_shared.errors import StorageError

_NONCE_BYTES = 12


class Sealer:
    """Seals and opens quarantined octets."""

    def __init__(self, key: bytes) -> None:
        info = b"wardlight quarantine 1"
        self._aead = AESGCM(HKDF(SHA256(), 32, salt=None, info=info).derive(key))

    def seal(self, octets: bytes) -> bytes:
        """Seal octets."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, octets, None)

    def open_sealed(self, sealed: bytes) -> bytes:
        """The octets that were sealed with the same key."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise StorageError("quarantined octets do not open with this key") from error
