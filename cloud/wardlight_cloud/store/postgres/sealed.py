"""Opaque texts that only this store can read: ids of Observations and cursors.

Observation id  one AES block of (series i32 | time us i64 | ord i32), 32 hex digits: stable,
                reversible, and without anything a reader could learn or count
Cursor          AES-256-GCM: nonce 12 | position as MessagePack, with tag 16; bound to the search
                by its associated data, since a position in one search means nothing in another.
                It may hold a name or a measured time, and stands in a URL: so it is encrypted.
Errors          ValueError for a cursor that is not ours or of another search
Source          FIPS 197; NIST SP 800-38D, 8.2.2 (random nonces); FHIR R4 id [A-Za-z0-9-.]{1,64}
"""

import hashlib
import re
import secrets
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import ECB

ObservationKey = tuple[int, int, int]
"""(anchor series, time in us, ord)."""

_KEY: Final = struct.Struct(">iqi")
_TEXT_LENGTH: Final = 32
_ID: Final = re.compile(r"[0-9a-f]{32}")
_NONCE_BYTES: Final = 12
_LATEST_US: Final = 1 << 53  # the year 2255


class ObservationIds:
    """Keys to ids and back; ``key`` has 16 bytes and stays the same for the life of a store."""

    def __init__(self, key: bytes) -> None:
        # ECB of single blocks: each plaintext is one block and unique, so nothing can repeat. No
        # block depends on another: one context serves for ever, and making it costs a page's worth.
        cipher = Cipher(AES128(key), ECB())  # noqa: S305 - see above
        self._encryptor, self._decryptor = cipher.encryptor(), cipher.decryptor()

    def ids(self, keys: Sequence[ObservationKey]) -> list[str]:
        """Ids of keys."""
        blocks = struct.pack(f">{'iqi' * len(keys)}", *chain.from_iterable(keys))
        text = self._encryptor.update(blocks).hex()
        return [text[at : at + _TEXT_LENGTH] for at in range(0, len(text), _TEXT_LENGTH)]

    def key(self, text: str) -> ObservationKey | None:
        """The key of an id; None for a text that cannot be one of ours."""
        if _ID.fullmatch(text) is None:
            return None
        block = self._decryptor.update(bytes.fromhex(text))
        series, time_us, ord_ = _KEY.unpack(block)
        # Any block decrypts to something; ours have a time that a reading can have.
        return (series, time_us, ord_) if 0 <= time_us < _LATEST_US else None


class Cursors:
    """Positions to opaque bytes and back; ``key`` has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, position: object, search: str) -> bytes:
        """Bytes of a position in a search."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = msgspec.msgpack.encode(position)
        return nonce + self._cipher.encrypt(nonce, content, _digest(search))

    def open(self, cursor: bytes, search: str, kind: Any) -> Any:
        """The position that was sealed, as ``kind``."""
        nonce, content = cursor[:_NONCE_BYTES], cursor[_NONCE_BYTES:]
        try:
            opened = self._cipher.decrypt(nonce, content, _digest(search))
            return msgspec.msgpack.decode(opened, type=kind)
        except (InvalidTag, ValueError, msgspec.DecodeError) as error:
            raise ValueError("not a cursor of this search") from error


def _digest(search: str) -> bytes:
    return hashlib.sha256(search.encode()).digest()
