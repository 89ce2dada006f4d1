"""Public keys of clients, as a JWKS tells them, and our own key that signs id_tokens.

A key takes part with one algorithm, that of its type: RS384 with RSA of 2048 bits or more, ES384
with P-384. What else a JWKS holds is left out; a set with a private or secret key is refused,
since everybody who could read it could sign.

Errors  BadKeysError (a ValueError) with a sentence for the operator or the client
Source  RFC 7517, RFC 7518 3.3, 3.4 and 6; RFC 7638 (key ids); SMART App Launch 2.2, Client
        Authentication: Asymmetric; FIPS 186-5 A.2.1 (a key from random octets)
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Algorithm = Literal["RS384", "ES384"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS384", "ES384")
JWKS_BYTES_MAX: Final = 64 * 1024
KEYS_MAX: Final = 32
_RSA_BITS_LEAST: Final = 2048
_RSA_BITS_MOST: Final = 8192  # a check of a larger one takes long
_ORDER: Final = int(  # of P-384: SP 800-186, 3.2.1.4
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


class BadKeysError(ValueError):
    """A text that is no JWKS, or one without a key that can be used."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of a client and the only algorithm it is used with."""

    kid: str | None
    algorithm: Algorithm
    key: RSAPublicKey | EllipticCurvePublicKey


def public_keys(text: str | bytes) -> tuple[PublicKey, ...]:
    """The keys of a JWKS that can be used; raises BadKeysError when there is none."""
    if len(text) > JWKS_BYTES_MAX:
        raise BadKeysError(f"the JWKS has more than {JWKS_BYTES_MAX} bytes")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadKeysError("the JWKS is not JSON") from error
    keys = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
        raise BadKeysError('the JWKS is not an object with a list "keys"')
    if len(keys) > KEYS_MAX:
        raise BadKeysError(f"the JWKS has more than {KEYS_MAX} keys")
    if any(_PRIVATE & each.keys() for each in keys):
        raise BadKeysError("the JWKS holds a private or secret key; register public keys only")
    found = [key for each in keys if (key := _public_key(each)) is not None]
    if not found:
        raise BadKeysError(
            f"the JWKS has no key for {' or '.join(ALGORITHMS)}: RSA of {_RSA_BITS_LEAST} bits or "
            "more, or EC P-384"
        )
    return tuple(found)


def _public_key(told: Mapping[str, Any]) -> PublicKey | None:
    algorithm: Algorithm
    match told.get("kty"), told.get("crv"):
        case "RSA", _:
            algorithm = "RS384"
        case "EC", "P-384":
            algorithm = "ES384"
        case _:
            return None
    if told.get("use", "sig") != "sig" or told.get("alg", algorithm) != algorithm:
        return None
    kid = told.get("kid")
    try:
        key = jwt.PyJWK(dict(told), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey):
        is_strong = _RSA_BITS_LEAST <= key.key_size <= _RSA_BITS_MOST
    else:
        is_strong = isinstance(key, EllipticCurvePublicKey)
    return PublicKey(kid if isinstance(kid, str) else None, algorithm, key) if is_strong else None


class SigningKey:
    """Our own key, made from the octets that the database keeps."""

    def __init__(self, secret: bytes) -> None:
        scalar = int.from_bytes(secret, "big") % (_ORDER - 1) + 1
        self._key: EllipticCurvePrivateKey = derive_private_key(scalar, SECP384R1())
        numbers = self._key.public_key().public_numbers()
        told = {"crv": "P-384", "kty": "EC", "x": _text(numbers.x), "y": _text(numbers.y)}
        thumbprint = hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).digest()
        self._kid = base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
        self.jwks: Final = {"keys": [{**told, "kid": self._kid, "use": "sig", "alg": "ES384"}]}
        """What is published."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A signed JWT."""
        return jwt.encode(dict(claims), self._key, "ES384", headers={"kid": self._kid})


def _text(coordinate: int) -> str:
    return base64.urlsafe_b64encode(coordinate.to_bytes(48, "big")).decode().rstrip("=")
