"""A collector speaks for a shard only while nobody else may."""

import asyncio

from support.ingest_memory import MemoryStore
from support.waiting import wait_until
from wardlight_cloud.ingest.leases import Leases


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Keeping:
    """Leases kept in the background; ``seen`` is what each change said."""

    def __init__(self, store: MemoryStore, ttl_s: float = 0.3) -> None:
        self.leases = Leases(store, "collector-1", ttl_s)
        self.seen: list[frozenset[int]] = []

    async def __aenter__(self) -> "Keeping":
        self.task = asyncio.create_task(self.leases.keep(self.seen.append))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_shards_are_taken_once_and_announced_once() -> None:
    store = MemoryStore()
    store.leases = {3: "collector-2"}
    async with Keeping(store) as keeping:
        await wait_until(lambda: len(store.holders) >= 3)
        assert keeping.seen == [frozenset(range(16)) - {3}]
        assert keeping.leases.holds(2)
        assert not keeping.leases.holds(3)


async def test_a_lost_shard_is_given_up_at_the_next_renewal() -> None:
    store = MemoryStore()
    async with Keeping(store) as keeping:
        await wait_until(lambda: keeping.seen)
        store.leases[5] = "collector-2"
        await wait_until(lambda: len(keeping.seen) == 2)
        assert not keeping.leases.holds(5)


async def test_without_the_database_all_shards_go_when_the_time_is_over() -> None:
    store = MemoryStore()
    async with Keeping(store) as keeping:
        await wait_until(lambda: keeping.seen)
        store.is_away = True
        await wait_until(lambda: keeping.seen[-1] == frozenset())
        assert not keeping.leases.holds(0)
        store.is_away = False
        await wait_until(lambda: keeping.seen[-1] == frozenset(range(16)))


async def test_a_process_that_stood_still_holds_nothing() -> None:
    """Between two renewals the clock alone decides: no ack after a pause of the whole process."""
    clock = Clock()
    leases = Leases(MemoryStore(), "collector-1", 5.0, clock)
    keeping = asyncio.create_task(leases.keep(lambda shards: None))
    await wait_until(lambda: leases.holds(0))
    clock.now_s += 5.0
    assert not leases.holds(0)
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_giving_up_frees_the_shards_at_once() -> None:
    store = MemoryStore()
    async with Keeping(store) as keeping:
        await wait_until(lambda: keeping.leases.holds(0))
    await keeping.leases.give_up()
    assert store.leases == {}
    assert not keeping.leases.holds(0)


async def test_giving_up_without_a_database_does_not_fail() -> None:
    store = MemoryStore()
    store.is_away = True
    await Leases(store, "collector-1", 1.0).give_up()
