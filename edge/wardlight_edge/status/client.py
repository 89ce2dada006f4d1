"""Talks to the gateway that runs on this machine: its status, and an operator's word to it.

Errors  GatewaySilentError: nobody answers; ConfigError: it says that this cannot be;
        TransportError: it says not now, or speaks another version
"""

import http.client
from typing import Final, TypeVar

import msgspec

from wardlight_edge.health import Snapshot
from wardlight_shared.errors import ConfigError, TransportError

_TIMEOUT_S: Final = 5.0
_COMMAND_TIMEOUT_S: Final = 65.0  # longer than the gateway gives itself
_T = TypeVar("_T")


class GatewaySilentError(TransportError):
    """Nobody answers on the gateway's port."""


def fetch(port: int, host: str) -> bytes:
    """The snapshot as JSON."""
    return _ask(port, host, "GET", "/status.json", {}, b"", _TIMEOUT_S)


def command(
    port: int, host: str, token: str, name: str, message: msgspec.Struct, answer: type[_T]
) -> _T:
    """Ask the gateway for something; ``answer`` is the type of what it says to that."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = msgspec.json.encode(message, enc_hook=str)  # the only foreign type is Path
    octets = _ask(port, host, "POST", f"/devices/{name}", headers, body, _COMMAND_TIMEOUT_S)
    try:
        return msgspec.json.decode(octets or b"null", type=answer)
    except msgspec.DecodeError as error:
        raise TransportError(f"the gateway speaks another version ({error})") from error


def _ask(
    port: int,
    host: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    timeout_s: float,
) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        octets = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise GatewaySilentError(f"the gateway does not answer on {host} port {port}") from error
    finally:
        connection.close()
    if answer.status != 200:
        text = octets.decode(errors="replace").strip()
        raise (
            ConfigError(text)
            if answer.status == 409
            else TransportError(f"the gateway says: {text}")
        )
    return octets


def parse(octets: bytes) -> Snapshot:
    """JSON to Snapshot."""
    try:
        return msgspec.json.decode(octets, type=Snapshot)
    except msgspec.DecodeError as error:
        raise TransportError(f"the gateway speaks another version ({error})") from error
