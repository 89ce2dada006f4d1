"""How a gateway proves itself over HTTPS: what is signed, and the header that carries it.

    Authorization: Wardlight-Gateway <certificate>.<time>.<signature>

``certificate`` is DER and ``signature`` ECDSA (SHA-256, DER) over ``signed``, both in base64url
without padding; ``time`` is the sender's UTC in ms, in decimal. The gateway's name is the common
name of the certificate. The messages may be repeated without harm; the time only bounds for how
long a recorded request can be.

Errors  EnvelopeError: a header that is none
Source  RFC 9110, 11.4 (credentials); RFC 4648, 5 (base64url); docs/wire-format.md
"""

import base64
import binascii
import hashlib
from typing import Final

import msgspec

from wardlight_shared.errors import EnvelopeError

SCHEME: Final = "Wardlight-Gateway"
LARGEST_HEADER: Final = 8 * 1024
_PURPOSE: Final = b"wardlight blobs 1"


class Proof(msgspec.Struct, frozen=True):
    """What a header says; nothing of it is checked yet."""

    certificate: bytes
    time_ms: int
    signature: bytes


def signed(time_ms: int, path: str, body: bytes) -> bytes:
    """The octets that the gateway's key signs."""
    digest = hashlib.sha256(body).hexdigest()
    return b"\n".join((_PURPOSE, str(time_ms).encode(), path.encode(), digest.encode()))


def header(proof: Proof) -> str:
    """The value of the Authorization header."""
    certificate, signature = _text(proof.certificate), _text(proof.signature)
    return f"{SCHEME} {certificate}.{proof.time_ms}.{signature}"


def parse(value: str) -> Proof:
    """Read a header's value."""
    scheme, _, rest = value.partition(" ")
    parts = rest.split(".")
    if scheme != SCHEME or len(parts) != 3 or len(value) > LARGEST_HEADER:
        raise EnvelopeError("no proof of a gateway", where="authorization")
    certificate, time_ms, signature = parts
    if not (time_ms.isascii() and time_ms.isdigit() and len(time_ms) <= 15):
        raise EnvelopeError("no time", where="authorization")
    return Proof(_octets(certificate), int(time_ms), _octets(signature))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeError("no base64url", where="authorization") from error
