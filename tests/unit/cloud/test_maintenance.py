"""Each job is done by its leader only, again and again, and outlives a database that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from support.waiting import wait_until
from wardlight_cloud import maintenance
from wardlight_cloud.maintenance import Maintenance
from wardlight_shared.errors import StorageError

NOW = datetime(2026, 8, 1, tzinfo=UTC)


class Upkeep:
    """A MaintenanceStore that counts."""

    def __init__(self) -> None:
        self.leads = True
        self.is_away = False
        self.has_defect = False
        self.led: list[str] = []
        self.dirty = 0
        self.refreshed: list[int] = []
        self.days_ahead: list[int] = []
        self.forgotten: list[datetime] = []

    @asynccontextmanager
    async def leadership(self, name: str) -> AsyncIterator[bool]:
        if self.is_away:
            raise StorageError("away")
        self.led.append(name)
        yield self.leads

    async def refresh_rollups(self, *, limit: int) -> int:
        if self.has_defect:
            raise KeyError("Almeida")
        done = min(limit, self.dirty)
        self.dirty -= done
        self.refreshed.append(done)
        return done

    async def prepare_partitions(self, *, days_ahead: int) -> None:
        self.days_ahead.append(days_ahead)

    async def forget_event_ids(self, *, older_than: datetime) -> int:
        self.forgotten.append(older_than)
        return 3


@pytest.fixture
def store() -> Upkeep:
    return Upkeep()


@asynccontextmanager
async def running(store: Upkeep) -> AsyncIterator[None]:
    upkeep = Maintenance(store, event_id_days=400, now=lambda: NOW)
    task = asyncio.create_task(upkeep.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_every_job_is_done_at_once_and_rollups_until_none_is_dirty(store: Upkeep) -> None:
    store.dirty = 2 * maintenance._ROLLUP_BUCKETS + 7
    async with running(store):
        await wait_until(lambda: store.refreshed and store.dirty == 0)
        await wait_until(lambda: store.days_ahead and store.forgotten)
    assert store.refreshed[:3] == [maintenance._ROLLUP_BUCKETS] * 2 + [7]
    assert store.days_ahead == [7]
    assert store.forgotten == [NOW - timedelta(days=400)]


async def test_who_does_not_lead_does_nothing(store: Upkeep) -> None:
    store.leads = False
    store.dirty = 5
    async with running(store):
        await wait_until(lambda: set(store.led) == {"rollups", "partitions", "event-ids"})
    assert store.refreshed == store.days_ahead == store.forgotten == []


async def test_a_database_that_is_away_is_waited_for(
    store: Upkeep, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    async with running(store):
        await wait_until(lambda: "not done" in caplog.text)
        store.is_away = False
        await wait_until(lambda: store.refreshed and store.days_ahead and store.forgotten)


async def test_a_defect_of_one_job_ends_no_other(
    store: Upkeep, caplog: pytest.LogCaptureFixture
) -> None:
    store.has_defect = True
    async with running(store):
        await wait_until(lambda: "not done" in caplog.text)
        assert store.days_ahead and store.forgotten
        store.has_defect = False
        await wait_until(lambda: store.refreshed, what="it is tried again")
    assert "Almeida" not in caplog.text
