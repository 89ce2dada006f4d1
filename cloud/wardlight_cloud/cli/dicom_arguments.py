"""Types of arguments of the commands on DICOM."""

import argparse
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_AE_TITLE: Final = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")  # PS3.5 6.2, AE
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def ae_title(text: str) -> str:
    """An AE title."""
    if _AE_TITLE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("1 to 16 characters of ASCII without backslash")
    return text


def port(text: str) -> int:
    """A port to call."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError("1 to 65535")
    return int(text)


def network(text: str) -> str:
    """A network, or one address."""
    return str(ipaddress.ip_network(text, strict=False))


def is_address(text: str) -> bool:
    """Whether a text is an address, no name of a host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def fingerprint(text: str) -> bytes:
    """SHA-256 of a certificate, as openssl writes it."""
    digits = text.rpartition("=")[2].replace(":", "").lower()
    if _FINGERPRINT.fullmatch(digits) is None:
        raise argparse.ArgumentTypeError("64 hex digits")
    return bytes.fromhex(digits)


def name(text: str) -> str:
    """The name of a rule."""
    if _NAME.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("up to 63 of a-z, 0-9 and -")
    return text


def variable(text: str) -> str:
    """The name of an environment variable."""
    if _VARIABLE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("a name of an environment variable")
    return text


def url(text: str) -> str:
    """The address of a DICOMweb service."""
    address = urlsplit(text)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise argparse.ArgumentTypeError("http:// or https:// and a host")
    if address.username is not None or address.query or address.fragment:
        raise argparse.ArgumentTypeError("no user, password, query or fragment; see --token-file")
    return text.rstrip("/")
