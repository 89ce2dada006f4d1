"""X.509 certificates as values: an authority and what it signs. No files, no clock of its own.

Keys are EC P-256. A client's certificate has no alternative name, because nats-server takes one for
the identity before it looks at the subject.
Source: RFC 5280 4.2 (extensions), RFC 6125 (names of servers), RFC 5480 (P-256).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=397)
_BACKDATED = timedelta(days=1)  # a peer whose clock is behind must not refuse a new certificate
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Pair:
    """A private key and the certificate of its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def belongs_together(self) -> bool:
        """Whether the certificate is that of the key."""
        return self.key.public_key() == self.certificate.public_key()

    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The key in PEM (PKCS #8, not encrypted: the file's mode protects it)."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def pair_from_pem(certificate: bytes, key: bytes) -> Pair:
    """Read a pair; ValueError or TypeError when the bytes are no certificate or no EC key."""
    private = serialization.load_pem_private_key(key, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("not an EC key")
    return Pair(private, x509.load_pem_x509_certificate(certificate))


def make_authority(now: datetime) -> Pair:
    """A new authority; its name is its own, so that two are never mistaken for one."""
    key = ec.generate_private_key(ec.SECP256R1())
    mark = x509.random_serial_number() & 0xFFFFFFFF
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Wardlight CA {mark:08x}")])
    certificate = (
        _builder(subject, subject, key.public_key(), now)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(key, certificate)


def make_server(authority: Pair, name: str, names: Sequence[str], now: datetime) -> Pair:
    """A server's pair, good for `names` (DNS names and addresses) and the loopback."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives = x509.SubjectAlternativeName(general_names(names))
    return _make_leaf(authority, subject, ExtendedKeyUsageOID.SERVER_AUTH, now, alternatives)


def make_client(authority: Pair, name: str, role: str, now: datetime) -> Pair:
    """A client's pair: its role as organizational unit, its name as common name."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    return _make_leaf(authority, subject, ExtendedKeyUsageOID.CLIENT_AUTH, now)


def general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """`names` and the loopback's, each as what it is."""
    return [_general_name(name) for name in sorted({*names, *_LOOPBACK})]


def names_in(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """The alternative names of a certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(found.value)


def _make_leaf(
    authority: Pair,
    subject: x509.Name,
    usage: ObjectIdentifier,
    now: datetime,
    alternatives: x509.SubjectAlternativeName | None = None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    builder = (
        _builder(subject, issuer.subject, key.public_key(), now)
        .not_valid_after(min(now + LEAF_LIFETIME, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return Pair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
