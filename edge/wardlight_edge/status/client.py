"""Reads the status of the gateway that runs on this machine.

Errors  TransportError: it does not answer
"""

import http.client
from typing import Final

import msgspec

from wardlight_edge.health import Snapshot
from wardlight_shared.errors import TransportError

_TIMEOUT_S: Final = 5.0


def fetch(port: int, host: str) -> bytes:
    """The snapshot as JSON."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/status.json")
        answer = connection.getresponse()
        octets = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise TransportError(f"the gateway does not answer on {host} port {port}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise TransportError(f"the gateway answered {answer.status}: {octets.decode('latin-1')}")
    return octets


def parse(octets: bytes) -> Snapshot:
    """JSON to Snapshot."""
    try:
        return msgspec.json.decode(octets, type=Snapshot)
    except msgspec.DecodeError as error:
        raise TransportError(f"the gateway speaks another version ({error})") from error
