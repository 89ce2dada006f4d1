"""Two collector processes, a real broker, a real database: one dies, the other takes over."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from support.collector_world import CollectorWorld
from support.envelopes import SERIES, block, event, record, sealed
from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.config import CollectorSettings
from wardlight_lab.broker import NatsServer
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.records import Lane
from wardlight_shared.timestamps import utc_ms_from_datetime

Speak = Callable[..., SpeakingGateway]
pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
COLLECTORS = ("collector-1", "collector-2")
GATEWAYS = [f"gw-test-{number}" for number in range(1, 9)]
HOUR_AGO_MS = utc_ms_from_datetime(datetime.now(UTC)) - 3_600_000
RESEND_S = 1.0  # a gateway of the product waits longer, but is asked for a hello


def message(gateway: str, first: int, count: int) -> bytes:
    """``count`` records of the gateway's own device: events, and every third a block of four."""
    series = [SeriesEntry(0, msgspec.structs.replace(SERIES[0].key, device=f"serial:{gateway}"))]
    seqs = range(first, first + count)
    bodies = [block([97, 96, 97, 98]) if seq % 3 == 0 else event({0: str(seq)}) for seq in seqs]
    records = [record(seq, body) for seq, body in zip(seqs, bodies, strict=True)]
    times_ms = [HOUR_AGO_MS + 10_000 * seq for seq in seqs]
    return sealed(records, gateway=gateway, times_ms=times_ms, series=series)


async def delivered(gateways: list[SpeakingGateway], first: int, count: int) -> float:
    """Send the same records from each gateway until each has its ack; seconds until the last."""
    started_s = time.monotonic()
    messages = {each.gateway: message(each.gateway, first, count) for each in gateways}
    wanted = set(range(first, first + count))
    sent_s = float("-inf")

    def all_acked() -> bool:
        nonlocal sent_s
        missing = [each for each in gateways if not wanted <= each.settled()]
        if missing and time.monotonic() - sent_s > RESEND_S:
            sent_s = time.monotonic()
            for each in missing:
                each.send(messages[each.gateway], Lane.LIVE)
        return not missing

    await wait_until(all_acked, 60, f"acks of {first}..{first + count - 1}")
    return time.monotonic() - started_s


async def taken_over(world: CollectorWorld, speak: Speak) -> float:
    """Seconds from the death of one collector until the other has answered every gateway."""
    gateways = [speak(gateway) for gateway in GATEWAYS]
    for gateway in gateways:
        await asyncio.to_thread(gateway.say_online)
    for name in COLLECTORS:
        world.start(name)

    async def shared() -> bool:
        held = await world.shards()
        return set(held) == set(COLLECTORS) and max(held.values()) - min(held.values()) <= 1

    evenly: Callable[[], object] = shared
    await wait_until(evenly, 60, "two collectors share the shards")
    await delivered(gateways, 1, 3)
    await world.kill(COLLECTORS[0])
    took_s = await delivered(gateways, 4, 3)
    assert all(any(ack.hello_wanted for ack in each.acks()) for each in gateways)
    held = await world.shards()
    assert held == {COLLECTORS[1]: 16}
    rows_of_six_records = 2 * (1 + 1 + 4)
    assert await world.rows() == len(GATEWAYS) * rows_of_six_records
    world.start(COLLECTORS[0])
    await wait_until(evenly, 60, "the shards are shared again")
    await delivered(gateways, 7, 3)
    return took_s


async def test_the_other_collector_takes_over(world: CollectorWorld, speak: Speak) -> None:
    await taken_over(world, speak)
    ttl_s = CollectorSettings().lease_ttl_s
    assert ttl_s + ttl_s / 3 < 10, "a lease must end, and be asked for, within ten seconds"


@pytest.mark.long
async def test_it_does_so_within_ten_seconds(world: CollectorWorld, speak: Speak) -> None:
    """A clock on the wall: only a machine with nothing else to do can answer this."""
    took_s = await taken_over(world, speak)
    assert took_s < 10, f"took over after {took_s:.1f} s"


async def test_a_graceful_stop_hands_over_without_waiting_for_leases_to_end(
    world: CollectorWorld, speak: Speak
) -> None:
    gateways = [speak(gateway) for gateway in GATEWAYS[:3]]
    for name in COLLECTORS:
        world.start(name)
    await delivered(gateways, 1, 3)
    process = world.collectors.pop(COLLECTORS[0])
    await process.stop(signal.SIGTERM, 30)
    assert await process.wait(1) == 0
    assert set(await world.shards()) <= {COLLECTORS[1]}
    await delivered(gateways, 4, 3)


async def test_kill_nine_again_and_again_loses_nothing_and_stores_nothing_twice(
    world: CollectorWorld, speak: Speak
) -> None:
    """One collector, killed while it works, and gateways that send on."""
    gateways = [speak(gateway) for gateway in GATEWAYS[:4]]
    world.start(COLLECTORS[0])
    for turn in range(4):
        delivery = asyncio.create_task(delivered(gateways, 1 + 30 * turn, 30))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(delivery), 0.3 * turn)
        await world.kill(COLLECTORS[0])
        world.start(COLLECTORS[0])
        await delivery
    assert await world.rows() == 4 * 120 // 3 * (1 + 1 + 4)
