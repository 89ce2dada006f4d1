"""The collector's promises on a real broker; the store is in memory so that it can say no."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from support.envelopes import GATEWAY, event, record, sealed
from support.ingest_memory import MemoryStore
from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.config import BrokerSettings, CollectorSettings, Settings
from wardlight_cloud.ingest.collector import Collector
from wardlight_cloud.ingest.pipeline import UNREADABLE_EPOCH
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared import control, topics
from wardlight_shared.control import Hello
from wardlight_shared.envelope import expand
from wardlight_shared.errors import StorageError
from wardlight_shared.records import Lane, Record
from wardlight_shared.timestamps import utc_ms_from_datetime

SettingsOf = Callable[[str], BrokerSettings]
Speak = Callable[..., SpeakingGateway]
OTHER = "gw-test-2"


def records(first: int, last: int, value: int = 97) -> list[Record]:
    return [record(seq, event({0: str(value)})) for seq in range(first, last + 1)]


def message(first: int, last: int, gateway: str = GATEWAY, value: int = 97) -> bytes:
    now_ms = utc_ms_from_datetime(datetime.now(UTC))
    chosen = records(first, last, value)
    return sealed(chosen, gateway=gateway, times_ms=[now_ms] * len(chosen))


@pytest.fixture
def store() -> MemoryStore:
    memory = MemoryStore()
    memory.enabled = {GATEWAY, OTHER}
    return memory


@contextlib.asynccontextmanager
async def collecting(
    store: MemoryStore, broker: BrokerSettings, **changes: object
) -> AsyncIterator[Collector]:
    """A running collector; stopped gracefully at the end."""
    values = {"name": "collector-1", "lease_ttl_s": 1.0, **changes}
    settings = Settings(broker=broker, collector=CollectorSettings.model_validate(values))
    collector, stop = Collector(settings, store), asyncio.Event()
    running = asyncio.create_task(collector.run(stop), name="collector")
    try:
        yield collector
    finally:
        stop.set()
        await asyncio.wait_for(running, 180)


@pytest.fixture
async def collector(store: MemoryStore, link_settings: SettingsOf) -> AsyncIterator[Collector]:
    async with collecting(store, link_settings("collector-1")) as running:
        yield running


async def greeted(gateway: SpeakingGateway) -> None:
    """The collector hears this gateway: it has answered a hello."""

    gateway.mono_ms += 1

    async def answered() -> bool:
        await asyncio.to_thread(gateway.say_hello)
        return any(ack.echo_mono_ms == gateway.mono_ms for ack in gateway.acks())

    heard: Callable[[], object] = answered
    await wait_until(heard, what="an answer to a hello")


async def test_a_hello_is_answered_with_what_is_stored_and_the_time(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    store.stored[GATEWAY, 7_001] = {1, 2, 3, 8, 9}
    gateway = speak()
    await greeted(gateway)
    ack = next(ack for ack in gateway.acks() if ack.echo_mono_ms is not None)
    assert (ack.upto, ack.ranges) == (3, [(8, 9)])
    assert abs(ack.server_time_ms - utc_ms_from_datetime(datetime.now(UTC))) < 60_000
    await asyncio.to_thread(gateway.say_hello, 1, 40)
    await wait_until(lambda: (GATEWAY, 7_001, 40, "test 1") in store.hellos)


async def test_what_is_committed_is_acknowledged_and_nothing_else(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    store.gate.clear()
    gateway.send(message(1, 20))
    gateway.send(message(31, 40), Lane.BACKFILL)
    await wait_until(lambda: store.waiting)
    await greeted(gateway)  # a wrong ack would have come before this answer
    assert gateway.settled() == set()
    store.gate.set()
    await wait_until(lambda: gateway.settled() == {*range(1, 21), *range(31, 41)})
    assert store.rows == 30


async def test_a_batch_sent_again_is_acknowledged_again_and_stored_once(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    gateway.send(message(1, 5))
    await wait_until(lambda: gateway.settled() == set(range(1, 6)))
    before = len(gateway.acks())
    gateway.send(message(3, 7))
    await wait_until(lambda: gateway.settled() == set(range(1, 8)))
    assert len(gateway.acks()) > before
    assert store.rows == 7


async def test_while_the_database_is_away_nothing_is_acknowledged_or_lost(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    refused = 0

    def away(batches: Sequence[IngestBatch]) -> None:
        nonlocal refused
        refused += 1
        raise StorageError("away") from ConnectionError()

    store.fault = away
    for first in range(1, 100, 10):
        gateway.send(message(first, first + 9))
    await wait_until(lambda: refused >= 2)
    assert gateway.settled() == set()
    store.fault = lambda batches: None
    await wait_until(lambda: gateway.settled() == set(range(1, 101)))
    assert store.rows == 100


async def test_a_full_queue_stops_the_reading_and_loses_nothing(
    store: MemoryStore, link_settings: SettingsOf, speak: Speak
) -> None:
    gateway = speak()
    async with collecting(store, link_settings("collector-1"), queue_max=16, group_max=4):
        await greeted(gateway)
        store.gate.clear()
        for seq in range(1, 201):
            await asyncio.to_thread(gateway.send, message(seq, seq))
        store.gate.set()
        await wait_until(lambda: gateway.settled() == set(range(1, 201)))
        assert store.rows == 200


async def test_unfit_records_are_named_and_the_others_stored(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    parts = msgspec.msgpack.decode(expand(message(1, 3)))
    parts[12][1] = [99, "no body of ours"]
    gateway.send(msgspec.msgpack.encode(parts))
    await wait_until(lambda: gateway.settled() == {1, 2, 3})
    assert set(gateway.rejected()) == {2}
    assert store.stored[GATEWAY, 7_001] == {1, 3}


async def test_a_released_dead_letter_reaches_the_gateway_as_a_receipt(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    store.letters[GATEWAY, 7_001] = {4: ("why", b"")}
    store.released_seqs[GATEWAY, 7_001] = (4,)
    gateway = speak()
    await greeted(gateway)
    await wait_until(lambda: [receipt.released for receipt in gateway.receipts()] != [])
    assert gateway.receipts()[0].released == [4]


async def test_a_watched_gateway_hears_until_when(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    until = datetime.now(UTC) + timedelta(seconds=60)
    store.watched[GATEWAY] = until
    expected = utc_ms_from_datetime(until)
    await wait_until(lambda: expected in [each.live_until_ms for each in gateway.configs()])
    longer = until + timedelta(seconds=60)
    store.watched[GATEWAY] = longer
    expected = utc_ms_from_datetime(longer)
    await wait_until(lambda: expected in [each.live_until_ms for each in gateway.configs()])


async def test_a_new_holder_asks_gateways_for_a_hello_at_once(
    store: MemoryStore, link_settings: SettingsOf, speak: Speak
) -> None:
    """The gateways were there before the collector and have nothing to say by themselves."""
    gateway, other = speak(), speak(OTHER, 9)
    await asyncio.to_thread(gateway.say_online)
    await asyncio.to_thread(other.say_online)
    async with collecting(store, link_settings("collector-1")):
        await wait_until(lambda: any(ack.hello_wanted for ack in gateway.acks()))
        await wait_until(lambda: any(ack.hello_wanted for ack in other.acks()))
        assert gateway.settled() == set()
        await wait_until(lambda: sorted(state[:2] for state in store.states) == [
            (GATEWAY, True), (OTHER, True),
        ])  # fmt: skip


async def test_an_unknown_gateway_is_not_answered(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    known, unknown = speak(), speak(OTHER, 9)
    store.enabled = {GATEWAY}
    unknown.send(message(1, 3, OTHER))
    await asyncio.to_thread(unknown.say_hello)
    await greeted(known)
    known.send(message(1, 3))
    await wait_until(lambda: known.settled() == {1, 2, 3})
    assert unknown.acks() == []
    assert (OTHER, 7_001) not in store.stored


async def test_a_newer_version_is_met_with_silence(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    parts = msgspec.msgpack.decode(expand(message(1, 3)))
    gateway.send(msgspec.msgpack.encode([2, *parts[1:], "more"]))
    gateway.send(message(4, 5))
    await wait_until(lambda: gateway.settled() == {4, 5})
    assert gateway.rejected() == {}
    assert store.letters[GATEWAY, 7_001] == {}


async def test_any_bytes_on_any_topic_change_nothing_for_the_others(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway, hostile = speak(), speak(OTHER, 9)
    await greeted(gateway)
    junk = [b"", b"\x00", b"\xff" * 300, b"\x28\xb5\x2f\xfd" + bytes(40), b"\x91" * 60_000]
    junk += [bytes(70_000), message(1, 2, GATEWAY), sealed(records(1, 2), gateway=OTHER)[:-3]]
    base = topics.base(OTHER)
    named = [*(topics.up(OTHER, lane) for lane in Lane), topics.hello(OTHER), topics.state(OTHER)]
    for topic in [*named, f"{base}/up/unheard-of", f"{base}/up/live/deeper"]:
        for payload in junk:
            await asyncio.to_thread(hostile.client.publish, topic, payload)
    foreign = Hello(control.VERSION, GATEWAY, 7_001, 0, 99, 1, "as another")
    await asyncio.to_thread(hostile.client.publish, topics.hello(OTHER), control.encode(foreign))
    gateway.send(message(1, 3))
    await wait_until(lambda: gateway.settled() == {1, 2, 3})
    await wait_until(lambda: len(store.letters.get((OTHER, UNREADABLE_EPOCH), {})) >= 6)
    assert store.rows == 3
    assert (GATEWAY, 7_001, 99, "as another") not in store.hellos
    assert hostile.acks() == []


async def test_a_stopping_collector_finishes_its_transaction_and_gives_up_its_shards(
    store: MemoryStore, link_settings: SettingsOf, speak: Speak
) -> None:
    gateway = speak()
    async with collecting(store, link_settings("collector-1")):
        await greeted(gateway)
        store.gate.clear()
        gateway.send(message(1, 3))
        await wait_until(lambda: store.waiting)
        asyncio.get_running_loop().call_later(0.3, store.gate.set)
    assert store.leases == {}
    await wait_until(lambda: gateway.settled() == {1, 2, 3})


async def test_a_shard_lost_to_another_collector_is_no_longer_acknowledged(
    store: MemoryStore, collector: Collector, speak: Speak
) -> None:
    gateway = speak()
    await greeted(gateway)
    store.leases = dict.fromkeys(range(topics.SHARDS), "collector-2")
    renewals = len(store.holders)
    await wait_until(lambda: len(store.holders) > renewals + 1)
    gateway.send(message(1, 3))
    store.leases = {}
    renewals = len(store.holders)
    await wait_until(lambda: len(store.holders) > renewals + 1)
    assert gateway.settled() == set()
    await greeted(gateway)
    gateway.send(message(1, 3))
    await wait_until(lambda: gateway.settled() == {1, 2, 3})
