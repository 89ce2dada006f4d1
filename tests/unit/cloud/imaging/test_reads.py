"""The log of who looks at images: batched, off the answer's path, nothing lost without a word."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from support.waiting import wait_until
from wardlight_cloud.imaging import reads
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.image_reads import ImageRead, Reader
from wardlight_shared.errors import StorageError

_ANNA, _BERT = Reader("user", "anna"), Reader("client", "bert")
_START = datetime(2026, 3, 1, tzinfo=UTC)


class _Store:
    """Keeps batches; refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.batches: list[list[ImageRead]] = []

    async def put_reads(self, found: Sequence[ImageRead]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StorageError("away")
        self.batches.append(list(found))

    async def image_reads(self, **_: object) -> tuple[ImageRead, ...]:
        return ()

    @property
    def requests(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for read in (read for batch in self.batches for read in batch):
            key = (read.reader.name, read.study_uid)
            found[key] = found.get(key, 0) + read.requests
        return found


class _Clock:
    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


async def test_reads_are_written_together_with_first_and_last_time() -> None:
    store = _Store()
    async with ReadLog(store, clock=_Clock(), pause_s=0.01) as log:
        for _ in range(3):
            log.note(_ANNA, "1.2", "dicomweb")
        log.note(_BERT, "1.2", "viewer")
        assert store.batches == []
        await wait_until(lambda: bool(store.batches))
    second = timedelta(seconds=1)
    assert store.batches == [[
        ImageRead(_ANNA, "1.2", "dicomweb", _START + second, _START + 3 * second, 3),
        ImageRead(_BERT, "1.2", "viewer", _START + 4 * second, _START + 4 * second, 1),
    ]]  # fmt: skip


async def test_what_waits_is_written_at_the_end() -> None:
    store = _Store()
    async with ReadLog(store, pause_s=60) as log:
        log.note(_ANNA, "1.2", "dicomweb")
        await asyncio.sleep(0)
    assert store.requests == {("anna", "1.2"): 1}


async def test_a_store_that_is_away_gets_everything_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what came meanwhile, of the same reader and of another one."""
    monkeypatch.setattr(reads, "_RETRY_S", 0.01)
    store = _Store(refusals=2)
    async with ReadLog(store, pause_s=0.01) as log:
        log.note(_ANNA, "1.2", "dicomweb")
        await wait_until(lambda: store.refusals < 2)
        log.note(_ANNA, "1.2", "dicomweb")
        log.note(_BERT, "1.3", "dicomweb")
        await wait_until(lambda: bool(store.batches))
    assert store.requests == {("anna", "1.2"): 2, ("bert", "1.3"): 1}


async def test_threads_note_at_the_same_time() -> None:
    store = _Store()
    async with ReadLog(store, pause_s=0.001) as log:

        def work() -> None:
            for _ in range(500):
                log.note(_ANNA, "1.2", "dimse")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert store.requests == {("anna", "1.2"): 2000}


async def test_what_is_beyond_the_bound_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Readers that wait already still count; a store that never answers is told at the end, too."""
    store = _Store(refusals=99)
    with caplog.at_level(logging.ERROR):
        async with ReadLog(store, pause_s=60, most=2) as log:
            for study in ("1.1", "1.2", "1.3", "1.1"):
                log.note(_ANNA, study, "dicomweb")
            assert [record.rows for record in caplog.records] == [1]  # type: ignore[attr-defined]
    assert [record.rows for record in caplog.records] == [1, 2]  # type: ignore[attr-defined]
    assert "anna" not in caplog.text
