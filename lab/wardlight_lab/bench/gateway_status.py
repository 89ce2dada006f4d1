"""What a running gateway says of itself on its status page."""

import asyncio
from pathlib import Path

from wardlight_edge.health import Snapshot
from wardlight_edge.status import client
from wardlight_shared.errors import TransportError


async def snapshot(data_dir: Path) -> Snapshot | None:
    """The gateway's own figures; None while it does not answer."""
    try:
        port = int((data_dir / "status.port").read_text(encoding="ascii"))
        octets = await asyncio.to_thread(client.fetch, port, "127.0.0.1")
    except (OSError, ValueError, TransportError):
        return None
    return client.parse(octets)


async def is_connected(data_dir: Path) -> bool:
    """Whether the gateway has a connection to the broker."""
    found = await snapshot(data_dir)
    return found is not None and found.uplink.connected
