"""Fetches a client's JWKS from its registered address, within bounds.

One GET over HTTP/1.1, no redirect is followed. https, but on this machine. The name is looked up
here and the connection made to the address that was found, so that a name cannot lead to one place
when it is checked and to another when it is asked. Addresses that are not public (a metadata
service, a printer) are refused, save those in ``networks``.

Errors  KeysUnavailableError: the address does not answer as it should; a sentence for clients
        BadAddressError (a ValueError): an address that nobody would be asked at
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import h11

from wardlight_cloud.smart.addresses import LOOPBACK
from wardlight_cloud.smart.keys import JWKS_BYTES_MAX

Networks = Sequence[IPv4Network | IPv6Network]
WITHIN_S: Final = 5.0
_PIECE: Final = 16 * 1024
_HEAD_MAX: Final = 16 * 1024
_PORTS: Final = {"https": 443, "http": 80}


class KeysUnavailableError(Exception):
    """A JWKS could not be had from its address."""


class BadAddressError(ValueError):
    """An address of a JWKS that cannot be taken."""


def check_address(url: str) -> SplitResult:
    """The parts of an address that may be asked; raises BadAddressError."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadAddressError("not an address") from error
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise BadAddressError("not an address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadAddressError("an address with a user or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise BadAddressError("keys come over https only")
    return parts


class KeyFetcher:
    """Fetches texts. ``networks``: that are not public, and may be asked all the same."""

    def __init__(
        self,
        networks: Networks = (),
        *,
        within_s: float = WITHIN_S,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._networks = tuple(networks)
        self._within_s = within_s
        self._context = context

    async def fetch(self, url: str) -> bytes:
        """The body of the answer; raises KeysUnavailableError."""
        try:
            parts = check_address(url)
            async with asyncio.timeout(self._within_s):
                return await self._ask(parts)
        except TimeoutError as error:
            text = f"its JWKS did not come within {self._within_s:g} s"
            raise KeysUnavailableError(text) from error
        except (OSError, ValueError, h11.ProtocolError) as error:
            raise KeysUnavailableError(f"its JWKS cannot be had ({_kind(error)})") from error

    async def _ask(self, parts: SplitResult) -> bytes:
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        context = None
        if parts.scheme == "https":
            context = self._context or ssl.create_default_context()
        reader, writer = await self._connected(host, port, context)
        try:
            return await _body(reader, writer, parts)
        finally:
            writer.transport.abort()  # whatever else the other side has to say

    async def _connected(
        self, host: str, port: int, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address of the name that answers."""
        refused: OSError | None = None
        for address in await self._addresses(host, port):
            try:
                return await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=host if context else None
                )
            except OSError as error:
                refused = error
        raise refused or OSError("no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        texts = [str(place[0]) for *_, place in found]
        allowed = [text for text in texts if self._may_ask(host, ip_address(_unzoned(text)))]
        if not allowed:
            raise KeysUnavailableError(
                "its JWKS lies at an address that is not public; the operator can allow its "
                "network in http.key_networks"
            )
        return allowed

    def _may_ask(self, host: str, address: IPv4Address | IPv6Address) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            return True
        if address.is_loopback:
            return host in LOOPBACK
        return address.is_global and not address.is_multicast


async def _body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult
) -> bytes:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [
        ("Host", parts.netloc),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "Wardlight"),
        ("Connection", "close"),
    ]
    request = h11.Request(method="GET", target=target, headers=headers)
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_PIECE))
        elif isinstance(event, h11.Response):
            _check_status(event.status_code)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > JWKS_BYTES_MAX:
                raise KeysUnavailableError(f"its JWKS has more than {JWKS_BYTES_MAX} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise KeysUnavailableError("its JWKS broke off")


def _check_status(status: int) -> None:
    if status != 200:
        what = "leads elsewhere" if 300 <= status < 400 else f"was answered with {status}"
        raise KeysUnavailableError(f"the address of its JWKS {what}")


def _unzoned(address: str) -> str:
    return address.partition("%")[0]


def _kind(error: Exception) -> str:
    return type(error).__name__
