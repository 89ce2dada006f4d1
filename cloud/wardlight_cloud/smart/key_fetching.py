"""Fetches a client's JWKS from its registered address, within bounds.

One GET over HTTP/1.1, no redirect is followed; security.outgoing says where to.

Errors  KeysUnavailableError: the address does not answer as it should; a sentence for clients
        BadAddressError (a ValueError): an address that nobody would be asked at
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import SplitResult

import h11

from wardlight_cloud.security import outgoing
from wardlight_cloud.security.outgoing import Fault, Networks, Reach, RefusedAddressError
from wardlight_cloud.smart.keys import JWKS_BYTES_MAX

WITHIN_S: Final = 5.0
_PIECE: Final = 16 * 1024
_HEAD_MAX: Final = 16 * 1024
_WORDS: Final = {
    Fault.NO_ADDRESS: "not an address",
    Fault.USER_OR_FRAGMENT: "an address with a user or a fragment",
    Fault.NOT_HTTPS: "keys come over https only",
}


class KeysUnavailableError(Exception):
    """A JWKS could not be had from its address."""


class BadAddressError(ValueError):
    """An address of a JWKS that cannot be taken."""


def check_address(url: str) -> SplitResult:
    """The parts of an address that may be asked; raises BadAddressError."""
    try:
        return outgoing.check(url, Reach(on_this_machine=True))
    except RefusedAddressError as error:
        raise BadAddressError(_WORDS[error.fault]) from error


class KeyFetcher:
    """Fetches texts. ``networks``: that are not public, and may be asked all the same."""

    def __init__(
        self,
        networks: Networks = (),
        *,
        within_s: float = WITHIN_S,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._reach = Reach(tuple(networks), on_this_machine=True)
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
        except RefusedAddressError as error:
            raise KeysUnavailableError(
                "its JWKS lies at an address that is not public; the operator can allow its "
                "network in http.key_networks"
            ) from error
        except (OSError, ValueError, h11.ProtocolError) as error:
            raise KeysUnavailableError(f"its JWKS cannot be had ({_kind(error)})") from error

    async def _ask(self, parts: SplitResult) -> bytes:
        context = self._context
        if context is None and parts.scheme == "https":
            context = ssl.create_default_context()
        reader, writer = await outgoing.connected(parts, self._reach, context)
        try:
            return await _body(reader, writer, parts)
        finally:
            writer.transport.abort()  # whatever else the other side has to say


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


def _kind(error: Exception) -> str:
    return type(error).__name__
