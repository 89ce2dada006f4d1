"""Outbox to collector over a real broker: all settle once, whatever is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from support.collector import GATEWAY, ScriptedCollector
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import OutboxSettings, UplinkSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.broker import NatsServer
from wardlight_lab.chaos.proxy import FaultyLink
from wardlight_shared import control, topics
from wardlight_shared.control import GatewayConfig, Receipt
from wardlight_shared.records import Lane, StatusBody, encode_body

SettingsFactory = Callable[[int | None], UplinkSettings]
CLOCK = SystemClock()


@asynccontextmanager
async def open_outbox(folder: Path) -> AsyncIterator[SqliteOutbox]:
    settings = OutboxSettings(min_free_bytes=0, reserve_bytes=0, linger_ms=0)
    file = folder / "outbox.sqlite"
    async with SqliteOutbox(file, b"k" * 32, settings, CLOCK, live_age_ms=60_000) as outbox:
        yield outbox


def record(number: int, lane: Lane = Lane.LIVE) -> NewRecord:
    body = encode_body(StatusBody(None, "test", {"number": number}))
    return NewRecord(lane, None, CLOCK.mono_ms(), CLOCK.wall_ms(), body)


async def fill(outbox: SqliteOutbox, count: int) -> list[int]:
    return await outbox.append([record(number) for number in range(count)])


async def until_empty(outbox: SqliteOutbox, collector: ScriptedCollector) -> None:
    await wait_until(lambda: outbox.status().records == 0, 60, "everything is settled")
    epochs = {epoch for epoch, _ in collector.stored}
    assert epochs == {outbox.epoch}


async def test_records_settle_and_leave(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    async with open_outbox(tmp_path) as outbox:
        await fill(outbox, 300)
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK) as uplink:
            await until_empty(outbox, collector)
            assert uplink.status().connected
            assert uplink.status().round_trip_ms is not None
            assert outbox.anchors()
        assert sorted(seq for _, seq in collector.stored) == list(range(1, 301))
        assert collector.hellos[0].highest == 300
    await wait_until(lambda: collector.states and not collector.states[-1], what="offline")
    assert any(collector.states)


async def test_lost_acks_are_made_good(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    collector.lose_acks = 3
    async with open_outbox(tmp_path) as outbox:
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            for _ in range(5):
                await fill(outbox, 20)
                await asyncio.sleep(0)
            await until_empty(outbox, collector)
        assert {seq for _, seq in collector.stored} == set(range(1, 101))


async def test_cut_link_and_killed_broker_lose_nothing(
    tmp_path: Path,
    uplink_settings: SettingsFactory,
    collector: ScriptedCollector,
    broker: NatsServer,
) -> None:
    async with FaultyLink("127.0.0.1", broker.port) as link, open_outbox(tmp_path) as outbox:
        async with Uplink(uplink_settings(link.port), GATEWAY, outbox, CLOCK) as uplink:
            await fill(outbox, 200)
            await wait_until(lambda: uplink.status().connected, what="connected")
            link.cut()
            await wait_until(lambda: not uplink.status().connected, what="cut is noticed")
            await fill(outbox, 200)
            link.mend()
            await until_empty(outbox, collector)
        assert {seq for _, seq in collector.stored} == set(range(1, 401))


async def test_what_the_collector_has_is_not_sent_again(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    async with open_outbox(tmp_path) as outbox:
        seqs = await outbox.append([record(n, Lane.BACKFILL) for n in range(100)])
        collector.stored = {(outbox.epoch, seq): 1 for seq in seqs[:90]}
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await until_empty(outbox, collector)
        sent = [seq for _, batch in collector.order for seq in batch]
        assert sorted(sent) == seqs[90:]


async def test_live_goes_before_the_backlog(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    async with open_outbox(tmp_path) as outbox:
        await outbox.append([record(n, Lane.BACKFILL) for n in range(5000)])
        alarm = await outbox.append([record(1, Lane.ALARM)])
        live = await outbox.append([record(2)])
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await until_empty(outbox, collector)
        assert collector.order[0] == ("alarm", alarm)
        assert collector.order[1] == ("live", live)


async def test_rejected_record_is_kept_until_its_receipt(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    collector.rejects = {2: "no such unit"}
    async with open_outbox(tmp_path) as outbox:
        await fill(outbox, 3)
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await wait_until(lambda: outbox.status().rejected == 1, what="kept aside")
            await wait_until(lambda: outbox.status().records <= 1, what="others are gone")
            receipt = Receipt(control.VERSION, outbox.epoch, [2])
            collector.send(topics.Down.RECEIPT, control.encode(receipt))
            await wait_until(lambda: outbox.status().rejected == 0, what="released")


async def test_somebody_watches(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    async with (
        open_outbox(tmp_path) as outbox,
        Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK) as uplink,
    ):
        await wait_until(lambda: collector.hellos, what="hello")
        config = GatewayConfig(control.VERSION, 1_900_000_000_000)
        collector.send(topics.Down.CONFIG, control.encode(config))
        await wait_until(lambda: uplink.live_until_ms == 1_900_000_000_000, what="watched")


async def test_garbage_from_above_changes_nothing(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    known = control.encode(GatewayConfig(control.VERSION, None))
    async with (
        open_outbox(tmp_path) as outbox,
        Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK),
    ):
        await wait_until(lambda: collector.hellos, what="hello")
        for payload in (b"", b"\xff" * 100, b"\x98\x02", known):
            for flow in topics.Down:
                collector.send(flow, payload)
        await fill(outbox, 10)
        await until_empty(outbox, collector)


async def test_rolled_back_outbox_begins_a_new_epoch(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    async with open_outbox(tmp_path) as outbox:
        await fill(outbox, 10)
        old = outbox.epoch
        collector.stored = {(old, seq): 1 for seq in range(1, 51)}
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await wait_until(lambda: outbox.epoch != old, 30, "a new epoch")

            def arrived() -> int:
                return sum(epoch == outbox.epoch for epoch, _ in collector.stored)

            await wait_until(lambda: arrived() >= 10, 60, "all under the new epoch")
        assert all(envelope.epoch != old for envelope in collector.envelopes)


async def test_rolled_back_outbox_is_noticed_after_it_has_grown(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    """The copy held 1..5, the collector has 1..8; four new readings come before the link is up."""
    async with open_outbox(tmp_path) as outbox:
        await fill(outbox, 5)
        old = outbox.epoch
        collector.stored = {(old, seq): 1 for seq in range(1, 9)}
        collector.answers_hellos = False
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await wait_until(lambda: collector.hellos, what="hello")
            await fill(outbox, 4)
            collector.answers_hellos = True

            def arrived() -> int:
                return sum(epoch != old for epoch, _ in collector.stored)

            await wait_until(lambda: arrived() >= 9, 60, "nine records under a new epoch")
        assert all(envelope.epoch != old for envelope in collector.envelopes)


async def test_more_seqs_at_the_collector_later_are_no_rollback(
    tmp_path: Path, uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    """While the outbox is closed for a moment its highest reads 0: that is no older copy."""
    async with open_outbox(tmp_path) as outbox:
        await fill(outbox, 3)
        epoch = outbox.epoch
        async with Uplink(uplink_settings(None), GATEWAY, outbox, CLOCK):
            await until_empty(outbox, collector)
            collector.stored[(epoch, 4)] = 1
            collector.ack(epoch, None)
            await fill(outbox, 2)
            await wait_until(lambda: (epoch, 5) in collector.stored, what="the next record")
        assert outbox.epoch == epoch
