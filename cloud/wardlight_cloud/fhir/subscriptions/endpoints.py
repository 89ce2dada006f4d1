"""Where notices may be sent: https, at public addresses and in networks that are allowed.

A name is looked up here and the connection made to the address that was found, so that a name
cannot lead to one place when it is checked and to another when it is used.

Errors  BadEndpointError (a ValueError): a sentence for the subscriber
Source  OWASP, Server-Side Request Forgery Prevention
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from wardlight_cloud.fhir.subscriptions.ports import Bounds

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NAT64: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))  # RFC 6052, RFC 8215
_PORTS: Final = {"https": 443, "http": 80}


class BadEndpointError(ValueError):
    """An address that nothing is sent to."""


def check_endpoint(url: str, bounds: Bounds) -> SplitResult:
    """The parts of an address that may be sent to, as far as it shows without looking it up."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadEndpointError("it is no address") from error
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise BadEndpointError("it is no address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadEndpointError("it has a user, a password or a fragment")
    is_here = parts.scheme == "http" and parts.hostname in _LOOPBACK and bounds.on_this_machine
    if parts.scheme != "https" and not is_here:
        raise BadEndpointError("notices are sent by https only")
    try:
        address = ip_address(parts.hostname)
    except ValueError:
        return parts
    _check(parts.hostname, [address], bounds)
    return parts


def port_of(parts: SplitResult) -> int:
    """The port to connect to."""
    return parts.port or _PORTS[parts.scheme]


async def addresses(parts: SplitResult, bounds: Bounds) -> list[str]:
    """Addresses of the host that may be connected to; OSError where it is not found."""
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port_of(parts), type=socket.SOCK_STREAM)
    texts = [str(place[0]) for *_, place in found]
    known = [ip_address(text.partition("%")[0]) for text in texts]
    allowed = _check(host, known, bounds)
    return [text for text, address in zip(texts, known, strict=True) if address in allowed]


def _check(
    host: str, found: list[IPv4Address | IPv6Address], bounds: Bounds
) -> set[IPv4Address | IPv6Address]:
    allowed = {each for each in found if _may_be_asked(host, each, bounds)}
    if not allowed:
        raise BadEndpointError(
            "its address is not public; the operator can allow its network in "
            "subscriptions.networks"
        )
    return allowed


def _may_be_asked(host: str, address: IPv4Address | IPv6Address, bounds: Bounds) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.sixtofour or address.teredo or any(address in each for each in _NAT64):
            return False  # they lead to an IPv4 address that nobody looked at
    if any(address in network for network in bounds.networks):
        return True
    if address.is_loopback:
        return host in _LOOPBACK and bounds.on_this_machine
    return address.is_global and not address.is_multicast
