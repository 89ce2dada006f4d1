"""kill -9 of the broker under load, several times: it is transport, so nothing is lost with it."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from support.collector import GATEWAY, ScriptedCollector
from support.outbox_records import KEY, LIVE_AGE_MS, body, settings
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.broker import NatsServer
from wardlight_shared.records import Lane

CLOCK = SystemClock()
DEATHS = 3


def records(lane: Lane, count: int) -> list[NewRecord]:
    mono_ms, wall_ms = CLOCK.mono_ms(), CLOCK.wall_ms()
    return [NewRecord(lane, None, mono_ms, wall_ms, body(number)) for number in range(count)]


async def append_until(stop: asyncio.Event, outbox: SqliteOutbox) -> None:
    """Live records all the time, as devices send them."""
    while not stop.is_set():
        await outbox.append(records(Lane.LIVE, 5))
        await asyncio.sleep(0.01)


async def test_a_broker_that_dies_takes_nothing_along(
    tmp_path: Path,
    uplink_settings: Callable[[int | None], UplinkSettings],
    collector: ScriptedCollector,
    broker: NatsServer,
) -> None:
    moments = random.Random(1)
    file = tmp_path / "outbox.db"
    given = uplink_settings(None)
    stop = asyncio.Event()
    async with (
        SqliteOutbox(file, KEY, settings(), CLOCK, live_age_ms=LIVE_AGE_MS) as outbox,
        Uplink(given, GATEWAY, outbox, CLOCK) as uplink,
    ):
        await outbox.append(records(Lane.BACKFILL, 20_000))
        devices = asyncio.create_task(append_until(stop, outbox), name="devices")
        for _ in range(DEATHS):
            await wait_until(lambda: uplink.status().connected, 60, "connected")
            await asyncio.sleep(moments.uniform(0.05, 0.5))
            broker.kill()
            await broker.wait_ended()
            await broker.start()
        stop.set()
        await devices
        await wait_until(lambda: outbox.status().records == 0, 90, "everything is settled")
        epoch, highest = outbox.epoch, outbox.status().highest
        assert uplink.status().connections >= DEATHS
    assert {seq for _, seq in collector.stored} == set(range(1, highest + 1))
    assert {each for each, _ in collector.stored} == {epoch}
