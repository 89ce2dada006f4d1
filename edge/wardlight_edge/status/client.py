"""Talks to the gateway that runs on this machine: its status, and an operator's word to it.

Errors  TransportError: it does not answer, or refuses
"""

import http.client
from typing import Final
from urllib.parse import quote

import msgspec

from wardlight_edge.health import Snapshot
from wardlight_shared.errors import TransportError

_TIMEOUT_S: Final = 5.0
_REPAIR_TIMEOUT_S: Final = 45.0  # bluetoothd is asked once for each adapter


def fetch(port: int, host: str) -> bytes:
    """The snapshot as JSON."""
    return _ask(port, host, "GET", "/status.json", {}, _TIMEOUT_S)


def repair(port: int, host: str, token: str, identity: str) -> None:
    """Have the gateway forget the bond with a device."""
    path = f"/repair/{quote(identity, safe='')}"
    _ask(port, host, "POST", path, {"Authorization": f"Bearer {token}"}, _REPAIR_TIMEOUT_S)


def _ask(
    port: int, host: str, method: str, path: str, headers: dict[str, str], timeout_s: float
) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        octets = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise TransportError(f"the gateway does not answer on {host} port {port}") from error
    finally:
        connection.close()
    if answer.status not in (200, 204):
        raise TransportError(f"the gateway says: {octets.decode(errors='replace').strip()}")
    return octets


def parse(octets: bytes) -> Snapshot:
    """JSON to Snapshot."""
    try:
        return msgspec.json.decode(octets, type=Snapshot)
    except msgspec.DecodeError as error:
        raise TransportError(f"the gateway speaks another version ({error})") from error
