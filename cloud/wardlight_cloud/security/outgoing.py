"""Where this server connects to because somebody else named the address: JWKS, rest-hooks.

https, but on this machine. A name is looked up here and the connection made to the address that
was found, so that a name cannot lead to one place when it is checked and to another when it is
used. Addresses that are not public (a metadata service, a printer) are refused, save those in
networks that the operator allows. Any port may be named. Whoever speaks on the connection follows
no redirect: it would lead around all of this.

Errors  RefusedAddressError (a ValueError): an address that nothing connects to
        OSError: the name is not found, nobody answers there, TLS (ssl.SSLError)
Source  OWASP, Server-Side Request Forgery Prevention; RFC 6890 (special-purpose addresses)
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

Networks = Sequence[IPv4Network | IPv6Network]
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine."""

_NAT64: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))  # RFC 6052, RFC 8215
_GLOBAL_UNICAST: Final = ip_network("2000::/3")  # RFC 4291, 2.4: all that was ever given out
_PORTS: Final = {"https": 443, "http": 80}


class Fault(StrEnum):
    """What is wrong with an address; whoever took it has the words."""

    NO_ADDRESS = "no address"
    USER_OR_FRAGMENT = "a user, a password or a fragment"
    NOT_HTTPS = "not https"
    NOT_PUBLIC = "not public"


class RefusedAddressError(ValueError):
    """An address that nothing connects to."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be connected to beside public addresses.

    ``networks``: of the operator. ``on_this_machine``: loopback by its own names, by http, too.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    on_this_machine: bool = False


def check(url: str, reach: Reach) -> SplitResult:
    """The parts of an address, checked as far as it shows without looking up its name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RefusedAddressError(Fault.NO_ADDRESS) from None
    is_text = url.isascii() and url.isprintable() and " " not in url
    if not is_text or not parts.hostname or port == 0:
        raise RefusedAddressError(Fault.NO_ADDRESS)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedAddressError(Fault.USER_OR_FRAGMENT)
    is_here = parts.scheme == "http" and parts.hostname in LOOPBACK and reach.on_this_machine
    if parts.scheme != "https" and not is_here:
        raise RefusedAddressError(Fault.NOT_HTTPS)
    return parts


def check_number(parts: SplitResult, reach: Reach) -> None:
    """Refuse a host that is an address in numbers, and no public one; a name passes."""
    host = parts.hostname or ""
    try:
        address = ip_address(_unzoned(host))
    except ValueError:
        return
    if not _may_be_asked(host, address, reach):
        raise RefusedAddressError(Fault.NOT_PUBLIC)


async def addresses(parts: SplitResult, reach: Reach) -> list[str]:
    """Addresses of the host that may be connected to, at least one."""
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, _port(parts), type=socket.SOCK_STREAM)
    texts = [str(place[0]) for *_, place in found]
    allowed = [each for each in texts if _may_be_asked(host, ip_address(_unzoned(each)), reach)]
    if not allowed:
        raise RefusedAddressError(Fault.NOT_PUBLIC)
    return allowed


async def connected(
    parts: SplitResult, reach: Reach, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address of the host that answers. ``context``: of https only."""
    is_safe = parts.scheme == "https"
    refused: OSError | None = None
    for address in await addresses(parts, reach):
        try:
            return await asyncio.open_connection(
                address, _port(parts), ssl=context if is_safe else None,
                server_hostname=parts.hostname if is_safe else None,
            )  # fmt: skip
        except ssl.SSLError:
            raise
        except OSError as error:
            refused = error
    raise refused or OSError("no address")


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _may_be_asked(host: str, address: IPv4Address | IPv6Address, reach: Reach) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.sixtofour or address.teredo or any(address in each for each in _NAT64):
            return False  # they lead to an IPv4 address that nobody looked at
    if any(address in network for network in reach.networks):
        return True
    if address.is_loopback:
        return host in LOOPBACK and reach.on_this_machine
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False  # ::127.0.0.1 and fec0:: count as global in ipaddress
    return address.is_global and not address.is_multicast


def _unzoned(address: str) -> str:
    return address.partition("%")[0]
