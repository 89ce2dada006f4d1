"""From outbox to collector over a link that loses, repeats and breaks: all arrive, all settle.

The outbox drops a record only on an ack. So when it is empty and the collector's ledger holds
every seq ever given, nothing was settled that had not arrived, and nothing was left behind.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.memory_broker import MemoryBroker
from support.memory_collector import MemoryCollector
from support.outbox_records import KEY, LIVE_AGE_MS, body, record, settings
from support.waiting import wait_until
from wardlight_edge.clock import Clock, SystemClock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared.records import GapBody, Lane, WaveformBody, encode_body

GATEWAY = "gw-delivery"
CLOCK = SystemClock()
NO_FILE = Path("/nonexistent")
FAST = UplinkSettings(
    host="memory",
    ca_file=NO_FILE,
    cert_file=NO_FILE,
    key_file=NO_FILE,
    ack_timeout_s=0.05,
    resend_max_s=0.4,
)


@asynccontextmanager
async def opened(
    folder: Path, broker: MemoryBroker, clock: Clock = CLOCK
) -> AsyncIterator[tuple[SqliteOutbox, Uplink]]:
    links = broker.links(GATEWAY, b"will")
    async with (
        SqliteOutbox(folder / "o.db", KEY, settings(), clock, live_age_ms=LIVE_AGE_MS) as outbox,
        Uplink(FAST, GATEWAY, outbox, clock, links) as uplink,
    ):
        yield outbox, uplink


def records(noise: random.Random, count: int) -> list[NewRecord]:
    made: list[NewRecord] = []
    for _ in range(count):
        age_ms = noise.choice([0, 0, 0, 3_600_000, 7_200_000])
        lane = noise.choice(list(Lane))
        mono_ms = max(0, CLOCK.mono_ms() - age_ms)
        made.append(NewRecord(lane, None, mono_ms, CLOCK.wall_ms(), body(noise.randrange(999))))
    return made


async def trouble(noise: random.Random, broker: MemoryBroker, collector: MemoryCollector) -> None:
    """One bad moment."""
    match noise.randrange(4):
        case 0:
            broker.stop()
            await asyncio.sleep(noise.uniform(0, 0.1))
            broker.start()
        case 1:
            collector.is_alive = False
            await asyncio.sleep(noise.uniform(0, 0.2))
            collector.is_alive = True
        case 2:
            for epoch in list(collector.ledger):
                collector.takes_over(epoch)
        case _:
            collector.fails = noise.choice([0.0, 0.5])


@pytest.mark.parametrize("seed", range(6))
async def test_all_arrive_and_all_settle(tmp_path: Path, seed: int) -> None:
    noise = random.Random(seed)
    broker = MemoryBroker(loss=0.3, repeat=0.2, seed=seed)
    collector = MemoryCollector(broker, GATEWAY, seed=seed)
    async with opened(tmp_path, broker) as (outbox, _):
        for _ in range(12):
            await outbox.append(records(noise, noise.randrange(1, 120)))
            await trouble(noise, broker, collector)
        broker.loss = collector.fails = 0.0
        await wait_until(lambda: outbox.status().records == 0, 60, "all is settled")
        highest, epoch = outbox.status().highest, outbox.epoch
    assert collector.stored(epoch) == set(range(1, highest + 1))
    assert set(collector.ledger) == {epoch}


async def test_nothing_leaves_while_nobody_acks(tmp_path: Path) -> None:
    broker = MemoryBroker()
    collector = MemoryCollector(broker, GATEWAY)
    collector.fails = 1.0
    async with opened(tmp_path, broker) as (outbox, _):
        await outbox.append(records(random.Random(1), 300))
        await wait_until(lambda: len(broker.heard) > 12, what="it tries again and again")
        assert outbox.status().records == 300


async def test_resends_to_a_silent_collector_grow_rare(tmp_path: Path) -> None:
    """One sending of a record for each time that its patience ends, not as fast as the link can."""
    broker, clock = MemoryBroker(), ManualClock()
    collector = MemoryCollector(broker, GATEWAY)
    collector.fails = 1.0

    def sendings() -> int:
        return sum("/up/live" in topic for topic, _ in broker.heard)

    def has_sent(times: int) -> bool:
        return sendings() >= times

    async with opened(tmp_path, broker, clock) as (outbox, _):
        await outbox.append([record(clock, number) for number in range(50)])
        await wait_until(partial(has_sent, 1), what="it has sent them once")
        for times in range(2, 8):
            clock.advance(int(1.2 * 1000 * FAST.resend_max_s))  # with the largest jitter
            await wait_until(partial(has_sent, times), what="it sends again")
            assert sendings() == times
        assert (outbox.status().records, outbox.status().leased) == (50, 50)
        broker.stop()  # or leaving would wait for acks, on a clock that stands still


async def test_a_gateway_that_starts_again_sends_what_it_holds(tmp_path: Path) -> None:
    broker = MemoryBroker()
    collector = MemoryCollector(broker, GATEWAY)
    collector.fails = 1.0
    async with opened(tmp_path, broker) as (outbox, _):
        await outbox.append(records(random.Random(1), 100))
        epoch = outbox.epoch
    collector.fails = 0.0
    async with opened(tmp_path, broker) as (outbox, _):
        await wait_until(lambda: outbox.status().records == 0, 60, "all is settled")
    assert collector.stored(epoch) == set(range(1, 101))


def poisons() -> dict[str, bytes]:
    """Bodies that cannot be sent, by the cause that their gap names."""
    noise = random.Random(1)
    huge = WaveformBody(1, 1, 0, 0, noise.randbytes(100_000))
    return {"too-large": encode_body(huge), "unreadable": noise.randbytes(50)}


@pytest.mark.parametrize("cause", poisons())
async def test_a_poison_record_does_not_stop_the_others(tmp_path: Path, cause: str) -> None:
    """It is kept aside, and a gap names it."""
    broker = MemoryBroker()
    collector = MemoryCollector(broker, GATEWAY)
    noise = random.Random(1)
    bad = NewRecord(Lane.LIVE, None, CLOCK.mono_ms(), CLOCK.wall_ms(), poisons()[cause])
    async with opened(tmp_path, broker) as (outbox, _):
        seqs = await outbox.append([*records(noise, 10), bad, *records(noise, 10)])
        await wait_until(lambda: outbox.status().records == 0, 60, "all else is settled")
        assert outbox.status().rejected == 1
        epoch = outbox.epoch
    poison = seqs.pop(10)
    stored = collector.stored(epoch)
    assert set(seqs) <= stored
    assert poison not in stored
    bodies = [one for _, envelope in collector.envelopes for one in envelope.bodies]
    gaps = [one for one in bodies if isinstance(one, GapBody)]
    assert [(gap.cause, gap.count, gap.seqs) for gap in gaps] == [(cause, 1, [(poison, poison)])]


async def test_salvaged_records_wait_for_a_collector_that_knows_origins(tmp_path: Path) -> None:
    """And stand in nobody's way meanwhile; a newer collector gets them on the same link."""
    broker = MemoryBroker()
    collector = MemoryCollector(broker, GATEWAY)
    collector.is_alive = False
    async with opened(tmp_path, broker) as (outbox, _):
        await outbox.append(records(random.Random(1), 100))
        old_epoch = outbox.epoch
    (tmp_path / "o.db").rename(tmp_path / "taken")
    with (tmp_path / "taken").open("r+b") as file:
        file.write(bytes(4096))
    (tmp_path / "taken").rename(tmp_path / "o.db")
    collector.is_alive = True
    collector.reads = 1
    async with opened(tmp_path, broker) as (outbox, uplink):
        await outbox.append(records(random.Random(2), 30))
        await wait_until(lambda: uplink.status().withheld == 101, 60, "the salvaged ones wait")
        await wait_until(lambda: outbox.status().records == 101, 60, "all others are settled")
        assert all(envelope.version == 1 for _, envelope in collector.envelopes)
        collector.reads = 2
        collector.takes_over(outbox.epoch)
        await wait_until(lambda: outbox.status().records == 0, 60, "all is settled")
        assert uplink.status().withheld == 0
    origins = {one for _, envelope in collector.envelopes for one in envelope.origins or [] if one}
    # The last one names the old epoch whole.
    assert origins == {(old_epoch, seq) for seq in range(101)}
