"""This gateway's own certificate: whose it is, how long it is valid, what is wrong with it.

A broker says in one word at most why it refuses a certificate, and one that knows another gateway
by it drops what this one publishes without a sign. Imported late, when there is trouble or somebody
asks: reading certificates costs a gateway 1.4 MB.

Errors  ConfigError: the file holds no certificate
Source  RFC 5280, 4.1.2.5 (validity) and 4.1.2.6 (subject)
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from wardlight_shared.errors import ConfigError


class Certificate(msgspec.Struct, frozen=True):
    """What matters of it. ``name`` is the common name, by which the broker knows the gateway."""

    name: str
    valid_from: datetime
    valid_to: datetime


def read(file: Path) -> Certificate:
    """The first certificate of a PEM file."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"uplink.cert_file: {file} holds no certificate; put the gateway's certificate there"
        ) from error
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    return Certificate(name, found.not_valid_before_utc, found.not_valid_after_utc)


def fault(file: Path, gateway: str, now: datetime | None = None) -> str | None:
    """What is wrong with the certificate of ``gateway`` and what to do; None = nothing."""
    try:
        certificate = read(file)
    except ConfigError as error:
        return str(error)
    now = datetime.now(UTC) if now is None else now
    if certificate.name != gateway:
        return (
            f"uplink.cert_file: {file} is the certificate of {certificate.name!r}, and the "
            f"settings say gateway = {gateway!r}: the two must be the same"
        )
    if now >= certificate.valid_to:
        return (
            f"uplink.cert_file: {file} has expired on {certificate.valid_to:%Y-%m-%d}: "
            "get a new one from your authority"
        )
    if now < certificate.valid_from:
        return (
            f"uplink.cert_file: {file} is valid from {certificate.valid_from:%Y-%m-%d} only: "
            "check this gateway's clock"
        )
    return None
