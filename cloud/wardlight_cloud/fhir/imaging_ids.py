"""Ids of imaging resources: UIDs and order numbers, sealed: they tell nothing, and lead back.

A UID names a device and a moment, and an id stands in a URL. So the id is the UID encrypted with a
key of the database (AES-SIV: the same UID always gives the same id, and another text is no id).
Out     up to 64 characters of A-Z a-z 0-9 - . as R4 ids have them
Source  RFC 5297; R4 4.0.1 2.24.0 (id); PS3.5 9.1 (UID: 64 characters of 0-9 and .)
"""

import base64
import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_UID: Final = re.compile(r"[0-9.]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{20,64}")
_BASE: Final = 11
_POINT: Final = 10
_LONGEST: Final = 32  # octets, with 16 of the seal 64 characters


class _Sealed:
    """Ids of one kind of resource each; ``key`` has 64 octets."""

    def __init__(self, key: bytes, kind: str) -> None:
        self._cipher = AESSIV(key)
        self._kind = [kind.encode()]

    def seal(self, octets: bytes) -> str:
        """The id of up to 32 octets."""
        sealed = self._cipher.encrypt(octets, self._kind)
        return base64.b64encode(sealed, altchars=b"-.").rstrip(b"=").decode()

    def open(self, text: str) -> bytes | None:
        """The octets of an id; None for a text that is none of this kind."""
        if _ID.fullmatch(text) is None:
            return None
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-.", validate=True)
            octets = self._cipher.decrypt(sealed, self._kind)
        except (InvalidTag, ValueError):
            return None
        return octets if self.seal(octets) == text else None


class ImagingIds:
    """Ids of UIDs."""

    def __init__(self, key: bytes, kind: str) -> None:
        self._sealed = _Sealed(key, kind)

    def id_of(self, uid: str) -> str:
        """The id of a UID."""
        return self._sealed.seal(_packed(uid))

    def uid_of(self, text: str) -> str | None:
        """The UID of an id; None for a text that is none of this kind."""
        octets = self._sealed.open(text)
        return None if octets is None else _unpacked(octets)


class TextIds:
    """Ids of short texts, such as numbers of orders."""

    def __init__(self, key: bytes, kind: str) -> None:
        self._sealed = _Sealed(key, kind)

    def id_of(self, text: str) -> str:
        """The id of a text of up to 16 characters; that of a longer one leads nowhere."""
        return self._sealed.seal(text.encode("utf-16-be")[:_LONGEST])

    def text_of(self, text: str) -> str | None:
        """The text of an id; None for a text that is none of this kind."""
        octets = self._sealed.open(text)
        try:
            return None if octets is None else octets.decode("utf-16-be")
        except UnicodeDecodeError:
            return None


def _packed(uid: str) -> bytes:
    """The UID as a number of base 11 behind a leading 1: 28 octets for 64 characters."""
    if _UID.fullmatch(uid) is None:
        raise ValueError("not a UID")
    number = 1
    for character in uid:
        number = number * _BASE + (_POINT if character == "." else int(character))
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _unpacked(octets: bytes) -> str:
    number, characters = int.from_bytes(octets, "big"), []
    while number > 1:
        number, digit = divmod(number, _BASE)
        characters.append("." if digit == _POINT else str(digit))
    return "".join(reversed(characters))
