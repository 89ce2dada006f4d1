"""Pages of a worklist: they fit a message, follow one another, and are pushed when it changes."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.waiting import wait_until
from wardlight_cloud.ingest.worklists import Worklists, page
from wardlight_cloud.store.orders import Changes, EntryChange
from wardlight_shared import worklist
from wardlight_shared.blobs import VERSION, WorklistWanted
from wardlight_shared.errors import StorageError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
GATEWAY = "gw-one"


class Orders:
    """Implements the part of OrderStore that worklists are read by."""

    def __init__(self) -> None:
        self.entries: list[EntryChange] = []
        self.is_away = False
        self.epoch = 5

    def put(self, octets: bytes | None, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.entries) + 1
            self.entries.append(EntryChange(number, number, octets))

    async def changes_of(
        self, gateway: str, since: int, *, epoch: int = 0, count: int = 256
    ) -> Changes:
        if self.is_away:
            raise StorageError("away")
        newest = len(self.entries)
        since = since if since <= newest and epoch in (0, self.epoch) else 0
        rest = tuple(self.entries[since : since + count])
        return Changes(since, newest, NOW, rest, self.epoch)

    async def worklist_revisions(self, gateways: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(gateways, len(self.entries))


class Everybody:
    """Implements Admission and Leases: all are let in, all shards are held."""

    def __init__(self) -> None:
        self.is_on = True
        self.is_held = True

    async def allows(self, gateway: str) -> bool:
        return self.is_on

    def holds(self, shard: int) -> bool:
        return self.is_held


class World:
    def __init__(self) -> None:
        self.orders = Orders()
        self.everybody = Everybody()
        self.pages: list[worklist.WorklistPage] = []
        door: Any = self.everybody
        self.worklists = Worklists(self.orders, self._publish, door, door, 5.0)  # type: ignore[arg-type]

    def _publish(self, topic: str, payload: bytes) -> bool:
        assert topic.endswith(f"/{GATEWAY}/down/worklist")
        self.pages.append(worklist.decode(payload))
        return True

    def wants(self, revision: int, epoch: int = 5) -> None:
        self.worklists.hear(GATEWAY, WorklistWanted(VERSION, revision, epoch))


@given(st.lists(st.integers(0, worklist.MAX_ENTRY_BYTES), max_size=300))
def test_pages_fit_and_come_to_an_end(sizes: list[int]) -> None:
    orders = Orders()
    for size in sizes:
        orders.put(bytes(size))
    found: list[int] = []
    since = 0
    while True:
        rest = tuple(orders.entries[since : since + 256])
        made = page(Changes(since, len(sizes), NOW, rest, 5))
        assert len(worklist.encode(made)) <= worklist.MAX_BYTES
        assert made.since == since
        found += [each.entry for each in made.entries]
        if made.upto == made.newest:
            break
        assert made.upto > since
        since = made.upto
    assert found == [each.entry for each in orders.entries]


async def test_who_asks_is_answered_and_told_of_changes() -> None:
    world = World()
    world.orders.put(b"one")
    task = asyncio.create_task(world.worklists.run())
    try:
        world.wants(0)
        await wait_until(lambda: len(world.pages) == 1)
        assert (world.pages[0].upto, len(world.pages[0].entries)) == (1, 1)
        world.wants(1)
        await wait_until(lambda: len(world.pages) == 2)
        assert world.pages[1].entries == [], "nothing new, but of this moment"
        world.orders.put(None)
        await wait_until(lambda: len(world.pages) == 3)
        assert (world.pages[2].since, world.pages[2].upto) == (1, 2)
        world.wants(99)
        await wait_until(lambda: len(world.pages) == 4)
        assert (world.pages[3].since, len(world.pages[3].entries)) == (0, 2)
    finally:
        task.cancel()


async def test_after_a_backup_was_brought_back_the_list_begins_anew() -> None:
    """Revisions were given again: those of before say nothing, though there are as many."""
    world = World()
    world.orders.put(b"one", 3)
    task = asyncio.create_task(world.worklists.run())
    try:
        world.wants(3)
        await wait_until(lambda: len(world.pages) == 1)
        assert (world.pages[0].since, world.pages[0].epoch) == (3, 5)
        world.orders.epoch = 6
        world.orders.put(b"another")
        await wait_until(lambda: len(world.pages) == 2, what="it is pushed")
        world.wants(4, epoch=5)
        await wait_until(lambda: len(world.pages) == 3)
        for page in world.pages[1:]:
            assert (page.since, page.epoch, len(page.entries)) == (0, 6, 4)
    finally:
        task.cancel()


async def test_nobody_else_is_told() -> None:
    world = World()
    world.orders.put(b"one")
    task = asyncio.create_task(world.worklists.run())
    try:
        world.everybody.is_on = False
        world.wants(0)
        await wait_until(lambda: not world.worklists._wanted)
        world.everybody.is_on, world.everybody.is_held = True, False
        world.wants(0)
        await wait_until(lambda: not world.worklists._wanted)
        assert world.pages == []
        world.everybody.is_held, world.orders.is_away = True, True
        world.wants(0)
        await wait_until(lambda: not world.worklists._wanted)
        assert not task.done(), "a store that is away ends nothing"
    finally:
        task.cancel()
