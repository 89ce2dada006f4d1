"""Which gateway sends a request: certificate, signature and time of its Authorization header.

The certificate must be of our authority and of a gateway, and valid now; the signature must be its
key's over this request; the time must be ours within WINDOW_S. Within that, a recorded request can
be sent again: the messages may come twice without harm, so nothing is gained by it.

All but the signature needs no body, and is checked before one is read.

Errors  ProofError: 401, the sentence goes to the gateway
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wardlight_cloud.security.roles import Role
from wardlight_shared import blob_signature
from wardlight_shared.errors import ConfigError, EnvelopeError, WardlightError
from wardlight_shared.topics import is_gateway_id

WINDOW_S: Final = 300.0
_CERTIFICATES_MOST: Final = 1000


class ProofError(WardlightError):
    """The request does not show which gateway sends it."""


class Proofs:
    """Checks headers against one authority."""

    def __init__(self, authority: x509.Certificate) -> None:
        self._authority = authority
        self._known: OrderedDict[bytes, x509.Certificate] = OrderedDict()

    @classmethod
    def of(cls, file: Path) -> "Proofs":
        """Of the authority in a PEM file; ConfigError when it holds none."""
        try:
            return cls(x509.load_pem_x509_certificate(file.read_bytes()))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"broker.ca_file: {file} holds no certificate; put the authority's there"
            ) from error

    def claim(self, header: str, now: datetime) -> "Claim":
        """Who says that they send a request; ProofError where it cannot be true."""
        try:
            proof = blob_signature.parse(header)
        except EnvelopeError as error:
            raise ProofError(f"send the header Authorization: {blob_signature.SCHEME} ...") from (
                error
            )
        certificate = self._certificate(proof.certificate)
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise ProofError("the certificate is not valid now")
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ProofError("the certificate has no key of an elliptic curve")
        said = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=proof.time_ms)
        if abs((now - said).total_seconds()) > WINDOW_S:
            raise ProofError("the clock is off; the header Wardlight-Time says the time")
        return Claim(_name(certificate), proof, key)

    def _certificate(self, der: bytes) -> x509.Certificate:
        known = self._known.get(der)
        if known is not None:
            return known
        try:
            found = x509.load_der_x509_certificate(der)
            found.verify_directly_issued_by(self._authority)
            _name(found)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise ProofError("the certificate is not of this authority") from error
        self._known[der] = found
        if len(self._known) > _CERTIFICATES_MOST:
            self._known.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Claim:
    """A header that may be of ``gateway``: nobody's until ``check``."""

    gateway: str
    proof: blob_signature.Proof
    key: ec.EllipticCurvePublicKey

    def check(self, path: str, body: bytes) -> None:
        """ProofError where the gateway has not signed this request."""
        signed = blob_signature.signed(self.proof.time_ms, path, body)
        try:
            self.key.verify(self.proof.signature, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise ProofError("the signature is not of this request") from error


def _name(certificate: x509.Certificate) -> str:
    def only(oid: x509.ObjectIdentifier) -> str:
        values = certificate.subject.get_attributes_for_oid(oid)
        return str(values[0].value) if len(values) == 1 else ""

    name = only(NameOID.COMMON_NAME)
    if only(NameOID.ORGANIZATIONAL_UNIT_NAME) != Role.GATEWAY.value or not is_gateway_id(name):
        raise ProofError("the certificate is not of a gateway")
    return name
