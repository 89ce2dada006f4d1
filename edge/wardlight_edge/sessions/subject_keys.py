"""Who a reading is of, as an opaque key: a keyed hash of the identifier a sender gave.

In      Subject: kind, authority and identifier as sent; a secret of the gateway, or of several
Out     "p-" (patient) or "m-" (monitor or bed) and 26 of a-z, 2-7: 128 bits of HMAC-SHA256
        The identifier itself is not kept, not logged and not sent. Without the secret the key can
        not be tried against lists of identifiers
Source  RFC 2104 HMAC; RFC 4648 base 32
"""

import hmac
from base64 import b32encode
from hashlib import sha256
from typing import Final

from wardlight_edge.devices import Subject

_OCTETS: Final = 16
_PREFIX: Final = {"patient": "p", "monitor": "m"}


class SubjectKeys:
    """Makes keys with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, subject: Subject) -> str:
        """The key of a subject; equal for equal kind, authority and identifier."""
        digest = hmac.new(self._secret, digestmod=sha256)
        for part in (subject.kind, subject.authority, subject.identifier):
            octets = part.encode()
            digest.update(len(octets).to_bytes(4, "big"))
            digest.update(octets)
        text = b32encode(digest.digest()[:_OCTETS]).decode("ascii").rstrip("=").lower()
        return f"{_PREFIX.get(subject.kind, 'x')}-{text}"


def source_identity(device: str, key: str) -> str:
    """The device identity under which a subject's readings are stored: ``lan:hl7.p-...``."""
    return f"{device}.{key}"
