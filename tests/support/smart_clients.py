"""Clients of the SMART face with real keys: what a vendor's software would send."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/oauth/token"


@dataclass
class KeyPair:
    """A key of a client, made for one run."""

    algorithm: Literal["RS384", "ES384"] = "ES384"
    kid: str = "key-1"
    bits: int = 2048

    @cached_property
    def private(self) -> Any:
        """The private key."""
        if self.algorithm == "RS384":
            return rsa.generate_private_key(65537, self.bits)
        return ec.generate_private_key(ec.SECP384R1())

    def jwk(self, **more: object) -> dict[str, Any]:
        """The public half."""
        kind: Any = jwt.get_algorithm_by_name(self.algorithm)
        told = json.loads(kind.to_jwk(self.private.public_key()))
        return {**told, "kid": self.kid, "use": "sig", "alg": self.algorithm, **more}

    def public_pem(self) -> bytes:
        """The public half as a file."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def private_pem(self) -> bytes:
        """The private half as a file."""
        private: bytes = self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        return private


def jwks(*pairs: KeyPair) -> str:
    """A JWKS of public keys."""
    return json.dumps({"keys": [pair.jwk() for pair in pairs]})


def claims(client: str, audience: str, **more: object) -> dict[str, Any]:
    """What an assertion says; ``more`` replaces, and None leaves out."""
    now = int(time.time())
    told = {
        "iss": client, "sub": client, "aud": audience, "exp": now + 240, "iat": now,
        "jti": secrets.token_hex(16), **more,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def assertion(pair: KeyPair, client: str, audience: str, **more: object) -> str:
    """A signed assertion."""
    headers = {"kid": pair.kid}
    return jwt.encode(claims(client, audience, **more), pair.private, pair.algorithm, headers)


def asking(signed: str, **more: str) -> dict[str, str]:
    """The form of a backend service."""
    return {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
        **more,
    }


@dataclass
class Pkce:
    """A verifier and its challenge."""

    verifier: str = ""

    def __post_init__(self) -> None:
        self.verifier = self.verifier or secrets.token_urlsafe(48)

    @property
    def challenge(self) -> str:
        """S256, worked out here and not by the product."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def query_of(address: str) -> dict[str, str]:
    """Parameters of an address, each of which stands once."""
    found = parse_qs(urlsplit(address).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}
