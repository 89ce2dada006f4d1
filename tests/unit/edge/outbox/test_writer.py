"""Group commit: who waits for company, what is committed together, and errors by call."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import record, settings, sqlite_outbox
from support.waiting import let_run, wait_until
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.writer import GROUP_ROWS, LINGER_ROWS, Writer
from wardlight_shared.errors import OutboxFull, StorageError
from wardlight_shared.records import Lane

LONG_MS = 600_000
PATIENCE_S = 60.0  # well under the linger, well over a commit on a busy machine


class GroupingEngine:
    """Stands where the Engine stands: keeps what was committed together."""

    def __init__(self) -> None:
        self.groups: list[list[Sequence[NewRecord]]] = []
        self.refuses: list[int] = []
        self.has_work = False

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def rest(self) -> bool:
        return False

    def append(self, calls: Sequence[Sequence[NewRecord]]) -> list[list[int] | StorageError]:
        self.groups.append(list(calls))
        results: list[list[int] | StorageError] = []
        for number, call in enumerate(calls):
            if number in self.refuses:
                results.append(OutboxFull("full"))
            else:
                results.append([1] * len(call))
        return results


async def opened(engine: GroupingEngine, linger_ms: int) -> Writer:
    writer = Writer(cast("Engine", engine), linger_ms=linger_ms, on_append=lambda: None)
    await writer.start()
    return writer


async def together(writer: Writer, calls: Sequence[Sequence[NewRecord]]) -> list[Any]:
    """Start all calls before the writer sees the first."""
    gate = threading.Event()
    blocked = asyncio.create_task(writer.call(lambda: gate.wait(PATIENCE_S)))
    await let_run()
    tasks = [asyncio.create_task(writer.append(call)) for call in calls]
    await let_run()
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert await blocked
    return results


async def waiting_append(writer: Writer, records: Sequence[NewRecord]) -> "asyncio.Task[list[int]]":
    """An append that the writer's thread has taken up and keeps waiting for company."""
    task = asyncio.create_task(writer.append(records))
    await let_run()
    await wait_until(writer._jobs.empty)
    assert not task.done()
    return task


async def test_streams_wait_for_company() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, LONG_MS)
    first = await waiting_append(writer, [record(clock, 1)])
    assert engine.groups == []
    await asyncio.gather(first, writer.append([record(clock, 2)] * LINGER_ROWS))
    assert [len(group) for group in engine.groups] == [2]
    await writer.stop()


@pytest.mark.parametrize(
    ("lane", "event"), [(Lane.ALARM, None), (Lane.LIVE, "cuff"), (Lane.BACKFILL, "meter")]
)
async def test_alarms_and_device_events_do_not_wait(lane: Lane, event: str | None) -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, LONG_MS)
    async with asyncio.timeout(PATIENCE_S):
        await writer.append([record(clock, 1, lane, event=event)])
    await writer.stop()


async def test_an_urgent_record_takes_the_waiting_ones_along() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, LONG_MS)
    slow = await waiting_append(writer, [record(clock, 1)])
    async with asyncio.timeout(PATIENCE_S):
        await writer.append([record(clock, 2, Lane.ALARM)])
        await slow
    assert [len(group) for group in engine.groups] == [2]
    await writer.stop()


async def test_another_job_ends_the_waiting() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, LONG_MS)
    slow = await waiting_append(writer, [record(clock, 1)])
    async with asyncio.timeout(PATIENCE_S):
        assert await writer.call(lambda: len(engine.groups)) == 1  # in order: after the append
        await slow
    await writer.stop()


async def test_a_large_group_does_not_wait() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, LONG_MS)
    async with asyncio.timeout(PATIENCE_S):
        await writer.append([record(clock, 1)] * LINGER_ROWS)
    await writer.stop()


async def test_a_group_has_an_end() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    writer = await opened(engine, 0)
    await together(writer, [[record(clock, 1)] * 300 for _ in range(10)])
    rows = [sum(len(call) for call in group) for group in engine.groups]
    assert sum(rows) == 3000
    assert max(rows) < GROUP_ROWS + 300
    assert len(rows) <= 4
    await writer.stop()


async def test_each_call_of_a_group_gets_its_own_result() -> None:
    clock, engine = ManualClock(), GroupingEngine()
    engine.refuses = [1]
    writer = await opened(engine, 0)
    results = await together(writer, [[record(clock, number)] for number in range(3)])
    assert results[0] == results[2] == [1]
    assert isinstance(results[1], OutboxFull)
    await writer.stop()


async def test_calls_after_the_end_are_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = sqlite_outbox(tmp_path / "outbox.db", clock, given=settings())
    async with outbox:
        await outbox.append([record(clock, 1)])
    with pytest.raises(StorageError, match="closed"):
        await outbox.append([record(clock, 2)])


async def test_what_was_queued_at_the_end_is_committed(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock, given=settings(linger_ms=LONG_MS)) as outbox:
        waiting = asyncio.create_task(outbox.append([record(clock, 1)]))
        await let_run()
    assert await waiting == [1]
    async with sqlite_outbox(path, clock) as outbox:
        assert outbox.status().records == 1
