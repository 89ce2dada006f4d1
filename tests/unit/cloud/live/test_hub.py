"""The hub loses no row and repeats none, however subscribing and delivering interleave."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import wait_until
from wardlight_cloud.live.hub import LiveHub, Subscription, TooManySubscribers
from wardlight_cloud.store.base import Change, LatestRow, ReadStore
from wardlight_shared.errors import StorageError

A, B = UUID(int=1), UUID(int=2)
MOMENT = datetime(2026, 3, 10, 12, tzinfo=UTC)
ROW = LatestRow(A, 1, UUID(int=9), 4, "%", None, MOMENT, MOMENT, 97, 0, 0, 0, 250, 1)


def row(patient: UUID, series: int, commit: int) -> LatestRow:
    return replace(ROW, patient_id=patient, series_id=series, commit_seq=commit)


class Store:
    """``latest`` and ``changes`` only; a gate holds answers back after they were read."""

    def __init__(self) -> None:
        self.rows: dict[int, LatestRow] = {}
        self.queue: asyncio.Queue[Change | Exception] = asyncio.Queue()
        self.gates: list[asyncio.Event] = []
        self.asked: list[tuple[UUID, ...] | None] = []
        self.since: list[int | None] = []
        self.newest = 0

    async def commit_seq(self) -> int:
        return max([self.newest, *(each.commit_seq for each in self.rows.values())])

    async def latest(
        self, patients: Sequence[UUID] | None = None, *, since: int | None = None
    ) -> tuple[LatestRow, ...]:
        found = tuple(
            r
            for r in self.rows.values()
            if (patients is None or r.patient_id in patients) and r.commit_seq > (since or 0)
        )
        self.asked.append(None if patients is None else tuple(patients))
        self.since.append(since)
        if self.gates:
            await self.gates.pop(0).wait()
        return found

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[Change]]:
        async def heard() -> AsyncIterator[Change]:
            while True:
                change = await self.queue.get()
                if isinstance(change, Exception):
                    raise change
                yield change

        yield heard()

    def commit(self, new: LatestRow) -> None:
        self.rows[new.series_id] = new
        self.queue.put_nowait(Change(new.commit_seq))

    def gate(self) -> asyncio.Event:
        event = asyncio.Event()
        self.gates.append(event)
        return event


def hub_on(store: Store) -> LiveHub:
    return LiveHub(cast(ReadStore, store))


async def commits(subscription: Subscription) -> list[int]:
    """Commits of the next rows; a lost database wakes a subscriber without any."""
    async with asyncio.timeout(180):
        while not (rows := await subscription.next(30)):
            pass
    return [each.commit_seq for each in rows]


async def test_a_row_committed_while_the_other_patient_was_asked_for_is_delivered() -> None:
    """B's row has a lower commit than one of A that was delivered before anybody watched B."""
    store = Store()
    async with hub_on(store) as hub, hub.subscribe(A) as of_a:
        store.commit(row(A, 1, 10))
        assert await commits(of_a) == [10]
        reading = store.gate()
        task = asyncio.create_task(hub.subscribe(B).__aenter__(), name="subscribe")
        await wait_until(lambda: (B,) in store.asked)  # B's first rows are read: none yet
        store.rows[2] = row(B, 2, 11)  # committed after that read ...
        store.commit(row(A, 1, 12))  # ... and told of together with a later one of A
        assert await commits(of_a) == [12]
        reading.set()
        of_b = await task
        assert await commits(of_b) == [11]


async def test_an_old_answer_never_replaces_a_newer_row() -> None:
    store = Store()
    store.rows[1] = row(A, 1, 1)
    async with hub_on(store) as hub:
        await hub.is_up(30)
        reading = store.gate()
        task = asyncio.create_task(hub.subscribe(A).__aenter__(), name="subscribe")
        await wait_until(lambda: store.asked)
        asked = len(store.asked)
        store.commit(row(A, 1, 2))
        await wait_until(lambda: len(store.asked) > asked)
        reading.set()
        subscription = await task
        assert await commits(subscription) == [2]


async def test_rows_are_not_repeated() -> None:
    store = Store()
    async with hub_on(store) as hub, hub.subscribe(None) as everybody:
        store.commit(row(A, 1, 1))
        assert await commits(everybody) == [1]
        store.commit(row(B, 2, 2))
        assert await commits(everybody) == [2]


