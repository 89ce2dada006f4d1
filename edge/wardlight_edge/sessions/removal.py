"""What becomes of readings in doubt when their device is removed: they are given up, and told."""

import asyncio

from wardlight_edge.sessions.admission import UNVERIFIED
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.records import gap_record


async def give_up(device: str, gateway: Gateway) -> int:
    """Give up what waits until it is known whose it is; returns how many readings that were.

    StorageError: the outbox refused to take the gap; what waits stays where it is.
    """
    if gateway.vault is None:
        return 0
    waiting = await asyncio.to_thread(gateway.vault.read, device)
    if not waiting:
        return 0
    clock = gateway.clock
    arrivals = [each.arrival(clock) for each in waiting]
    since_ms = min(each.mono_ms - each.age_ms for each in arrivals)
    moment = clock.mono_ms(), clock.wall_ms()
    gap = gap_record(device, UNVERIFIED, len(waiting), since_ms, *moment)
    await gateway.outbox.append([gap])
    await asyncio.to_thread(gateway.vault.write, device, [])
    return len(waiting)
