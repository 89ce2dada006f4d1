"""What the clients of a bus hold: connections and match rules, as its dbus-daemon counts them.

Source  D-Bus specification, org.freedesktop.DBus.ListNames; dbus-daemon(1),
        org.freedesktop.DBus.Debug.Stats.GetAllMatchRules (where it was built with statistics)
"""

import asyncio
from typing import Any, NamedTuple

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

_DBUS = "org.freedesktop.DBus"


class BusClients(NamedTuple):
    """Connections, and match rules of all of them; None where the daemon does not count rules."""

    connections: int
    rules: int | None


async def bus_clients() -> BusClients:
    """The system bus now, with the connection that asks."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        names = await _call(bus, _DBUS, "ListNames") or [()]
        rules = await _call(bus, f"{_DBUS}.Debug.Stats", "GetAllMatchRules")
    finally:
        bus.disconnect()
    unique = [name for name in names[0] if name.startswith(":")]
    count = None if rules is None else sum(len(each) for each in rules[0].values())
    return BusClients(len(unique), count)


async def _call(bus: MessageBus, interface: str, member: str) -> list[Any] | None:
    message = Message(_DBUS, "/org/freedesktop/DBus", interface, member)
    reply = await asyncio.wait_for(bus.call(message), 180)
    return None if reply.message_type is MessageType.ERROR else list(reply.body)
