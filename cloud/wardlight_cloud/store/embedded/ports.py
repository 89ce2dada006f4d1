"""A free TCP port on the loopback, for servers that need to keep theirs over a restart.

Not from the kernel's ephemeral range: while a server is being restarted, a client that connects
again and again could be given that very port as its own source port, and so keep the server out.
Source: ip(7), ip_local_port_range.
"""

import secrets
import socket
from pathlib import Path

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_RANGE = (32768, 60999)
_LOWEST = 20000
_ATTEMPTS = 200


def free_loopback_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and no outgoing connection will be given."""
    lowest_ephemeral, highest_ephemeral = _ephemeral_range()
    candidates = [
        port for port in range(_LOWEST, 65536) if not lowest_ephemeral <= port <= highest_ephemeral
    ]
    for _ in range(_ATTEMPTS if candidates else 0):
        port = secrets.choice(candidates)
        if _can_bind(port):
            return port
    return _any_port()


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = _EPHEMERAL_RANGE.read_text().split()
    except (OSError, ValueError):
        return _DEFAULT_RANGE
    return int(low), int(high)


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