async def test_a_series_that_changes_hands_is_told() -> None:
    store = Store()
    async with hub_on(store) as hub, hub.subscribe(None) as everybody, hub.subscribe(B) as of_b:
        store.commit(row(A, 1, 5))
        assert await commits(everybody) == [5]
        store.commit(row(B, 1, 6))
        assert await commits(everybody) == [6]
        assert await commits(of_b) == [6]


async def test_a_slow_subscriber_gets_only_the_newest_of_each_series() -> None:
    store = Store()
    async with hub_on(store) as hub, hub.subscribe(A) as slow, hub.subscribe(A) as quick:
        for commit in range(1, 6):
            store.commit(row(A, 1 + commit % 2, commit))
            assert await commits(quick) == [commit]
        assert await commits(slow) == [4, 5]


async def test_nobody_watching_costs_no_query() -> None:
    store = Store()
    async with hub_on(store) as hub:
        await hub.is_up(30)
        store.commit(row(A, 1, 1))
        async with hub.subscribe(A) as subscription:
            assert await commits(subscription) == [1]
        assert (B,) not in store.asked
        assert None not in store.asked


async def test_the_hub_lives_on_after_the_database_was_away_or_a_fault() -> None:
    store = Store()
    async with hub_on(store) as hub, hub.subscribe(A) as subscription:
        for commit, fault in enumerate((StorageError("away"), RuntimeError("a bug")), 1):
            await wait_until(lambda: hub.is_listening)
            store.queue.put_nowait(fault)
            await wait_until(lambda: not hub.is_listening)
            store.rows[1] = row(A, 1, commit)  # nobody heard of it
            assert await commits(subscription) == [commit]


async def test_a_delivery_asks_for_what_changed_since_the_one_before() -> None:
    store = Store()
    store.rows = {series: row(A, series, series) for series in range(1, 8)}
    async with hub_on(store) as hub, hub.subscribe(A) as subscription:
        assert await commits(subscription) == [1, 2, 3, 4, 5, 6, 7]
        await hub.is_up(30)
        for commit in (8, 9):
            store.commit(row(A, 1, commit))
            assert await commits(subscription) == [commit]
        assert store.since[-2:] == [7, 8]


@pytest.mark.parametrize(
    ("since", "expected"),
    [(6, [7]), (0, list(range(1, 8))), (8, list(range(1, 8))), (-9, list(range(1, 8)))],
)
async def test_who_comes_back_gets_what_it_missed(since: int, expected: list[int]) -> None:
    """And everything when what it names is of the future: the database was restored."""
    store = Store()
    store.rows = {series: row(A, series, series) for series in range(1, 8)}
    async with hub_on(store) as hub, hub.subscribe(A, since=since) as subscription:
        assert await commits(subscription) == expected


async def test_who_was_away_for_long_gets_everything_anew() -> None:
    store = Store()
    store.rows = {1: row(A, 1, 1), 2: row(A, 2, 2)}
    store.newest = 1_000_000
    async with hub_on(store) as hub, hub.subscribe(A, since=1) as subscription:
        assert await commits(subscription) == [1, 2]


async def test_subscribers_are_bounded() -> None:
    store = Store()
    async with hub_on(store) as hub, AsyncExitStack() as stack:
        while not hub.is_full:
            await stack.enter_async_context(hub.subscribe(A))
        with pytest.raises(TooManySubscribers):
            await stack.enter_async_context(hub.subscribe(A))
        assert len(hub._subscriptions) == 500


async def test_without_rows_next_gives_nothing_after_its_time() -> None:
    assert await Subscription(A).next(0.01) == ()


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 4), st.integers(1, 30))),
        max_size=12,
    ),
    st.sampled_from([A, B, None]),
)
async def test_whatever_is_offered_a_subscriber_ends_with_the_newest(
    offers: list[list[tuple[UUID, int, int]]], patient: UUID | None
) -> None:
    """Offers may repeat, overlap and come late; each series is told in commit order."""
    subscription = Subscription(patient)
    told: dict[int, int] = {}
    newest: dict[int, int] = {}
    for offer in offers:
        rows = tuple(row(owner, series, commit) for owner, series, commit in offer)
        subscription.offer(rows)
        for each in rows:
            if patient in (None, each.patient_id):
                newest[each.series_id] = max(newest.get(each.series_id, 0), each.commit_seq)
        for each in await subscription.next(0):
            assert each.commit_seq >= told.get(each.series_id, 0)
            told[each.series_id] = each.commit_seq
    assert told == newest
