"""Signs what goes over HTTPS with the key of the gateway's certificate.

Errors  ConfigError: certificate or key cannot be used
"""

from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from wardlight_edge.config import UplinkSettings
from wardlight_shared import blob_signature
from wardlight_shared.blob_signature import Proof
from wardlight_shared.errors import ConfigError


class Signer:
    """One gateway's certificate and key; may be used by several threads."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate.public_bytes(Encoding.DER)
        self._key = key

    @classmethod
    def load(cls, settings: UplinkSettings) -> Self:
        """Read both files."""
        try:
            certificate = x509.load_pem_x509_certificate(settings.cert_file.read_bytes())
            key = load_pem_private_key(settings.key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"uplink.cert_file, uplink.key_file: {settings.cert_file} and "
                f"{settings.key_file} are no certificate and its key; put the pair there"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"uplink.key_file: {settings.key_file} is no elliptic-curve key")
        return cls(certificate, key)

    def header(self, time_ms: int, path: str, body: bytes) -> str:
        """The Authorization header of a request."""
        signature = self._key.sign(
            blob_signature.signed(time_ms, path, body), ec.ECDSA(hashes.SHA256())
        )
        return blob_signature.header(Proof(self._certificate, time_ms, signature))
