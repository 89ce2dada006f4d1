"""What receivers of advertisements share: why an advert is refused, and how one is known again.

Errors  AdvertRefused, a DecodeError: the advert may be well formed, but it is not to be believed
"""

from enum import StrEnum
from hashlib import blake2b
from typing import Final

from wardlight_shared.errors import DecodeError

_DIGEST_BYTES: Final = 8


class Refusal(StrEnum):
    """Why an advert is not believed; the words of docs/operations.md."""

    NO_KEY = "no-key"  # encrypted, and no bind key is set
    WRONG_KEY = "wrong-key"  # not authentic: another key, another address, or forged
    NOT_ENCRYPTED = "not-encrypted"  # plain, though a bind key is set
    REPLAYED = "replayed"  # authentic, but older than one already taken


class AdvertRefused(DecodeError):
    """An advert that is not believed, with its cause."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


def digest(*parts: bytes) -> bytes:
    """Return 8 bytes that stand for ``parts``, to know them again."""
    hashed = blake2b(digest_size=_DIGEST_BYTES, person=b"wardlight-advert")
    for part in parts:
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.digest()
