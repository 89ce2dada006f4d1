"""Notes who looks at images, off the path of the answer, and writes it down in batches.

async with ReadLog(store) as reads:
    reads.note(Reader("user", "anna"), study_uid, "dicomweb")   # a dictionary and no waiting

``note`` may be called by any thread. What was noted is in the store within PAUSE_S, or as soon as
the store answers again; what is beyond the bound while it does not is counted and told in the log.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.imaging.metrics import READS, READS_LOST
from wardlight_cloud.store.image_reads import Face, ImageRead, ImageReadStore, Reader
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
PAUSE_S: Final = 1.0
_RETRY_S: Final = 5.0
_WRITE_S: Final = 10.0
_MOST: Final = 10_000  # of readers and studies that wait

_Key = tuple[Reader, str, Face]


def _now() -> datetime:
    return datetime.now(UTC)


class ReadLog:
    """Reads since the last batch, by reader, study and face."""

    def __init__(
        self, store: ImageReadStore, *, clock: Callable[[], datetime] = _now,
        pause_s: float = PAUSE_S, most: int = _MOST,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._pause_s = pause_s
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[_Key, ImageRead] = {}
        self._is_woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="image-reads")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if not await self._write():
            self._lost(len(self._waiting))

    def note(self, reader: Reader, study_uid: str, face: Face) -> None:
        """Somebody was given something of a study."""
        now, key = self._clock(), (reader, study_uid, face)
        with self._lock:
            is_first = not self._waiting
            known = self._waiting.get(key)
            if known is not None:
                read = replace(known, last_at=now, requests=known.requests + 1)
            else:
                read = ImageRead(reader, study_uid, face, now, now, 1)
            if known is not None or len(self._waiting) < self._most:
                self._waiting[key] = read
                is_lost = False
            else:
                is_lost = True
        if is_lost:
            self._lost(1)
        if is_first and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; __aexit__ wrote the rest
                self._loop.call_soon_threadsafe(self._is_woken.set)

    async def _run(self) -> None:
        while True:
            await self._is_woken.wait()
            await asyncio.sleep(self._pause_s)
            self._is_woken.clear()
            if not await self._write():
                await asyncio.sleep(_RETRY_S)
                self._is_woken.set()

    async def _write(self) -> bool:
        """Whether all that waited is in the store; what is not waits again."""
        with self._lock:
            batch, self._waiting = self._waiting, {}
        if not batch:
            return True
        try:
            async with asyncio.timeout(_WRITE_S):
                await self._store.put_reads(list(batch.values()))
        except BaseException as error:
            self._take_back(batch)
            if not isinstance(error, StorageError | TimeoutError):
                raise
            _log.warning("reads of images cannot be written yet", extra={"rows": len(batch)})
            return False
        READS.inc(sum(read.requests for read in batch.values()))
        return True

    def _take_back(self, batch: dict[_Key, ImageRead]) -> None:
        with self._lock:
            for key, newer in self._waiting.items():
                older = batch.get(key, newer)
                if older is not newer:
                    newer = replace(
                        older, last_at=newer.last_at, requests=older.requests + newer.requests
                    )
                batch[key] = newer
            self._waiting = batch

    def _lost(self, count: int) -> None:
        READS_LOST.inc(count)
        _log.error("reads of images are not on record", extra={"rows": count})
