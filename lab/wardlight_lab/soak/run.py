"""The soak: hours of a ward through decoders, sessions, outbox and uplink, in stepped seconds.

Everything of the gateway is the product's, but the radio (``air``) and the clock. The outbox is a
file with synchronous=FULL; the uplink sends to a collector in memory, whose link is cut now and
then. At the end the devices' own counts are compared with the collector's.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings, UplinkSettings
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.sessions.bookmarks import Shelf
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.waiting_room import Vault
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.soak.bedside import Bedside
from wardlight_lab.soak.clock import SteppedClock
from wardlight_lab.soak.collector import CountingCollector
from wardlight_lab.soak.held import Held, held
from wardlight_lab.soak.verdict import Count, Outcome
from wardlight_lab.soak.ward import ward

GATEWAY: Final = "gw-soak"
KEY: Final = bytes(range(32))
WARM_UP_S: Final = 600
MOMENTS: Final = 100
LEAST_EVERY_S: Final = 100
OUTAGE: Final = range(700, 1000)
"""Seconds of each two hours in which there is no way to the collector."""

OUTAGE_PERIOD_S: Final = 7200
PATIENCE_S: Final = 300.0
"""Real time for what takes milliseconds; the machine may be busy."""


async def soak(hours: float, folder: Path) -> Outcome:
    """Run that many hours. Errors: TimeoutError, OverflowError: a part did not keep up."""
    clock = SteppedClock()
    collector = CountingCollector(GATEWAY, clock)
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(_outbox(folder, clock))
        uplink = Uplink(_uplink_settings(folder), GATEWAY, outbox, clock, collector.connect)
        await stack.enter_async_context(uplink)
        bedsides = ward(_gateway(folder, outbox, clock), clock)
        async with _running(bedsides):
            found, outages = await _live(round(hours * 3600), bedsides, clock, collector, uplink)
        async with asyncio.timeout(PATIENCE_S):
            while outbox.status().records:  # noqa: ASYNC110 - the writer's thread raises no event
                await asyncio.sleep(0.02)
    return Outcome(
        hours=hours,
        records=collector.records,
        repeated=collector.repeated,
        outages=outages,
        quarantined=sum(each.entry.counts.get("decode_errors", 0) for each in bedsides),
        lost=sum(each.entry.counts.get("lost", 0) for each in bedsides),
        counts=[_count(each, collector) for each in bedsides],
        held=found,
    )


async def _live(
    seconds: int,
    bedsides: Sequence[Bedside],
    clock: SteppedClock,
    collector: CountingCollector,
    uplink: Uplink,
) -> tuple[list[Held], int]:
    found: list[Held] = []
    outages = 0
    every_s = max(LEAST_EVERY_S, seconds // MOMENTS)
    for number in range(seconds):
        clock.step(1000)
        outages += await _cut_or_mend(number, collector, uplink)
        for each in bedsides:
            await each.second(number)
        await _until_taken(bedsides)
        # A link to the collector has tasks of its own: moments without one are not alike.
        if number >= WARM_UP_S and number % every_s == 0 and uplink.status().connected:
            found.append(held(number))
    for each in bedsides:
        each.finish()
    return found, outages


async def _cut_or_mend(number: int, collector: CountingCollector, uplink: Uplink) -> int:
    """1 when an outage begins. The uplink's pauses are real: time waits for it."""
    place = number % OUTAGE_PERIOD_S
    if place not in (OUTAGE.start, OUTAGE.stop):
        return 0
    is_cut = place == OUTAGE.start
    if is_cut:
        collector.cut()
    else:
        collector.mend()
    async with asyncio.timeout(PATIENCE_S):
        while uplink.status().connected == is_cut:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.02)
    return int(is_cut)


async def _until_taken(bedsides: Sequence[Bedside]) -> None:
    """Let the sessions work; none of them may be behind when time goes on."""
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.sleep(0)
        while any(each.is_behind for each in bedsides):  # noqa: ASYNC110 - a turn each, no event
            await asyncio.sleep(0)


@asynccontextmanager
async def _running(bedsides: Sequence[Bedside]) -> AsyncIterator[None]:
    """Sessions and transports of all devices; leaving waits until all is in the outbox."""
    airs = [asyncio.create_task(each.air.run(each.session.inbox)) for each in bedsides]
    sessions = [asyncio.create_task(each.session.run(each.air)) for each in bedsides]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for air in airs:
            air.cancel()
        await asyncio.gather(*airs, return_exceptions=True)
        for each in bedsides:
            each.session.inbox.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*sessions)


def _count(bedside: Bedside, collector: CountingCollector) -> Count:
    name = bedside.identity
    gaps = sum(count for (device, _), count in collector.gaps.items() if device == name)
    return Count(
        device=name,
        numbers=bedside.numbers,
        stored_numbers=collector.numbers[name],
        samples=bedside.samples,
        stored_samples=collector.samples[name],
        framed=bedside.framed,
        losses=bedside.air.losses if bedside.profile.stream else 0,
        gaps=gaps,
    )


def _gateway(folder: Path, outbox: SqliteOutbox, clock: Clock) -> Gateway:
    sealer = Sealer(KEY)
    return Gateway(
        outbox=outbox,
        clock=clock,
        quarantine=Quarantine(folder / "quarantine", sealer.seal),
        open_streams=OpenStreams(folder / "streams.json", clock.boot_id),
        live_until=lambda: None,
        is_clock_trusted=lambda: True,
        vault=Vault(folder / "waiting", sealer.seal, sealer.open_sealed),
        shelf=Shelf(folder / "bookmarks", sealer.seal, sealer.open_sealed),
    )


def _outbox(folder: Path, clock: Clock) -> SqliteOutbox:
    settings = OutboxSettings(min_free_bytes=0, reserve_bytes=0, linger_ms=0)
    return SqliteOutbox(folder / "outbox.sqlite", KEY, settings, clock, live_age_ms=60_000)


def _uplink_settings(folder: Path) -> UplinkSettings:
    """Time runs hundreds of times faster: an ack that takes milliseconds must not be late."""
    nowhere = folder / "none"
    return UplinkSettings(
        host="127.0.0.1",
        ca_file=nowhere,
        cert_file=nowhere,
        key_file=nowhere,
        ack_timeout_s=86_400,
        resend_max_s=86_400,
    )
